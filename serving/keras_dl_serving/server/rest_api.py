"""TensorFlow Serving's REST API as an ASGI application.

Additions to the original have a prefix of their own: `GET /keras_dl/models` names the models,
`/keras_dl/openapi.json` describes them, and `/keras_dl/live` and `/keras_dl/ready` are for probes: 200, or
503 while a model has no available version.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from google.protobuf import json_format
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import (
    HTTP_STATUS,
    Code,
    DeadlineExceededError,
    InvalidArgumentError,
    StatusError,
)
from keras_dl_serving.protocol.json import json_examples, json_response, json_tensor
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE, Signature
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server import access_log, openapi
from keras_dl_serving.server.core import Core, ModelSpec, Servable
from keras_dl_serving.server.example_inference import classify, examples_of, regress
from keras_dl_serving.server.metrics import Metrics
from keras_dl_serving.server.predict import predict
from keras_dl_serving.server.servable_runner import DEADLINE, Runner, ServableRunner
from keras_dl_serving.server.settings import ServerSettings

_log = logging.getLogger("keras_dl_serving")
_WHICH = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(rf"/v1/models/(?P<name>[^/:]+){_WHICH}:(?P<verb>classify|regress|predict)", re.I | re.A)
_GET = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_WHICH}(?:/(?P<verb>metadata))?", re.I | re.A)
_OURS = "/keras_dl/"
_TASK = "keras_dl.task"  # in the scope of a request: the task that answers it
_TOO_LARGE = 413
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
_MAX_INT64 = 2**63 - 1
_MAX_UNPACKED_BYTES = 100 * 2**20  # of a gzip body, as in the original: a megabyte may hold a gigabyte
_LINGER_SECONDS = 2.0
_SMALL = 2**16  # bytes that are parsed or written in less than a millisecond
_Result = TypeVar("_Result")


class RestApi:
    """The ASGI application.

    Args:
        core: the models.
        settings: the server's.
        metrics: counts the requests.
        models: returns the models to list; by default all that have been loaded or tried.
        missing: returns those of them without an available version.
    """

    def __init__(
        self,
        core: Core,
        settings: ServerSettings | None = None,
        metrics: Metrics | None = None,
        models: Callable[[], list[str]] | None = None,
        missing: Callable[[], list[str]] = list,
    ) -> None:
        self._core = core
        self._settings = settings or ServerSettings()
        self._metrics = metrics or Metrics()
        self._models = models or core.names
        self._missing = missing
        self._threads = self._settings.pool(self._settings.rest_threads, "keras_dl_rest")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        scope[_TASK] = asyncio.current_task()
        try:
            await self._serve(scope, receive, send)
        except asyncio.CancelledError:
            if scope[_TASK]:  # otherwise the client has disconnected
                raise

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request = Request(scope, receive)
        path = _path(scope)
        response = await self._respond(request, path)
        if self._settings.cors:
            response.headers.update(_CORS)
        await response(scope, receive, send)
        if self._settings.access_log:
            size = len(response.body)
            access_log.write("rest", request.method, path, response.status_code, began, size)

    async def _respond(self, request: Request, path: str) -> Response:
        without_query = path.partition("?")[0]
        if path.startswith(_OURS) and request.method in ("GET", "HEAD"):
            return self._beyond(without_query)
        if without_query == (metrics_path := self._settings.metrics_path):
            if path != without_query:
                return Response(
                    f"Unexpected path: {path}. Should be {metrics_path}", 400, media_type="text/plain"
                )
            return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")
        if path[:4].lower() != "/v1/":
            return _error(HTTP_STATUS[Code.NOT_FOUND], f"Nothing is served at {path}")
        body: bytes | None = None
        seconds = self._settings.rest_timeout
        if seconds is not None:
            DEADLINE.set(time.monotonic() + seconds)
        try:
            async with asyncio.timeout(seconds):
                body = await self._body(request)
                if body is not None:
                    return await self._answer(request, path, body)
            message = f"The body is larger than {self._settings.max_body_bytes} bytes"
            failure = _error(_TOO_LARGE, message)
        except TimeoutError:
            failure = _error(
                HTTP_STATUS[DeadlineExceededError.status], f"The request took longer than {seconds:g} seconds"
            )
        return _Last(failure, request if body is None else None)

    def _beyond(self, path: str) -> Response:
        match path.removeprefix(_OURS):
            case "models":
                return _response(200, _dump({"models": self._models()}))
            case "openapi.json":
                return _response(200, _dump(openapi.describe(self._core)))
            case "live":
                return _response(200, _dump({"live": True}))
            case "ready":
                missing = self._missing()
                return _response(503 if missing else 200, _dump({"ready": not missing, "missing": missing}))
            case _:
                return _error(HTTP_STATUS[Code.NOT_FOUND], f"Nothing is served at {path}")

    async def _body(self, request: Request) -> bytes | None:
        """Return the body; None if it is larger than allowed."""
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._settings.max_body_bytes:
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    def close(self) -> None:
        """Accept no more work; running work finishes."""
        self._threads.shutdown(wait=False)

    async def _answer(self, request: Request, path: str, body: bytes) -> Response:
        try:
            return _response(200, await self._route(request, path, body))
        except StatusError as error:
            return _error(HTTP_STATUS[error.status], error.message)
        except Exception as error:
            _log.exception("%s %s failed", request.method, path)
            return _error(HTTP_STATUS[Code.INTERNAL], f"{type(error).__name__}: {error}")

    async def _route(self, request: Request, path: str, body: bytes) -> bytes:
        method = request.method
        if method == "OPTIONS":
            return _preflight(request.headers.get("origin", ""))
        pattern = {"POST": _POST, "GET": _GET}.get(method)
        match = pattern.fullmatch(path) if pattern else None
        # Paths match in upper and lower case, but the verb in lower case alone.
        if match and method == "POST" and match["verb"] != match["verb"].lower():
            match = None
        name = _decode(match["name"] or "") if match else ""
        api = match["verb"] if match and method == "POST" else ""  # the original's name for everything else
        with self._metrics.request(name, api, "REST"):
            if not match:
                raise InvalidArgumentError(f"Malformed request: {method} {path}")
            spec = ModelSpec(name, _version(match["version"]), _decode_optional(match["label"]))
            return await self._dispatch(request, match["verb"], spec, body)

    async def _dispatch(self, request: Request, verb: str | None, spec: ModelSpec, body: bytes) -> bytes:
        if request.method == "GET":
            if not spec.name:
                raise InvalidArgumentError("Missing model name in request.")
            return self._metadata(spec) if verb and verb.lower() == "metadata" else self._status(spec)
        if _is_gzip(request):
            most = min(self._settings.max_body_bytes, _MAX_UNPACKED_BYTES)
            body = await self._apart(None, _inflate, body, most)
        if verb == "predict":
            return await self._predict(spec, body)
        if verb == "classify":
            return await self._of_examples(
                spec, body, "Classify", classify, json_examples.format_classifications
            )
        return await self._of_examples(spec, body, "Regress", regress, json_examples.format_regressions)

    async def _apart(self, size: int | None, work: Callable[..., _Result], *args: object) -> _Result:
        """Run long work in a thread, so that other requests do not wait for it."""
        if size is not None and size <= _SMALL:
            return work(*args)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    async def _predict(self, spec: ModelSpec, body: bytes) -> bytes:
        request = await self._apart(len(body), json_tensor.parse_predict, body)
        with self._core.use(spec) as servable:
            signature = _signature(servable, request.signature_name)
            inputs = await self._apart(len(body), request.tensors, signature.inputs)
            runner = self._runner(servable, "Predict")
            outputs = await predict(runner, request.signature_name, inputs, _keep)
        size = sum(array.nbytes for array in outputs.values())
        return await self._apart(size, json_response.format_response, outputs, request.form)

    async def _of_examples(
        self,
        spec: ModelSpec,
        body: bytes,
        api: str,
        infer: Callable[[Runner, str, messages.Input], Awaitable[_Result]],
        format_result: Callable[[_Result], bytes],
    ) -> bytes:
        signature_name, request = await self._apart(len(body), json_examples.parse_examples, body)
        with self._core.use(spec) as servable:
            result = await infer(self._runner(servable, api), signature_name, request)
        self._metrics.example_count.add(spec.name, count=len(examples_of(request)))
        return format_result(result)

    def _runner(self, servable: Servable, api: str) -> Runner:
        checks = self._settings.loading.check_method_names
        latency = self._metrics.runtime_latency
        return ServableRunner(servable, self._threads, latency, api, checks_method_names=checks)

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


def cancel_request(scope: Scope) -> None:
    """Cancel the work on a request whose client has disconnected."""
    if task := scope.get(_TASK):
        scope[_TASK] = None
        task.cancel()


class _Last(Response):
    """A response that closes its connection.

    Args:
        response: the response.
        request: the request, if its body has not been read to the end. The rest is then discarded for a
            moment: closing a connection with unread bytes resets it, and the response may be lost.
    """

    def __init__(self, response: Response, request: Request | None) -> None:
        headers = {**response.headers, "connection": "close"}
        super().__init__(response.body, response.status_code, headers)
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": self._request is not None})
        if self._request is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        await send({"type": "http.response.body", "body": b""})


def _signature(servable: Servable, name: str) -> Signature:
    name = name or DEFAULT_SIGNATURE
    try:
        return servable.engine.signatures[name]
    except KeyError:
        # Over gRPC, this error has another text and code.
        missing = f'Serving signature name: "{name}" not found in signature def'
        raise InvalidArgumentError(servable.engine.refused.get(name, missing)) from None


def _keep(_: str, array: Array) -> Array:
    return array


def _path(scope: Scope) -> str:
    """Return the path as received, encoded and with the query, which TensorFlow Serving regards as a part."""
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
    significant = digits.lstrip("0") or "0"  # Python reads at most 4,300 digits, zeros included
    if len(significant) > 19 or int(significant) > _MAX_INT64:
        raise InvalidArgumentError(f"Failed to convert version: {digits} to numeric.")
    return int(significant)


def _preflight(origin: str) -> bytes:
    if not origin.startswith(("http://", "https://")):
        raise InvalidArgumentError("Origin header is missing in CORS preflight")
    return b""


def _is_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("content-encoding", "")


def _inflate(body: bytes, most: int) -> bytes:
    try:
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        unpacked = unpacker.decompress(body, most + 1)
    except zlib.error:
        return b""  # which TensorFlow Serving then reports as an empty document
    if len(unpacked) > most:
        raise InvalidArgumentError(
            f"The gzip body unpacks to more than {most} bytes. Send it without gzip, or in parts."
        )
    return unpacked if unpacker.eof else b""


def _dump(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _response(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json")


def _error(status: int, message: str) -> Response:
    return _response(status, json_response.format_error(message))
