"""Real inputs from a user: arrays, dicts, pipelines of batches, pairs with labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from keras_dl_export.dtypes import as_array
from keras_dl_export.errors import reason_of

_ENOUGH = 32  # examples to compare on


def take_examples(argument: str, data: Any) -> Any:
    """Return an array or a dict of arrays unchanged, or the first examples of a pipeline.

    Args:
        argument: the argument's name, for errors.
        data: None, an array-like, a dict of these, or a pipeline as in `read_batches`.

    Raises:
        ValueError: the pipeline is empty, or fails.
        TypeError: `data` is of another type.
    """
    if isinstance(data, str | bytes):
        raise TypeError(f"{argument}: expected arrays, got {data!r:.60}. Read the file and pass its content.")
    if data is None or isinstance(data, Mapping) or not _is_pipeline(data):
        return data
    taken: list[dict[str, Any]] = []
    for batch in read_batches(argument, data):
        arrays = dict(batch) if isinstance(batch, Mapping) else {"": batch}
        if taken and _row_shapes(arrays) != _row_shapes(taken[0]):
            break
        taken.append(arrays)
        # Vectors may be unbatched examples; a later error about their shape reports this.
        if any(np.ndim(array) < 2 for array in arrays.values()) or _count(taken) >= _ENOUGH:
            break
    if not taken:
        raise ValueError(f"{argument}: expected at least one batch, got an empty {type(data).__name__}.")
    merged = {
        name: np.concatenate([arrays[name] for arrays in taken]) if len(taken) > 1 else taken[0][name]
        for name in taken[0]
    }
    return merged[""] if list(merged) == [""] else merged


def read_batches(argument: str, data: Any) -> Iterator[Any]:
    """Yield the inputs of each batch, an array or a dict of arrays.

    Args:
        argument: the argument's name, for errors.
        data: an array, a dict of arrays, or an iterable of such batches: a tf.data pipeline, a generator, a
            Keras PyDataset or a torch DataLoader. Of a pair (inputs, labels), the inputs are used.

    Raises:
        ValueError: the pipeline fails.
        TypeError: `data` is of another type.
    """
    if isinstance(data, Mapping) or hasattr(data, "shape") or _is_pair(data):
        data = [data]
    if isinstance(data, str | bytes) or (not isinstance(data, Iterable) and not _is_indexed(data)):
        raise TypeError(
            f"{argument}: expected an array, a dict of arrays or a pipeline of them, got "
            f"{type(data).__name__}."
        )
    batches = islice(iter(data), len(data)) if _is_indexed(data) else iter(data)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except Exception as error:
            raise ValueError(
                f"{argument}: reading the {type(data).__name__} failed: {reason_of(error)}"
            ) from error
        inputs = batch[0] if _is_pair(batch) else batch
        if isinstance(inputs, Mapping):
            yield {name: as_array(argument, value) for name, value in inputs.items()}
        else:
            yield as_array(argument, inputs)


def _is_pipeline(data: Any) -> bool:
    """Return whether data are a pipeline of batches instead of an array or lists of numbers."""
    if hasattr(data, "shape") or hasattr(data, "__array__"):
        return False
    if isinstance(data, list | tuple):
        first = data[0] if data else None
        return _is_pair(data) or _is_pair(first) or isinstance(first, Mapping)
    return isinstance(data, Iterable) or _is_indexed(data)


def _is_indexed(data: Any) -> bool:
    """Return whether data are batches by index, whose iterator might not end."""
    return not isinstance(data, list | tuple) and hasattr(data, "__getitem__") and hasattr(data, "__len__")


def _is_pair(batch: Any) -> bool:
    """Return whether a batch is inputs and labels (and weights), not a list of batches; it may be a list."""
    parts = batch if isinstance(batch, tuple | list) else ()
    if isinstance(batch, tuple) and len(parts) == 1:
        return True
    alike = all(isinstance(part, Mapping) or hasattr(part, "shape") for part in parts)
    return len(parts) in (2, 3) and alike and (isinstance(batch, tuple) or not isinstance(parts[1], Mapping))


def _row_shapes(arrays: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(array)[1:] for name, array in arrays.items()}


def _count(batches: Iterable[Mapping[str, Any]]) -> int:
    return sum(min((len(array) for array in batch.values()), default=0) for batch in batches)
