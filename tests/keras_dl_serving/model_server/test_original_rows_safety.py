"""The availability of a server: no request may block the others, and no signal is lost."""

from __future__ import annotations

import gzip
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import pytest

from keras_dl_serving import Server
from keras_dl_serving.errors import AlreadyExistsError, UnavailableError
from keras_dl_serving.model_server.flags import make_parser
from keras_dl_serving.protocol.json import json_text
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.profiler import Profiler
from tests._support.model_server import ENVIRONMENT
from tests._support.served_models import save_scale

_PREDICT = "/v1/models/triple:predict"
_BODY = b'{"instances": [1.0, 2.0]}'
_MEBIBYTE = 2**20


# ---- the cost of a body


@pytest.mark.parametrize("key", ["inputs", "instances"])
def test_the_cost_of_member_names_is_linear(triple: Server, key: str) -> None:
    # 20,000 names in 300 kB: half a minute where each name costs a pass over the body.
    names = ",".join(f'"name{index}": 1' for index in range(20_000))
    body = f'{{"{key}": {{{names}}}, {names}}}'.encode()
    began = time.perf_counter()
    answer = httpx.post(triple.rest_url + _PREDICT, content=body, timeout=60)
    assert time.perf_counter() - began < 10
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', {"a": 1, "b": 2}),
        (b'{"a": 1, "\\u0061": 2}', {"a": 1}),
        (b'{"inputs": {"x": 1, "x" : 2}}', {"inputs": {"x": 1}}),
        (b'{"a": "b\\": c", "b": "\\\\", "a": 2}', {"a": 'b": c', "b": "\\"}),
    ],
)
@pytest.mark.parametrize("others", [0, 100])
def test_the_first_of_two_equal_names_is_used(text: bytes, first: dict[str, object], others: int) -> None:
    more = {f"other{index}": index for index in range(others)}
    document = text[:-1] + b"".join(b', "%b": %d' % (name.encode(), value) for name, value in more.items())
    assert json_text.parse(document + b"}") == {**first, **more}


def test_a_version_of_many_zeros_is_a_number(triple: Server) -> None:
    answer = httpx.get(f"{triple.rest_url}/v1/models/triple/versions/{'0' * 5000}1")
    assert answer.status_code == 200


def test_a_gzip_body_stops_at_100_megabytes(triple: Server) -> None:
    body = gzip.compress(bytes(512 * _MEBIBYTE), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    headers = {"content-encoding": "gzip"}

    def post(content: bytes) -> httpx.Response:
        return httpx.post(triple.rest_url + _PREDICT, content=content, headers=headers, timeout=60)

    with ThreadPoolExecutor(6) as threads:
        answers = [*threads.map(post, [body] * 6)]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024
    assert grown < 6 * 250 * _MEBIBYTE  # unpacking doubles its buffer as it goes
    for answer in answers:
        assert answer.status_code == 400
        assert "gzip body" in answer.json()["error"]
    spaces = gzip.compress(_BODY + b" " * (100 * _MEBIBYTE - len(_BODY)), 1)
    assert post(spaces).json() == {"predictions": [3.0, 6.0]}


# ---- offers of other protocols


def _send(port: int, *parts: bytes) -> bytes:
    with socket.create_connection(("localhost", port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.05)  # so that each is a segment of its own
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


_UPGRADE = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
)
_LAST = b"GET /keras_dl/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.2"])
def test_an_offer_of_another_protocol_is_ignored(triple: Server, offer: str) -> None:
    headers = {"connection": "Upgrade", "upgrade": offer}
    answer = httpx.post(triple.rest_url + _PREDICT, content=_BODY, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"predictions": [3.0, 6.0]})
    answer = httpx.get(f"{triple.rest_url}/v1/models/triple", headers=headers)
    assert answer.status_code == 200


def test_the_body_after_an_offer_is_kept(triple: Server) -> None:
    start = b"POST /v1/models/triple:predict HTTP/1.1\r\nHost: h\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(_BODY)
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(_BODY), _BODY)
    ways = [
        (start + _UPGRADE + length + _BODY + _LAST,),
        (start + _UPGRADE[:30], _UPGRADE[30:] + length, _BODY[:5], _BODY[5:], _LAST),
        (start + _UPGRADE + chunked + _LAST,),
        (start + _UPGRADE + b"Expect: 100-continue\r\n" + length, _BODY + _LAST),
        (2 * (start + _UPGRADE + length + _BODY) + _LAST,),
    ]
    for parts in ways:
        received = _send(int(triple.rest_port or 0), *parts)
        answers = received.count(b'"predictions": [3.0, 6.0')
        assert answers == (2 if parts is ways[-1] else 1), received
        assert b'"live": true' in received


# ---- the profiler


def test_the_profiler_is_off_by_default(triple: Server) -> None:
    with grpc.insecure_channel(f"localhost:{triple.grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/tensorflow.ProfilerService/Profile")(b"", timeout=20)
        assert caught.value.code().name == "UNIMPLEMENTED"
    assert not make_parser().parse_args([]).enable_profiler
    assert make_parser().parse_args(["--enable_profiler"]).enable_profiler


@contextmanager
def _trace(profiler: Profiler) -> Iterator[threading.Thread]:
    import tensorflow as tf

    tf.constant(1)
    request = messages.ProfileRequest(session_id="s", emit_xspace=True)
    request.opts.duration_ms = 60_000
    tracing = threading.Thread(target=profiler.profile, args=(request,), daemon=True)
    tracing.start()
    while not profiler._stops:
        time.sleep(0.01)
    try:
        yield tracing
    finally:
        profiler.close()
        tracing.join(30)


def test_a_second_trace_of_a_session_does_not_keep_the_server_from_stopping(tmp_path: Path) -> None:
    profiler = Profiler()
    with _trace(profiler) as tracing:
        with pytest.raises(AlreadyExistsError, match="session_id s"):
            profiler.profile(messages.ProfileRequest(session_id="s", emit_xspace=True))
        profiler.close()
        tracing.join(30)
        assert not tracing.is_alive()
    with pytest.raises(UnavailableError, match="stopping"):
        profiler.profile(messages.ProfileRequest(session_id="t", emit_xspace=True))


def test_json_of_a_document_matches_the_json_module() -> None:
    # Whatever way it is read: names with escapes, and more of them than are counted one by one.
    document = {f'na"me{index}\\': index for index in range(50)}
    assert json_text.parse(json.dumps(document).encode()) == document


# ---- signals

# Loading that turns what a signal's handler raises into an error of its own, as code in C++ does.
_SLOW_TO_LOAD = """
import sys, time
from keras_dl_serving import Server
from keras_dl_serving.server.loading import Loading
from keras_dl_serving.model_server.model_server import run
from keras_dl_serving.server.settings import ServerSettings

class Slow(Loading):
    def __call__(self, folder):
        if folder.number >= int(sys.argv[2]):
            print("loading", flush=True)
            try:
                time.sleep(600)
            except BaseException as error:
                raise RuntimeError(f"{error!r}") from None
        print("serving", flush=True)
        return super().__call__(folder)

settings = ServerSettings(loading=Slow())
sys.exit(run(Server(sys.argv[1], rest_port=0, grpc_port=0, poll_seconds=0.05, settings=settings)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("first_slow", [1, 2])
def test_a_signal_ends_the_server_while_a_version_loads(
    tmp_path: Path, number: signal.Signals, first_slow: int
) -> None:
    save_scale(tmp_path / "m" / "1", 2.0)
    command = [sys.executable, "-c", _SLOW_TO_LOAD, str(tmp_path), str(first_slow)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            if first_slow > 1:
                assert process.stdout.readline() == b"serving\n"
                save_scale(tmp_path / "m" / "2", 2.0)
            assert process.stdout.readline() == b"loading\n"
            process.send_signal(number)
            assert process.wait(30) == 0
        finally:
            process.kill()
