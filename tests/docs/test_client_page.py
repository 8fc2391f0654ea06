"""The Python calls in docs/client.md match the signatures of the client."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from keras_dl_serving import AsyncClient, Client

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def calls(block: str) -> list[tuple[str, ast.Call]]:
    """Return the calls of the client's methods and of the two classes, each with the called function."""
    found = []
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    for node in ast.walk(compile(block, "docs/client.md", "exec", flags)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("Client", "AsyncClient") or called.startswith("client."):
                found.append((called.removeprefix("client."), node))
    return found


@pytest.mark.parametrize("block", BLOCKS, ids=[block.partition("\n")[0] for block in BLOCKS])
def test_the_calls_match_the_signatures(block: str) -> None:
    found = calls(block)
    assert found, "a block without a call of the client"
    for name, call in found:
        for kind in (Client, AsyncClient):
            method = {"Client": Client, "AsyncClient": AsyncClient}.get(name) or getattr(kind, name)
            given = [ast.unparse(value) for value in call.args]
            named = {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg}
            first = () if inspect.isclass(method) else (kind,)
            inspect.signature(method).bind(*first, *given, **named)


def test_the_calls_are_found() -> None:
    assert {name for block in BLOCKS for name, _ in calls(block)} >= {
        name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")
    } - {"close"}
