"""Numbers in TensorFlow Serving's JSON: read within RapidJSON's limits, written in its formats."""

from __future__ import annotations

import math
import struct
from decimal import Decimal

_MAX_WHOLE_DIGITS, _MAX_ZEROS = 21, 6  # in numbers that RapidJSON writes without an exponent
_SINGLE = struct.Struct("f")


def read_float(digits: str) -> float:
    """Read a number with a fraction or an exponent.

    Raises:
        ValueError: it is too large for a float64.
    """
    value = float(digits)
    if math.isinf(value):
        raise ValueError(digits)
    return value


def read_whole(digits: str) -> int | float:
    """Read a number of digits alone; one that fits neither int64 nor uint64 is a float64, as in orjson."""
    return int(digits) if len(digits) < 19 or -(2**63) <= int(digits) < 2**64 else read_float(digits)


def format_number(value: float, *, single: bool) -> str:
    """Return a float as TensorFlow Serving writes it, with `.0` after a whole number.

    Args:
        value: the number.
        single: whether it is a float32: if six significant digits do not give the exact number, nine are
            written instead of 17.
    """
    if not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    text = f"{value:.6g}"
    if single and _float32(float(text)) != value:
        text = f"{value:.9g}"
    elif not single and float(text) != value:
        text = f"{value:.17g}"
    return text if "." in text or "e" in text else text + ".0"


def _float32(value: float) -> float:
    rounded: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    return rounded


def format_shortest(value: float) -> str:
    """Return the shortest decimals of a number, in RapidJSON's layout."""
    if not math.isfinite(value):
        return format_number(value, single=False)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, point = "".join(map(str, digits)), len(digits) + int(exponent)
    if len(text) <= point <= _MAX_WHOLE_DIGITS:
        text = text.ljust(point, "0") + ".0"
    elif 0 < point <= _MAX_WHOLE_DIGITS:
        text = f"{text[:point]}.{text[point:]}"
    elif -_MAX_ZEROS < point <= 0:
        text = f"0.{'0' * -point}{text}" if value else "0.0"
    else:
        text = f"{text[0]}{'.' if text[1:] else ''}{text[1:]}e{point - 1}"
    return "-" * sign + text
