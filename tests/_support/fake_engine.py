"""An engine with a function of the test's choice, and the folders that it is loaded from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_dl_export.dtypes import Array
from keras_dl_serving.protocol.signatures import Signature, TensorSpec
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.engines.engine import Cancellation
from keras_dl_serving.server.releases import VersionFolder


class FakeEngine:
    """An engine with `serving_default: x -> y`, where y = answer(x)."""

    def __init__(self, answer: Callable[[Array], Array] = lambda x: x) -> None:
        self._answer = answer
        spec = TensorSpec((None,), "float32", "x:0")
        self.signatures: Mapping[str, Signature] = {"serving_default": Signature({"x": spec}, {"y": spec})}
        self.refused: Mapping[str, str] = {}
        self.signature_def_map = messages.SignatureDefMap().SerializeToString()
        self.closed = threading.Event()

    def run(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        cancellation: Cancellation | None = None,
    ) -> list[Array]:
        assert not self.closed.is_set(), "run after close"
        return [np.asarray(self._answer(inputs["x"])) for _ in outputs]

    def close(self) -> None:
        self.closed.set()


def folder(number: int, stamp: int = 1) -> VersionFolder:
    """Return a version folder that does not exist on disk."""
    return VersionFolder(number, Path(f"/releases/m/{number}"), stamp)
