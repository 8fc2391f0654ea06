"""The command `keras-dl-model-server` in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = [sys.executable, "-m", "keras_dl_serving.model_server"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(log: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as output,
        subprocess.Popen([*COMMAND, *flags], env=ENVIRONMENT, stderr=output) as process,
    ):
        try:
            while b"Running gRPC ModelServer" not in log.read_bytes():
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            time.sleep(0.2)
            yield process
        finally:
            process.kill()
