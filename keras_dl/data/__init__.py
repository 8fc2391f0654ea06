"""Data as `tf.data` pipelines: `load` returns batches, `describe` returns shapes and classes.

Each kind of data is opened by one function in one file (digits.py, tfds.py, arrays.py, folder.py, table.py,
text.py); opening.py selects it, and notices.py warns about data that may be read differently than intended.
splits.py defines the splits, pipeline.py builds and orders the batches, and sharding.py divides them among
replicas. streaming.py reads data sets larger than memory.
"""

from keras_dl.data.adding import adding_problem
from keras_dl.data.loading import describe, load
from keras_dl.data.notices import DataWarning
from keras_dl.data.sharding import Shard, Share, shard_batches, shared
from keras_dl.data.source import Description
from keras_dl.data.streaming import stream, streamed_files

__all__ = [
    "DataWarning",
    "Description",
    "Shard",
    "Share",
    "adding_problem",
    "describe",
    "load",
    "shard_batches",
    "shared",
    "stream",
    "streamed_files",
]
