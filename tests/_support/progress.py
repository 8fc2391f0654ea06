"""A line of progress every few seconds, also while a long test runs or its output is captured."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence

import pytest

SECONDS = 20.0


class Progress:
    """The plugin that writes the lines, for the process that reports the tests."""

    def __init__(self) -> None:
        self._output = os.dup(sys.stdout.fileno())  # before tests redirect it
        self._began = time.monotonic()
        self._running: list[str] = []
        self._done = 0
        self._total = 0
        self._ended = threading.Event()

    def line(self) -> str:
        """Return how far the tests are, how long they have run, and the tests that are running."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        if not self._total:
            return f"[{minutes}:{seconds:02} collecting tests]"
        return (
            f"[{minutes}:{seconds:02} {self._done} of {self._total} tests; {', '.join(self._running) or '-'}]"
        )

    def _write_lines(self) -> None:
        while not self._ended.wait(SECONDS):
            os.write(self._output, f"\n{self.line()}\n".encode())

    def pytest_sessionstart(self) -> None:
        threading.Thread(target=self._write_lines, name="progress", daemon=True).start()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = self._total or len(session.items)

    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._total = len(ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running.append(nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._running.remove(nodeid)
        self._done += 1

    def pytest_sessionfinish(self) -> None:
        self._ended.set()
