"""Small models, one for each kind of Keras layer, for the tests and the export matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import layers, ops

from docs.zoo import recurrent
from docs.zoo.models import (
    IMAGE,
    STEPS,
    TIME,
    TOKENS,
    VECTOR,
    VOLUME,
    Specimen,
    adapted_normalization,
    einsum_dense,
    function,
    mixed_precision,
    nested_inputs,
    of,
    of_application,
    of_tokens,
    of_two,
    over,
    row_of,
    scanned,
    several_arguments,
    shared_layers,
    transformer,
)

STRINGS = "strings in .*, which only a SavedModel supports"


ACTIVATIONS = (
    *("celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh"),
    *(
        "leaky_relu",
        "linear",
        "log_sigmoid",
        "log_softmax",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
    ),
    *("soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax"),
    *("squareplus", "tanh", "tanh_shrink"),
)
_CONVOLUTION = [
    Specimen(
        "Conv1D (causal, dilated, strided)",
        over(
            TIME,
            of(layers.Conv1D, 4, 3, padding="causal", dilation_rate=2),
            of(layers.Conv1D, 4, 3, strides=2),
        ),
    ),
    Specimen(
        "Conv2D (dilated, any size)",
        over(
            (None, None, 4), of(layers.Conv2D, 4, 3, padding="same"), of(layers.Conv2D, 4, 3, dilation_rate=2)
        ),
    ),
    Specimen("Conv2D(groups=2)", over(IMAGE, of(layers.Conv2D, 4, 3, groups=2))),
    Specimen("Conv3D", over(VOLUME, of(layers.Conv3D, 3, 2, strides=2))),
    Specimen("Conv1DTranspose", over(TIME, of(layers.Conv1DTranspose, 4, 3, strides=2, padding="same"))),
    Specimen(
        "Conv2DTranspose",
        over(
            IMAGE,
            of(layers.Conv2DTranspose, 4, 3, strides=2, padding="same"),
            of(layers.Conv2DTranspose, 4, 3, strides=2, output_padding=1),
        ),
    ),
    Specimen(
        "Conv2DTranspose(dilation_rate=2)",
        over(IMAGE, of(layers.Conv2DTranspose, 2, 3, dilation_rate=2, name="up")),
        refused={"tflite": "Conv2DBackpropInput in '.*up.*Use dilation_rate=1"},
    ),
    Specimen("Conv3DTranspose", over(VOLUME, of(layers.Conv3DTranspose, 3, 2, strides=2))),
    Specimen(
        "DepthwiseConv1D, DepthwiseConv2D",
        over(
            IMAGE,
            of(layers.DepthwiseConv2D, 3, depth_multiplier=2),
            lambda: row_of(layers.DepthwiseConv1D(3)),
        ),
    ),
    Specimen(
        "SeparableConv1D, SeparableConv2D",
        over(IMAGE, of(layers.SeparableConv2D, 4, 3), lambda: row_of(layers.SeparableConv1D(4, 3))),
    ),
]

_POOLING = [
    Specimen(
        "MaxPooling1D, AveragePooling1D, global and adaptive",
        over(
            (7, 3),
            of(layers.MaxPooling1D, 3, strides=2, padding="same"),
            of(layers.AveragePooling1D, 3, strides=2, padding="same"),
            layers.GlobalMaxPooling1D,
            layers.GlobalAveragePooling1D,
            of(layers.AdaptiveAveragePooling1D, 3),
        ),
    ),
    Specimen(
        "MaxPooling2D, AveragePooling2D, global and adaptive",
        over(
            IMAGE,
            of(layers.MaxPooling2D, 3, strides=2, padding="same"),
            of(layers.AveragePooling2D, 3, strides=2, padding="same"),
            layers.GlobalMaxPooling2D,
            layers.GlobalAveragePooling2D,
            of(layers.AdaptiveMaxPooling2D, 3),
        ),
    ),
    Specimen(
        "GlobalMaxPooling3D, GlobalAveragePooling3D",
        over(VOLUME, layers.GlobalMaxPooling3D, layers.GlobalAveragePooling3D),
    ),
    Specimen(
        "MaxPooling3D",
        over(VOLUME, of(layers.MaxPooling3D, 2, name="pool")),
        refused={"tflite": "MaxPool3D in '.*pool.* TimeDistributed over a 2D pooling"},
    ),
    Specimen(
        "GlobalAveragePooling1D, masked",
        of_tokens(lambda x: layers.GlobalAveragePooling1D()(x)),
        {"tokens": TOKENS},
    ),
]
_NORMALIZATION = [
    Specimen(
        "BatchNormalization, GroupNormalization",
        over(
            IMAGE,
            layers.BatchNormalization,
            of(layers.GroupNormalization, 2),
            of(layers.LayerNormalization, axis=[1, 2]),
        ),
    ),
    Specimen(
        "LayerNormalization, RMSNormalization, UnitNormalization",
        over(TIME, layers.LayerNormalization, layers.RMSNormalization, layers.UnitNormalization),
    ),
    Specimen("SpectralNormalization", over(IMAGE, lambda: layers.SpectralNormalization(layers.Conv2D(3, 3)))),
    Specimen("Normalization", over(VECTOR, adapted_normalization)),
]
_ATTENTION = [
    Specimen(
        "Attention, AdditiveAttention",
        of_two(
            TIME, lambda q, v: [layers.Attention(use_scale=True)([q, v]), layers.AdditiveAttention()([q, v])]
        ),
    ),
    Specimen(
        "MultiHeadAttention, causal",
        over((None, 4), lambda: lambda x: layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)),
    ),
    Specimen(
        "MultiHeadAttention, masked",
        of_tokens(lambda x: layers.MultiHeadAttention(2, 3)(x, x)),
        {"tokens": TOKENS},
    ),
    Specimen(
        "GroupQueryAttention", of_two((None, 4), lambda q, v: layers.GroupQueryAttention(3, 4, 2)(q, v))
    ),
    Specimen("transformer decoder", transformer),
]
_SHAPE = [
    Specimen("Dense, EinsumDense", over(TIME, of(layers.Dense, 4, "relu"), einsum_dense)),
    Specimen("Embedding", over((None,), of(layers.Embedding, 7, 4), dtype="int32")),
    Specimen("all activations", over(VECTOR, *(of(layers.Activation, name) for name in ACTIVATIONS))),
    Specimen(
        "PReLU, LeakyReLU, ELU, ReLU, Softmax",
        over(
            VECTOR,
            of(layers.PReLU, alpha_initializer="ones"),
            of(layers.LeakyReLU, 0.1),
            of(layers.ELU, 0.5),
            of(layers.ReLU, 0.5, 0.1, 0.1),
            layers.Softmax,
        ),
    ),
    Specimen(
        "Dropout, SpatialDropout1D, GaussianNoise, GaussianDropout",
        over(
            TIME,
            of(layers.Dropout, 0.5),
            of(layers.SpatialDropout1D, 0.5),
            of(layers.GaussianNoise, 0.5),
            of(layers.GaussianDropout, 0.5),
        ),
    ),
    Specimen(
        "Add, Subtract, Multiply, Average, Maximum, Concatenate, Dot",
        of_two(
            STEPS,
            lambda a, b: [
                *(
                    getattr(layers, name)()([a, b])
                    for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Concatenate")
                ),
                layers.Dot(axes=2, normalize=True)([a, b]),
            ],
        ),
    ),
    Specimen(
        "Reshape, Permute, Flatten, RepeatVector",
        over(
            (6, 2),
            of(layers.Reshape, (3, -1)),
            of(layers.Permute, (2, 1)),
            lambda: lambda x: layers.RepeatVector(3)(layers.Flatten()(x)),
        ),
    ),
    Specimen(
        "UpSampling, ZeroPadding, Cropping, 1D and 2D",
        over(
            IMAGE,
            of(layers.UpSampling2D, 2, interpolation="bilinear"),
            of(layers.ZeroPadding2D, ((1, 0), (0, 2))),
            of(layers.Cropping2D, 1),
            lambda: row_of(layers.UpSampling1D(2)),
            lambda: row_of(layers.ZeroPadding1D(1)),
            lambda: row_of(layers.Cropping1D(1)),
        ),
    ),
]
_PREPROCESSING = [
    Specimen("Rescaling, uint8 input", over(IMAGE, of(layers.Rescaling, 1 / 255, -0.5), dtype="uint8")),
    Specimen(
        "Resizing, CenterCrop",
        over((None, None, 3), of(layers.Resizing, 5, 11), of(layers.CenterCrop, 4, 4)),
        loops=True,  # an image smaller than the crop is resized
    ),
    Specimen(
        "Resizing, bicubic",
        over(IMAGE, of(layers.Resizing, 5, 11, interpolation="bicubic", name="resize")),
        refused={
            "onnx": "a difference of .* is allowed.*'resize'",  # the coefficients differ by 1e-3
        },
    ),
    Specimen("Discretization", over(VECTOR, of(layers.Discretization, bin_boundaries=[-0.5, 0.0, 0.5]))),
    Specimen(
        "CategoryEncoding, one_hot",
        over((1,), of(layers.CategoryEncoding, 4, output_mode="one_hot"), dtype="int32"),
    ),
    Specimen(
        "random image layers, at inference",
        over(IMAGE, layers.RandomFlip, of(layers.RandomRotation, 0.2), of(layers.RandomZoom, 0.2)),
    ),
    Specimen(
        "IntegerLookup",
        over((3,), of(layers.IntegerLookup, vocabulary=[1, 5, 7], name="lookup"), dtype="int64"),
        refused=dict.fromkeys(("tflite", "onnx"), "LookupTableFindV2 in '.*lookup.* outside the model"),
    ),
    Specimen(
        "StringLookup, TextVectorization",
        over((), of(layers.TextVectorization, vocabulary=["deep"], output_sequence_length=4), dtype="string"),
        refused=dict.fromkeys(("tflite", "onnx"), STRINGS),
    ),
    Specimen("STFTSpectrogram", over((64, 1), of(layers.STFTSpectrogram, frame_length=16, frame_step=8))),
]
_OPERATIONS = [
    Specimen(
        "einsum, cumsum, top_k, argmax, sort",
        over(
            STEPS,
            function(lambda x: ops.einsum("bij,bkj->bik", x, x)),
            function(lambda x: ops.cumsum(x, axis=1)),
            lambda: lambda x: ops.top_k(x, 2)[0],
            function(lambda x: ops.argmax(x, axis=1)),
            function(lambda x: ops.sort(x, axis=-1)),
        ),
    ),
    Specimen(
        "take, take_along_axis, scatter_update, where",
        over(
            STEPS,
            function(lambda x: ops.take(x, ops.convert_to_tensor([2, 0]), axis=1)),
            function(lambda x: ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1)),
            function(lambda x: ops.scatter_update(x, [[0, 1, 0]], [9.0])),
            function(lambda x: ops.where(x > 0, x, x / 9)[..., None]),
        ),
    ),
    Specimen(
        "image.resize, extract_patches",
        over(
            IMAGE,
            function(lambda x: ops.image.resize(x, (5, 6))),
            function(lambda x: ops.image.extract_patches(x, (4, 4))),
        ),
    ),
    Specimen(
        "cond, while_loop",
        over(
            STEPS,
            function(lambda x: ops.cond(ops.sum(x) > 0, lambda: x * 2, lambda: x - 1)),
            function(lambda x: ops.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 1.5), (0, x))[1]),
        ),
        loops=True,
    ),
    Specimen(
        "scan",
        over(STEPS, lambda: layers.Lambda(scanned, name="scan")),
        refused=dict.fromkeys(
            ("tflite", "onnx"), "TensorListReserve in '.*scan.* a cell of keras.layers.RNN"
        ),
    ),
    Specimen(
        "linear algebra",
        over((3, 3), lambda: layers.Lambda(lambda x: ops.linalg.inv(x + 3 * ops.eye(3)), name="inverse")),
        refused=dict.fromkeys(("tflite", "onnx"), "MatrixInverse in '.*inverse.* outside the model"),
    ),
]
_MODELS = [
    Specimen("nested dicts and lists as inputs", nested_inputs),
    Specimen("shared layers, models in a model", shared_layers),
    Specimen(
        "several arguments",
        several_arguments,
        {
            "token": np.array([1, 8, 0, 2], np.int32),
            "scale": np.array([[0.5], [-1.0], [2.0], [0.0]], np.float32),
        },
    ),
    Specimen(
        "bool inputs and outputs", of_two((3,), lambda a, b: ops.logical_and(a, ops.logical_not(b)), "bool")
    ),
    Specimen("mixed_float16", mixed_precision("mixed_float16")),
    Specimen(
        "mixed_bfloat16",
        mixed_precision("mixed_bfloat16"),
        refused={"onnx": "computes in bfloat16.*set_dtype_policy"},
    ),
    Specimen("MobileNetV2", of_application("MobileNetV2", alpha=0.35)),
    Specimen("EfficientNetB0", of_application("EfficientNetB0")),
]
FAMILIES: dict[str, Sequence[Specimen]] = {
    "Recurrent": recurrent.SPECIMENS,
    "Convolution": _CONVOLUTION,
    "Pooling": _POOLING,
    "Normalization": _NORMALIZATION,
    "Attention": _ATTENTION,
    "Dense, activations and shape layers": _SHAPE,
    "Preprocessing": _PREPROCESSING,
    "keras.ops": _OPERATIONS,
    "Whole models": _MODELS,
}
SPECIMENS = [specimen for family in FAMILIES.values() for specimen in family]
