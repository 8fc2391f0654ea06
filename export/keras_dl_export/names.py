"""Names of inputs and outputs in a file, in TensorFlow's graph, and in a caller's arguments."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

_PLAIN = re.compile(r"[A-Za-z]\w*", re.ASCII)


def as_word(name: str) -> str:
    """Return a name as in all files: letters of any script, digits and `_`, not starting with a digit."""
    return re.sub(r"\W", "_", f"_{name}" if name[:1].isdigit() else name)


def as_words(names: Iterable[str]) -> list[str]:
    """Return the names as in all files; of two equal results, the later gets a `_`."""
    words: list[str] = []
    for name in names:
        word = as_word(name)
        while word in words:
            word += "_"
        words.append(word)
    return words


def by_word(given: Mapping[str, Any], words: Collection[str]) -> dict[str, Any]:
    """Return values that use the model's own names under the names in files.

    `{"my-x": x}` is accepted for `my_x`, and `{"a": {"b": x}}` for `a_b`. Unknown names stay.

    Args:
        given: values by name.
        words: the names in files.
    """
    flat: dict[str, Any] = {}
    for name, value in given.items():
        nested = by_word(value, ()) if isinstance(value, Mapping) else {"": value}
        for inner, leaf in nested.items():
            flat[inner if inner in words else f"{name}_{inner}" if inner else str(name)] = leaf
    mended = {name: name if name in words else as_word(name) for name in flat}
    clear = {
        name: word for name, word in mended.items() if word in words and [*mended.values()].count(word) == 1
    }
    return {clear.get(name, name): value for name, value in flat.items()}


def as_parameters(names: Iterable[str]) -> dict[str, str]:
    """Return each name as a valid parameter of a Python method, in order.

    `tf.saved_model.load(...).signatures[...]` uses these: `in` is `in_`, `self` is `self_`, and `_x` is
    `arg__x`, as in TensorFlow itself.
    """
    parameters: dict[str, str] = {}
    for name in sorted(names):
        fit = f"{name}_" if keyword.iskeyword(name) or name == "self" else name
        fit = fit if fit[:1].isalpha() else f"arg_{fit}"
        while fit in parameters.values():
            fit += "_"
        parameters[name] = fit
    return parameters


def in_graph(names: Iterable[str]) -> dict[str, str]:
    """Return the name of each input in TensorFlow's graph: itself, or a number if it is not valid there.

    Names in a graph are ASCII, differ not only in case, and are parameters of Python functions. They are in
    the order of the names as parameters, because TensorFlow sorts both and matches them by position.
    """
    words = list(names)
    parameters = as_parameters(words)
    plain = all(_PLAIN.fullmatch(word) and parameters[word] == word for word in words)
    if plain and len({word.lower() for word in words}) == len(words):
        return {word: word for word in words}
    ranks = sorted(words, key=parameters.__getitem__)
    return {word: f"input_{ranks.index(word):03d}" for word in words}
