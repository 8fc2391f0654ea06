"""Draw the packages from their imports: one picture a package, and the tables of docs/architecture.md.

    python docs/architecture.py

A box is a module or a folder of the package, and an arrow an import: at the top of a file, inside a function,
or between the files of two folders. An arrow that follows from two others is omitted. The text of
docs/architecture.md between the comments `<!-- keras_dl -->` and `<!-- end -->` is replaced, as is the one of
each other package.
"""

from __future__ import annotations

import ast
import functools
import html
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grimp

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PAGE = DOCS / "architecture.md"
PACKAGES = {"keras_dl": ".", "keras_dl_serving": "serving", "keras_dl_export": "export"}
BOX, ROW, GAP, MARGIN, LETTER = 30, 74, 16, 14, 7.4  # pixels

Edges = set[tuple[str, str]]


@dataclass
class Slot:
    """A place in a row: a box, or the point where a long arrow crosses the row (an empty label)."""

    label: str
    x: float = 0.0

    @property
    def width(self) -> float:
        """Pixels, the margin inside the box included."""
        return len(self.label) * LETTER + 18 if self.label else 6.0


def path_of(package: str, part: str) -> Path:
    """Return the file or folder of a module at the top of a package."""
    folder = ROOT / PACKAGES[package] / package / part
    return folder if folder.is_dir() else folder.with_suffix(".py")


@functools.cache
def imports_of(package: str) -> tuple[tuple[str, ...], frozenset[tuple[str, str]]]:
    """Return the parts at the top of a package, and the imports among them.

    The package's own `__init__`, which imports names for the user, is no part.
    """
    graph = grimp.build_graph(package, exclude_type_checking_imports=True, cache_dir=None)
    parts = sorted(child.removeprefix(f"{package}.") for child in graph.find_children(package))

    def part_of(module: str) -> str:
        return module.removeprefix(f"{package}.").partition(".")[0]

    edges = {
        (part_of(importer), part_of(imported))
        for importer in graph.modules - {package}
        for imported in graph.find_modules_directly_imported_by(importer) - {package}
    }
    return tuple(parts), frozenset((high, low) for high, low in edges if high != low)


def without_implied(edges: Iterable[tuple[str, str]]) -> Edges:
    """Return the arrows without those that follow from the others: a -> c where a -> b -> c."""
    edges = set(edges)
    below: dict[str, set[str]] = {}
    for high, low in edges:
        below.setdefault(high, set()).add(low)

    @functools.cache
    def reached(part: str) -> frozenset[str]:
        lows = below.get(part, set())
        return frozenset(lows).union(*(reached(low) for low in lows))

    return {
        (high, low) for high, low in edges if not any(low in reached(other) for other in below[high] - {low})
    }


def ranks_of(parts: Iterable[str], edges: Edges) -> dict[str, int]:
    """Return the row of each part, counted from the bottom: above all that it imports, and no higher.

    Raises:
        ValueError: if parts import each other in a circle.
    """
    ranks: dict[str, int] = {}
    path: list[str] = []

    def rank(part: str) -> int:
        if part in path:
            raise ValueError(f"imports: expected no circle, got {' -> '.join([*path, part])}.")
        if part not in ranks:
            path.append(part)
            ranks[part] = 1 + max((rank(low) for high, low in edges if high == part), default=-1)
            path.pop()
        return ranks[part]

    for part in parts:
        rank(part)
    return ranks


def rows_of(
    parts: Sequence[str], edges: Edges, labels: Mapping[str, str]
) -> tuple[list[list[Slot]], list[tuple[Slot, Slot]]]:
    """Return the rows, from the top, and the pieces of arrows from one row to the next."""
    ranks = ranks_of(parts, edges)
    top = max(ranks.values())
    rows: list[list[Slot]] = [[] for _ in range(top + 1)]
    slots = {part: Slot(labels[part]) for part in parts}
    for part in parts:
        rows[top - ranks[part]].append(slots[part])
    pieces: list[tuple[Slot, Slot]] = []
    for high, low in sorted(edges):
        above = slots[high]
        for row in range(top - ranks[high] + 1, top - ranks[low]):
            crossing = Slot("")
            rows[row].append(crossing)
            pieces.append((above, crossing))
            above = crossing
        pieces.append((above, slots[low]))
    return rows, pieces


def place(rows: list[list[Slot]], pieces: Sequence[tuple[Slot, Slot]]) -> None:
    """Order each row by the neighbors of its boxes, and give every box an x near them."""
    neighbors: dict[int, list[Slot]] = {}
    for above, below in pieces:
        neighbors.setdefault(id(above), []).append(below)
        neighbors.setdefault(id(below), []).append(above)

    def spread(row: list[Slot]) -> None:
        wanted = [slot.x for slot in row]
        for slot, last in zip(row[1:], row, strict=False):
            slot.x = max(slot.x, last.x + (last.width + slot.width) / 2 + GAP)
        shift = sum(slot.x - x for slot, x in zip(row, wanted, strict=True)) / len(row)
        for slot in row:
            slot.x -= shift

    for row in rows:
        for slot in row:
            slot.x = 0.0
        spread(row)
    for sweep in range(60):
        for row in rows if sweep % 2 else reversed(rows):
            for slot in row:
                near = neighbors.get(id(slot), [])
                if near:
                    slot.x = sum(other.x for other in near) / len(near)
            row.sort(key=lambda slot: slot.x)
            spread(row)


def picture(package: str) -> str:
    """Return the SVG of a package."""
    parts, imports = imports_of(package)
    edges = without_implied(imports)
    labels = {part: part + ("/" if path_of(package, part).is_dir() else "") for part in parts}
    rows, pieces = rows_of(parts, edges, labels)
    place(rows, pieces)
    every = [slot for row in rows for slot in row]
    left = min(slot.x - slot.width / 2 for slot in every) - MARGIN
    right = max(slot.x + slot.width / 2 for slot in every) + MARGIN
    height = (len(rows) - 1) * ROW + BOX + 2 * MARGIN
    y_of = {id(slot): MARGIN + BOX / 2 + number * ROW for number, row in enumerate(rows) for slot in row}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right - left:.0f}" height="{height}" '
        f'viewBox="{left:.0f} 0 {right - left:.0f} {height}" role="img">',
        f"<title>The imports inside {package}</title>",
        "<style>rect{fill:#f4f6fb;stroke:#5468a8}.folder{fill:#dfe5f6}"
        "text{font:12px ui-monospace,Menlo,Consolas,monospace;text-anchor:middle;fill:#1d2440}"
        "path{fill:none;stroke:#8d98b8;stroke-width:1.2}.tip{fill:#8d98b8;stroke:none}</style>",
        f'<rect x="{left:.0f}" width="100%" height="100%" style="fill:#fff;stroke:none"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto">'
        '<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>',
    ]
    for above, below in pieces:
        top = y_of[id(above)] + (BOX / 2 if above.label else 0)
        bottom = y_of[id(below)] - (BOX / 2 if below.label else 0)
        bend = (bottom - top) / 2
        tip = ' marker-end="url(#tip)"' if below.label else ""
        lines.append(
            f'<path d="M{above.x:.1f} {top:g}C{above.x:.1f} {top + bend:g} '
            f'{below.x:.1f} {bottom - bend:g} {below.x:.1f} {bottom:g}"{tip}/>'
        )
    for slot in every:
        if slot.label:
            kind = ' class="folder"' if slot.label.endswith("/") else ""
            y = y_of[id(slot)]
            lines += [
                f'<rect{kind} x="{slot.x - slot.width / 2:.1f}" y="{y - BOX / 2:g}" width="{slot.width:.1f}" '
                f'height="{BOX}" rx="5"/>',
                f'<text x="{slot.x:.1f}" y="{y + 4:g}">{html.escape(slot.label)}</text>',
            ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def table(package: str) -> str:
    """Return the first sentence of the docstring of each part of a package, from the top to the bottom."""
    parts, imports = imports_of(package)
    ranks = ranks_of(parts, set(imports))
    lines = ["| part | what it holds |", "|---|---|"]
    for part in sorted(parts, key=lambda part: (-ranks[part], part)):
        path = path_of(package, part)
        source = path / "__init__.py" if path.is_dir() else path
        docstring = ast.get_docstring(ast.parse(source.read_text())) or ""
        sentence = " ".join(re.split(r"(?<=\.)\s|\n\n", docstring.replace("|", "\\|"), maxsplit=1)[0].split())
        name = f"{part}/" if path.is_dir() else f"{part}.py"
        lines.append(f"| `{name}` | {sentence.removesuffix('.')} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return the page with the picture and the table of each package renewed."""
    for package in PACKAGES:
        made = f"![The imports inside {package}](architecture/{package}.svg)\n\n{table(package)}"
        text, count = re.subn(
            rf"(<!-- {package} -->\n).*?(<!-- end -->)",
            lambda match, made=made: f"{match[1]}\n{made}\n{match[2]}",
            text,
            flags=re.DOTALL,
        )
        if count != 1:
            raise ValueError(f"{PAGE}: expected one block of {package}, got {count}.")
    return text


def main() -> None:
    """Write the pictures and the page."""
    (DOCS / "architecture").mkdir(exist_ok=True)
    for package in PACKAGES:
        (DOCS / "architecture" / f"{package}.svg").write_text(picture(package))
    PAGE.write_text(page(PAGE.read_text()))


sys.path[:0] = [str(ROOT / folder) for folder in PACKAGES.values()]

if __name__ == "__main__":
    main()
