"""What runs a model. One protocol; a module for each format, imported when a release needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from keras_dl_serving.dtypes import Array
from keras_dl_serving.signatures import Signature


class Engine(Protocol):
    """One loaded version of a model. Calls come from several threads at once."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """What can be asked, by signature name."""

    @property
    def signature_def_map(self) -> bytes:
        """The same as a serialised `SignatureDefMap`, which is what metadata requests are answered with."""

    def run(self, signature_name: str, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Compute the named outputs of a signature from all its inputs (those with a default may be missing).

        Raises:
            StatusError: the runtime refuses the inputs or fails, in its own words.
        """

    def close(self) -> None:
        """Give back memory and threads. No call is running, none comes any more."""


def open_engine(version_folder: Path) -> Engine:
    """Load the model in the folder of one version.

    Raises:
        StatusError: it cannot be loaded; the message is the runtime's.
    """
    from keras_dl_serving.server.engines.saved_model import SavedModelEngine

    return SavedModelEngine(version_folder)
