"""Replaced attributes come back, in every thread; each private name that the package uses exists."""

from __future__ import annotations

import ast
import importlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ai_edge_litert.interpreter
import keras
import pytest
import tensorflow as tf

import keras_dl_export
from keras_dl_export import to_tflite
from keras_dl_export.lowering.patching import PRIVATE_NAMES, patched

PRIVATE_MODULES = re.compile(r"(keras\.src|tensorflow\.(?:python|compiler|core))\b")


class Owner:
    def greet(self) -> str:
        return "hello"

    @property
    def name(self) -> str:
        return "owner"


class Heir(Owner):
    pass


def test_a_method_a_property_and_an_inherited_method_come_back() -> None:
    before = dict(vars(Owner)), dict(vars(Heir))
    with patched(Owner, "greet", lambda kept: lambda owner: kept(owner) + "!"):
        with (
            patched(Owner, "name", lambda kept: lambda owner: kept.__get__(owner).upper()),
            patched(Heir, "greet", lambda kept: lambda owner: kept(owner) + "?"),
        ):
            assert (Owner().greet(), Heir().greet(), Heir().name) == ("hello!", "hello!?", "OWNER")
        assert (Heir().greet(), Owner().name) == ("hello!", "owner")
    assert (dict(vars(Owner)), dict(vars(Heir))) == before


def test_an_error_brings_the_attribute_back() -> None:
    with pytest.raises(ZeroDivisionError), patched(Owner, "greet", lambda kept: lambda owner: "!"):
        raise ZeroDivisionError
    assert Owner().greet() == "hello"


def test_another_thread_calls_the_original_and_waits_to_replace_it() -> None:
    seen: list[str] = []

    def other() -> None:
        seen.append(Owner().greet())
        with patched(Owner, "greet", lambda kept: lambda owner: kept(owner) + "2"):
            seen.append(Owner().greet())

    thread = threading.Thread(target=other)
    with patched(Owner, "greet", lambda kept: lambda owner: kept(owner) + "1"):
        thread.start()
        thread.join(0.5)
        assert seen == ["hello"], "the other thread called the replacement, or did not wait"
        assert Owner().greet() == "hello1"
    thread.join(10)
    assert seen == ["hello", "hello2"]
    assert Owner().greet() == "hello"


def examples(folder: Path) -> dict[str, Any]:
    """Return an instance of each class whose private attributes are set in its constructor alone."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    interpreter = ai_edge_litert.interpreter.Interpreter(str(to_tflite(model, folder / "m.tflite").path))
    return {
        "keras.Layer": keras.layers.Dense(1),
        "keras.Model": model,
        "tensorflow.lookup.StaticHashTable": tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["a"], [1]), 0
        ),
        "tensorflow.types.experimental.PolymorphicFunction": tf.function(lambda: None),
        "ai_edge_litert.interpreter.SignatureRunner": interpreter.get_signature_runner("serving_default"),
    }


def resolve(path: str, known: dict[str, Any]) -> Any:
    """Return what a dotted path leads to: a module, or an attribute of one or of an example instance."""
    owner, _, attribute = path.rpartition(".")
    if owner in known:
        return getattr(known[owner], attribute)
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        return getattr(resolve(owner, known), attribute)


def test_each_private_name_exists(tmp_path: Path) -> None:
    known = examples(tmp_path)
    missing = []
    for name in PRIVATE_NAMES:
        try:
            resolve(name, known)
        except (AttributeError, ImportError) as error:
            missing.append(f"{name}: {error}")
    assert not missing, missing


def test_a_name_that_is_missing_is_found_missing(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        resolve("keras.Model._no_such_attribute", {})


def private_names_in(tree: ast.Module) -> Iterator[str]:
    """Yield the last parts of private names of others: imports, attributes, and names that are patched."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and PRIVATE_MODULES.match(node.module or ""):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if PRIVATE_MODULES.match(alias.name))
        elif isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("patched", "getattr", "hasattr"):
            yield from (
                argument.value
                for argument in node.args[1:2]
                if isinstance(argument, ast.Constant) and re.match(r"_[a-z]", str(argument.value))
            )


def test_the_list_holds_every_private_name_that_the_package_uses() -> None:
    folder = Path(keras_dl_export.__file__).parent
    used = {
        name
        for path in folder.rglob("*.py")
        for name in private_names_in(ast.parse(path.read_text(encoding="utf-8")))
    }
    unlisted = {
        name
        for name in used
        if not any(
            name in (each, each.rpartition(".")[2]) or f".{name}." in f".{each}." for each in PRIVATE_NAMES
        )
    }
    assert not unlisted, f"add them to lowering.patching.PRIVATE_NAMES: {sorted(unlisted)}"
