"""Names of a SavedModel's inputs that TensorFlow itself does not support."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

from keras_dl_export.names import as_parameters, in_graph

_GRAPH = "saved_model.pb"


def read_input_names(folder: Path) -> dict[str, list[str]]:
    """Return the input names of each signature, which may differ from the parameters of its function."""
    meta_graph = _read(folder).meta_graphs[0]
    return {name: list(signature.inputs) for name, signature in meta_graph.signature_def.items()}


def _read(folder: Path) -> Any:
    return saved_model_pb2.SavedModel.FromString((folder / _GRAPH).read_bytes())


def rename_inputs(signatures: Mapping[str, Iterable[str]], folder: Path) -> None:
    """Restore the inputs' own names where TensorFlow's graph has other names.

    A signature may use any name for an input; the function that `tf.saved_model.load` creates has the input
    as a parameter.
    """
    others = {
        name: changed
        for name, inputs in signatures.items()
        if (changed := {other: word for word, other in in_graph(inputs).items() if other != word})
    }
    if not others:
        return
    saved = _read(folder)
    meta_graph = saved.meta_graphs[0]
    objects = meta_graph.object_graph_def
    for name, changed in others.items():
        parameters = as_parameters(changed.values())
        inputs = meta_graph.signature_def[name].inputs
        for other, word in changed.items():
            inputs[word].CopyFrom(inputs.pop(other))
        function = objects.nodes[_child(objects, 0, "signatures", name)].bare_concrete_function
        function.ClearField("function_spec")  # the parameters of the function that was traced
        function.argument_keywords[:] = [parameters[changed[key]] for key in function.argument_keywords]
        concrete = objects.concrete_functions[function.concrete_function_name]
        named = concrete.canonicalized_input_signature.tuple_value.values[1].dict_value.fields
        for other, word in changed.items():
            named[parameters[word]].CopyFrom(named.pop(other))
    (folder / _GRAPH).write_bytes(saved.SerializeToString())


def _child(objects: Any, node: int, *path: str) -> int:
    """Return the node id of the object at a path of attributes."""
    for name in path:
        node = next(child.node_id for child in objects.nodes[node].children if child.local_name == name)
    return node
