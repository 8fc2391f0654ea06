"""The server's metrics, under TensorFlow Serving's names and in Prometheus's format."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from keras_dl_serving.errors import Code, StatusError

_BOUNDS = tuple(10 * 1.8**power for power in range(33))  # microseconds
# Model names come from requests: endless new ones must not fill the memory.
_MAX_CELLS = 10_000
UNKNOWN_MODEL = "(unknown)"
_Labels = tuple[str, ...]


class Counter:
    """A counter for each combination of labels."""

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        self.name = name
        self._labels = labels
        self._values: dict[_Labels, int] = {}
        self._lock = threading.Lock()

    def add(self, *labels: str, count: int = 1) -> None:
        """Increase the counter."""
        with self._lock:
            if labels in self._values or len(self._values) < _MAX_CELLS:
                self._values[labels] = self._values.get(labels, 0) + count

    def total(self) -> int:
        """Return the sum over all labels."""
        with self._lock:
            return sum(self._values.values())

    def text(self) -> Iterator[str]:
        """Return the lines of the exposition."""
        name = _prometheus_name(self.name)
        yield f"# TYPE {name} counter"
        with self._lock:
            values = sorted(self._values.items())
        for labels, value in values:
            yield f"{name}{{{_pairs(self._labels, labels)}}} {value}"


class Histogram:
    """A histogram of durations, in microseconds, for each combination of labels."""

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        self.name = name
        self._labels = labels
        self._counts: dict[_Labels, list[int]] = {}
        self._sums: dict[_Labels, float] = {}
        self._lock = threading.Lock()

    def observe(self, seconds: float, *labels: str) -> None:
        """Add a duration."""
        microseconds = seconds * 1e6
        with self._lock:
            if labels not in self._counts and len(self._counts) >= _MAX_CELLS:
                return
            counts = self._counts.setdefault(labels, [0] * (len(_BOUNDS) + 1))
            counts[bisect_left(_BOUNDS, microseconds)] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + microseconds

    def text(self) -> Iterator[str]:
        """Return the lines of the exposition."""
        name = _prometheus_name(self.name)
        yield f"# TYPE {name} histogram"
        with self._lock:
            cells = [
                (labels, list(self._counts[labels]), self._sums[labels]) for labels in sorted(self._counts)
            ]
        for labels, counts, total in cells:
            pairs = _pairs(self._labels, labels)
            below = 0
            for bound, count in zip((*(f"{each:.6g}" for each in _BOUNDS), "+Inf"), counts, strict=True):
                below += count
                yield f'{name}_bucket{{{pairs},le="{bound}"}} {below}'
            yield f"{name}_sum{{{pairs}}} {total:.6g}"
            yield f"{name}_count{{{pairs}}} {below}"


class Metrics:
    """The metrics of a server.

    Args:
        is_known: returns whether a model exists. Requests for other names are counted together, so that they
            never displace a model's.
    """

    def __init__(self, is_known: Callable[[str], bool] = lambda _: True) -> None:
        self._is_known = is_known
        self.request_count = Counter("/tensorflow/serving/request_count", ("model_name", "status"))
        self.request_latency = Histogram(
            "/tensorflow/serving/request_latency", ("model_name", "API", "entrypoint")
        )
        self.runtime_latency = Histogram(
            "/tensorflow/serving/runtime_latency", ("model_name", "API", "runtime")
        )
        self.example_count = Counter("/tensorflow/serving/request_example_count_total", ("model",))

    @contextmanager
    def request(self, model: str, api: str, entrypoint: str) -> Iterator[None]:
        """Count and time the request that runs inside the block."""
        began = time.perf_counter()
        model = model if self._is_known(model) else UNKNOWN_MODEL
        try:
            yield
        except StatusError as error:
            self.request_count.add(model, error.status.name)
            raise
        except Exception:
            self.request_count.add(model, Code.INTERNAL.name)
            raise
        self.request_count.add(model, Code.OK.name)
        self.request_latency.observe(time.perf_counter() - began, model, api, entrypoint)

    def text(self) -> str:
        """Return all metrics in Prometheus's text format."""
        metrics = (self.request_count, self.request_latency, self.runtime_latency, self.example_count)
        return "".join(f"{line}\n" for metric in metrics for line in metric.text())

    def totals(self) -> dict[str, int]:
        """Return every counter by its original name."""
        return {counter.name: counter.total() for counter in (self.request_count, self.example_count)}


def _prometheus_name(name: str) -> str:
    return name.replace("/", ":")


def _pairs(names: Sequence[str], values: Sequence[str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
