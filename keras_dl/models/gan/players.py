"""The two networks of a game: whether they fit together, and the optimizer of each."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_dl.replicas import replica_count, replica_mean

Shape = tuple[int, ...]


def check_players(generator: Any, discriminator: Any, conditions: int = 0) -> tuple[int, Shape]:
    """The size of the latents and the shape of the data, once the two networks fit together.

    Args:
        generator: latents (B, Z), and as many conditions -> data (B, ...).
        discriminator: data (B, ...), and as many conditions -> logits (B, 1).
        conditions: inputs of each network after the first.

    Raises:
        ValueError: a network is not built, takes or gives something else, or the two differ.
    """
    latent, *_ = _input_shapes("generator", generator, conditions)
    data, *_ = _input_shapes("discriminator", discriminator, conditions)
    generated, logits = tuple(generator.output_shape), tuple(discriminator.output_shape)
    if len(latent) != 2 or latent[1] is None:
        raise ValueError(
            f"generator: expected latents of shape (batch, Z) as its input, got {latent}. Start it with "
            "keras.Input((latent_dim,))."
        )
    if len(data) < 2 or None in data[1:]:
        raise ValueError(
            f"discriminator: expected data of known sizes as its input, got {data}. Start it with "
            "keras.Input((height, width, channels))."
        )
    if generated[1:] != data[1:]:
        raise ValueError(
            "generator, discriminator: expected the generator to make what the discriminator takes, got "
            f"outputs of shape {generated} and inputs of shape {data}. Change the shape of one of them."
        )
    if logits[1:] != (1,):
        raise ValueError(
            f"discriminator: expected one logit an example, shape (batch, 1), got {logits}. End it with "
            "keras.layers.Dense(1) and no activation."
        )
    return latent[1], data[1:]


def refuse_common_arguments(arguments: dict[str, Any], model: str) -> None:
    """Take what both players would share out of the arguments of `compile`, once all of it is None.

    Raises:
        ValueError: some of it is not.
    """
    for name in ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics"):
        if arguments.pop(name, None) is not None:
            raise ValueError(
                f"{name}: expected none, because a {model} has an optimizer for each player and the loss "
                "that its constructor names. Call compile(generator_optimizer=..., "
                "discriminator_optimizer=...)."
            )


class PlayersOptimizers:
    """Both players' optimizers as `model.optimizer`, where Keras's callbacks look for those of a model.

    They find several optimizers in `optimizers`: `ReduceLROnPlateau`, `LearningRateScheduler`,
    `SwapEMAWeights` and `TensorBoard` act on each of them.

    Args:
        generator: the generator's.
        discriminator: the discriminator's.
    """

    built = True

    def __init__(self, generator: Any, discriminator: Any) -> None:
        # Callbacks set and read what a LossScaleOptimizer hands on to the one within.
        self.optimizers = [getattr(each, "inner_optimizer", each) for each in (generator, discriminator)]
        self._outer = generator, discriminator

    @property
    def iterations(self) -> Any:
        """The generator's updates."""
        return self.optimizers[0].iterations

    @property
    def variables(self) -> list[Any]:
        """Those of both optimizers."""
        return [variable for each in self._outer for variable in each.variables]

    def finalize_variable_values(self) -> None:
        """Leave the averages of optimizers that keep some (`use_ema`) in the weights, as Keras's `fit`."""
        for each in self.optimizers:
            each.finalize_variable_values(each._trainable_variables)


def players_optimizers(
    generator: tuple[Any, Any], discriminator: tuple[Any, Any], scale_loss: bool
) -> tuple[Any, Any]:
    """The players' optimizers with their variables made, so that checkpoints of an untrained model have them.

    Args:
        generator: the network and its optimizer, or the optimizer's name or config.
        discriminator: the same.
        scale_loss: whether float16 gradients are kept from underflow by a `LossScaleOptimizer`.

    Raises:
        ValueError: there is none for a player, or one for both.
    """
    for name, (_, optimizer) in {"generator": generator, "discriminator": discriminator}.items():
        if optimizer is None:
            raise ValueError(
                f"{name}_optimizer: expected an optimizer, got None. The players have one each: "
                "compile(generator_optimizer=..., discriminator_optimizer=...)."
            )
    if generator[1] is discriminator[1] and isinstance(generator[1], keras.optimizers.Optimizer):
        raise ValueError(
            "discriminator_optimizer: expected another object than generator_optimizer, got the same. An "
            "optimizer remembers the steps of one player: make two."
        )
    return _compiled(*generator, scale_loss), _compiled(*discriminator, scale_loss)


def _compiled(player: Any, optimizer: Any, scale_loss: bool) -> Any:
    optimizer = keras.optimizers.get(optimizer)
    float16 = any(layer.dtype_policy.name == "mixed_float16" for layer in (player, *player.layers))
    if scale_loss and float16 and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(player.trainable_variables)
    return optimizer


def _input_shapes(name: str, player: Any, conditions: int) -> list[Shape]:
    shapes = (
        getattr(player, "input_shape", None) if isinstance(player, keras.Model) and player.built else None
    )
    if shapes is None or getattr(player, "output_shape", None) is None:
        raise ValueError(
            f"{name}: expected a built keras.Sequential or functional keras.Model, whose shapes are known, "
            f"got {player!r}. Start it with keras.Input."
        )
    shapes = [tuple(shape) for shape in shapes] if isinstance(shapes, list) else [tuple(shapes)]
    if len(shapes) != 1 + conditions:
        raise ValueError(
            f"{name}: expected {1 + conditions} input{'s' if conditions else ''}, got {len(shapes)}: "
            f"{shapes}. ConditionalGAN takes the class beside z and the image."
        )
    return shapes


def player_outputs(player: Any, inputs: Any, training: bool) -> Any:
    """What a network makes of its inputs, in float32 whatever its precision."""
    tensors = keras.tree.map_structure(ops.convert_to_tensor, inputs)
    return ops.cast(player(tensors, training=training), "float32")


def player_inputs(first: Any, condition: Any) -> Any:
    """What a network takes: a tensor, or a list of them where there is a condition."""
    return [first, *condition] if condition else first


def player_objective(losses: Any, player: Any) -> Any:
    """This replica's share of the mean loss, with what the player's regularisers ask for."""
    return replica_mean(losses) + sum(player.losses) / replica_count()
