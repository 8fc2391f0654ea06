"""Commands that serve releases and query servers."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_dl.reports import console

if TYPE_CHECKING:
    from keras_dl.serving import Client

ServerUrl = Annotated[
    str,
    typer.Argument(
        help="http://HOST:PORT (REST) or grpc://HOST:PORT; https or grpcs with TLS.", show_default=False
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(help="PEM file of the trusted certificate authorities.", show_default="those of the system"),
]
CertFile = Annotated[
    Path | None, typer.Option(help="PEM file of the client certificate, for mutual TLS.", show_default=False)
]
KeyFile = Annotated[Path | None, typer.Option(help="PEM file of its key.", show_default=False)]
Headers = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="NAME=VALUE", help="A header of every request.", show_default=False),
]


def serve(
    # Text, because a path would lose a slash of `s3://`, which the error of the server quotes.
    releases: Annotated[str, typer.Argument(help="A folder of `<name>/<version>/`.", show_default=False)],
    rest_port: Annotated[int, typer.Option(help="0 selects a free port, -1 disables it.", min=-1)] = 8501,
    grpc_port: Annotated[int, typer.Option(help="0 selects a free port, -1 disables it.", min=-1)] = 8500,
    host: Annotated[str, typer.Option(help="Address to listen on; :: for all.")] = "127.0.0.1",
) -> None:
    """Serve releases over the TensorFlow Serving API until interrupted."""
    import logging

    from keras_dl.serving import Server
    from keras_dl_serving.model_server.model_server import run

    # TensorFlow is imported for the first SavedModel, if there is one.
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run(
        Server(
            releases,
            rest_port=None if rest_port < 0 else rest_port,
            grpc_port=None if grpc_port < 0 else grpc_port,
            host=host,
            require_models=False,  # a model that fails is logged, and loaded again when its files change
        )
    )


def query(
    url: ServerUrl,
    model: Annotated[str, typer.Argument(help="Name of the model.", show_default=False)],
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]...",
            help="NAME=VALUE, or only VALUE for a model with one input: JSON, an image, a .npy or JSON "
            "file, or - for one of these from standard input.",
            show_default=False,
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=VALUE", help="The same as INPUT.", show_default=False),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Query test examples of this data set.", show_default=False)
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Number of test examples.")] = 8,
    signature: Annotated[
        str | None, typer.Option(help="Signature of the model.", show_default="serving_default")
    ] = None,
    version: Annotated[int | None, typer.Option(min=0, show_default="the latest")] = None,
    label: Annotated[str | None, typer.Option(help="Label of a version.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the outputs to this .npz.", show_default=False)
    ] = None,
    ca_file: CaFile = None,
    cert_file: CertFile = None,
    key_file: KeyFile = None,
    headers: Headers = None,
) -> None:
    """Query a model on a server; without inputs, show its signatures."""
    from keras_dl.reports.tables import answers_table, signatures_table

    words = [*(values or []), *(inputs or [])]
    if words and data:
        raise ValueError("--input, --data: expected one of them, got both. Omit one.")
    if out:
        _check_out(out)
    with _client(url, ca_file, cert_file, key_file, headers) as client:
        metadata = client.metadata(model, version=version, label=label)
        signature_name = signature or "serving_default"
        if (signature or words or data) and signature_name not in metadata.signatures:
            known = ", ".join(map(repr, metadata.signatures))
            raise ValueError(
                f"--signature: expected one of {known}, got {signature_name!r}. Pass one of them."
            )
        if not words and not data:
            console.show(signatures_table(metadata, signature))
            return
        truth = None
        if data:
            console.load_tensorflow()
            from keras_dl.data import load

            examples, truth = next(load(data, "test", batch_size=count).as_numpy_iterator())
            arrays: Any = examples
        else:
            from keras_dl.cli.inputs import read_inputs

            arrays = read_inputs(words, metadata.signatures[signature_name])
        answers = client.predict(model, arrays, version=version, label=label, signature_name=signature_name)
    console.show(answers_table(answers, truth))
    if out:
        _save(answers, out)


def _check_out(out: Path) -> None:
    """Check, before the query, that the file can be written."""
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        what = "a folder" if out.is_dir() else "not writable" if out.parent.is_dir() else "in no folder"
        raise ValueError(
            f"--out: expected a file in a folder that can be written to, got {out}, which is {what}. Pass "
            "another path."
        )


def _save(answers: Mapping[str, Any], out: Path) -> None:
    """Write outputs as `.npz`, with any names; strings are written as NumPy arrays of bytes."""
    import numpy as np

    from keras_dl_export.files import replacing

    with replacing(out) as draft, zipfile.ZipFile(draft, "w") as archive:
        for name, array in answers.items():
            if array.dtype == object:
                if any(value.endswith(b"\0") for value in array.ravel().tolist()):
                    raise ValueError(
                        f"--out: output {name!r} has strings that end in zero bytes, which NumPy removes. "
                        "Use keras_dl.serving.Client instead."
                    )
                array = array.astype(bytes)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def models(
    url: ServerUrl,
    names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", show_default="all")] = None,
    ca_file: CaFile = None,
    cert_file: CertFile = None,
    key_file: KeyFile = None,
    headers: Headers = None,
) -> None:
    """Show the models of a server, their versions and states."""
    from keras_dl.reports.html import Table
    from keras_dl.serving import NotFoundError

    rows, missing = [], []
    with _client(url, ca_file, cert_file, key_file, headers) as client:
        for name in names or client.models():
            try:
                found = client.status(name)
            except NotFoundError as error:
                missing.append(error.message)
                continue
            rows += [(name, str(each.version), each.state, each.error) for each in found]
    if rows or not missing:
        console.show(Table(("model", "version", "state", "error"), rows))
    if missing:
        raise LookupError("; ".join(missing))


def _client(
    url: str, ca_file: Path | None, cert_file: Path | None, key_file: Path | None, headers: list[str] | None
) -> Client:
    from keras_dl.serving import Client

    named = {}
    for header in headers or []:
        name, equals, value = header.partition("=")
        if not name or not equals:
            raise ValueError(f"--header: expected NAME=VALUE, got {header!r}.")
        named[name] = value
    return Client(url, ca_file=ca_file, cert_file=cert_file, key_file=key_file, headers=named)
