"""What the two players of a generative adversarial network minimise.

Every function takes logits l = D(x) or D(G(z)) of any shape and returns what each of them costs. With D's
probability sigma(l), -log sigma(l) = softplus(-l) and -log(1 - sigma(l)) = softplus(l), which never overflow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from keras import ops

from keras_dl.layers.arguments import check_choice, check_rate

_UNDER_THE_ROOT = 1e-12  # the derivative of the square root is infinite at 0


@dataclass(frozen=True)
class AdversarialLoss:
    """One game: the discriminator pays E[real(D(x))] + E[fake(D(G(z)))], the generator E[generator(D(G(z)))].

    Attributes:
        real: of the logits of real data and the label smoothing s.
        fake: of the logits of generated data.
        generator: of the logits of generated data.
        smooths: whether the real data's target is 1, so that it can be smoothed to 1 - s.
        gradient_penalty: weight of `gradient_penalty` that the discriminator pays unless told otherwise.
    """

    real: Callable[[Any, float], Any]
    fake: Callable[[Any], Any]
    generator: Callable[[Any], Any]
    smooths: bool = False
    gradient_penalty: float = 0.0


def cross_entropy(logits: Any, smoothing: float) -> Any:
    """-(1 - s) log sigma(l) - s log(1 - sigma(l)).

    Args:
        logits: l.
        smoothing: s; 0 leaves -log sigma(l).
    """
    return ops.softplus(logits) - (1.0 - smoothing) * logits


def gradient_penalty(critic: Callable[[Any], Any], real: Any, fake: Any, share: Any) -> Any:
    """(|| dD(x^) / dx^ ||_2 - 1)^2 with x^ = u x + (1 - u) G(z).

    Args:
        critic: D, images -> logits (B, 1).
        real: x, (B, ...).
        fake: G(z), (B, ...).
        share: u, of a shape that broadcasts against x.

    Returns:
        One penalty an example, (B,).

    Reference: Gulrajani et al., Improved training of Wasserstein GANs (NeurIPS 2017).
    """
    between = share * real + (1.0 - share) * fake
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(between)
        logits = critic(between)
    slope = ops.cast(tape.gradient(logits, between), "float32")
    square = ops.sum(ops.square(slope), axis=tuple(range(1, len(real.shape))))
    return ops.square(ops.sqrt(square + _UNDER_THE_ROOT) - 1.0)


ADVERSARIAL_LOSSES = {
    # min_G max_D E[log D(x)] + E[log(1 - D(G(z)))]: notes 4.2; Goodfellow et al. (NeurIPS 2014).
    "minimax": AdversarialLoss(
        real=cross_entropy,
        fake=ops.softplus,
        generator=lambda logits: -ops.softplus(logits),
        smooths=True,
    ),
    # The generator maximises E[log D(G(z))] instead, whose gradient is largest where D is sure.
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
    # Arjovsky, Chintala and Bottou, Wasserstein GAN (ICML 2017), kept Lipschitz by the penalty.
    "wasserstein": AdversarialLoss(
        real=lambda logits, _: -logits,
        fake=lambda logits: logits,
        generator=ops.negative,
        gradient_penalty=10.0,
    ),
}


def penalty_weight(loss: str, gradient_penalty: float | None) -> float:
    """The weight of the gradient penalty.

    Args:
        loss: a name in `ADVERSARIAL_LOSSES`.
        gradient_penalty: a weight, or None for the loss's own.

    Raises:
        ValueError: there is no such loss, or the weight is below 0.
    """
    check_choice("loss", loss, *ADVERSARIAL_LOSSES)
    weight = ADVERSARIAL_LOSSES[loss].gradient_penalty if gradient_penalty is None else gradient_penalty
    if not weight >= 0:
        raise ValueError(
            f"gradient_penalty: expected None or a weight of at least 0, got {gradient_penalty!r}. "
            "10 is usual."
        )
    return weight


def check_label_smoothing(loss: str, label_smoothing: float) -> float:
    """`label_smoothing`, once the loss has a target that can be smoothed.

    Args:
        loss: a name in `ADVERSARIAL_LOSSES`.
        label_smoothing: s.

    Raises:
        ValueError: it is no share, or above 0 for a loss without a target.
    """
    check_rate("label_smoothing", label_smoothing)
    if label_smoothing and not ADVERSARIAL_LOSSES[loss].smooths:
        raise ValueError(
            f"label_smoothing: expected 0 with loss={loss!r}, which has no target for real data, got "
            f"{label_smoothing!r}. Leave it out, or take loss='non_saturating'."
        )
    return label_smoothing
