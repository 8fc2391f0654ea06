"""Signatures read from protos, and from the JSON that protobuf's own writer makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from keras_dl_export.dtypes import by_enum_name, by_number
from keras_dl_serving.protocol.signatures import from_json, from_proto, read_all
from keras_dl_serving.protocol.wire import messages

names = st.text("abc_ é", max_size=4)
known_shapes = st.lists(st.integers(-1, 2**62), max_size=3).map(
    lambda sizes: {"dim": [{"size": size} for size in sizes]}
)
shapes = st.one_of(st.just({"unknown_rank": True}), known_shapes)
infos = st.builds(
    lambda number, shape, name: messages.TensorInfo(dtype=number, tensor_shape=shape, name=name),
    st.sampled_from([*range(24)]),
    shapes,
    names,
)
named_infos = st.dictionaries(names, infos, max_size=2)


@st.composite
def signatures(draw: st.DrawFn) -> messages.SignatureDef:
    inputs = draw(named_infos)
    proto = messages.SignatureDef(inputs=inputs, outputs=draw(named_infos), method_name=draw(names))
    for name in draw(st.sets(st.sampled_from(sorted(inputs)))) if inputs else ():
        proto.defaults[name].SetInParent()
    return proto


signature_names = st.one_of(names, st.just("__saved_model_init_op"))


@given(st.dictionaries(signature_names, signatures(), max_size=3), st.booleans())
def test_json_gives_the_same_signatures(found: dict[str, Any], everything: bool) -> None:
    """Check JSON with the fields of default value, as TensorFlow Serving writes them, and without."""
    protos = messages.SignatureDefMap(signature_def=found)
    text = json_format.MessageToJson(
        protos, preserving_proto_field_name=True, always_print_fields_with_no_presence=everything
    )
    of_json, unreadable = read_all(json.loads(text).get("signature_def", {}), from_json)
    of_proto, refused = read_all(protos.signature_def, from_proto)
    assert of_json == of_proto
    assert unreadable == refused


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 17, 18, 19, 22, 23])
def test_a_dtype_has_the_name_of_the_proto(number: int) -> None:
    info = messages.TensorInfo(dtype=number)
    assert by_enum_name(json_format.MessageToDict(info)["dtype"]) is by_number(number)
    with pytest.raises(LookupError, match="tensors of TensorFlow's dtype DT_RESOURCE cannot be sent"):
        by_enum_name("DT_RESOURCE")
