"""The `keras-dl` command: the library's functions with arguments from the terminal."""

from __future__ import annotations

import os
import sys

import typer

from keras_dl.cli import deployment, release, serving, training
from keras_dl.reports import console

app = typer.Typer(
    name="keras-dl",
    help="Deep learning from the equation to the endpoint.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

# In the order of `keras-dl --help`.
for command in (
    training.quickstart,
    training.recipes,
    training.train,
    training.evaluate,
    training.sample,
    release.export,
    release.verify,
    release.benchmark,
    serving.serve,
    serving.query,
    serving.models,
    deployment.deploy,
):
    app.command()(command)
app.command(context_settings={"allow_extra_args": True})(deployment.training_job)


def main() -> None:
    """Run the command line; an error ends it with one paragraph and exit status 1, never a traceback."""
    # TensorFlow reads these when it is imported, which is why no command imports it before this line.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        app()
    except Exception as error:
        console.show_error(error)
        sys.exit(1)
