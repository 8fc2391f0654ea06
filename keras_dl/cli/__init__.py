"""The `keras-dl` command, which runs the functions of the library with arguments from the terminal."""

from __future__ import annotations

import os
import sys

import typer

from keras_dl.cli import deployment_commands, release_commands, serving_commands, training_commands
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
    training_commands.quickstart,
    training_commands.recipes,
    training_commands.train,
    training_commands.evaluate,
    training_commands.sample,
    release_commands.export,
    release_commands.verify,
    release_commands.benchmark,
    serving_commands.serve,
    serving_commands.query,
    serving_commands.models,
    deployment_commands.deploy,
):
    app.command()(command)
app.command(context_settings={"allow_extra_args": True})(deployment_commands.training_job)


def main() -> None:
    """Run the command line; an error ends it with one paragraph and exit status 1, never a traceback."""
    # TensorFlow reads these variables on import, so no command imports it before this line.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        app()
    except Exception as error:
        console.show_error(error)
        sys.exit(1)
