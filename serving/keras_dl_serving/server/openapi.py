"""The served models as an OpenAPI 3.1 document, for interactive pages and generators of clients and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import numpy as np

from keras_dl_serving.errors import NotFoundError
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE, Signature, TensorSpec
from keras_dl_serving.server.core import Core, ModelSpec, Servable, State

Json = dict[str, Any]

_B64: Json = {
    "type": "object",
    "properties": {
        "b64": {
            "type": "string",
            "contentEncoding": "base64",
            "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
        }
    },
    "required": ["b64"],
    "additionalProperties": False,
}
_VALUE: Json = {"anyOf": [*({"type": kind} for kind in ("number", "string", "boolean")), _B64]}
_FEATURE: Json = {"anyOf": [*_VALUE["anyOf"], {"type": "array", "items": _VALUE}]}
_EXAMPLE: Json = {"type": "object", "additionalProperties": _FEATURE}
_ERROR: Json = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_STATUS: Json = {
    "type": "object",
    "properties": {
        "model_version_status": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "version": {"type": "string"},
                    "state": {"enum": [state.name for state in State]},
                    "status": {
                        "type": "object",
                        "properties": {"error_code": {"type": "string"}, "error_message": {"type": "string"}},
                    },
                },
                "required": ["version", "state", "status"],
            },
        }
    },
    "required": ["model_version_status"],
}
_METADATA: Json = {
    "type": "object",
    "properties": {"model_spec": {"type": "object"}, "metadata": {"type": "object"}},
    "required": ["model_spec", "metadata"],
}
_RESULTS: Mapping[str, Json] = {
    "classify": {  # [label, score] of each class
        "type": "array",
        "items": {"type": "array", "items": {"type": ["string", "number"]}, "minItems": 2, "maxItems": 2},
    },
    "regress": {"type": "number"},
}


def describe(core: Core) -> Json:
    """Return the document: for each model with an available version, the signatures of the newest."""
    paths: Json = {}
    for name in core.names():
        try:
            with core.use(ModelSpec(name)) as servable:
                paths |= _paths_of(servable, core.states(ModelSpec(name)), core.labels(name))
        except NotFoundError:  # no version to describe
            continue
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "TensorFlow Serving's REST API",
            "version": version("keras-dl"),
            "description": "NaN and Infinity are sent as bare tokens, which JSON Schema cannot say.",
        },
        "paths": paths,
        "components": {
            "responses": {"Error": {"description": "What is wrong.", "content": _json(_ERROR)}},
        },
    }


def _paths_of(servable: Servable, versions: list[Servable], labels: Mapping[str, int]) -> Json:
    """Return the newest version of a model by its name, and the others by their numbers and labels.

    All are described by the newest version's signatures, as versions of a model should have the same.
    """
    numbers = [each.version for each in versions if each.state is State.AVAILABLE]
    which: list[tuple[str, list[Json]]] = [("", [])]
    which.append(("/versions/{version}", [_parameter("version", {"type": "integer", "enum": numbers})]))
    if labels:
        which.append(("/labels/{label}", [_parameter("label", {"type": "string", "enum": sorted(labels)})]))
    paths = {}
    for suffix, parameters in which:
        base = f"/v1/models/{quote(servable.name, safe='')}{suffix}"
        common: Json = {"parameters": parameters} if parameters else {}
        for path, operation in _operations(servable):
            verb = "post" if "requestBody" in operation else "get"
            paths[base + path] = {**common, verb: {**operation, "tags": [servable.name]}}
    return paths


def _operations(servable: Servable) -> Iterator[tuple[str, Json]]:
    yield "", _operation("The states of its versions.", _STATUS)
    yield "/metadata", _operation("Its signatures.", _METADATA)
    by_verb: dict[str, dict[str, Signature]] = {}
    for name, signature in servable.engine.signatures.items():
        by_verb.setdefault(signature.method_name.rpartition("/")[2], {})[name] = signature
    for verb, signatures in by_verb.items():
        if verb == "predict":
            requests = [form for each in signatures.items() for form in _predict_requests(*each)]
            responses = [form for each in signatures.values() for form in _predict_responses(each)]
            yield ":predict", _operation("Run it.", {"anyOf": responses}, {"anyOf": requests})
        elif verb in _RESULTS:
            rows = {"type": "array", "items": _RESULTS[verb]}
            request = _named(signatures, {"examples": {"type": "array", "items": _EXAMPLE, "minItems": 1}})
            request["properties"]["context"] = _EXAMPLE
            yield f":{verb}", _operation(f"{verb.title()} examples.", _object({"results": rows}), request)


def _operation(summary: str, response: Json, request: Json | None = None) -> Json:
    operation: Json = {
        "summary": summary,
        "responses": {
            "200": {"description": "It worked.", "content": _json(response)},
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if request:
        operation["requestBody"] = {"required": True, "content": _json(request)}
    return operation


def _predict_requests(name: str, signature: Signature) -> Iterator[Json]:
    """Return the schemas of requests in columns and rows; a single input may be without its name."""
    names = {name: signature}
    columns = {name: _tensor(spec) for name, spec in signature.inputs.items()}
    for each in _alone_or_named(columns, others=True):
        yield _named(names, {"inputs": each})
    if _has_rows(signature):
        rows = {name: _tensor(_row(spec)) for name, spec in signature.inputs.items()}
        for each in _alone_or_named(rows):
            yield _named(names, {"instances": {"type": "array", "items": each, "minItems": 1}})


def _predict_responses(signature: Signature) -> Iterator[Json]:
    """Return the schemas of responses in the request's form; a single output is without its name."""
    columns = {name: _tensor(spec, sent=name) for name, spec in signature.outputs.items()}
    yield _object({"outputs": _alone_or_named(columns)[0]})
    if _has_rows(signature):
        rows = {name: _tensor(_row(spec), sent=name) for name, spec in signature.outputs.items()}
        yield _object({"predictions": {"type": "array", "items": _alone_or_named(rows)[0]}})


def _has_rows(signature: Signature) -> bool:
    return all(spec.shape != () for spec in (*signature.inputs.values(), *signature.outputs.values()))


def _row(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(spec.shape[1:] if spec.shape else spec.shape, spec.dtype)


def _alone_or_named(schemas: Mapping[str, Json], *, others: bool = False) -> list[Json]:
    alone = list(schemas.values()) if len(schemas) == 1 else []
    return [*alone, _object(schemas, others=others)]


def _named(signatures: Mapping[str, Signature], properties: Mapping[str, Json]) -> Json:
    """Return an object that names its signature; only the default one may be omitted."""
    found = _object({"signature_name": {"enum": sorted(signatures)}, **properties}, others=True)
    if DEFAULT_SIGNATURE in signatures:
        found["required"].remove("signature_name")
    return found


def _object(properties: Mapping[str, Json], *, others: bool = False) -> Json:
    """Return an object of these properties; `others` are ignored where TensorFlow Serving ignores them."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": others,
    }


def _tensor(spec: TensorSpec, *, sent: str = "") -> Json:
    """Return nested arrays of values: of an input, or of an output that is `sent` under this name."""
    schema = _value(spec.dtype, sent)
    if spec.shape is None:
        return {"anyOf": [schema, {"type": "array"}]}
    for size in reversed(spec.shape):
        schema = {"type": "array", "items": schema}
        if size is not None:
            schema |= {"minItems": size, "maxItems": size}
        elif not sent:
            schema["minItems"] = 1  # the other axes of an empty list are unknown
    return schema


def _value(dtype: str, sent: str) -> Json:
    match dtype:
        case "float32" | "float64":
            return {"type": "number"}
        case "bool":
            return {"type": "boolean"}
        case "string" if not sent:
            return {"anyOf": [{"type": "string"}, _B64]}
        case "string":
            return _B64 if sent.endswith("_bytes") else {"type": "string"}
        case "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "uint64":
            limits = np.iinfo(dtype)
            return {"type": "integer", "minimum": limits.min, "maximum": limits.max}
        case _:
            return {"not": {}, "description": f"JSON has no form for {dtype}"}


def _parameter(name: str, schema: Json) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}
