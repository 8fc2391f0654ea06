"""Data as `tf.data` pipelines: `load` for the batches, `describe` for what a model must know beforehand.

Every kind of data is opened by one function in one file (digits.py, tfds.py, arrays.py, folder.py, table.py,
text.py); opening.py chooses it, and notices.py warns of what may be read otherwise than intended. splits.py
says what a split means, pipeline.py in which order batches come to be, and share.py what of them a replica
gets. streaming.py reads sets that are larger than the memory.
"""

from keras_dl.data.adding import adding_problem
from keras_dl.data.loading import describe, load
from keras_dl.data.notices import DataWarning
from keras_dl.data.share import Share, shared
from keras_dl.data.source import Description
from keras_dl.data.streaming import stream, streamed_files

__all__ = [
    "DataWarning",
    "Description",
    "Share",
    "adding_problem",
    "describe",
    "load",
    "shared",
    "stream",
    "streamed_files",
]
