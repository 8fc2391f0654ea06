"""What a served model offers: named signatures of named, typed tensors."""

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
    """Shape and dtype of one tensor.

    Attributes:
        shape: one entry an axis, None where the size is free; None where even the rank is.
        dtype: NumPy's name of the dtype, or `"string"`.
        tensor_name: what it is called inside the model.
    """

    shape: tuple[int | None, ...] | None
    dtype: str
    tensor_name: str = ""

    @classmethod
    def of(cls, spec: Spec, tensor_name: str) -> TensorSpec:
        """Return what a server tells of a tensor of a file: its free axes have no names."""
        return cls(spec.static_shape, spec.dtype, tensor_name)

    def __str__(self) -> str:
        """`float32 (batch, 28, 28, 1)`, the first free axis being the batch."""
        return (
            f"{self.dtype} of any shape" if self.axes is None else f"{self.dtype} {format_shape(self.axes)}"
        )

    @property
    def axes(self) -> tuple[int | str, ...] | None:
        """The shape with a name for each free axis; None where even the rank is free."""
        if self.shape is None:
            return None
        return tuple(
            size if size is not None else "?" if axis else "batch" for axis, size in enumerate(self.shape)
        )


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of one function of a model, by name.

    Attributes:
        inputs: in the order of their names.
        outputs: in the order of their names.
        method_name: `tensorflow/serving/predict`, `.../classify` or `.../regress`.
        optional: the inputs that have a default.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method_name: str = PREDICT_METHOD
    optional: frozenset[str] = frozenset()


def from_proto(proto: messages.SignatureDef) -> Signature:
    """A signature as its proto says it.

    Raises:
        LookupError: it takes or gives tensors that cannot be sent, such as resources.
    """
    return Signature(
        inputs={name: _spec(proto.inputs[name]) for name in sorted(proto.inputs)},
        outputs={name: _spec(proto.outputs[name]) for name in sorted(proto.outputs)},
        method_name=proto.method_name,
        optional=frozenset(proto.defaults),
    )


def from_json(value: Mapping[str, Any]) -> Signature:
    """A signature as the REST API's metadata says it.

    Read without protobuf, which would take a fifth of the time a client takes to start.

    Raises:
        LookupError: it takes or gives tensors that cannot be sent, such as resources.
        TypeError, ValueError, AttributeError: it is none.
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
    """All signatures of tensors that can be sent, and why each of the others cannot be asked.

    Args:
        found: the signatures as they came; initializers are not for clients.
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
    kind = field.enum_type.values_by_number.get(info.dtype)  # named, so that REST says the same
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
