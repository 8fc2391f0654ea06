"""The losses of the two players of a generative adversarial network.

Every function takes logits l = D(x) or D(G(z)) of any shape and returns the loss of each. For the probability
sigma(l) of D, -log sigma(l) = softplus(-l) and -log(1 - sigma(l)) = softplus(l), which do not overflow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf
from keras import ops

from keras_dl.arguments import check_choice, check_rate

_UNDER_THE_ROOT = 1e-12  # the derivative of the square root is infinite at 0


@dataclass(frozen=True)
class AdversarialLoss:
    """The losses of a game: E[real(D(x))] + E[fake(D(G(z)))] of D and E[generator(D(G(z)))] of G.

    Attributes:
        real: (logits of real data, label smoothing s) -> losses of the discriminator.
        fake: logits of generated data -> losses of the discriminator.
        generator: logits of generated data -> losses of the generator.
        smooths: whether the target of real data is 1, so that it can be smoothed to 1 - s.
        gradient_penalty: default weight of `gradient_penalty` in the loss of the discriminator.
    """

    real: Callable[[Any, float], Any]
    fake: Callable[[Any], Any]
    generator: Callable[[Any], Any]
    smooths: bool = False
    gradient_penalty: float = 0.0


def cross_entropy(logits: Any, smoothing: float) -> Any:
    """Return -(1 - s) log sigma(l) - s log(1 - sigma(l)).

    Args:
        logits: l.
        smoothing: s; 0 gives -log sigma(l).
    """
    return ops.softplus(logits) - (1.0 - smoothing) * logits


def gradient_penalty(critic: Callable[[Any], Any], real: Any, fake: Any, share: Any) -> Any:
    """Return (|| dD(x^) / dx^ ||_2 - 1)^2 with x^ = u x + (1 - u) G(z).

    Args:
        critic: D, images -> logits (B, 1).
        real: x, (B, ...).
        fake: G(z), (B, ...).
        share: u, of a shape that broadcasts against x.

    Returns:
        One penalty per example, (B,).

    Reference: Gulrajani et al., Improved training of Wasserstein GANs (NeurIPS 2017).
    """
    mixed = share * real + (1.0 - share) * fake
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(mixed)
        logits = critic(mixed)
    slope = ops.cast(tape.gradient(logits, mixed), "float32")
    square = ops.sum(ops.square(slope), axis=tuple(range(1, len(real.shape))))
    return ops.square(ops.sqrt(square + _UNDER_THE_ROOT) - 1.0)


LossName = Literal["minimax", "non_saturating", "hinge", "least_squares", "wasserstein"]

ADVERSARIAL_LOSSES: dict[LossName, AdversarialLoss] = {
    # min_G max_D E[log D(x)] + E[log(1 - D(G(z)))]: notes 4.2; Goodfellow et al. (NeurIPS 2014).
    "minimax": AdversarialLoss(
        real=cross_entropy,
        fake=ops.softplus,
        generator=lambda logits: -ops.softplus(logits),
        smooths=True,
    ),
    # The generator maximizes E[log D(G(z))] instead, whose gradient is largest where D rejects G(z).
    "non_saturating": AdversarialLoss(
        real=cross_entropy,
        fake=ops.softplus,
        generator=lambda logits: ops.softplus(-logits),
        smooths=True,
    ),
    # Lim and Ye, Geometric GAN (2017).
    "hinge": AdversarialLoss(
        real=lambda logits, _: ops.relu(1.0 - logits),
        fake=lambda logits: ops.relu(1.0 + logits),
        generator=ops.negative,
    ),
    # Mao et al., Least squares generative adversarial networks (ICCV 2017), targets 0 and 1.
    "least_squares": AdversarialLoss(
        real=lambda logits, smoothing: 0.5 * ops.square(logits - (1.0 - smoothing)),
        fake=lambda logits: 0.5 * ops.square(logits),
        generator=lambda logits: 0.5 * ops.square(logits - 1.0),
        smooths=True,
    ),
    # Arjovsky, Chintala and Bottou, Wasserstein GAN (ICML 2017); the penalty makes D Lipschitz.
    "wasserstein": AdversarialLoss(
        real=lambda logits, _: -logits,
        fake=lambda logits: logits,
        generator=ops.negative,
        gradient_penalty=10.0,
    ),
}


def penalty_weight(loss: LossName, gradient_penalty: float | None) -> float:
    """Return the weight of the gradient penalty.

    Args:
        loss: a name in `ADVERSARIAL_LOSSES`.
        gradient_penalty: a weight, or None for the default of the loss.

    Raises:
        ValueError: there is no such loss, or the weight is below 0.
    """
    check_choice("loss", loss, *ADVERSARIAL_LOSSES)
    weight = ADVERSARIAL_LOSSES[loss].gradient_penalty if gradient_penalty is None else gradient_penalty
    if not weight >= 0:
        raise ValueError(
            f"gradient_penalty: expected None or a weight of at least 0, got {gradient_penalty!r}. "
            "Pass 10, the usual weight."
        )
    return weight


def check_label_smoothing(loss: LossName, label_smoothing: float) -> float:
    """Return `label_smoothing` if the loss has a target that can be smoothed.

    Args:
        loss: a name in `ADVERSARIAL_LOSSES`.
        label_smoothing: s.

    Raises:
        ValueError: it is not in [0, 1), or is above 0 for a loss without a target.
    """
    check_rate("label_smoothing", label_smoothing)
    if label_smoothing and not ADVERSARIAL_LOSSES[loss].smooths:
        raise ValueError(
            f"label_smoothing: expected 0 with loss={loss!r}, which has no target for real data, got "
            f"{label_smoothing!r}. Omit it, or pass loss='non_saturating'."
        )
    return label_smoothing
