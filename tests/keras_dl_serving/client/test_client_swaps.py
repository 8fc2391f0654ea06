"""Models whose signature changes while a client holds the old one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_dl_serving import Client, InternalError, InvalidRequestError, TensorSpec
from keras_dl_serving.client.outputs import read
from keras_dl_serving.client.rest_transport import RestTransport
from keras_dl_serving.client.transport import StaleSignature
from tests._support.peers import GrpcPeer, RestModel, rest_peer


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("DT_INT64", "DT_FLOAT", 1.75),
        ("DT_INT64", "DT_BOOL", True),
        ("DT_FLOAT", "DT_BOOL", True),
        ("DT_BOOL", "DT_FLOAT", 0.5),
        ("DT_BOOL", "DT_INT64", 7),
        ("DT_FLOAT", "DT_INT64", 2**24 + 1),
        ("DT_INT8", "DT_INT64", 300),
        ("DT_STRING", "DT_FLOAT", 1.5),
        ("DT_STRING", "DT_BOOL", True),
        ("DT_FLOAT", "DT_STRING", "1.5"),
        ("DT_INT64", "DT_STRING", "3"),
    ],
)
def test_an_output_of_another_dtype(client_class: Any, old: str, new: str, value: Any) -> None:
    model = RestModel(gives=old, y=[{"DT_STRING": "a", "DT_BOOL": False}.get(old, 1)])
    with rest_peer(model.answer) as url, client_class(url) as client:
        client.predict("m", [1.0])
        model.gives, model.y = new, [value]
        found = client.predict("m", [1.0])["y"].tolist()
        assert found == [value.encode() if isinstance(value, str) else value]
        assert type(found[0]) is type(value) or new == "DT_STRING"
        assert model.asked.count("metadata") == 2


def test_an_answer_that_matches_no_metadata_is_an_error(client_class: Any) -> None:
    model = RestModel(gives="DT_INT64", y=[1.75])
    with rest_peer(model.answer) as url, client_class(url) as client:
        for _ in range(2):
            with pytest.raises(
                InternalError, match="'y' is no int64 array: it has values of float64"
            ) as caught:
                client.predict("m", [1.0])
            assert caught.value.request is not None


def test_metadata_over_rest_is_cached_for_a_while(client_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """float64 looks like float32 in JSON."""
    model = RestModel(y=[1 / 3])
    with rest_peer(model.answer) as url, client_class(url) as client:
        assert client.predict("m", [1.0])["y"].dtype == np.float32
        model.gives = "DT_DOUBLE"
        assert client.predict("m", [1.0])["y"].dtype == np.float32
    monkeypatch.setattr(RestTransport, "keep_seconds", 0.0)
    model.gives = "DT_FLOAT"
    with rest_peer(model.answer) as url, client_class(url) as client:
        assert client.predict("m", [1.0])["y"].dtype == np.float32
        model.gives = "DT_DOUBLE"
        assert client.predict("m", [1.0])["y"].tolist() == [1 / 3]


def test_an_input_of_another_dtype(client_class: Any) -> None:
    model = RestModel(y=[1.0])
    with rest_peer(model.answer) as url, client_class(url) as client:
        client.predict("m", [1])
        model.takes, model.y = "DT_INT64", lambda x: [float(each) for each in x]
        assert client.predict("m", [2])["y"].tolist() == [2.0]  # 2.0 was refused, 2 was not
        with pytest.raises(InvalidRequestError, match="expected dtype int64, got float64"):
            client.predict("m", [1.75])
        assert model.asked.count("predict") == 3
    with GrpcPeer().serving() as peer, client_class(peer.url) as client:
        assert client.predict("m", [3])["double"].dtype == np.float32
        peer.takes = 9
        assert client.predict("m", [3])["double"].tolist() == [6]
        assert len(peer.filtered) == 3


def test_outputs_are_filtered_by_the_server(client_class: Any) -> None:
    with GrpcPeer().serving() as peer, client_class(peer.url) as client:
        for filters in (True, False):  # a server may send all the same
            peer.filters = filters
            assert client.predict("m", [3.0], outputs=["negative"]).keys() == {"negative"}
            assert list(client.predict("m", [3.0], outputs=["negative", "double"])) == ["negative", "double"]
            assert client.predict("m", [3.0], outputs="double")["double"].tolist() == [6.0]
            assert client.predict("m", [3.0]).keys() == {"double", "negative"}
        assert peer.filtered == [["negative"], ["negative", "double"], ["double"], []] * 2


def test_one_output_by_name(client: Client) -> None:
    outputs: Any = "total"
    assert client.predict("linear", [[1.0, 2.0, 3.0]], outputs=outputs)["total"].tolist() == [6.0]
    with pytest.raises(InvalidRequestError, match=r"outputs: expected names among 'total', 'y', got 'to'"):
        client.predict("linear", [[1.0, 2.0, 3.0]], outputs="to")


@pytest.mark.parametrize(
    ("value", "dtype", "wanted"),
    [
        ([2**63, 1], "uint64", [2**63, 1]),
        ([2**63 - 1, -(2**63)], "int64", [2**63 - 1, -(2**63)]),
        ([1, 2], "float32", [1.0, 2.0]),  # as other servers write whole floats
        ([1.5, 2], "bfloat16", [1.5, 2.0]),
        ([float("nan")], "float64", [float("nan")]),
        ([True], "bool", [True]),
        ([[]], "int32", [[]]),
        (["a", {"b64": "/w=="}], "string", [b"a", b"\xff"]),
    ],
)
def test_values_of_json(value: Any, dtype: str, wanted: Any) -> None:
    np.testing.assert_array_equal(read("y", value, TensorSpec(None, dtype)).tolist(), wanted)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1.0], "int32"),
        ([2**31], "int32"),
        ([-1], "uint8"),
        ([-1, 2**63], "uint64"),
        ([2**63, 1.5], "uint64"),
        ([float("nan")], "int64"),
        ([2**53 + 1], "float64"),
        ([None], "float32"),
        (["1"], "float32"),
        ([[1.0], [1.0, 2.0]], "float32"),
        ([1], "bool"),
        ([1], "string"),
        ([{"b64": 1}], "string"),
        ([{"b64": "a"}], "string"),
        (None, "string"),
    ],
)
def test_values_of_another_dtype(value: Any, dtype: str) -> None:
    with pytest.raises(StaleSignature, match=f"'y' is no {dtype} array: "):
        read("y", value, TensorSpec(None, dtype))
