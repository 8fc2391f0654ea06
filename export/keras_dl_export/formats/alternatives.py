"""Alternatives to operators that a format does not support."""

from __future__ import annotations

from collections.abc import Iterable

_BUILD = "Build the layer from other operations"
_RESIZE = "Use interpolation='bilinear' or 'nearest' without antialiasing"
_POOL = "Pool height and width with TimeDistributed over a 2D pooling, and the depth after a Permute"
_OUTSIDE = "Convert the values to numbers from 0 on outside the model"
_SOLVE = "Do the linear algebra outside the model"
_OPSET_16 = "Pass opset=16 or higher"
_OPSET_18 = "Pass opset=18"
_ALTERNATIVES = {
    "AsString": _OUTSIDE,
    "AvgPool3D": _POOL,
    "BatchToSpaceND": "Use dilation_rate=1, or a dilated convolution of one or two dimensions",
    "BitwiseAnd": _OPSET_18,
    "BitwiseOr": _OPSET_18,
    "BitwiseXor": _OPSET_18,
    "Cholesky": _SOLVE,
    "Conv2DBackpropInput": "Use dilation_rate=1, or UpSampling2D before a dilated Conv2D",
    "Cumprod": "Fix the size of the axis of the product",
    "DenseBincount": "Sum a one_hot over the counted axis",
    "Erf": "Use keras.activations.gelu(x, approximate=True) or a tanh",
    "ImageProjectiveTransformV3": "Transform the images outside the model",
    "Invert": _OPSET_18,
    "LookupTableFindV2": _OUTSIDE,
    "MatrixDeterminant": _SOLVE,
    "MatrixInverse": _SOLVE,
    "MatrixSolve": _SOLVE,
    "MaxPool3D": _POOL,
    "RFFT": "Use keras.layers.STFTSpectrogram, which is a convolution",
    "ResizeArea": _RESIZE,
    "ResizeBicubic": _RESIZE,
    "Roll": "Concatenate the two parts in the other order",
    "ScaleAndTranslate": _RESIZE,
    "ScatterNd": _OPSET_16,
    "StringToHashBucketFast": _OUTSIDE,
    "Svd": _SOLVE,
    "TensorListReserve": "Write the step as a cell of keras.layers.RNN, which is exported without such lists",
    "TensorScatterAdd": _OPSET_16,
    "TensorScatterMax": _OPSET_18,
    "TensorScatterMin": _OPSET_18,
    "TensorScatterSub": _OPSET_16,
    "UnsortedSegmentMax": _OPSET_18,
    "UnsortedSegmentMin": _OPSET_18,
    "UnsortedSegmentProd": _OPSET_16,
    "UnsortedSegmentSum": _OPSET_16,
    "XlaDynamicUpdateSlice": "Use keras.ops.where or concatenate instead of slice_update",
}


def alternatives(operators: Iterable[str], format: str) -> str:
    """Return alternatives to operators that a format does not support, as the start of a sentence."""
    found = (_ALTERNATIVES[operator] for operator in operators if operator in _ALTERNATIVES)
    known = dict.fromkeys(each for each in found if format == "onnx" or each not in (_OPSET_16, _OPSET_18))
    return "; ".join(known) or _BUILD
