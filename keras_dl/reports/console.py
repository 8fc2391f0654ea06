"""Output in the terminal: tables, progress, and errors as one paragraph instead of a traceback."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from keras_dl.reports.html import Table
from keras_dl_export.backend import require_tensorflow_backend
from keras_dl_export.quiet import silence

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def show(table: Table) -> None:
    """Print a report table in the terminal."""
    if table.caption:
        out.print(f"[bold]{escape(table.caption)}[/]", soft_wrap=True)
    rendered = RichTable(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    for index, column in enumerate(table.columns):
        justify: Literal["left", "right"] = "right" if index in table.numeric else "left"
        rendered.add_column(escape(column), justify=justify, overflow="fold")  # do not truncate names
    for row in table.rows:
        rendered.add_row(*(escape(cell) for cell in row))
    out.print(rendered)


def heading(text: str) -> None:
    """Print the title of the next stage."""
    out.print(f"\n[bold blue]{escape(text)}[/]")


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner with the current step; yield the function that changes it."""
    with out.status(escape(text)) as status:
        yield lambda step: status.update(escape(step))


def load_tensorflow() -> None:
    """Import TensorFlow behind a spinner, without the lines that it logs as it starts."""
    require_tensorflow_backend()
    with progress("Loading TensorFlow"), silence():
        import tensorflow as tf

        tf.config.list_physical_devices()  # looks for a GPU, and logs it


def show_error(error: BaseException) -> None:
    """Print an error as one paragraph; `KERAS_DL_DEBUG=1` adds the traceback."""
    if os.environ.get("KERAS_DL_DEBUG"):
        err.print("".join(traceback.format_exception(error)), markup=False)
    expected = isinstance(error, (ValueError, TypeError, OSError, LookupError, ImportError))
    kind = "" if expected else f"{type(error).__name__}: "
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    first_paragraph = text.strip().split("\n\n")[0] or type(error).__name__
    # Without a terminal, do not wrap lines, so that programs can search the text.
    err.print(f"[bold red]error:[/] {escape(kind + first_paragraph)}", soft_wrap=not err.is_terminal)
    if not os.environ.get("KERAS_DL_DEBUG"):
        err.print("[dim]Set KERAS_DL_DEBUG=1 for a traceback.[/]")
