"""The REST transport."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson

from keras_dl_export import dtypes
from keras_dl_export.dtypes import Array
from keras_dl_serving.client.example_features import Examples, Features
from keras_dl_serving.client.http_connections import Answer, HttpConnections
from keras_dl_serving.client.outputs import read
from keras_dl_serving.client.transport import (
    Classification,
    Connection,
    ModelMetadata,
    StaleSignature,
    VersionStatus,
)
from keras_dl_serving.errors import (
    InternalError,
    InvalidRequestError,
    Request,
    StatusError,
    UnsupportedByServerError,
    code_of_http,
)
from keras_dl_serving.protocol.json import json_response, json_text
from keras_dl_serving.protocol.signatures import Signature, from_json, read_all

_UNKNOWN_PATH = (400, 404, 405, 501)  # the statuses of servers without this path


class RestTransport:
    """REST requests in columns, which also allow scalars and outputs without a batch axis."""

    # An answer does not name its version, and numbers of another float dtype look the same.
    keep_seconds: float | None = 5.0

    def __init__(self, url: str, connection: Connection, *, blocking: bool) -> None:
        self.blocking = blocking
        self._http = HttpConnections(url, connection, blocking=blocking)

    async def predict(
        self,
        request: Request,
        inputs: Mapping[str, Array],
        signature: Signature,
        outputs: Sequence[str] | None,
        timeout: float | None,
    ) -> tuple[dict[str, Array], int | None]:
        """Run a model."""
        body = _predict_body(request.signature_name or "", inputs)
        answer = await self._ask("POST", f"{_path(request)}:predict", request, timeout, body)
        values = answer.get("outputs")
        if len(signature.outputs) == 1:
            values = {next(iter(signature.outputs)): values}
        if not isinstance(values, dict) or values.keys() != signature.outputs.keys():
            raise StaleSignature(
                f"they are {', '.join(sorted(values)) if isinstance(values, dict) else 'unnamed'}"
            )
        wanted = signature.outputs if outputs is None else outputs
        return {name: read(name, values[name], signature.outputs[name]) for name in wanted}, None

    async def classify(
        self, request: Request, examples: Examples, timeout: float | None
    ) -> list[Classification]:
        """Classify examples."""
        rows = await self._of_examples("classify", request, examples, timeout)
        try:
            return [[(str(label), float(np.float32(score))) for label, score in row] for row in rows]
        except (TypeError, ValueError) as error:
            raise InternalError(
                f"The server's answer is no classification: {error}", request=request
            ) from error

    async def regress(self, request: Request, examples: Examples, timeout: float | None) -> Array:
        """Regress examples."""
        values = await self._of_examples("regress", request, examples, timeout)
        try:
            return np.asarray(values, np.float32)
        except (TypeError, ValueError) as error:
            raise InternalError(f"The server's answer is no regression: {error}", request=request) from error

    async def _of_examples(
        self, verb: str, request: Request, examples: Examples, timeout: float | None
    ) -> Any:
        body: dict[str, Any] = {"signature_name": request.signature_name or ""}
        if examples.context is not None:
            body["context"] = _json_features(examples.context)
        body["examples"] = [_json_features(row) for row in examples.rows]
        path = f"{_path(request)}:{verb}"
        answer = await self._ask("POST", path, request, timeout, json.dumps(body).encode())
        return answer.get("results")

    async def multi_inference(
        self, request: Request, tasks: Mapping[str, str], examples: Examples, timeout: float | None
    ) -> dict[str, list[Classification] | Array]:
        """Raise an error: TensorFlow Serving supports it over gRPC alone."""
        raise UnsupportedByServerError(
            "TensorFlow Serving's REST API has no MultiInference: use a grpc:// URL", request=request
        )

    async def reload_config(
        self, request: Request, config: str, metric_names: Sequence[str], timeout: float | None
    ) -> dict[str, int]:
        """Raise an error: TensorFlow Serving supports it over gRPC alone."""
        raise UnsupportedByServerError(
            "TensorFlow Serving's REST API has no reloading: use a grpc:// URL", request=request
        )

    async def metadata(self, request: Request, timeout: float | None) -> ModelMetadata:
        """Return the signatures of a model."""
        answer = await self._ask("GET", f"{_path(request)}/metadata", request, timeout)
        try:
            spec = answer["model_spec"]
            signatures = answer["metadata"]["signature_def"].get("signature_def", {})
            return ModelMetadata(str(spec["name"]), int(spec["version"]), *read_all(signatures, from_json))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InternalError(f"The server's answer is no metadata: {error!r}", request=request) from error

    async def status(self, request: Request, timeout: float | None) -> list[VersionStatus]:
        """Return the versions of a model."""
        answer = await self._ask("GET", _path(request), request, timeout)
        try:
            return [
                VersionStatus(
                    int(version["version"]),
                    str(version["state"]),
                    str(version.get("status", {}).get("error_message", "")),
                )
                for version in answer["model_version_status"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InternalError(f"The server's answer is no status: {error!r}", request=request) from error

    async def models(self, request: Request, timeout: float | None) -> list[str]:
        """Return the names of the models, from keras_dl's own server."""
        answer = await self._http.ask("GET", "/keras_dl/models", request, timeout)
        names = None
        if answer.status not in _UNKNOWN_PATH:
            with suppress(InternalError) if answer.status == 200 else nullcontext():
                names = _document(answer, request).get("models")
        if not isinstance(names, list):
            raise UnsupportedByServerError(
                "TensorFlow Serving's API does not list its models: ask for the status of one by its name",
                request=request,
            )
        return [str(name) for name in names]

    async def _ask(
        self, method: str, path: str, request: Request, timeout: float | None, body: bytes | None = None
    ) -> dict[str, Any]:
        return _document(await self._http.ask(method, path, request, timeout, body), request)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def _json_features(features: Features) -> dict[str, Any]:
    return {
        name: [
            {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
            for value in values
        ]
        for name, values in features.items()
    }


def _path(request: Request) -> str:
    path = f"/v1/models/{quote(request.model or '', safe='')}"
    if request.version is not None:
        path += f"/versions/{request.version}"
    if request.label is not None:
        path += f"/labels/{quote(request.label, safe='')}"
    return path


def _document(answer: Answer, request: Request) -> dict[str, Any]:
    try:
        document = json_text.parse(answer.content)
    except StatusError:
        document = None
    text = answer.content[:1024].decode("utf-8", "replace")[:256]
    if answer.status != 200:
        message = document.get("error") if isinstance(document, dict) else None
        raise StatusError.of(
            code_of_http(answer.status), str(message or text or answer.reason), request=request
        )
    if not isinstance(document, dict):
        raise InternalError(f"The server's answer is no JSON object: {text!r}", request=request)
    return document


def _predict_body(signature_name: str, inputs: Mapping[str, Array]) -> bytes:
    members = b",".join(orjson.dumps(name) + b":" + _write(name, array) for name, array in inputs.items())
    return b'{"signature_name":' + orjson.dumps(signature_name) + b',"inputs":{' + members + b"}}"


def _write(name: str, array: Array) -> bytes:
    dtype = dtypes.of_array(array)
    if dtype.name in ("float16", "bfloat16"):
        array = array.astype(np.float32)
    elif dtype.name.startswith("complex"):
        raise InvalidRequestError(f"input {name!r} is {dtype.name}, which JSON has no form for: use gRPC.")
    if 0 in array.shape[:-1]:
        raise InvalidRequestError(f"input {name!r} has shape {array.shape}, which is [] in JSON: use gRPC.")
    if array.ndim and array.dtype.kind != "O" and (array.dtype.kind != "f" or np.isfinite(array).all()):
        return orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)
    return json_response.format_tensor(array, strings_as_b64=True).encode()
