"""The interface `Engine` of everything that runs a model, its threads, and the cancellation of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import CancelledError, DeadlineExceededError
from keras_dl_serving.protocol.signatures import Signature


class Cancellation:
    """The cancellation of a run: by its deadline, or because its request was cancelled.

    Attributes:
        deadline: by the monotonic clock; None is no limit.
        cancelled: whether the request was cancelled.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.cancelled = False
        self._act: Callable[[], object] | None = None

    def cancel(self) -> None:
        """Cancel the run."""
        self.cancelled = True
        if self._act:
            self._act()

    def on_cancel(self, act: Callable[[], object]) -> None:
        """Register the function to call on cancellation: from any thread, at once if cancelled, or twice."""
        self._act = act
        if self.cancelled:
            act()

    def settle(self) -> None:
        """Discard that function after the run, as it would keep alive what it refers to."""
        self._act = None

    def check(self) -> None:
        """Raise an error if the run is cancelled before its start.

        Raises:
            CancelledError: the request was cancelled.
            DeadlineExceededError: the deadline has passed.
        """
        if self.cancelled:
            raise CancelledError("The request was cancelled")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise DeadlineExceededError("The deadline passed before the request was run")


class Engine(Protocol):
    """One loaded version of a model. It is called from several threads at once."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures by name."""

    @property
    def refused(self) -> Mapping[str, str]:
        """The reason why another signature cannot be called, by name."""

    @property
    def signature_def_map(self) -> bytes:
        """The signatures as a serialized `SignatureDefMap`, with which metadata requests are answered."""

    def run(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        cancellation: Cancellation | None = None,
    ) -> list[Array]:
        """Compute the named outputs of a signature from all its inputs; one with a default may be missing.

        Args:
            signature_name: the signature.
            inputs: arrays by name.
            outputs: the names of the outputs.
            cancellation: ends the run as soon as the runtime allows.

        Raises:
            StatusError: the runtime refuses the inputs or fails, in its own words.
        """

    def close(self) -> None:
        """Release memory and threads. No call is running, and none will follow."""


@dataclass(frozen=True)
class Threads:
    """The threads of a run; 0 leaves the number to the runtime.

    TensorFlow and onnxruntime use all cores by default, which costs a small model more than it saves.

    Attributes:
        within: threads within one operation.
        between: threads that run independent operations at the same time. TFLite does not use them, and
            TensorFlow uses them only if the number is set, because concurrent requests use the cores.
    """

    within: int = 0
    between: int = 0


AUTOMATIC = Threads()
