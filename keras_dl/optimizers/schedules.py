"""Adam with a learning-rate schedule, for one model or for both players of a GAN."""

from __future__ import annotations

from typing import Any, Literal

import keras

from keras_dl.layers.arguments import check_rate
from keras_dl.optimizers.fused_adam import Adam

Schedule = Literal["constant", "cosine"]


def adam(
    steps: int,
    *,
    learning_rate: float = 1e-3,
    schedule: Schedule = "cosine",
    warmup: float = 0.0,
    beta_1: float = 0.9,
    weight_decay: float | None = None,
    clipnorm: float | None = None,
    ema: float | None = None,
) -> Any:
    """Adam (Kingma and Ba, ICLR 2015), with weight decay apart from the gradient if any (AdamW).

    Args:
        steps: steps of the whole training, which the schedule spans.
        learning_rate: the highest one.
        schedule: `"cosine"` falls to 0 along half a cosine wave (Loshchilov and Hutter 2017);
            `"constant"` stays.
        warmup: share of the steps in which the rate rises to `learning_rate` in a straight line.
        beta_1: momentum.
        weight_decay: decoupled weight decay, or None.
        clipnorm: gradients of a greater norm, all variables taken together, are scaled down to it; or None.
        ema: what remains is an exponential moving average of the weights with this momentum; or None.

    Returns:
        A `keras.optimizers.Optimizer`.

    Raises:
        ValueError: the learning rate is not positive, or a share is not in [0, 1).
    """
    return Adam(
        _scheduled(steps, learning_rate, schedule, warmup),
        beta_1=check_rate("beta_1", beta_1),
        weight_decay=weight_decay,
        global_clipnorm=clipnorm,
        use_ema=ema is not None,
        ema_momentum=0.99 if ema is None else check_rate("ema", ema),
    )


def adam_for_each_player(
    steps: int,
    *,
    generator_learning_rate: float = 2e-4,
    discriminator_learning_rate: float = 2e-4,
    schedule: Schedule = "constant",
    beta_1: float = 0.5,
) -> dict[str, Any]:
    """Adam twice, for the generator and for the discriminator of a GAN.

    Args:
        steps: steps of the whole training, which the schedule spans.
        generator_learning_rate: the generator's.
        discriminator_learning_rate: the discriminator's, in all its turns.
        schedule: of both, as in `adam`.
        beta_1: momentum of both; the opponent moves, and what was right long ago is wrong now.

    Returns:
        `generator_optimizer` and `discriminator_optimizer`, arguments of `GAN.compile`.
    """
    rates = {"generator": generator_learning_rate, "discriminator": discriminator_learning_rate}
    return {
        f"{player}_optimizer": Adam(
            _scheduled(steps, rate, schedule, 0.0, f"{player}_learning_rate"),
            beta_1=check_rate("beta_1", beta_1),
        )
        for player, rate in rates.items()
    }


def _scheduled(
    steps: int, learning_rate: float, schedule: Schedule, warmup: float, name: str = "learning_rate"
) -> Any:
    if not learning_rate > 0:
        raise ValueError(f"{name}: expected a positive number, got {learning_rate!r}. Pass for example 1e-3.")
    rising = round(check_rate("warmup", warmup) * steps)
    if schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            0.0 if rising else learning_rate,
            max(steps - rising, 1),
            warmup_target=learning_rate if rising else None,
            warmup_steps=rising,
        )
    if not rising:
        return learning_rate
    return keras.optimizers.schedules.PolynomialDecay(0.0, rising, end_learning_rate=learning_rate)
