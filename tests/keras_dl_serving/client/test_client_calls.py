"""Calls beyond `predict`: many batches, examples, new configurations."""

from __future__ import annotations

import asyncio
import itertools
import os
import pty
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_dl_serving import (
    AsyncClient,
    Client,
    InvalidArgumentError,
    InvalidRequestError,
    NotReadyError,
    Server,
    UnsupportedByServerError,
)
from tests._support.served_models import save_scale

# ---- many batches


def test_batches_cut_from_arrays(client_class: Any, protocol: str, triple: Server) -> None:
    x = np.arange(10, dtype=np.float64)
    with client_class(getattr(triple, protocol)) as client:
        for inputs in ({"x": x}, x, x.tolist()):
            answers = list(client.predict_batches("triple", inputs, batch_size=4, in_flight=2))
            assert [answer["y"].tolist() for answer in answers] == [
                [0, 3, 6, 9],
                [12, 15, 18, 21],
                [24, 27],
            ]
        assert list(client.predict_batches("triple", [], batch_size=4)) == []


def test_batches_are_read_as_they_are_sent_and_come_in_order(
    client_class: Any, protocol: str, triple: Server
) -> None:
    read = []

    def source() -> Iterator[Any]:
        for k in itertools.count():
            read.append(k)
            yield {"x": np.full(2, k)}

    with client_class(getattr(triple, protocol)) as client:
        answers = client.predict_batches("triple", source(), in_flight=3)
        assert [next(answers)["y"].tolist() for _ in range(5)] == [[3 * k, 3 * k] for k in range(5)]
        assert len(read) == 7  # five answered, two under way
        answers.close()


def test_a_bad_batch_ends_the_stream(client_class: Any, protocol: str, triple: Server) -> None:
    with client_class(getattr(triple, protocol)) as client:
        answers = client.predict_batches("triple", [[1.0], {"z": 1}, [2.0]], in_flight=2)
        assert next(answers)["y"].tolist() == [3]
        with pytest.raises(InvalidRequestError, match="'z' is unknown"):
            next(answers)


def test_a_dataset_of_tf_data(triple: Server) -> None:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices({"x": np.arange(5, dtype=np.float32)}).batch(2)
    with Client(triple.grpc_url) as client:
        answers = list(client.predict_batches("triple", dataset))
    assert np.concatenate([answer["y"] for answer in answers]).tolist() == [0, 3, 6, 9, 12]


def test_the_bar_is_shown_on_request(triple: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with Client(triple.grpc_url) as client:
        list(client.predict_batches("triple", np.ones(4), batch_size=2))
        assert capsys.readouterr() == ("", "")
        list(client.predict_batches("triple", np.ones(4), batch_size=2, progress=True))
    printed = capsys.readouterr()
    assert "2/2" in printed.err
    assert printed.out == ""


_PRINTING = """
import sys
from keras_dl.serving import Client
with Client(sys.argv[1]) as client:
    for answers in client.predict_batches("triple", [1.0, 2.0, 3.0], batch_size=1, progress=True):
        print("answer", answers["y"].tolist())
"""


def test_the_bar_does_not_overwrite_output(triple: Server) -> None:
    """In a terminal, where the bar is drawn again and again."""
    terminal, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", _PRINTING, triple.grpc_url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=slave,
        check=True,
    )
    os.close(slave)
    shown = os.read(terminal, 2**16)
    os.close(terminal)
    assert done.stdout.decode().splitlines() == ["answer [3.0]", "answer [6.0]", "answer [9.0]"]
    assert b"3/3" in shown
    assert b"answer" not in shown


def test_an_asynchronous_source(protocol: str, triple: Server) -> None:
    async def source() -> AsyncIterator[Any]:
        for k in range(3):
            await asyncio.sleep(0)
            yield {"x": [k]}

    async def ask() -> list[Any]:
        async with AsyncClient(getattr(triple, protocol)) as client:
            answers = client.predict_batches("triple", source(), in_flight=2)
            return [answer["y"].tolist() async for answer in answers]

    assert asyncio.run(ask()) == [[0], [3], [6]]
    with (
        Client(getattr(triple, protocol)) as client,
        pytest.raises(
            InvalidRequestError, match=r"got a async_generator: AsyncClient.predict_batches takes it"
        ),
    ):
        client.predict_batches("triple", source())


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ({"x": [1]}, {}, "inputs: expected an iterable of batches, got a dict. Pass batch_size"),
        (3, {}, "inputs: expected an iterable of batches, got a int"),
        ({"x": 3}, {"batch_size": 1}, "expected arrays with a first axis to split"),
        ({"a": [1], "b": [1, 2]}, {"batch_size": 1}, r"arrays of one length, got \{'a': 1, 'b': 2\}"),
        ([1], {"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ([1], {"in_flight": 0}, "in_flight: expected at least 1, got 0"),
    ],
)
def test_an_invalid_source_of_batches_is_refused(inputs: Any, options: dict[str, int], message: str) -> None:
    with Client("http://localhost:1") as client, pytest.raises(InvalidRequestError, match=message) as caught:
        client.predict_batches("m", inputs, **options)
    assert caught.value.request is not None


# ---- examples; a model that classifies gives a: x, b: -x; one that regresses x / 2 + 2


def test_classify_and_regress(client: Client) -> None:
    examples = [{"x": 1.5}, {"x": np.float32([-2])}, {}]
    assert client.classify("examples", examples, signature_name="classify") == [
        [("a", 1.5), ("b", -1.5)],
        [("a", -2.0), ("b", 2.0)],
        [("a", 0.0), ("b", 0.0)],
    ]
    values = client.regress("examples", examples, version=1)
    assert (values.dtype, values.tolist()) == (np.float32, [2.75, 1.0, 2.0])
    assert client.regress("examples", [{}, {"other": b"\xff"}], context={"x": 6.0}).tolist() == [5.0, 5.0]
    with pytest.raises(InvalidArgumentError, match="Expected classification signature outputs"):
        client.classify("examples", examples)


def test_multi_inference(client: Client, protocol: str) -> None:
    tasks: Any = {"classify": "classify", "serving_default": "regress"}
    if protocol == "rest_url":
        with pytest.raises(
            UnsupportedByServerError, match="REST API has no MultiInference: use a grpc:// URL"
        ):
            client.multi_inference("examples", [{"x": 1.0}], tasks)
        return
    results = client.multi_inference("examples", [{"x": 1.0}], tasks)
    assert results["classify"] == [[("a", 1.0), ("b", -1.0)]]
    assert np.asarray(results["serving_default"]).tolist() == [2.5]
    with pytest.raises(InvalidRequestError, match="tasks: expected signature names, each with 'classify'"):
        client.multi_inference("examples", [{"x": 1.0}], {"classify": "predict"})  # type: ignore[dict-item]


def test_an_example_matches_tensorflows() -> None:
    import tensorflow as tf

    from keras_dl_serving.client.example_features import examples_of
    from keras_dl_serving.client.grpc_transport import _example

    features = {"i": 3, "b": True, "f": [1, 2.5], "s": ["a", b"\xff"], "n": np.int8([-1]), "none": []}
    found = tf.train.Example.FromString(_example(examples_of([features], None).rows[0])).features.feature
    assert list(found["i"].int64_list.value) == [3]
    assert list(found["b"].int64_list.value) == [1]
    assert list(found["f"].float_list.value) == [1.0, 2.5]
    assert list(found["s"].bytes_list.value) == [b"a", b"\xff"]
    assert list(found["n"].int64_list.value) == [-1]
    assert found["none"].WhichOneof("kind") is None


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "examples: expected a list of at least one dict"),
        ({"x": 1}, r"got \{'x': 1\}. Put a single example in a list"),
        (b"\n", r"got b'\\n'. Examples that are serialized already go to predict, as strings"),
        (None, "examples: expected a list of at least one dict of features, got None.$"),
        ([{3: 1}], "example 0: expected names of features that are text, got 3"),
        ([{"\ud800": 1}], r"example 0: expected names of features that are text, got '\\ud800'"),
        ([{"x": "\ud800"}], "example 0, feature 'x': expected text, got half a surrogate pair"),
        ([3], "example 0: expected a dict of features, got 3"),
        ([{}, {"x": [1, "a"]}], "example 1, feature 'x': expected numbers, or bytes and str"),
        ([{"x": None}], "example 0, feature 'x': expected numbers"),
        ([{"x": [[1]]}], "example 0, feature 'x': expected numbers"),
        ([{"x": 2**63}], "expected integers of 64 bits"),
    ],
)
def test_an_invalid_example_is_refused(examples: Any, message: str) -> None:
    with Client("http://localhost:1") as client, pytest.raises(InvalidRequestError) as caught:
        client.classify("m", examples)
    assert re.search(message, caught.value.message)
    assert caught.value.request is not None


# ---- what is served


def _config(folder: Path, labels: str = "") -> str:
    return (
        f'model_config_list {{ config {{ name: "other" base_path: "{folder}" model_platform: "onnx" '
        f"model_version_policy {{ all {{}} }} {labels} }} }}"
    )


def test_reload_config_and_labels(client_class: Any, tmp_path: Path) -> None:
    save_scale(tmp_path / "releases" / "first" / "1", 2.0)
    for version in (1, 2):
        save_scale(tmp_path / "other" / str(version), 10.0 * version)
    label = 'version_labels { key: "stable" value: 1 }'
    with Server(tmp_path / "releases", rest_port=0, grpc_port=0, poll_seconds=0.1) as server:
        with (
            client_class(server.rest_url) as rest,
            pytest.raises(UnsupportedByServerError, match="REST API has no reloading: use a grpc:// URL"),
        ):
            rest.reload_config(_config(tmp_path / "other"))
        with client_class(server.grpc_url) as client:
            assert client.reload_config(_config(tmp_path / "other")) == {}
            client.wait_ready("other", version=2)
            with pytest.raises(NotReadyError, match="Unrecognized servable version label: stable"):
                client.wait_ready("other", label="stable", timeout=0.2)
            file = tmp_path / "models.config"
            file.write_text(_config(tmp_path / "other", label))
            client.reload_config(file)
            client.wait_ready("other", label="stable")
            assert client.predict("other", [1.0], label="stable")["y"].tolist() == [10.0]
            assert client.predict("other", [1.0])["y"].tolist() == [20.0]
            assert client.metadata("other", label="stable").version == 1
            # As in the original, a label does not narrow the status down.
            assert [each.version for each in client.status("other", label="stable")] == [2, 1]
            with pytest.raises(
                InvalidRequestError, match="config: expected a ModelServerConfig in text format"
            ):
                client.reload_config("model_config_list { nothing: 1 }")


def test_models(client_class: Any, triple: Server) -> None:
    with client_class(triple.rest_url) as client:
        assert client.models() == ["triple"]
    with client_class(triple.grpc_url) as client, pytest.raises(UnsupportedByServerError, match="over REST"):
        client.models()
