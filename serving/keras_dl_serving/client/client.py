"""The two clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from numpy.typing import ArrayLike

from keras_dl_serving.client.calls import Calls, open_transport, run_to_end
from keras_dl_serving.client.transport import ModelMetadata, VersionStatus
from keras_dl_serving.dtypes import Array
from keras_dl_serving.signatures import DEFAULT_SIGNATURE


class Client:
    """A client of TensorFlow Serving's REST or gRPC API, without TensorFlow.

        client = Client("http://localhost:8501")  # or "grpc://localhost:8500"
        client.predict("digits", {"image": images})["class"]

    The model's metadata is fetched once for each model; inputs are checked against it and cast before they
    are sent, and outputs come back with its dtypes over either protocol. May be used from several threads.

    Args:
        url: `http://HOST:PORT` or `https://...` for REST, `grpc://HOST:PORT` or `grpcs://...` for gRPC.
        timeout: seconds for a call that does not give its own; None waits for ever.

    Raises:
        ValueError: the URL is of another kind.
    """

    def __init__(self, url: str, *, timeout: float | None = 60.0) -> None:
        self.url = url
        self._calls = Calls(url, open_transport(url, blocking=True), timeout)

    def predict(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike] | ArrayLike,
        *,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        outputs: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Array]:
        """Run a model.

        Args:
            model: its name.
            inputs: arrays by input name; the array alone for a model with one input. Strings and encoded
                images are `bytes`.
            version: which version; the latest by default.
            label: or the label of a version.
            signature_name: which function of the model.
            outputs: the names of those wanted; all by default.
            timeout: seconds to wait for the answer.

        Returns:
            Arrays by output name, also for a model with one output; strings as `bytes`.

        Raises:
            InvalidRequest: the inputs do not fit the model; nothing was sent.
            NotFound: there is no such model or version.
            ServingError: any other error, see `keras_dl_serving.errors`.
        """
        request = self._calls.request("predict", model, version, label, signature_name)
        return run_to_end(self._calls.predict(request, inputs, outputs, self._calls.timeout(timeout)))

    def status(
        self, model: str, *, version: int | None = None, timeout: float | None = None
    ) -> list[VersionStatus]:
        """The versions of a model, newest first, with their states.

        Raises:
            NotFound: there is no such model or version.
            ServingError: any other error.
        """
        request = self._calls.request("status", model, version, None)
        return run_to_end(self._calls.status(request, self._calls.timeout(timeout)))

    def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> ModelMetadata:
        """The signatures of a model: names, shapes and dtypes of inputs and outputs.

        Raises:
            NotFound: there is no such model or version.
            ServingError: any other error.
        """
        request = self._calls.request("metadata", model, version, label)
        return run_to_end(self._calls.metadata(request, self._calls.timeout(timeout)))

    def models(self, *, timeout: float | None = None) -> list[str]:
        """The names of the models that keras_dl's own server has, over REST.

        Raises:
            UnsupportedByServer: it is another server, or asked over gRPC.
            ServingError: any other error.
        """
        request = self._calls.request("models", None, None, None)
        return run_to_end(self._calls.models(request, self._calls.timeout(timeout)))

    def wait_ready(
        self, model: str | None = None, *, version: int | None = None, timeout: float = 60.0
    ) -> None:
        """Wait until a model is available, or, without one, until the server answers.

        Raises:
            NotReady: it was not in time; the message says what was missing.
        """
        run_to_end(self._calls.wait_ready(self._calls.request("status", model, version, None), timeout))

    def close(self) -> None:
        """Close the connections."""
        run_to_end(self._calls.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """`Client` for asyncio: the same arguments, and the same methods to be awaited.

        async with AsyncClient("grpc://localhost:8500") as client:
            await client.predict("digits", {"image": images})

    To be used in one event loop.
    """

    def __init__(self, url: str, *, timeout: float | None = 60.0) -> None:
        self.url = url
        self._calls = Calls(url, open_transport(url, blocking=False), timeout)

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike] | ArrayLike,
        *,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        outputs: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Array]:
        """Run a model; see `Client.predict`."""
        request = self._calls.request("predict", model, version, label, signature_name)
        return await self._calls.predict(request, inputs, outputs, self._calls.timeout(timeout))

    async def status(
        self, model: str, *, version: int | None = None, timeout: float | None = None
    ) -> list[VersionStatus]:
        """The versions of a model; see `Client.status`."""
        request = self._calls.request("status", model, version, None)
        return await self._calls.status(request, self._calls.timeout(timeout))

    async def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> ModelMetadata:
        """The signatures of a model; see `Client.metadata`."""
        request = self._calls.request("metadata", model, version, label)
        return await self._calls.metadata(request, self._calls.timeout(timeout))

    async def models(self, *, timeout: float | None = None) -> list[str]:
        """The names of the models; see `Client.models`."""
        request = self._calls.request("models", None, None, None)
        return await self._calls.models(request, self._calls.timeout(timeout))

    async def wait_ready(
        self, model: str | None = None, *, version: int | None = None, timeout: float = 60.0
    ) -> None:
        """Wait until a model is available, or the server answers; see `Client.wait_ready`."""
        await self._calls.wait_ready(self._calls.request("status", model, version, None), timeout)

    async def close(self) -> None:
        """Close the connections."""
        await self._calls.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
