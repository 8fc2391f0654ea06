"""The rules of CONTRIBUTING.md and STYLE.md that a machine can check: imports, names, sizes and words."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "keras_dl": ROOT / "keras_dl",
    "keras_dl_export": ROOT / "export" / "keras_dl_export",
    "keras_dl_serving": ROOT / "serving" / "keras_dl_serving",
}

# What does not hold yet, in the words of the tests. An exception that is no longer needed fails its test.
EXCEPTIONS = """
"""

# The words that STYLE.md rules out, as regular expressions.
RULED_OUT = {
    "let go": r"\blet(?:s|ting)? go\b",
    "look again": r"\b(?:look(?:s|ed|ing)?(?: at (?:it|them))? again|ask(?:s|ed)? once more)\b",
    "senseless": r"\bsenseless\b|\bmakes? no sense\b",
    "is none": r"(?<!there )\b(?:is|are|was|were|be) none\b",
    "no real": r"\b(?:is|are) no real\b",
    "none that": r"\b(?:is|are)? ?none that\b",
    "without a word": r"\bwithout a word\b",
    "told": r"\btold\b",
    "who": r"\b[Ww]hoever\b|(?:^|[.;:] |\"\"\")Who [a-z]+ (?![^.\n]*\?)",
    "in mind": r"\b(?:has|have|had) in mind\b",
    "leave away": r"\b(?:leav(?:e|es|ing)|left) away\b",
    "on its way": r"\bon (?:its|their) way\b",
    "put away": r"\bput away\b",
    "wait out": r"\bwait(?:s|ed)? out\b",
    "British spelling": (
        r"(?i)colour|neighbour|behaviour|favour|labelled|\bcent(?:re|red|res)\b|\bgrey\b|licence|catalogue|modelled"
        r"|(?:normal|optim|quant|(?<!de)serial|initial|general|recogn|organ|summar|visual|discret|regular|minim"
        r"|maxim|equal|parametr|vector)is(?:e|ed|es|er|ers|ing|ation|ations)\b"
    ),
}
# Public names in British spelling that keep working.
FORMER_NAMES = (
    r"GeneralisationGap|ring_centres|theory\.generalisation|\"(?:neighbours|centres)\"|def optimisation\b"
)
UNCHECKED = (Path(__file__), ROOT / "STYLE.md", ROOT / "tests" / "keras_dl" / "test_renamed.py")
TEXTS = (".py", ".pyi", ".md", ".toml", ".html", ".js", ".j2")


def allowed(kind: str) -> list[str]:
    """Return the exceptions of one kind."""
    return sorted(line for line in EXCEPTIONS.strip().splitlines() if line.startswith(f"{kind}: "))


def tracked_files() -> list[Path]:
    """Return the files of the repository, or of the folder where there is no Git."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]


@functools.cache
def trees() -> dict[Path, ast.Module]:
    """Return the syntax trees of the packages' modules."""
    return {
        path: ast.parse(path.read_text("utf-8"))
        for folder in PACKAGES.values()
        for path in sorted(folder.rglob("*.py"))
    }


def circles(graph: grimp.ImportGraph) -> Iterator[list[str]]:
    """Yield the groups of modules that import each other in a circle (strong components, by Tarjan)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[list[str]]:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            if imported not in index:
                yield from visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], index[imported])
        if lowest[module] == index[module]:
            at = stack.index(module)
            group, stack[at:] = sorted(stack[at:]), []
            if len(group) > 1:
                yield group

    for module in sorted(graph.modules):
        if module not in index:
            yield from visit(module)


def test_no_modules_import_each_other_in_a_circle() -> None:
    # Imports inside functions count, too; those for type checkers do not.
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    assert sorted(f"circle: {', '.join(group)}" for group in circles(graph)) == allowed("circle")


def test_a_circle_is_found() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in ("ab", "bc", "cb", "cd"):
        graph.add_import(importer=importer, imported=imported)
    assert list(circles(graph)) == [["b", "c"]]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_basename_occurs_once_in_a_package(package: str) -> None:
    counts = Counter(path.name for path in trees() if PACKAGES[package] in path.parents)
    twice = (
        name for name, count in counts.items() if count > 1 and name not in ("__init__.py", "__main__.py")
    )
    assert sorted(f"twice in {package}: {name}" for name in twice) == allowed(f"twice in {package}")


def test_no_module_bears_the_name_of_a_library_that_it_uses() -> None:
    libraries = {name.partition(".")[0] for tree in trees().values() for name in imported_names(tree)}
    named = (path for path in trees() if path.stem in libraries - set(PACKAGES))
    assert sorted(f"library: {path.relative_to(ROOT)}" for path in named) == allowed("library")


def imported_names(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {
        path: len(path.read_text("utf-8").splitlines()) for path in tracked_files() if path.suffix == ".py"
    }
    long = (path.relative_to(ROOT) for path, length in lengths.items() if length > 400)
    assert sorted(f"long: {path}" for path in long) == allowed("long")


def ruled_out(text: str) -> Iterable[str]:
    """Return the ruled-out phrases that a text contains."""
    text = re.sub(FORMER_NAMES, "", text).replace("_", " ")
    return (phrase for phrase, pattern in RULED_OUT.items() if re.search(pattern, text, re.MULTILINE))


def test_the_language_is_that_of_the_style_guide() -> None:
    spoken = (path for path in tracked_files() if path.suffix in TEXTS)
    found = {
        f"phrase: {phrase} in {path.relative_to(ROOT).parts[0]}"
        for path in spoken
        if path not in UNCHECKED
        for phrase in ruled_out(path.read_text("utf-8"))
    }
    assert sorted(found) == allowed("phrase")


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("Who takes nothing of a response is let go.", ["let go", "who"]),
        ("The value is None; whose is it? Who knows that?", []),
        ("a normalised colour, a serialised model", ["British spelling"]),
        ("The user is told without a word.", ["without a word", "told"]),
        ("def test_errors_are_told() -> None:", ["told"]),
    ],
)
def test_a_ruled_out_phrase_is_found(text: str, phrases: list[str]) -> None:
    assert list(ruled_out(text)) == phrases
