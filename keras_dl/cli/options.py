"""Arguments of several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[Path, typer.Argument(help="A run folder, written by `train`.", show_default=False)]
ReleaseFolder = Annotated[
    Path, typer.Argument(help="A release folder, or the folder of its versions.", show_default=False)
]
DataName = Annotated[
    str | None, typer.Option("--data", help="Data set; by default that of the recipe.", show_default=False)
]


def name_and_value(option: str, pair: str, example: str, form: str = "NAME=VALUE") -> tuple[str, str]:
    """Return `"latent_dim=8"` as `("latent_dim", "8")`; the error shows `form` and `example`."""
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise ValueError(f"{option}: expected {form} such as {example}, got {pair!r}.")
    return name, value
