"""The batches of `predict_batches`: their sources, and a progress bar."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from keras_dl_serving.errors import InvalidRequestError, Request

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Batches:
    """Batches to be sent one after the other.

    Attributes:
        each: the inputs of each batch; asynchronous only if the caller accepts that.
        count: the number of batches, if it is known.
    """

    each: Iterator[Any] | AsyncIterator[Any]
    count: int | None


def batches_of(
    inputs: Any, batch_size: int | None, in_flight: int, request: Request, *, asynchronous: bool = False
) -> Batches:
    """Return the batches in a caller's inputs.

    Args:
        inputs: an iterable of the inputs of one call each, such as a `tf.data.Dataset` of dicts; with
            `batch_size`, arrays as for one call, cut along their first axis.
        batch_size: rows in each batch.
        in_flight: how many calls are to be in flight, at least 1.
        request: the request, for errors.
        asynchronous: whether an asynchronous iterable is accepted, too.

    Raises:
        InvalidRequestError: `inputs` is neither, or has arrays of unequal length.
    """
    if in_flight < 1:
        raise InvalidRequestError(f"in_flight: expected at least 1, got {in_flight}.", request=request)
    if batch_size is not None:
        return _cut(inputs, batch_size, request)
    if isinstance(inputs, AsyncIterable):
        if not asynchronous:
            raise InvalidRequestError(
                f"inputs: expected an iterable for a plain `for`, got a {type(inputs).__name__}: "
                "AsyncClient.predict_batches takes it.",
                request=request,
            )
        return Batches(aiter(inputs), None)
    if isinstance(inputs, Mapping | str | bytes) or not isinstance(inputs, Iterable):
        raise InvalidRequestError(
            f"inputs: expected an iterable of batches, got a {type(inputs).__name__}. Pass batch_size, too, "
            "to split arrays into batches.",
            request=request,
        )
    each = iter(inputs.as_numpy_iterator() if hasattr(inputs, "as_numpy_iterator") else inputs)
    try:
        return Batches(each, len(inputs))  # type: ignore[arg-type]
    except TypeError:  # a generator; a dataset of unknown or infinite length
        return Batches(each, None)


def _cut(inputs: Any, size: int, request: Request) -> Batches:
    if size < 1:
        raise InvalidRequestError(f"batch_size: expected at least 1, got {size}.", request=request)
    named = inputs if isinstance(inputs, Mapping) else {"": inputs}
    # Sliced without a conversion: NumPy would cut zero bytes off the end of bytes.
    try:
        lengths = {name: len(value) for name, value in named.items()}
    except TypeError:
        raise InvalidRequestError(
            "inputs: expected arrays with a first axis to split, got a single value.", request=request
        ) from None
    if len(set(lengths.values())) != 1:
        raise InvalidRequestError(
            f"inputs: expected arrays of one length, got {lengths}. Send inputs without a batch axis with "
            "predict.",
            request=request,
        )
    starts = range(0, next(iter(lengths.values())), size)

    def each() -> Iterator[Any]:
        for start in starts:
            rows = {name: value[start : start + size] for name, value in named.items()}
            yield rows if isinstance(inputs, Mapping) else rows[""]

    return Batches(each(), len(starts))


def in_background(work: Callable[[], _Result]) -> Future[_Result]:
    """Run work in a thread that does not keep the process from ending."""
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="keras_dl_client", daemon=True).start()
    return future


@contextmanager
def show_progress(progress: bool, text: str, count: int | None) -> Iterator[Callable[[], None]]:
    """Show a progress bar on standard error, if wanted; yield the function that advances it by one."""
    if not progress:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    # The caller's own output is not redirected.
    plain: Any = {"redirect_stdout": False, "redirect_stderr": False}
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), **plain) as bar:
        task = bar.add_task(text, total=count)
        yield lambda: bar.advance(task)
