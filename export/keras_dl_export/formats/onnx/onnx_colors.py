"""Conversions of color spaces in ONNX; the channels are the last axis."""

from __future__ import annotations

import numpy as np

from keras_dl_export.formats.onnx.onnx_nodes import Handler, Replacement, replaced_by


def _channels(node: Replacement) -> list[str]:
    """Return the three channels, each with a last axis of size 1."""
    edges = [node.constant([edge], np.int64) for edge in range(4)]
    last = node.constant([-1], np.int64)
    return [node.make("Slice", node.inputs[0], edges[place], edges[place + 1], last) for place in range(3)]


def _rgb_to_hsv(node: Replacement) -> None:
    """Convert RGB to HSV: the hue is the position in the sixth of the circle of the largest channel."""
    dtype = node.output_dtype
    red, green, blue = _channels(node)
    zero, one, six = (node.constant(value, dtype) for value in (0, 1, 6))
    value = node.make("Max", red, green, blue)
    spread = node.make("Sub", value, node.make("Min", red, green, blue))
    lit, colored = node.make("Greater", value, zero), node.make("Greater", spread, zero)
    saturation = node.make("Where", lit, node.make("Div", spread, node.make("Where", lit, value, one)), zero)
    circle = node.make("Mul", node.make("Where", colored, spread, one), six)

    def hue_from(start: int, left: str, right: str) -> str:
        place = node.make("Div", node.make("Sub", left, right), circle)
        return node.make("Add", place, node.constant(start / 6, dtype))

    hue = node.make(
        "Where", node.make("Equal", green, value), hue_from(2, blue, red), hue_from(4, red, green)
    )
    hue = node.make("Where", node.make("Equal", red, value), hue_from(0, green, blue), hue)
    hue = node.make("Where", colored, hue, zero)
    hue = node.make("Where", node.make("Less", hue, zero), node.make("Add", hue, one), hue)
    node.finish("Concat", hue, saturation, value, axis=-1)


def _hsv_to_rgb(node: Replacement) -> None:
    """Convert HSV to RGB: each channel is a trapezoid over the hue."""
    dtype = node.output_dtype
    hue, saturation, value = _channels(node)
    zero, one, two = (node.constant(number, dtype) for number in (0, 1, 2))
    sixth = node.make("Mul", hue, node.constant(6, dtype))

    def distance(place: int) -> str:
        return node.make("Abs", node.make("Sub", sixth, node.constant(place, dtype)))

    amounts = [
        node.make("Sub", distance(3), one),
        node.make("Sub", two, distance(2)),
        node.make("Sub", two, distance(4)),
    ]
    white = node.make("Sub", one, saturation)
    colors = []
    for amount in amounts:
        amount = node.make("Min", node.make("Max", amount, zero), one)
        color = node.make("Add", white, node.make("Mul", saturation, amount))
        colors.append(node.make("Mul", color, value))
    node.finish("Concat", *colors, axis=-1)


COLORS: dict[str, Handler] = {"HSVToRGB": replaced_by(_hsv_to_rgb), "RGBToHSV": replaced_by(_rgb_to_hsv)}
