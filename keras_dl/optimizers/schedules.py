"""Adam with a learning-rate schedule, for one model or for both players of a GAN."""

from __future__ import annotations

from typing import Any, Literal

import keras

from keras_dl.arguments import check_rate
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
    """Return Adam (Kingma and Ba, ICLR 2015), optionally with decoupled weight decay (AdamW).

    Args:
        steps: the number of steps of the whole training, over which the schedule extends.
        learning_rate: the highest learning rate.
        schedule: `"cosine"` decreases to 0 along half a cosine wave (Loshchilov and Hutter 2017);
            `"constant"` does not change.
        warmup: fraction of the steps in which the rate increases linearly to `learning_rate`.
        beta_1: momentum.
        weight_decay: decoupled weight decay, or None.
        clipnorm: the norm of all gradients together to which larger ones are scaled down, or None.
        ema: momentum of the exponential moving average of the weights that replaces them at the end of
            training, or None.

    Returns:
        A `keras.optimizers.Optimizer`.

    Raises:
        ValueError: the learning rate is not positive, or a fraction is not in [0, 1).
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
    """Return two Adam optimizers, for the generator and for the discriminator of a GAN.

    Args:
        steps: the number of steps of the whole training, over which the schedule extends.
        generator_learning_rate: learning rate of the generator.
        discriminator_learning_rate: learning rate of the discriminator, in all its turns.
        schedule: schedule of both, as in `adam`.
        beta_1: momentum of both; low, because the opponent changes and old gradients become invalid.

    Returns:
        `generator_optimizer` and `discriminator_optimizer`, the arguments of `GAN.compile`.
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
