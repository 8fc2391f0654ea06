"""The text of every error and warning that the packages construct, read from their source.

    python -m tests._support.error_texts

writes tests/errors.txt, so that a change of a text shows in a review. A line holds package, class and text,
with the expressions in braces. Files and lines are not named: moving an error changes nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "tests" / "errors.txt"
PACKAGES = ("keras_dl", "export/keras_dl_export", "serving/keras_dl_serving")


def template(node: ast.expr) -> str:
    """Return a text expression as one line, with everything that is not a literal in braces."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(template(value) for value in values)
        case ast.FormattedValue(value=value, conversion=conversion, format_spec=spec):
            suffix = "" if conversion == -1 else f"!{chr(conversion)}"
            return f"{{{ast.unparse(value)}{suffix}{':' + template(spec) if spec else ''}}}"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return template(left) + template(right)
        case _:
            return f"{{{ast.unparse(node)}}}"


def texts(tree: ast.Module) -> Iterator[str]:
    """Yield the class and the text of each error or warning that a module constructs."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        if not re.fullmatch(r"_?[A-Z]\w*(Error|Warning)", name):
            continue
        for text in (template(argument) for argument in node.args):
            if re.search(r"[A-Za-z]{2}", re.sub(r"\{.*?\}", "", text)):
                yield f"{name}: {' '.join(text.split())}"


def error_texts() -> str:
    """Return the content of tests/errors.txt."""
    lines = {
        f"{Path(package).name}  {text}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for text in texts(ast.parse(path.read_text("utf-8")))
    }
    return "\n".join(sorted(lines)) + "\n"


if __name__ == "__main__":
    TEXTS.write_text(error_texts(), "utf-8")
