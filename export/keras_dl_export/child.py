"""Run a function in a separate process: a crash is an error here, and its settings end with the process.

`multiprocessing` would run the caller's script again in the new process, with or without a main guard.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")
_PROGRAM = f"from {__name__} import _work; _work()"


class ChildError(Exception):
    """The error of a process that ended without a result; the text is, for example, "crashed (signal 11)"."""


def call_in_child(
    function: Callable[_Arguments, _Answer], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Answer:
    """Call a function in a new interpreter; return its result or raise its exception.

    Args:
        function: a function of an importable module.
        *args: its arguments, which must be picklable.
        **kwargs: its keyword arguments, which must be picklable.

    Raises:
        ChildError: the process crashed.
    """
    with tempfile.TemporaryDirectory(prefix="keras-dl-") as folder:
        task, answer = Path(folder, "task"), Path(folder, "answer")
        task.write_bytes(pickle.dumps((function, args, kwargs)))
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, task, answer],
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode < 0:
            raise ChildError(f"crashed (signal {-done.returncode})")
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise ChildError(f"failed: {said[-1] if said else f'exit status {done.returncode}'}")
        value, error = pickle.loads(answer.read_bytes())
    if error is not None:
        raise error
    result: _Answer = value
    return result


def _work() -> None:
    task, answer = map(Path, sys.argv[1:])
    function, args, kwargs = pickle.loads(task.read_bytes())
    value, error = None, None
    try:
        value = function(*args, **kwargs)
    except Exception as raised:
        error = raised.with_traceback(None)
    answer.write_bytes(pickle.dumps((value, error)))
