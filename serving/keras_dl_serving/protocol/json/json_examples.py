"""Classify and regress requests and responses in JSON, as TensorFlow Serving's REST API has them."""

from __future__ import annotations

import json
from typing import Any

from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.json.json_numbers import format_number
from keras_dl_serving.protocol.json.json_tensor import decode_b64, format_error, is_b64, parse_object
from keras_dl_serving.protocol.json.rapidjson_compat import type_name
from keras_dl_serving.protocol.wire import messages

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def parse_examples(body: bytes) -> tuple[str, messages.Input]:
    """Return the signature name of a request, empty if it has none, and its examples.

    Raises:
        InvalidArgumentError: it is malformed.
    """
    document, signature_name = parse_object(body)
    request = messages.Input()
    context = _example(document["context"]) if "context" in document else None
    if "examples" not in document:
        raise format_error(document, "When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise format_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise format_error(document, "'examples' value is an empty array")
    serialized = [_example(example) for example in examples]
    if context is None:
        request.example_list.examples.extend(serialized)
    else:
        request.example_list_with_context.context = context
        request.example_list_with_context.examples.extend(serialized)
    return signature_name, request


def format_classifications(result: messages.ClassificationResult) -> bytes:
    """Return the body of a classify response: a list of [label, score] for each example."""
    rows = [
        "["
        + ", ".join(
            f"[{json.dumps(each.label, ensure_ascii=False)}, {format_number(each.score, single=True)}]"
            for each in row.classes
        )
        + "]"
        for row in result.classifications
    ]
    return _results(rows)


def format_regressions(result: messages.RegressionResult) -> bytes:
    """Return the body of a regress response: a value for each example."""
    return _results([format_number(each.value, single=True) for each in result.regressions])


def _results(rows: list[str]) -> bytes:
    return f'{{\n    "results": [{", ".join(rows)}]\n}}'.encode("utf-8", "surrogateescape")


def _example(value: Any) -> bytes:
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"Example must be JSON object but got JSON {type_name(value)}")
    example = messages.Example()
    for name, content in value.items():
        feature = example.features.feature[name]
        for each in content if isinstance(content, list) else [content]:
            _add(each, name, feature)
    return example.SerializeToString()


def _add(value: Any, name: str, feature: messages.Feature) -> None:
    if value is None or isinstance(value, list) or (isinstance(value, dict) and not is_b64(value)):
        raise InvalidArgumentError(
            f"Feature: {name} has element with unexpected JSON type: {type_name(value)}"
        )
    kind = "bytes_list" if isinstance(value, str | dict) else "int64_list"
    if isinstance(value, float):
        kind = "float_list"
    found = feature.WhichOneof("kind")
    if found not in (None, kind):
        raise InvalidArgumentError(
            f"Unexpected element type in feature: {name} expecting type: {_KINDS[str(found)]}"
        )
    if kind == "float_list":
        feature.float_list.value.append(value)
    elif kind == "int64_list":
        if value >= 2**63:
            raise InvalidArgumentError(f"Feature: {name} has uint64 element. Only int64 is supported.")
        feature.int64_list.value.append(int(value))
    else:
        feature.bytes_list.value.append(
            decode_b64(value) if isinstance(value, dict) else value.encode("utf-8", "surrogateescape")
        )
