"""The REST transport."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
from google.protobuf import json_format

from keras_dl_serving import dtypes, json_response, json_text
from keras_dl_serving.client.examples import Examples, Features
from keras_dl_serving.client.light_httpx import httpx
from keras_dl_serving.client.transport import (
    Classification,
    Connection,
    ModelMetadata,
    StaleSignature,
    VersionStatus,
)
from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    Internal,
    InvalidRequest,
    NotFound,
    Request,
    StatusError,
    Unimplemented,
    UnsupportedByServer,
    code_of_http,
)
from keras_dl_serving.signatures import Signature, TensorSpec, readable
from keras_dl_serving.wire import messages


class RestTransport:
    """Requests in columns, so that scalars and outputs without a batch axis pass too."""

    def __init__(self, url: str, connection: Connection, *, blocking: bool) -> None:
        self._base = url.rstrip("/")
        self._blocking = blocking
        # Without TLS no certificates: loading them takes longer than the first request.
        verify = _tls(connection) if self._base.startswith("https") else False
        http_client: Any = httpx.Client if blocking else httpx.AsyncClient
        self._http = http_client(verify=verify, headers=dict(connection.headers))

    async def predict(
        self, request: Request, inputs: Mapping[str, Array], signature: Signature, timeout: float | None
    ) -> tuple[dict[str, Array], int | None]:
        """Run a model."""
        body = _predict_body(request.signature_name or "", inputs)
        answer = await self._ask("POST", f"{_path(request)}:predict", request, timeout, body)
        outputs = answer.get("outputs")
        if len(signature.outputs) == 1:
            outputs = {next(iter(signature.outputs)): outputs}
        if not isinstance(outputs, dict) or outputs.keys() != signature.outputs.keys():
            raise StaleSignature(
                f"they are {', '.join(sorted(outputs)) if isinstance(outputs, dict) else 'unnamed'}"
            )
        try:
            return {name: _read(outputs[name], spec) for name, spec in signature.outputs.items()}, None
        except (ValueError, TypeError, OverflowError) as error:
            raise StaleSignature(str(error)) from error

    async def classify(
        self, request: Request, examples: Examples, timeout: float | None
    ) -> list[Classification]:
        """Classify examples."""
        rows = await self._of_examples("classify", request, examples, timeout)
        try:
            return [[(str(label), float(np.float32(score))) for label, score in row] for row in rows]
        except (TypeError, ValueError) as error:
            raise Internal(f"The server's answer is no classification: {error}", request=request) from error

    async def regress(self, request: Request, examples: Examples, timeout: float | None) -> Array:
        """Regress examples."""
        values = await self._of_examples("regress", request, examples, timeout)
        try:
            return np.asarray(values, np.float32)
        except (TypeError, ValueError) as error:
            raise Internal(f"The server's answer is no regression: {error}", request=request) from error

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
        """Always refused: TensorFlow Serving has it only over gRPC."""
        raise UnsupportedByServer(
            "TensorFlow Serving's REST API has no MultiInference: use a grpc:// URL", request=request
        )

    async def reload_config(
        self, request: Request, config: str, metric_names: Sequence[str], timeout: float | None
    ) -> dict[str, int]:
        """Always refused: TensorFlow Serving has it only over gRPC."""
        raise UnsupportedByServer(
            "TensorFlow Serving's REST API has no reloading: use a grpc:// URL", request=request
        )

    async def metadata(self, request: Request, timeout: float | None) -> ModelMetadata:
        """What a model offers."""
        answer = await self._ask("GET", f"{_path(request)}/metadata", request, timeout)
        try:
            spec = answer["model_spec"]
            signatures = messages.SignatureDefMap()
            json_format.ParseDict(answer["metadata"]["signature_def"], signatures, ignore_unknown_fields=True)
            return ModelMetadata(spec["name"], int(spec["version"]), readable(signatures))
        except (KeyError, TypeError, ValueError, json_format.ParseError) as error:
            raise Internal(f"The server's answer is no metadata: {error!r}", request=request) from error

    async def status(self, request: Request, timeout: float | None) -> list[VersionStatus]:
        """The versions of a model."""
        answer = await self._ask("GET", _path(request), request, timeout)
        try:
            return [
                VersionStatus(
                    int(version["version"]), version["state"], version["status"].get("error_message", "")
                )
                for version in answer["model_version_status"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise Internal(f"The server's answer is no status: {error!r}", request=request) from error

    async def models(self, request: Request, timeout: float | None) -> list[str]:
        """The names of the models, from keras_dl's own server."""
        try:
            answer = await self._ask("GET", "/keras_dl/models", request, timeout)
        except (NotFound, Unimplemented) as error:
            raise UnsupportedByServer(
                "TensorFlow Serving's API does not list its models: ask for the status of one by its name",
                request=request,
            ) from error
        return [str(name) for name in answer.get("models", [])]

    async def _ask(
        self, method: str, path: str, request: Request, timeout: float | None, body: bytes | None = None
    ) -> dict[str, Any]:
        headers = {"content-type": "application/json"} if body else {}
        try:
            # An httpx.AsyncClient gives a coroutine to be awaited, a blocking client the response.
            sending = self._http.request(
                method, self._base + path, content=body, headers=headers, timeout=timeout
            )
            response: httpx.Response = sending if self._blocking else await sending
        except httpx.TimeoutException as error:
            raise DeadlineExceeded(f"No answer within {timeout:.3g} seconds", request=request) from error
        except httpx.RequestError as error:
            raise ConnectionFailed(f"The server cannot be reached: {error}", request=request) from error
        return _document(response, request)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        if self._blocking:
            time.sleep(seconds)
        else:
            await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close the connections."""
        if self._blocking:
            self._http.close()
        else:
            await self._http.aclose()


def _tls(connection: Connection) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=connection.ca_file)
    if connection.cert_file:
        context.load_cert_chain(connection.cert_file, connection.key_file)
    return context


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


def _document(response: httpx.Response, request: Request) -> dict[str, Any]:
    try:
        document = json_text.parse(response.content)
    except StatusError:
        document = None
    if response.status_code != 200:
        message = document.get("error") if isinstance(document, dict) else None
        message = message or response.text[:256] or response.reason_phrase
        raise StatusError.of(code_of_http(response.status_code), str(message), request=request)
    if not isinstance(document, dict):
        raise Internal(f"The server's answer is no JSON object: {response.text[:256]!r}", request=request)
    return document


def _predict_body(signature_name: str, inputs: Mapping[str, Array]) -> bytes:
    members = b",".join(orjson.dumps(name) + b":" + _write(name, array) for name, array in inputs.items())
    return b'{"signature_name":' + orjson.dumps(signature_name) + b',"inputs":{' + members + b"}}"


def _write(name: str, array: Array) -> bytes:
    dtype = dtypes.of_array(array)
    if dtype.name in ("float16", "bfloat16"):
        array = array.astype(np.float32)
    elif dtype.name.startswith("complex"):
        raise InvalidRequest(f"input {name!r} is {dtype.name}, which JSON has no form for: use gRPC.")
    if 0 in array.shape[:-1]:
        raise InvalidRequest(f"input {name!r} has shape {array.shape}, which is [] in JSON: use gRPC.")
    if array.ndim and array.dtype.kind != "O" and (array.dtype.kind != "f" or np.isfinite(array).all()):
        return orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)
    return json_response.format_tensor(array, strings_as_b64=True).encode()


def _read(value: Any, spec: TensorSpec) -> Array:
    if spec.dtype == "string":
        array = np.array(value, object)
        # Objects of b64 stay whole in an object array; bytes are what the other protocol gives too.
        flat = [_bytes(each) for each in array.ravel().tolist()]
        strings = np.empty(array.shape, object)
        strings.ravel()[:] = flat
        array = strings
    else:
        array = np.asarray(value, dtypes.by_name(spec.dtype).numpy)
    if array.size == 0 and spec.shape is not None and array.ndim < len(spec.shape):
        # JSON's [] does not tell the sizes behind an axis of none.
        array = array.reshape(array.shape + tuple(size or 0 for size in spec.shape[array.ndim :]))
    return array


def _bytes(value: Any) -> bytes:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return str(value).encode("utf-8", "surrogateescape")
