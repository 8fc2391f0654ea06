"""The interface of a transport, and the records that a server answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from keras_dl_export.dtypes import Array
from keras_dl_serving.client.example_features import Examples
from keras_dl_serving.errors import Request
from keras_dl_serving.protocol.signatures import Signature
from keras_dl_serving.tls import TLS

Classification = list[tuple[str, float]]


@dataclass(frozen=True)
class Connection:
    """The configuration of a connection, apart from its URL.

    Attributes:
        tls: the certificates; None for the system's authorities.
        headers: sent with every call, over gRPC as metadata.
    """

    tls: TLS | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionStatus:
    """A version of a model and its state.

    Attributes:
        version: its number.
        state: `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
        error: the reason why loading failed, if it did.
    """

    version: int
    state: str
    error: str = ""

    @property
    def available(self) -> bool:
        """Whether the version answers requests."""
        return self.state == "AVAILABLE"


@dataclass(frozen=True)
class ModelMetadata:
    """The signatures of a model.

    Attributes:
        name: the model's.
        version: the version that answered.
        signatures: by name.
        unreadable: by name, the reason why another signature cannot be called.
    """

    name: str
    version: int
    signatures: Mapping[str, Signature]
    unreadable: Mapping[str, str] = field(default_factory=dict)


class StaleSignature(Exception):
    """An answer that does not fit the client's signature, because the model has changed since."""


class Transport(Protocol):
    """A transport over REST or gRPC. The methods of one for a blocking client never suspend.

    Attributes:
        blocking: whether it is for a blocking client.
        keep_seconds: how long metadata is valid; None if an answer names its version.
    """

    blocking: bool
    keep_seconds: float | None

    async def predict(
        self,
        request: Request,
        inputs: Mapping[str, Array],
        signature: Signature,
        outputs: Sequence[str] | None,
        timeout: float | None,
    ) -> tuple[dict[str, Array], int | None]:
        """Return the named outputs, or all, and the version that computed them if the protocol names it.

        Raises:
            StaleSignature: the names or dtypes of the outputs are not those of `signature`.
            ServingError: any other error.
        """

    async def classify(
        self, request: Request, examples: Examples, timeout: float | None
    ) -> list[Classification]:
        """Return the labels and scores of each example."""

    async def regress(self, request: Request, examples: Examples, timeout: float | None) -> Array:
        """Return the value of each example."""

    async def multi_inference(
        self, request: Request, tasks: Mapping[str, str], examples: Examples, timeout: float | None
    ) -> dict[str, list[Classification] | Array]:
        """Run several signatures on the same examples.

        Raises:
            UnsupportedByServerError: the API has no such call.
        """

    async def reload_config(
        self, request: Request, config: str, metric_names: Sequence[str], timeout: float | None
    ) -> dict[str, int]:
        """Replace the served models; return by how much each metric increased.

        Raises:
            UnsupportedByServerError: the API has no such call.
        """

    async def metadata(self, request: Request, timeout: float | None) -> ModelMetadata:
        """Return the signatures of the model."""

    async def status(self, request: Request, timeout: float | None) -> list[VersionStatus]:
        """Return the versions of the model, newest first."""

    async def models(self, request: Request, timeout: float | None) -> list[str]:
        """Return the names of the models.

        Raises:
            UnsupportedByServerError: the API has no such call.
        """

    async def close(self) -> None:
        """Close connections."""
