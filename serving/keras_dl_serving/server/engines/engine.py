"""The protocol of what runs a model: `Engine`, its threads, and the cancellation of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import CancelledError, DeadlineExceededError
from keras_dl_serving.protocol.signatures import Signature


class Cancellation:
    """The end of a run before its result: its deadline has passed, or its request is given up.

    Attributes:
        deadline: by the monotonic clock; None for no limit.
        cancelled: whether the request has been given up.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.cancelled = False
        self._act: Callable[[], object] | None = None

    def cancel(self) -> None:
        """Give it up."""
        self.cancelled = True
        if self._act:
            self._act()

    def on_cancel(self, act: Callable[[], object]) -> None:
        """Call this when it is given up, at once if it has been; from any thread, and twice if need be."""
        self._act = act
        if self.cancelled:
            act()

    def settle(self) -> None:
        """Forget what to call, as the run is over: it would keep alive what it refers to."""
        self._act = None

    def check(self) -> None:
        """Raise what a run that has not begun yet ends with.

        Raises:
            CancelledError: it has been given up.
            DeadlineExceededError: its deadline has passed.
        """
        if self.cancelled:
            raise CancelledError("The request was given up")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise DeadlineExceededError("The deadline passed before the request was run")


class Engine(Protocol):
    """One loaded version of a model. Calls come from several threads at once."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """What can be asked, by signature name."""

    @property
    def refused(self) -> Mapping[str, str]:
        """Why each of the other signatures cannot be asked."""

    @property
    def signature_def_map(self) -> bytes:
        """The same as a serialized `SignatureDefMap`, which is what metadata requests are answered with."""

    def run(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        cancellation: Cancellation | None = None,
    ) -> list[Array]:
        """Compute the named outputs of a signature from all its inputs (those with a default may be missing).

        Args:
            signature_name: which.
            inputs: by name.
            outputs: their names.
            cancellation: ends the run, as soon as the runtime allows.

        Raises:
            StatusError: the runtime refuses the inputs or fails, in its own words.
        """

    def close(self) -> None:
        """Give back memory and threads. No call is running, none comes any more."""


@dataclass(frozen=True)
class Threads:
    """The threads that a run may take; 0 leaves it to the runtime.

    TensorFlow and onnxruntime take all cores, whose hand-overs cost a small model more than they save.

    Attributes:
        within: for one operation.
        between: for operations that do not wait for each other. TFLite has no such, and TensorFlow takes
            none unless told to: requests that come at the same time are work enough.
    """

    within: int = 0
    between: int = 0


AUTOMATIC = Threads()
