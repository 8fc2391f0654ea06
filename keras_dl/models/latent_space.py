"""Points of a latent space: draws from the prior, interpolations and analogies."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_dl.layers import stateless_noise
from keras_dl_export.arguments import check_int

PRIORS: dict[str, dict[str, Any]] = {
    "uniform": {"distribution": "uniform", "minval": -1.0, "maxval": 1.0},
    "normal": {"distribution": "normal"},
}


def draw_latents(prior: str, count: Any, latent_dim: int, **noise: Any) -> Any:
    """Draw latents z ~ p(z).

    Args:
        prior: `"uniform"`, U(-1, 1)^Z, or `"normal"`, N(0, I).
        count: N.
        latent_dim: Z.
        **noise: `seed`, `step`, `stream` and `first_index`, as in `stateless_noise`.

    Returns:
        Latents (N, Z).
    """
    return stateless_noise(count, (latent_dim,), **noise, **PRIORS[prior])


def straight_line(start: Any, end: Any, steps: int) -> Any:
    """Return latents at equal distances on the straight line between two.

    Args:
        start: latents (B, Z) or (Z,).
        end: latents of the same shape.
        steps: S, both ends included.

    Returns:
        Latents (B, S, Z), B = 1 for latents (Z,).

    Raises:
        ValueError: `steps` is below 2, or the latents differ in shape.
    """
    steps = check_int("steps", steps, 2)
    start, end = (ops.convert_to_tensor(z, "float32") for z in (start, end))
    if start.shape != end.shape or len(start.shape) > 2:
        raise ValueError(
            "start, end: expected latents of the same shape, (batch, Z) or (Z,), got "
            f"{tuple(start.shape)} and {tuple(end.shape)}. Pass equally many of both."
        )
    first, last = (ops.reshape(z, (-1, 1, z.shape[-1])) for z in (start, end))
    fraction = ops.reshape(ops.linspace(0.0, 1.0, steps), (1, steps, 1))
    return (1.0 - fraction) * first + fraction * last


def analogy(start: Any, minus: Any, plus: Any) -> Any:
    """Return the latents start - minus + plus.

    Args:
        start: latents (B, Z) or (Z,).
        minus: latents (B, Z) or (Z,).
        plus: latents (B, Z) or (Z,).

    Returns:
        Latents (B, Z), B = 1 for latents (Z,).
    """
    start, minus, plus = (ops.convert_to_tensor(z, "float32") for z in (start, minus, plus))
    z = start - minus + plus
    return ops.expand_dims(z, 0) if len(z.shape) == 1 else z
