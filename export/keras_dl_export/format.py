"""The interface of a file format: how its files are recognized, opened, written and described."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from keras_dl_export.errors import ConversionError
from keras_dl_export.runner import Runner
from keras_dl_export.specs import Spec

if TYPE_CHECKING:
    from keras_dl_export.lowering import Emitter
    from keras_dl_export.quantization import Quantization
    from keras_dl_export.tracing import Signature


class Format(Protocol):
    """A file format: one object in `formats.registry.FORMATS`.

    A format's own class imports nothing heavy: its methods import the runtime, or the writer, when they are
    called, so that reading files of one format needs no other one, and no TensorFlow.

    Attributes:
        name: its name in `formats=` and `release.json`.
        title: its name in progress messages.
        quantizations: the values of `quantize=` that it supports.
        threads_of_process: whether its runtime has one number of threads for the whole process.
    """

    name: str
    title: str
    quantizations: tuple[str, ...] = ()
    threads_of_process: bool = False

    @abstractmethod
    def recognizes(self, path: Path) -> bool:
        """Return whether the content of a file or folder is of this format."""

    @abstractmethod
    def open(self, path: Path, threads: int | None) -> Mapping[str, Runner]:
        """Load a file once and return a runner for each endpoint in it.

        Args:
            path: the file or folder.
            threads: the number of threads of an operator; by default the runtime chooses.
        """

    def emitter(self, quantize: str | None) -> Emitter | None:
        """Return the format's emitter of recurrent layers and operators; None for TensorFlow's own.

        Args:
            quantize: how the file is quantized, or None.
        """
        return None

    @abstractmethod
    def files(self, endpoints: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the paths of the format's files in a release, each with its endpoints."""

    @abstractmethod
    def write(
        self,
        signatures: Mapping[str, Signature],
        path: Path,
        quantization: Quantization | None = None,
        saved_model: Path | None = None,
    ) -> None:
        """Write one file.

        Args:
            signatures: the endpoints in it, traced with the format's emitter.
            path: the file or folder.
            quantization: how weights and activations are quantized, if at all.
            saved_model: a SavedModel with the same signatures, or None.

        Raises:
            ConversionError: the format cannot express an endpoint.
        """

    @abstractmethod
    def count_operators(self, path: Path, signatures: Mapping[str, Signature]) -> Mapping[str, int]:
        """Count the operators of a file by name; `signatures` are its endpoints."""

    def versions(self, path: Path) -> Mapping[str, int | str]:
        """Return the operator sets and file schemas that a reader of the file must support."""
        return {}


def refuse_strings(
    format: str, endpoint: str, inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]
) -> None:
    """Raise a ConversionError if an endpoint has strings, which the format does not support."""
    for name, spec in (*inputs.items(), *outputs.items()):
        if spec.dtype == "string":
            raise ConversionError(
                f"{format}: endpoint {endpoint!r} has strings in {name!r}, which only a SavedModel "
                "supports. Convert the text to numbers outside the model, or omit this format."
            )
