"""Trace endpoints for writing and record the model's own outputs as a reference."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from keras_dl_export.comparing import TOLERANCES, differs
from keras_dl_export.endpoints import Endpoint, graph_function, pick, with_batch_size
from keras_dl_export.errors import ConversionError, reason_of
from keras_dl_export.insight import look_into
from keras_dl_export.lowering import (
    Emitter,
    Replacements,
    any_image_size,
    any_scope,
    fresh_functions,
    in_float32,
    known_time,
    mean_noise,
    plain_argmax,
    plain_new_axes,
    recurrent_layers,
    replaced_operators,
    training_calls,
)
from keras_dl_export.model_endpoints import endpoints_of, smallest_vocabulary
from keras_dl_export.names import in_graph
from keras_dl_export.predictor import Predictor
from keras_dl_export.samples.answers import Answers
from keras_dl_export.samples.drawing import Examples, check_examples, draw_samples
from keras_dl_export.samples.references import Reference, Sample
from keras_dl_export.specs import Spec
from keras_dl_export.weights import refuse_non_finite_weights

# These draw from generator state, which is not in a file; the Stateless* ones are functions of their seed.
_RANDOM_OPERATIONS = {
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoisson",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "RngReadAndSkip",
    "RngSkip",
    "TruncatedNormal",
}
_SEEDED_OPERATIONS = ("StatelessMultinomial", "StatelessRandom", "StatelessTruncatedNormal")
RANDOM = ("refuse", "mean")  # treatments of draws from hidden generators


@dataclass(frozen=True)
class Signature(Reference):
    """A traced endpoint of a model, with the outputs of the Keras model as reference.

    Attributes:
        function: the TensorFlow ConcreteFunction; one keyword argument per input, of its `names.in_graph`.
        endpoint: the traced endpoint.
        random: "mean" if draws from hidden generators are replaced by their mean, or "refuse".
        lowered: whether it has layers, such as recurrent ones, that targets write in their native form.
        replaceable: the types of its operators for which a target has a replacement.
        emit: the target's emitter of recurrent layers; None for Keras's loops.
        notes: remarks on what the target could not express in its native form.
        reference_notes: remarks on differences between the reference and the eager model.
    """

    function: Any = field(repr=False)
    endpoint: Endpoint = field(repr=False)
    random: str = "refuse"
    lowered: bool = False
    replaceable: frozenset[str] = frozenset()
    emit: Emitter | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    reference_notes: tuple[str, ...] = ()


def trace_endpoints(
    model: Any,
    inputs: Examples = None,
    endpoints: Iterable[str] | None = None,
    emit: Emitter | None = None,
    random: str = "refuse",
    batch_size: int | None = None,
    targets: Iterable[Emitter | None] = (),
) -> dict[str, Signature]:
    """Trace a model's endpoints and run the model for the reference outputs.

    Args:
        model: a built Keras 3 model.
        inputs: real examples by input name, or one array for the one input of `serving_default`. Inputs
            without examples are drawn: floats from U(-1, 1), integers below the model's smallest vocabulary.
        endpoints: the names of the endpoints; by default all.
        emit: the target's emitter of recurrent layers; None for Keras's loops.
        random: "mean" replaces every draw from a hidden generator by its mean.
        batch_size: the size of a fixed batch axis, or None.
        targets: the emitters of targets for which `lower` may be called later.

    Raises:
        ValueError: an unknown endpoint, an unknown `random`, an invalid batch size, or examples with an
            unknown name or the wrong shape.
        TypeError: examples of the wrong dtype.
        ConversionError: an endpoint cannot be traced, or keeps state between calls; or a weight is not
            finite.
    """
    offered = with_batch_size(endpoints_of(model, inputs), batch_size)
    chosen = {name: pick(offered, name) for name in (offered if endpoints is None else endpoints)}
    return trace_chosen(model, chosen, check_examples(offered, inputs), emit, random, targets)


def trace_chosen(
    model: Any,
    endpoints: Mapping[str, Endpoint],
    examples: Mapping[str, Any],
    emit: Emitter | None = None,
    random: str = "refuse",
    targets: Iterable[Emitter | None] = (),
) -> dict[str, Signature]:
    """Trace given endpoints of a model and run it for the reference outputs, as `trace_endpoints` does.

    Args:
        model: a built Keras 3 model.
        endpoints: some of its endpoints.
        examples: the result of `check_examples`.
        emit: the target's emitter of recurrent layers.
        random: "mean" replaces every draw from a hidden generator by its mean.
        targets: the emitters of targets for which `lower` may be called later.
    """
    if random not in RANDOM:
        raise ValueError(f"random: expected one of {', '.join(map(repr, RANDOM))}, got {random!r}.")
    refuse_non_finite_weights(model)
    vocabulary = smallest_vocabulary(model)
    flat = list(model._flatten_layers())
    watched = _replacements(*targets)
    return {
        name: _trace_one(name, endpoint, examples, vocabulary, emit, random, flat, watched)
        for name, endpoint in endpoints.items()
    }


def lower(signatures: Mapping[str, Signature], emit: Emitter | None) -> dict[str, Signature]:
    """Trace again with layers and operators in a target's native form; the reference outputs stay.

    Signatures that need no change are returned unchanged, and so are all signatures if `emit` is None.

    Raises:
        ConversionError: an endpoint cannot be traced for the target.
    """
    if emit is None:
        return dict(signatures)
    return {
        name: (
            dataclasses.replace(signature, **_trace(name, signature.endpoint, emit, signature.random))
            if signature.lowered
            or signature.replaceable & set(_replacements(emit))
            or (signature.precision != "float32" and getattr(emit, "float32_only", False))
            else signature
        )
        for name, signature in signatures.items()
    }


def trace_like(signature: Signature, endpoint: Endpoint, samples: tuple[Sample, ...]) -> Signature:
    """Trace another endpoint in the same way as a signature, with known reference outputs."""
    traced = _trace(signature.name, endpoint, signature.emit, signature.random)
    outputs = _output_specs(traced["function"], samples)
    return dataclasses.replace(signature, outputs=outputs, samples=samples, endpoint=endpoint, **traced)


def _trace_one(
    name: str,
    endpoint: Endpoint,
    examples: Mapping[str, Any],
    vocabulary: int,
    emit: Emitter | None,
    random: str,
    layers: Sequence[Any],
    watched: Replacements,
) -> Signature:
    traced = _trace(name, endpoint, emit, random, watched=watched)
    function = traced["function"]
    _refuse_hidden_state(name, function, random)
    precision = traced["precision"]
    # A 16-bit model overflows for large values.
    insight = look_into(function, endpoint.inputs, layers) if precision == "float32" else None
    answers = Predictor(endpoint, random)
    samples = draw_samples(name, endpoint, examples, vocabulary, answers, insight)
    return Signature(
        name,
        dict(endpoint.inputs),
        _output_specs(function, samples),
        samples,
        endpoint=endpoint,
        random=random,
        reference_notes=(*_eager_notes(name, samples[0], answers, precision), *_sparse_notes(name, layers)),
        **traced,
    )


def _trace(
    name: str,
    endpoint: Endpoint,
    emit: Emitter | None,
    random: str,
    dtypes: Mapping[str, Any] | None = None,
    watched: Replacements | None = None,
) -> dict[str, Any]:
    """Return the fields of a Signature that depend on the target.

    Args:
        name: the endpoint's name.
        endpoint: the endpoint.
        emit: the target's emitter of recurrent layers.
        random: the treatment of random draws.
        dtypes: output -> dtype, if the model's dtypes differ from the target's.
        watched: operators of other targets that are recorded, but not replaced, if `emit` is None.
    """
    names = in_graph(endpoint.inputs)
    specs = {
        names[key]: tf.TensorSpec(spec.static_shape, spec.dtype, name=names[key])
        for key, spec in endpoint.inputs.items()
    }
    replacements = (watched or {}) if emit is None else _replacements(emit)
    wide = in_float32() if getattr(emit, "float32_only", False) else contextlib.nullcontext(set[str]())

    named = graph_function(endpoint)

    def call(**inputs: Any) -> dict[str, Any]:
        outputs = named(**inputs)
        return {key: tf.cast(tensor, dtypes[key]) for key, tensor in outputs.items()} if dtypes else outputs

    traced = tf.function(call, autograph=False)
    try:
        with (
            wide as narrowed,
            any_scope() as scopes,
            plain_argmax(),
            plain_new_axes(),
            any_image_size(),
            known_time(),
            fresh_functions(compiled=emit is None),
            recurrent_layers(emit) as met,
            replaced_operators(replacements, write=emit is not None) as replaceable,
            training_calls(met.note),
            mean_noise(met.note) if random == "mean" else contextlib.nullcontext(),
        ):
            function = traced.get_concrete_function(**specs)
    except Exception as error:
        raise ConversionError(
            f"endpoint {name!r}: it could not be traced into a TensorFlow graph"
            f"{f', at layer {scopes.failed!r}' * bool(scopes.failed)}: {reason_of(error)} Build it from "
            "keras.ops or TensorFlow operations, which can be traced."
        ) from error
    if narrowed and not dtypes:
        own = _trace(name, endpoint, None, random)
        dtypes = {key: tensor.dtype for key, tensor in own["function"].structured_outputs.items()}
        note = f"{name}: the model computes in {', '.join(sorted(narrowed))}, the file in float32."
        traced_again = _trace(name, endpoint, emit, random, dtypes)
        return {**traced_again, "precision": own["precision"], "notes": (*traced_again["notes"], note)}
    inner = function.graph.as_graph_def().library.function
    lowered = met.recurrent or any("_XlaMustCompile" in function.attr for function in inner)
    return {
        "function": function,
        "lowered": lowered,
        "replaceable": frozenset(replaceable),
        "emit": emit,
        "precision": _precision(function),
        "notes": tuple(met.notes),
    }


def _replacements(*targets: Emitter | None) -> Replacements:
    """Return the replaced operators of the targets; only TFLite has some."""
    return {name: many for emit in targets for name, many in getattr(emit, "operators", {}).items()}


def _eager_notes(name: str, sample: Sample, answers: Answers, precision: str) -> tuple[str, ...]:
    """Return notes on outputs for which an eager call gives other numbers than `predict`, the reference."""
    try:
        eager = answers.eagerly(sample.inputs)
    except Exception:
        return ()
    return tuple(
        f"endpoint {name!r}: output {output!r} follows predict(); the eager call gives other numbers: "
        f"{difference}."
        for output in sample.outputs
        if (difference := differs(sample, output, eager[output], TOLERANCES[precision]))
    )


def _sparse_notes(name: str, layers: Iterable[Any]) -> Iterator[str]:
    """Yield a note for each sparse input of a model, which is dense in a file."""
    for layer in layers:
        if isinstance(layer, keras.layers.InputLayer) and layer.sparse:
            yield f"endpoint {name!r}: the sparse input {layer.name!r} is dense in the file."


def _refuse_hidden_state(name: str, function: Any, random: str) -> None:
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    drawn = [node for node in nodes if node.op in _RANDOM_OPERATIONS]
    assigned = [node for node in nodes if node.op.startswith(("Assign", "ResourceScatter", "ResourceApply"))]
    seeded = [node for node in nodes if node.op.startswith(_SEEDED_OPERATIONS)] if assigned else []
    remedy = ", or pass random='mean' to replace it by its mean" if random == "refuse" else ""
    for node in drawn or seeded:
        raise ConversionError(
            f"endpoint {name!r}: {_layer(node.name)!r} draws random numbers from a hidden generator, and "
            "every reload of an exported file would repeat them. Pass the noise as an input of the "
            f"endpoint{remedy}."
        )
    for node in assigned:
        raise ConversionError(
            f"endpoint {name!r}: {_layer(node.name)!r} changes a variable while it runs, but exported files "
            "keep no state between calls. Pass the state as an input and return it."
        )


def _layer(node_name: str) -> str:
    return node_name.rpartition("/")[0] or node_name


def _precision(function: Any) -> str:
    dtypes = {
        tensor.dtype.name for operation in function.graph.get_operations() for tensor in operation.outputs
    }
    return next((dtype for dtype in ("bfloat16", "float16") if dtype in dtypes), "float32")


def _output_specs(function: Any, samples: tuple[Sample, ...]) -> dict[str, Spec]:
    return {
        output: Spec(
            tuple(
                _output_axis(output, axis, tensor.shape, samples)
                for axis in range(samples[0].outputs[output].ndim)
            ),
            tensor.dtype.name,
        )
        for output, tensor in function.structured_outputs.items()
    }


def _output_axis(output: str, axis: int, shape: Any, samples: tuple[Sample, ...]) -> int | str:
    """Return the axis's fixed size, or the name of the input axis with the same size in every sample."""
    if shape.rank is not None and shape[axis] is not None:
        return int(shape[axis])
    known = [sample for sample in samples if output in sample.outputs]
    seen = [sample.outputs[output].shape[axis] for sample in known]
    for word in samples[0].sizes:
        if [sample.sizes[word] for sample in known] == seen:
            return word
    return f"{output}_axis{axis}"
