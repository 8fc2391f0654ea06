"""What a target lacks, expressed by what it has."""

from keras_dl_export.lowering.argmax import plain_argmax

__all__ = ["plain_argmax"]
