"""The blocking client."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from copy import copy
from functools import partial
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Self, cast

from numpy.typing import ArrayLike

from keras_dl_export.dtypes import Array
from keras_dl_serving.client.batches import Batches, batches_of, in_background, show_progress
from keras_dl_serving.client.calls import text_of
from keras_dl_serving.client.opening import StrPath, connection_of
from keras_dl_serving.client.sessions import ClientSettings, Sessions
from keras_dl_serving.client.transport import Classification, ModelMetadata, VersionStatus
from keras_dl_serving.coroutines import run_to_end
from keras_dl_serving.errors import InvalidRequestError, Request
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE
from keras_dl_serving.tls import TLS

Inputs = Mapping[str, ArrayLike] | ArrayLike


class Client:
    """A client of TensorFlow Serving's REST or gRPC API, without TensorFlow.

        client = Client("http://localhost:8501")  # or "grpc://localhost:8500"
        client.predict("digits", {"image": images})["class"]

    The metadata of a model is fetched once, over REST again after five seconds. Inputs are checked against
    it and cast before they are sent, and outputs have its dtypes over either protocol. At most 100 calls are
    in flight; their connections are kept. A client is thread-safe, and can be used after a fork and be
    pickled: each process has connections of its own.

    A call that fails because the server is unreachable or busy (gRPC's UNAVAILABLE or CANCELLED, REST's 503)
    is retried after a pause, which doubles each time, within its timeout. `reload_config` is never retried;
    the other calls change nothing on the server.

    Args:
        url: `http://HOST:PORT` or `https://...` for REST, `grpc://HOST:PORT` or `grpcs://...` for gRPC,
            `unix:///PATH` for gRPC on a socket.
        timeout: seconds for a call with its retries, unless the call sets its own; None is no limit.
        retries: how often a call is retried; 0 is never.
        tls: the certificates to trust and to show, for a URL with TLS; by default the system's are trusted.
        ca_file: `tls=TLS(ca_file=...)` in one argument; likewise
        cert_file: the client's own certificate, for mutual TLS, and
        key_file: its key.
        headers: sent with every call, over gRPC as metadata: `{"authorization": "Bearer ..."}`.

    Raises:
        ValueError: the URL is invalid or without TLS although certificates are passed, a file is not PEM, a
            header cannot be sent, or the environment names a proxy that cannot be used.
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
        return {**vars(self), "_sessions": copy(self._sessions)}  # a copy has sessions of its own

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
            inputs: arrays by input name, or the array alone for a model with one input. Strings and encoded
                images are `bytes`.
            version: which version; the latest by default.
            label: or the label of a version.
            signature_name: which function of the model.
            outputs: the names of the outputs to return, or one name; all by default. Over gRPC only these are
                sent.
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
        """Run a model on many batches, several of them in flight at a time.

            for answers in client.predict_batches("digits", {"image": images}, batch_size=64, progress=True):
                classes.extend(answers["class"])

        Args:
            model: its name.
            inputs: an iterable of inputs for `predict` (a generator, a `tf.data.Dataset` of dicts), read only
                as far as batches are sent; with `batch_size`, arrays to be split.
            batch_size: rows in a batch, for arrays; the last batch may have fewer.
            in_flight: how many batches are in flight at most.
            progress: show a progress bar on standard error.
            version: which version; the latest at the time of each batch by default.
            label: or the label of a version.
            signature_name: which function of the model.
            outputs: the names of the outputs to return, or one name; all by default.
            timeout: seconds to wait for each answer.

        Returns:
            An iterator of the answers, in the order of the batches.

        Raises:
            InvalidRequestError: a batch does not fit the model; it was not sent.
            ServingError: any other error, at the turn of its batch; no further batch is sent.
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
            if os.getpid() != process:  # whose threads would receive the answers
                raise InvalidRequestError(
                    "predict_batches: the iterator was started before a fork. Call it in each process.",
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
        """Classify examples with a classification signature.

        Args:
            model: its name.
            examples: for each example its features by name: a number, str or bytes, or a list of one kind.
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
            tasks: by signature, `classify` or `regress`.
            context: features that all examples have.
            version: which version; the latest by default.
            label: or the label of a version.
            timeout: seconds to wait for the answer.

        Returns:
            By signature, what `classify` or `regress` returns.

        Raises:
            UnsupportedByServerError: the client uses REST.
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
        """Return the versions of a model, newest first, with their states.

        TensorFlow Serving accepts a label here, but answers with all versions.

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
        """Return the signatures of a model: names, shapes and dtypes of inputs and outputs.

        Raises:
            NotFoundError: there is no such model or version.
            ServingError: any other error.
        """
        request = self._sessions.request("metadata", model, version, label)
        return run_to_end(self._sessions.here(request).metadata(request, timeout))

    def models(self, *, timeout: float | None = None) -> list[str]:
        """Return the names of the models that keras_dl's own server has, over REST.

        Raises:
            UnsupportedByServerError: it is another server, or the client uses gRPC.
            ServingError: any other error.
        """
        request = self._sessions.request("models", None, None, None)
        return run_to_end(self._sessions.here(request).models(request, timeout))

    def reload_config(
        self, config: str | PathLike[str], *, metric_names: Sequence[str] = (), timeout: float | None = None
    ) -> dict[str, int]:
        """Replace the models that the server serves by those of a configuration, over gRPC.

        This call is never retried.

        Args:
            config: a `ModelServerConfig` in text format, or the `Path` of a file with one.
            metric_names: the server's metrics to report.
            timeout: seconds to wait until the models are loaded.

        Returns:
            By how much each of these metrics increased.

        Raises:
            UnsupportedByServerError: the client uses REST.
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
            timeout: seconds to wait; None is no limit.

        Raises:
            NotReadyError: the timeout passed; the message states what was missing.
            ServingError: any other error that does not pass with time.
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
