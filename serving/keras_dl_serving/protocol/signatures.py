"""Signatures of a served model: functions with named, typed inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from keras_dl_export import dtypes
from keras_dl_export.dtypes import format_shape
from keras_dl_export.specs import Spec

if TYPE_CHECKING:  # a client starts without protobuf
    from keras_dl_serving.protocol.wire import messages

_Raw = TypeVar("_Raw")
DEFAULT_SIGNATURE = "serving_default"
PREDICT_METHOD = "tensorflow/serving/predict"


@dataclass(frozen=True)
class TensorSpec:
    """The shape and dtype of one tensor.

    Attributes:
        shape: one entry per axis, None where the size is free; None if the rank is unknown.
        dtype: NumPy's name of the dtype, or `"string"`.
        tensor_name: its name inside the model.
    """

    shape: tuple[int | None, ...] | None
    dtype: str
    tensor_name: str = ""

    @classmethod
    def of(cls, spec: Spec, tensor_name: str) -> TensorSpec:
        """Return the spec that a server reports for a tensor of a file: its free axes have no names."""
        return cls(spec.static_shape, spec.dtype, tensor_name)

    def __str__(self) -> str:
        """Return, for example, `float32 (batch, 28, 28, 1)`; the first axis, if free, is the batch."""
        return (
            f"{self.dtype} of any shape" if self.axes is None else f"{self.dtype} {format_shape(self.axes)}"
        )

    @property
    def axes(self) -> tuple[int | str, ...] | None:
        """The shape with a name for each free axis; None if the rank is unknown."""
        if self.shape is None:
            return None
        return tuple(
            size if size is not None else "?" if axis else "batch" for axis, size in enumerate(self.shape)
        )


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of one function of a model, by name.

    Attributes:
        inputs: sorted by name.
        outputs: sorted by name.
        method_name: `tensorflow/serving/predict`, `.../classify` or `.../regress`.
        optional: the inputs that have a default value.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method_name: str = PREDICT_METHOD
    optional: frozenset[str] = frozenset()


def from_proto(proto: messages.SignatureDef) -> Signature:
    """Return the signature in a `SignatureDef`.

    Raises:
        LookupError: an input or output cannot be sent, such as a resource.
    """
    return Signature(
        inputs={name: _spec(proto.inputs[name]) for name in sorted(proto.inputs)},
        outputs={name: _spec(proto.outputs[name]) for name in sorted(proto.outputs)},
        method_name=proto.method_name,
        optional=frozenset(proto.defaults),
    )


def from_json(value: Mapping[str, Any]) -> Signature:
    """Return the signature in the REST API's metadata.

    It is read without protobuf, whose import would add a fifth to the start of a client.

    Raises:
        LookupError: an input or output cannot be sent, such as a resource.
        TypeError, ValueError, AttributeError: it is malformed.
    """
    inputs, outputs = value.get("inputs", {}), value.get("outputs", {})
    return Signature(
        inputs={name: _spec_of_json(inputs[name]) for name in sorted(inputs)},
        outputs={name: _spec_of_json(outputs[name]) for name in sorted(outputs)},
        method_name=str(value.get("method_name", "")),
        optional=frozenset(value.get("defaults", ())),
    )


def read_all(
    found: Mapping[str, _Raw], read: Callable[[_Raw], Signature]
) -> tuple[dict[str, Signature], dict[str, str]]:
    """Return the signatures that can be called, and for each of the others the reason why it cannot.

    Args:
        found: the signatures as received; initializers are omitted.
        read: `from_proto` or `from_json`.
    """
    signatures, unreadable = {}, {}
    for name in sorted(found):
        try:
            signatures[name] = read(found[name])
        except LookupError as error:
            unreadable[name] = str(error)
    signatures.pop("__saved_model_init_op", None)
    return signatures, unreadable


def _spec(info: messages.TensorInfo) -> TensorSpec:
    if info.WhichOneof("encoding") == "composite_tensor":
        raise LookupError("it has ragged or other composite tensors. Convert them to dense ones in the model")
    shape = info.tensor_shape
    field: Any = info.DESCRIPTOR.fields_by_name["dtype"]
    kind = field.enum_type.values_by_number.get(
        info.dtype
    )  # by name, so that the reason is the same as over REST
    return TensorSpec(
        shape=None if shape.unknown_rank else tuple(None if dim.size < 0 else dim.size for dim in shape.dim),
        dtype=(dtypes.by_enum_name(kind.name) if kind else dtypes.by_number(info.dtype)).name,
        tensor_name=info.name,
    )


def _spec_of_json(info: Mapping[str, Any]) -> TensorSpec:
    shape = info.get("tensor_shape", {})
    sizes = [int(dim.get("size", 0)) for dim in shape.get("dim", ())]
    return TensorSpec(
        shape=None if shape.get("unknown_rank") else tuple(None if size < 0 else size for size in sizes),
        dtype=dtypes.by_enum_name(info.get("dtype", "DT_INVALID")).name,
        tensor_name=str(info.get("name", "")),
    )
