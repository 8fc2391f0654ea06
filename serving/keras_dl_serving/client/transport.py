"""What a transport does, and what a server answers."""

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
    """One version of a model and the state it is in.

    Attributes:
        version: its number.
        state: `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
        error: why it is not served, if loading it failed.
    """

    version: int
    state: str
    error: str = ""

    @property
    def available(self) -> bool:
        """Whether it answers requests."""
        return self.state == "AVAILABLE"


@dataclass(frozen=True)
class ModelMetadata:
    """What a model offers.

    Attributes:
        name: the model's.
        version: the version that answered.
        signatures: by name.
        unreadable: why others cannot be asked, by name.
    """

    name: str
    version: int
    signatures: Mapping[str, Signature]
    unreadable: Mapping[str, str] = field(default_factory=dict)


class StaleSignature(Exception):
    """The answer does not fit the signature that the client has in mind: the model has changed meanwhile."""


class Transport(Protocol):
    """REST or gRPC. The methods of one for a synchronous client never really suspend.

    Attributes:
        blocking: it is for a synchronous client.
        keep_seconds: how long metadata counts; None where answers tell the version that they come from.
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
        """The outputs named, or all, and the version that computed them where the protocol tells.

        Raises:
            StaleSignature: the outputs are not those of `signature`, by their names or dtypes.
            ServingError: anything else that goes wrong.
        """

    async def classify(
        self, request: Request, examples: Examples, timeout: float | None
    ) -> list[Classification]:
        """Labels and scores of each example."""

    async def regress(self, request: Request, examples: Examples, timeout: float | None) -> Array:
        """The value of each example."""

    async def multi_inference(
        self, request: Request, tasks: Mapping[str, str], examples: Examples, timeout: float | None
    ) -> dict[str, list[Classification] | Array]:
        """Several signatures on the same examples.

        Raises:
            UnsupportedByServerError: the API has no such call.
        """

    async def reload_config(
        self, request: Request, config: str, metric_names: Sequence[str], timeout: float | None
    ) -> dict[str, int]:
        """Serve what a configuration says; returns by how much metrics grew.

        Raises:
            UnsupportedByServerError: the API has no such call.
        """

    async def metadata(self, request: Request, timeout: float | None) -> ModelMetadata:
        """What the model offers."""

    async def status(self, request: Request, timeout: float | None) -> list[VersionStatus]:
        """The versions of the model, newest first."""

    async def models(self, request: Request, timeout: float | None) -> list[str]:
        """The names of the models.

        Raises:
            UnsupportedByServerError: the API has no such call.
        """

    async def close(self) -> None:
        """Close connections."""
