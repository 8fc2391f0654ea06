"""The client that blocks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from copy import copy
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

from numpy.typing import ArrayLike

from keras_dl_export.dtypes import Array
from keras_dl_serving.client.batches import Batches, batches_of, in_background, show_progress
from keras_dl_serving.client.sessions import ClientSettings, Sessions
from keras_dl_serving.client.transport import Classification, Connection, ModelMetadata, VersionStatus
from keras_dl_serving.coroutines import run_to_end
from keras_dl_serving.errors import InvalidRequestError, Request
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE
from keras_dl_serving.tls import TLS

StrPath = str | PathLike[str]
Inputs = Mapping[str, ArrayLike] | ArrayLike


class Client:
    """A client of TensorFlow Serving's REST or gRPC API, without TensorFlow.

        client = Client("http://localhost:8501")  # or "grpc://localhost:8500"
        client.predict("digits", {"image": images})["class"]

    The model's metadata is fetched once for each model, over REST again after five seconds; inputs are
    checked against it and cast before they are sent, and outputs come back with its dtypes over either
    protocol. At most 100 calls are in flight; their connections are kept. May be used from several threads
    and, each with connections of its own, after a fork and once pickled.

    A call that finds the server away or busy (gRPC's UNAVAILABLE or CANCELLED, REST's 503) is made again
    after a pause, each twice as long as the last, while its timeout allows. `reload_config` alone is not: the
    others change nothing.

    Args:
        url: `http://HOST:PORT` or `https://...` for REST, `grpc://HOST:PORT` or `grpcs://...` for gRPC,
            `unix:///PATH` for gRPC on a socket.
        timeout: seconds for a call that does not give its own, with its retries; None waits for ever.
        retries: how often a call is made again; 0 for never.
        tls: the certificates to trust and to show, for a URL with TLS; by default the system's are trusted.
        ca_file: `tls=TLS(ca_file=...)` in one argument; likewise
        cert_file: the client's own certificate, for mutual TLS, and
        key_file: its key.
        headers: sent with every call, over gRPC as metadata: `{"authorization": "Bearer ..."}`.

    Raises:
        ValueError: the URL is of another kind or does not go with the files, one of these is no PEM, a header
            cannot be sent, or the environment names a proxy that cannot be used.
        OSError: a certificate or key cannot be read.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float | None = 60.0,
        retries: int = 2,
        tls: TLS | None = None,
        ca_file: StrPath | None = None,
        cert_file: StrPath | None = None,
        key_file: StrPath | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url
        connection = connection_of(tls, ca_file, cert_file, key_file, headers)
        self._sessions = Sessions(ClientSettings(url, connection, timeout, retries, blocking=True))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_sessions": copy(self._sessions)}  # a copy has its own

    def predict(
        self,
        model: str,
        inputs: Inputs,
        *,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        outputs: Sequence[str] | str | None = None,
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
            outputs: the names of those wanted, or one name; all by default. gRPC sends no others.
            timeout: seconds to wait for the answer.

        Returns:
            Arrays by output name, also for a model with one output; strings as `bytes`.

        Raises:
            InvalidRequestError: the inputs do not fit the model; nothing was sent.
            NotFoundError: there is no such model or version.
            ServingError: any other error, see `keras_dl_serving.errors`.
        """
        request = self._sessions.request("predict", model, version, label, signature_name)
        return run_to_end(self._sessions.here(request).predict(request, inputs, outputs, timeout))

    def predict_batches(
        self,
        model: str,
        inputs: Iterable[Inputs] | Inputs,
        *,
        batch_size: int | None = None,
        in_flight: int = 4,
        progress: bool = False,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        outputs: Sequence[str] | str | None = None,
        timeout: float | None = None,
    ) -> Iterator[dict[str, Array]]:
        """Run a model on many batches, several of them under way at a time.

            for answers in client.predict_batches("digits", {"image": images}, batch_size=64, progress=True):
                classes.extend(answers["class"])

        Args:
            model: its name.
            inputs: an iterable of what `predict` takes, which is read only as far as batches are sent (a
                generator, a `tf.data.Dataset` of dicts); with `batch_size`, arrays to be cut.
            batch_size: rows in a batch, for arrays; the last batch may have fewer.
            in_flight: how many batches are under way at most.
            progress: show a progress bar on standard error.
            version: which version; the latest at the time of each batch by default.
            label: or the label of a version.
            signature_name: which function of the model.
            outputs: the names of those wanted, or one name; all by default.
            timeout: seconds to wait for each answer.

        Returns:
            An iterator of the answers, in the order of the batches.

        Raises:
            InvalidRequestError: a batch does not fit the model; it was not sent.
            ServingError: any other error, when its batch has its turn; no further batch is sent.
        """
        request = self._sessions.request("predict", model, version, label, signature_name)
        batches = batches_of(inputs, batch_size, in_flight, request)
        return self._stream(request, batches, in_flight, progress, outputs, timeout)

    def _stream(
        self,
        request: Request,
        batches: Batches,
        in_flight: int,
        progress: bool,
        outputs: Sequence[str] | str | None,
        timeout: float | None,
    ) -> Iterator[dict[str, Array]]:
        waiting: deque[Future[dict[str, Array]]] = deque()
        process = os.getpid()

        def first() -> dict[str, Array]:
            if os.getpid() != process:  # whose threads would have the answers
                raise InvalidRequestError(
                    "predict_batches: the iterator was begun before a fork. Call it in each process.",
                    request=request,
                )
            answer = waiting.popleft().result()
            advance()
            return answer

        def ask(batch: Any) -> dict[str, Array]:
            return run_to_end(self._sessions.here(request).predict(request, batch, outputs, timeout))

        with show_progress(progress, str(request.model), batches.count) as advance:
            try:
                for batch in cast(Iterator[Any], batches.each):
                    waiting.append(in_background(partial(ask, batch)))
                    if len(waiting) == in_flight:
                        yield first()
                while waiting:
                    yield first()
            except (Exception, GeneratorExit):  # an interrupt does not wait for what is in flight
                if os.getpid() == process:
                    wait(waiting)
                raise

    def classify(
        self,
        model: str,
        examples: Sequence[Mapping[str, Any]],
        *,
        context: Mapping[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        timeout: float | None = None,
    ) -> list[Classification]:
        """Classify examples, with a signature made for it.

        Args:
            model: its name.
            examples: for each its features by name: a number, str or bytes, or a list of one of them.
            context: features that all examples have.
            version: which version; the latest by default.
            label: or the label of a version.
            signature_name: which function of the model.
            timeout: seconds to wait for the answer.

        Returns:
            For each example, pairs of label and score.

        Raises:
            InvalidRequestError: a feature has values of several kinds; nothing was sent.
            ServingError: any other error.
        """
        request = self._sessions.request("classify", model, version, label, signature_name)
        return run_to_end(self._sessions.here(request).classify(request, examples, context, timeout))

    def regress(
        self,
        model: str,
        examples: Sequence[Mapping[str, Any]],
        *,
        context: Mapping[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = DEFAULT_SIGNATURE,
        timeout: float | None = None,
    ) -> Array:
        """Regress examples: arguments and errors as in `classify`.

        Returns:
            A float32 for each example.
        """
        request = self._sessions.request("regress", model, version, label, signature_name)
        return run_to_end(self._sessions.here(request).regress(request, examples, context, timeout))

    def multi_inference(
        self,
        model: str,
        examples: Sequence[Mapping[str, Any]],
        tasks: Mapping[str, Literal["classify", "regress"]],
        *,
        context: Mapping[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> dict[str, list[Classification] | Array]:
        """Run several signatures on the same examples in one call, over gRPC.

        Args:
            model: its name.
            examples: as in `classify`.
            tasks: the signatures, and which of the two each is for.
            context: features that all examples have.
            version: which version; the latest by default.
            label: or the label of a version.
            timeout: seconds to wait for the answer.

        Returns:
            By signature, what `classify` or `regress` returns.

        Raises:
            UnsupportedByServerError: it was asked over REST.
            ServingError: any other error.
        """
        request = self._sessions.request("multi_inference", model, version, label)
        calls = self._sessions.here(request)
        return run_to_end(calls.multi_inference(request, tasks, examples, context, timeout))

    def status(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> list[VersionStatus]:
        """The versions of a model, newest first, with their states.

        TensorFlow Serving takes a label here, and answers with all versions nevertheless.

        Raises:
            NotFoundError: there is no such model or version.
            ServingError: any other error.
        """
        request = self._sessions.request("status", model, version, label)
        return run_to_end(self._sessions.here(request).status(request, timeout))

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
            NotFoundError: there is no such model or version.
            ServingError: any other error.
        """
        request = self._sessions.request("metadata", model, version, label)
        return run_to_end(self._sessions.here(request).metadata(request, timeout))

    def models(self, *, timeout: float | None = None) -> list[str]:
        """The names of the models that keras_dl's own server has, over REST.

        Raises:
            UnsupportedByServerError: it is another server, or asked over gRPC.
            ServingError: any other error.
        """
        request = self._sessions.request("models", None, None, None)
        return run_to_end(self._sessions.here(request).models(request, timeout))

    def reload_config(
        self, config: str | PathLike[str], *, metric_names: Sequence[str] = (), timeout: float | None = None
    ) -> dict[str, int]:
        """Have the server serve what a configuration says, and nothing else, over gRPC.

        Never tried again by itself.

        Args:
            config: a `ModelServerConfig` in text format, or the `Path` of a file with one.
            metric_names: metrics of the server.
            timeout: seconds to wait until the models are loaded.

        Returns:
            By how much each of these metrics grew.

        Raises:
            UnsupportedByServerError: it was asked over REST.
            InvalidRequestError: the configuration cannot be read; nothing was sent.
            ServingError: any other error.
        """
        request = self._sessions.request("reload_config", None, None, None)
        calls = self._sessions.here(request)
        return run_to_end(calls.reload_config(request, text_of(config), metric_names, timeout))

    def wait_ready(
        self,
        model: str | None = None,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = 60.0,
    ) -> None:
        """Wait until a model is available, or, without one, until the server answers.

        Args:
            model: its name.
            version: which version; any by default.
            label: or the label of a version.
            timeout: seconds to wait; None waits for ever.

        Raises:
            NotReadyError: it was not in time; the message says what was missing.
            ServingError: any other error that waiting does not mend.
        """
        request = self._sessions.request("status", model, version, label)
        run_to_end(self._sessions.here(request).wait_ready(request, timeout))

    def close(self) -> None:
        """Close the connections."""
        run_to_end(self._sessions.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connection_of(
    tls: TLS | None,
    ca_file: StrPath | None,
    cert_file: StrPath | None,
    key_file: StrPath | None,
    headers: Mapping[str, str] | None,
) -> Connection:
    """Return the configuration of a connection from a client's arguments.

    Raises:
        ValueError: certificates are passed in both forms, or a certificate without its key.
    """
    if any((ca_file, cert_file, key_file)):
        if tls is not None:
            raise ValueError(
                "tls: expected either tls or ca_file, cert_file and key_file, got both. Pass tls alone."
            )
        tls = TLS(ca_file, cert_file, key_file)
    return Connection(tls, dict(headers or {}))


def text_of(config: str | PathLike[str]) -> str:
    """A configuration: the text itself, or a path's."""
    return config if isinstance(config, str) else Path(config).read_text()
