"""Time limits of the workers, and a process that enforces one where nothing else can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# The time in which all workers have to start, and in which a live worker has to take part in a step.
# (A worker that dies is noticed within seconds.)
JOIN_SECONDS = ("KERAS_DL_JOIN_SECONDS", 300.0)
STEP_SECONDS = ("KERAS_DL_STEP_SECONDS", 600.0)


def time_limit(setting: tuple[str, float]) -> float:
    """Return the seconds that an environment variable allows.

    Args:
        setting: the variable's name and its default.

    Raises:
        ValueError: the variable is not a positive finite number.
    """
    name, default = setting
    text = os.environ.get(name, "")
    try:
        seconds = float(text or default)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{name}: expected a number of seconds above 0, got {text!r}. Set it to, say, 300.")
    return seconds


@contextmanager
def killed_after(seconds: float, message: str) -> Iterator[None]:
    """Kill this process if the block takes longer than `seconds`.

    TensorFlow waits for its peers without end, and meanwhile reacts to no exception, signal or thread: only
    another process can end that. The watchdog exits when its standard input is closed, at the latest with
    this process.

    Args:
        seconds: the time limit.
        message: what is written to the standard error before.
    """
    watch = [sys.executable, "-I", "-S", "-c", _WATCH, str(seconds), str(os.getpid()), message]
    with subprocess.Popen(watch, stdin=subprocess.PIPE):  # the end of this block closes the pipe
        yield


_WATCH = """
import os, select, signal, sys
seconds, process, message = sys.argv[1:]
if not select.select([0], [], [], float(seconds))[0]:
    sys.stderr.write(message)
    os.kill(int(process), signal.SIGKILL)
"""
