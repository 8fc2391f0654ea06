"""The two networks of a game: checks of their shapes, and their optimizers."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_dl.replicas import replica_count, replica_mean

Shape = tuple[int, ...]


def check_players(generator: Any, discriminator: Any, conditions: int = 0) -> tuple[int, Shape]:
    """Return the size of the latents and the shape of the data, after a check of the two networks.

    Args:
        generator: latents (B, Z), and conditions -> data (B, ...).
        discriminator: data (B, ...), and conditions -> logits (B, 1).
        conditions: the number of inputs of each network after the first.

    Raises:
        ValueError: a network is not built, has other inputs or outputs, or the two do not match.
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
            "generator, discriminator: expected the outputs of the generator to have the shape of the inputs "
            f"of the discriminator, got outputs {generated} and inputs {data}. Change one of the networks."
        )
    if logits[1:] != (1,):
        raise ValueError(
            f"discriminator: expected one logit per example, shape (batch, 1), got {logits}. End it with "
            "keras.layers.Dense(1) and no activation."
        )
    return latent[1], data[1:]


def refuse_common_arguments(arguments: dict[str, Any], model: str) -> None:
    """Remove the arguments of `compile` that do not apply to two players, which must be None.

    Raises:
        ValueError: one of them is not None.
    """
    for name in ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics"):
        if arguments.pop(name, None) is not None:
            raise ValueError(
                f"{name}: expected None, because a {model} has an optimizer for each player and the loss of "
                "its constructor. Call compile(generator_optimizer=..., discriminator_optimizer=...)."
            )


class PlayersOptimizers:
    """The optimizers of both players as `model.optimizer`, for Keras's callbacks.

    `ReduceLROnPlateau`, `LearningRateScheduler`, `SwapEMAWeights` and `TensorBoard` act on each of
    `optimizers`.

    Args:
        generator: optimizer of the generator.
        discriminator: optimizer of the discriminator.
    """

    built = True

    def __init__(self, generator: Any, discriminator: Any) -> None:
        # Callbacks read and set attributes of the inner optimizer of a LossScaleOptimizer.
        self.optimizers = [getattr(each, "inner_optimizer", each) for each in (generator, discriminator)]
        self._outer = generator, discriminator

    @property
    def iterations(self) -> Any:
        """The number of updates of the generator."""
        return self.optimizers[0].iterations

    @property
    def variables(self) -> list[Any]:
        """The variables of both optimizers."""
        return [variable for each in self._outer for variable in each.variables]

    def finalize_variable_values(self) -> None:
        """Assign the averages of optimizers with `use_ema` to the weights, as Keras's `fit` does."""
        for each in self.optimizers:
            each.finalize_variable_values(each._trainable_variables)


def players_optimizers(
    generator: tuple[Any, Any], discriminator: tuple[Any, Any], scale_loss: bool
) -> tuple[Any, Any]:
    """Return the built optimizers of the players, so that checkpoints of an untrained model contain them.

    Args:
        generator: the network and its optimizer, or the name or config of the optimizer.
        discriminator: the same for the discriminator.
        scale_loss: whether to prevent underflow of float16 gradients by a `LossScaleOptimizer`.

    Raises:
        ValueError: an optimizer is missing, or used for both players.
    """
    for name, (_, optimizer) in {"generator": generator, "discriminator": discriminator}.items():
        if optimizer is None:
            raise ValueError(
                f"{name}_optimizer: expected an optimizer, got None. Pass one for each player: "
                "compile(generator_optimizer=..., discriminator_optimizer=...)."
            )
    if generator[1] is discriminator[1] and isinstance(generator[1], keras.optimizers.Optimizer):
        raise ValueError(
            "discriminator_optimizer: expected another object than generator_optimizer, got the same. Create "
            "one optimizer for each player, because it stores the state of one network."
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
            f"{shapes}. Use ConditionalGAN for networks with a class as a second input."
        )
    return shapes


def player_outputs(player: Any, inputs: Any, training: bool) -> Any:
    """Return the outputs of a network, in float32 for any precision of the network."""
    tensors = keras.tree.map_structure(ops.convert_to_tensor, inputs)
    return ops.cast(player(tensors, training=training), "float32")


def player_inputs(first: Any, condition: Any) -> Any:
    """Return the inputs of a network: a tensor, or a list of tensors if there is a condition."""
    return [first, *condition] if condition else first


def player_objective(losses: Any, player: Any) -> Any:
    """Return the part of the mean loss of this replica, with the regularization losses of the player."""
    return replica_mean(losses) + sum(player.losses) / replica_count()
