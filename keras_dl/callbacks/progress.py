"""The progress of training in the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_LINES = 10  # approximate number of lines: a hundred epochs should not fill the screen


class ProgressBar(keras.callbacks.Callback):
    """A progress bar over all steps of training, with the remaining time and the current metrics.

    About ten epochs also print a line. If the output is not a terminal, only these lines are printed. Use it
    with `fit(..., verbose=0)`, because it replaces Keras's bar.

    Args:
        console: the console to print to; standard output by default.
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
        """Show the number of the epoch."""
        epochs, steps = self.params["epochs"], self.params["steps"]
        description = f"epoch {epoch + 1}/{epochs}"
        self._epoch_began = time.perf_counter()
        self._steps_done = epoch * steps if steps else 0
        total = epochs * steps if steps else None
        if self._task is None:
            # Resumed training starts in the middle: the speed must be that of the steps of this process.
            self._task = self._bar.add_task(description, total=total, completed=self._steps_done, figures="")
        self._bar.update(self._task, description=description)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Advance the bar."""
        if self.console.is_terminal:
            self._bar.update(self._task, completed=self._steps_done + batch + 1, figures=_figures(logs or {}))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Print a line after about every tenth of the epochs."""
        epochs = self.params["epochs"]
        every = -(-epochs // _LINES)
        if (epoch + 1) % every == 0 or epoch + 1 == epochs:
            seconds = time.perf_counter() - self._epoch_began
            name = f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}"
            self.console.print(f"[blue]{name}[/]  {seconds:5.1f} s  {_figures(logs or {})}", soft_wrap=True)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Remove the bar."""
        self.close()

    def close(self) -> None:
        """Remove the bar; also call this if training fails."""
        if self.console.is_terminal:
            self._bar.stop()


def _figures(logs: Mapping[str, Any]) -> str:
    """Return the metrics, validation in parentheses: `accuracy 0.9881 (0.9833)  loss 0.1050 (0.17)`."""
    return "  ".join(
        f"{name} {_rounded(value)}" + (f" ({_rounded(logs[f'val_{name}'])})" if f"val_{name}" in logs else "")
        for name, value in logs.items()
        if name.removeprefix("val_") not in logs or not name.startswith("val_")
    )


def _rounded(value: Any) -> str:
    value = float(value)
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
