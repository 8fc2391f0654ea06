"""What the terminal shows while a model trains."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_LINES = 10  # epochs that leave a line behind, about; a hundred epochs should not fill the screen


class ProgressBar(keras.callbacks.Callback):
    """A bar over all steps of the training, with the time that remains and the figures so far.

    About ten of the epochs leave a line behind. Where the output is no terminal these lines are all there is.
    Use it with `fit(..., verbose=0)`, because it takes the place of Keras's own bar.

    Args:
        console: where to print; standard output by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console = console or Console(highlight=False)
        self._bar = Progress(
            TextColumn("[bold blue]{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[figures]}"),
            console=self.console,
            transient=True,
        )
        self._task: Any = None
        self._steps_done = 0
        self._epoch_began = 0.0

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Show the bar."""
        self._task = None
        if self.console.is_terminal:
            self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Say which epoch it is."""
        epochs, steps = self.params["epochs"], self.params["steps"]
        description = f"epoch {epoch + 1}/{epochs}"
        self._epoch_began = time.perf_counter()
        self._steps_done = epoch * steps if steps else 0
        total = epochs * steps if steps else None
        if self._task is None:
            # A resumed training begins in the middle: the speed must come from the steps of this process.
            self._task = self._bar.add_task(description, total=total, completed=self._steps_done, figures="")
        self._bar.update(self._task, description=description)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Move the bar on."""
        if self.console.is_terminal:
            self._bar.update(self._task, completed=self._steps_done + batch + 1, figures=_figures(logs or {}))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Leave a line behind, for about every tenth of the epochs."""
        epochs = self.params["epochs"]
        every = -(-epochs // _LINES)
        if (epoch + 1) % every == 0 or epoch + 1 == epochs:
            seconds = time.perf_counter() - self._epoch_began
            name = f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}"
            self.console.print(f"[blue]{name}[/]  {seconds:5.1f} s  {_figures(logs or {})}", soft_wrap=True)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Take the bar away; to be called when the training fails, too."""
        if self.console.is_terminal:
            self._bar.stop()


def _figures(logs: Mapping[str, Any]) -> str:
    """`accuracy 0.9881 (0.9833)  loss 0.1050 (0.1739)`: training, and validation in brackets."""
    return "  ".join(
        f"{name} {_rounded(value)}" + (f" ({_rounded(logs[f'val_{name}'])})" if f"val_{name}" in logs else "")
        for name, value in logs.items()
        if name.removeprefix("val_") not in logs or not name.startswith("val_")
    )


def _rounded(value: Any) -> str:
    value = float(value)
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
