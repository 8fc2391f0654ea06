"""Servers in separate processes, and load generators: wrk for REST, h2load for gRPC.

Both generators are C programs that repeatedly send the same bytes and do not parse the responses, so they use
a small part of the CPU that they share with the server.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GENERATORS = {"wrk": ("wrk", "-v"), "h2load": ("h2load", "--version")}
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(sys.path)}
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Load:
    """The response times of a server under load, in seconds.

    Attributes:
        p50: the median time of a request.
        per_request: the time per request over all clients, the inverse of the requests per second.
    """

    p50: float
    per_request: float


def versions() -> dict[str, str]:
    """Return the versions of the load generators.

    Raises:
        SystemExit: one is not installed.
    """
    found = {}
    for name, command in GENERATORS.items():
        if not shutil.which(name):
            raise SystemExit(f"{name} is not installed. Run apt-get install wrk nghttp2-client.")
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found[name] = re.search(r"\d+\.[\d.]*\d", text)[0]  # type: ignore[index]
    return found


def free_port() -> int:
    """Return a free port of the loopback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str], ports: Sequence[int]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python program during the block, which starts when all ports accept connections."""
    environment = {**os.environ, **_QUIET}
    with subprocess.Popen(
        [sys.executable, *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for port in ports:
                _await(port, process)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with exit status {process.returncode}.")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)


def grpc_load(port: int, message: bytes, clients: int, requests: int) -> Load:
    """Predict over gRPC; each client has its own connection and sends one request at a time."""
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        command = ["h2load", f"-n{requests}", f"-c{clients}", "-m1", "-t1", f"-d{body}", f"--log-file={log}"]
        headers = ["-Hcontent-type: application/grpc", "-Hte: trailers"]
        done = _run([*command, *headers, f"http://127.0.0.1:{port}{PREDICT}"])
        if f"{requests} succeeded, 0 failed" not in done:
            raise RuntimeError(f"h2load: {done}")
        seconds = [int(line.split("\t")[2]) * 1e-6 for line in log.read_text().splitlines()]
    rate = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", done)
    assert rate
    return Load(median(seconds), 1.0 / float(rate[1]))


def rest_load(url: str, body: bytes, clients: int, seconds: float) -> Load:
    """POST over HTTP; each client has its own connection and sends one request at a time."""
    with tempfile.TemporaryDirectory() as folder:
        script, content = Path(folder, "post.lua"), Path(folder, "body")
        content.write_bytes(body)
        script.write_text(
            'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
            f'wrk.body = io.open("{content}", "rb"):read("*all")\n'
        )
        command = [
            "wrk",
            "-t1",
            f"-c{clients}",
            f"-d{seconds:g}s",
            "--timeout=30s",
            "--latency",
            f"-s{script}",
        ]
        done = _run([*command, url])
    if "Non-2xx" in done or "Socket errors" in done:
        raise RuntimeError(f"wrk: {done}")
    middle, rate = re.search(r"50%\s+([\d.]+)(\w+)", done), re.search(r"Requests/sec:\s+([\d.]+)", done)
    assert middle
    assert rate
    return Load(float(middle[1]) * _UNITS[middle[2]], 1.0 / float(rate[1]))


def seconds_to_first_response(command: Sequence[str], url: str, body: bytes) -> float:
    """Return the seconds from the start of a server to its first response."""
    began = time.perf_counter()
    environment = {**os.environ, **_QUIET}
    with subprocess.Popen([sys.executable, *command], env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            with httpx.Client(timeout=30) as client:
                while True:
                    if process.poll() is not None:
                        raise RuntimeError(f"{command} ended before its first response.")
                    try:
                        if client.post(url, content=body).status_code == 200:
                            return time.perf_counter() - began
                    except httpx.TransportError:
                        time.sleep(0.01)
        finally:
            process.kill()


def _run(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
