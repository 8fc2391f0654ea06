"""The operators and versions in a SavedModel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import tensorflow as tf

from keras_dl_export.tracing import Signature


def count_saved_model_operators(signatures: Mapping[str, Signature]) -> dict[str, int]:
    """Count the operators in the graphs of all endpoints."""
    counts: Counter[str] = Counter()
    for signature in signatures.values():
        graph = signature.function.graph.as_graph_def()
        counts.update(node.op for node in graph.node)
        counts.update(node.op for function in graph.library.function for node in function.node_def)
    return dict(counts.most_common())


def saved_model_versions() -> dict[str, int | str]:
    """Return the versions of the schema and of TensorFlow."""
    return {"schema": tf.saved_model.SAVED_MODEL_SCHEMA_VERSION, "TensorFlow": tf.__version__}
