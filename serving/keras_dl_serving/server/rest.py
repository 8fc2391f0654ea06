"""TensorFlow Serving's REST API as an ASGI application.

What goes beyond the original has a prefix of its own: `GET /keras_dl/models` names the models.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote_to_bytes

from google.protobuf import json_format
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from keras_dl_serving import json_response, json_tensor
from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import HTTP_STATUS, Code, InvalidArgument, StatusError, Unimplemented
from keras_dl_serving.server.core import Core, ModelSpec, Servable
from keras_dl_serving.server.predict import predict
from keras_dl_serving.signatures import DEFAULT_SIGNATURE, Signature
from keras_dl_serving.wire import messages

_log = logging.getLogger("keras_dl_serving")
_WHICH = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(rf"/v1/models/(?P<name>[^/:]+){_WHICH}:(?P<verb>classify|regress|predict)", re.I | re.A)
_GET = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_WHICH}(?:/(?P<verb>metadata))?", re.I | re.A)
_MODELS = "/keras_dl/models"
_MAX_INT64 = 2**63 - 1


class RestApi:
    """The application.

    Args:
        core: the models.
        threads: how many predictions run at once.
    """

    def __init__(self, core: Core, threads: int) -> None:
        self._core = core
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="keras_dl_rest")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = _path(scope)
        if path == _MODELS and request.method == "GET":
            response = _response(200, _dump({"models": self._core.names()}))
        elif path[:4].lower() != "/v1/":
            response = _response(
                HTTP_STATUS[Code.NOT_FOUND], json_response.format_error(f"Nothing is served at {path}")
            )
        else:
            body = await request.body()
            response = await self._answer(request, path, body)
        await response(scope, receive, send)

    def close(self) -> None:
        """Wait for the predictions under way."""
        self._pool.shutdown()

    async def _answer(self, request: Request, path: str, body: bytes) -> Response:
        try:
            work = self._route(request, path, body)
            return _response(200, await asyncio.get_running_loop().run_in_executor(self._pool, work))
        except StatusError as error:
            return _response(HTTP_STATUS[error.status], json_response.format_error(error.message))
        except Exception as error:
            _log.exception("%s %s failed", request.method, path)
            message = f"{type(error).__name__}: {error}"
            return _response(HTTP_STATUS[Code.INTERNAL], json_response.format_error(message))

    def _route(self, request: Request, path: str, body: bytes) -> Callable[[], bytes]:
        """The work that a request asks for."""
        method = request.method
        if method == "OPTIONS":
            return _preflight(request.headers.get("origin", ""))
        pattern = {"POST": _POST, "GET": _GET}.get(method)
        match = pattern.fullmatch(path) if pattern else None
        # Paths match in any case, but the verb itself only in lower case.
        if not match or (method == "POST" and match["verb"] != match["verb"].lower()):
            raise InvalidArgument(f"Malformed request: {method} {path}")
        spec = ModelSpec(
            _decode(match["name"] or ""), _version(match["version"]), _decode_optional(match["label"])
        )
        if method == "POST":
            if match["verb"] != "predict":
                raise Unimplemented(f"The {match['verb']} API is not offered: ask for predictions")
            return lambda: self._predict(spec, _inflate(body) if _is_gzip(request) else body)
        if not spec.name:
            raise InvalidArgument("Missing model name in request.")
        return lambda: self._metadata(spec) if match["verb"] == "metadata" else self._status(spec)

    def _predict(self, spec: ModelSpec, body: bytes) -> bytes:
        request = json_tensor.parse_predict(body)
        with self._core.use(spec) as servable:
            inputs = request.tensors(_signature(servable, request.signature_name).inputs)
            outputs = predict(servable, request.signature_name, inputs, _keep)
        return json_response.format_response(outputs, request.form)

    def _status(self, spec: ModelSpec) -> bytes:
        versions = [
            {
                "version": str(servable.version),
                "state": servable.state.name,
                "status": {
                    "error_code": servable.error.status.name if servable.error else "OK",
                    "error_message": servable.error.message if servable.error else "",
                },
            }
            for servable in self._core.states(spec)
        ]
        return _dump({"model_version_status": versions})

    def _metadata(self, spec: ModelSpec) -> bytes:
        with self._core.use(spec) as servable:
            signatures = messages.SignatureDefMap.FromString(servable.engine.signature_def_map)
        readable = json_format.MessageToDict(
            signatures, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        model_spec = {"name": servable.name, "signature_name": "", "version": str(servable.version)}
        return _dump({"model_spec": model_spec, "metadata": {"signature_def": readable}})


def _signature(servable: Servable, name: str) -> Signature:
    name = name or DEFAULT_SIGNATURE
    try:
        return servable.engine.signatures[name]
    except KeyError:
        # The same mistake has another text and code over gRPC.
        raise InvalidArgument(f'Serving signature name: "{name}" not found in signature def') from None


def _keep(_: str, array: Array) -> Array:
    return array


def _path(scope: Scope) -> str:
    """The path as it came, still encoded, with the query, which TensorFlow Serving takes for a part of it."""
    path: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def _decode(name: str) -> str:
    return unquote_to_bytes(name.encode("latin-1")).decode("utf-8", "surrogateescape")


def _decode_optional(label: str | None) -> str | None:
    return None if label is None else _decode(label)


def _version(digits: str | None) -> int | None:
    if digits is None:
        return None
    if len(digits.lstrip("0")) > 19 or int(digits) > _MAX_INT64:
        raise InvalidArgument(f"Failed to convert version: {digits} to numeric.")
    return int(digits)


def _preflight(origin: str) -> Callable[[], bytes]:
    if not origin.startswith(("http://", "https://")):
        raise InvalidArgument("Origin header is missing in CORS preflight")
    return lambda: b""


def _is_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("content-encoding", "")


def _inflate(body: bytes) -> bytes:
    try:
        return zlib.decompress(body, wbits=zlib.MAX_WBITS | 16)
    except zlib.error:
        return b""  # which TensorFlow Serving then reports as an empty document


def _dump(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _response(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json")
