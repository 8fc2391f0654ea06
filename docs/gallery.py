"""Run all chapters of examples and write docs/gallery.md with their pictures.

    python docs/gallery.py [CHAPTER ...]

Some 3 minutes on 2 CPU cores. CHAPTER names the ones to run, such as 01_perceptron, by default all; the page
is written anew from all pictures that are there.
"""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

import keras
from PIL import Image

from keras_dl_export.files import replacing

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
PICTURES = DOCS / "gallery"

HEADER = """\
# Gallery

A picture of each chapter in `examples/`, which turns a claim of the notes into something that runs. Every
script works offline, and in a few seconds with `--quick`.

This page is generated: `python docs/gallery.py` runs all chapters and writes it.
"""


def draw(chapter: Path) -> Path:
    """Run one chapter in this interpreter, and keep its picture in 128 colours, which hardly shows."""
    path = PICTURES / f"{chapter.stem}.png"
    PICTURES.mkdir(exist_ok=True)
    keras.utils.clear_session()  # layers are numbered as in a script that runs alone
    arguments, sys.argv = sys.argv, [str(chapter), "--out", str(path)]
    try:
        runpy.run_path(str(chapter), run_name="__main__")
    finally:
        sys.argv = arguments
    with Image.open(path) as image:
        reduced = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    with replacing(path) as draft:
        reduced.save(draft, optimize=True)
    return path


def page(chapters: list[Path]) -> str:
    """The page in Markdown."""
    return "\n".join([HEADER, *map(_section, chapters)])


def _section(chapter: Path) -> str:
    opening = ast.get_docstring(ast.parse(chapter.read_text(encoding="utf-8"))) or ""
    claim, command, rest = opening.split("\n\n", 2)
    expected = " ".join(rest.split("Expected: ", 1)[1].split())
    title = chapter.stem[3:].replace("_", " ")
    alt = claim.split("\n")[0]
    return (
        f"## {chapter.stem[:2]} {title}\n\n{alt}\n\n![{alt}](gallery/{chapter.stem}.png)\n\n"
        f"`{command.strip()}`. {expected[0].upper()}{expected[1:]}\n"
    )


def main() -> None:
    """Run the chapters on the command line and write the page."""
    chapters = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))
    asked = set(sys.argv[1:])
    sys.path.insert(0, str(EXAMPLES))  # where the chapters find what they share
    if unknown := asked - {each.stem for each in chapters}:
        sys.exit(f"CHAPTER: there is no {', '.join(sorted(unknown))}. See examples/.")
    for chapter in chapters:
        if not asked or chapter.stem in asked:
            sys.stdout.write(f"{draw(chapter)}\n")
    drawn = [each for each in chapters if (PICTURES / f"{each.stem}.png").exists()]
    with replacing(DOCS / "gallery.md") as draft:
        draft.write_text(page(drawn), encoding="utf-8")


if __name__ == "__main__":
    main()
