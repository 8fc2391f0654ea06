"""The character language model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import ArrayLike, NDArray

from keras_dl.layers import stateless_noise
from keras_dl.models.batch_checks import checked_tokens
from keras_dl.models.model_options import ModelOptions
from keras_dl.models.recurrent.recurrent_model import CellName, RecurrentModel
from keras_dl_export import Endpoint, Spec
from keras_dl_export.arguments import check_int

_CHUNK = 256  # characters per call for long texts


@keras.saving.register_keras_serializable("keras_dl")
class LanguageModel(RecurrentModel):
    """A recurrent model of the probability of the next character, given all previous ones.

        x_t = E[token_t]
        h_t = the output of L recurrent layers after x_1 ... x_t
        p(token_{t+1} | token_1 ... token_t) = softmax(W h_t + b)

    Calling the model returns the logits. `fit` takes pairs (tokens, next tokens), which `keras_dl.data.load`
    returns for a text; the default loss is the mean of -log p, in nats per character.

    The state between calls is h, and for the LSTM also c, each the concatenated states of all layers,
    (B, L H). `read` takes and returns it; the initial state is zeros.

    Args:
        vocabulary: the characters, each once, in the order of their ids.
        cell: `"rnn"`, `"lstm"` or `"gru"`.
        units: H, the size of the state of each layer.
        num_layers: L.
        embedding_dim: length of the vector E[token].
        dropout: fraction of the outputs of each layer that is set to 0 in training, the same units at every
            step.
        clipnorm: the largest norm of the gradient of all weights together; None for no limit. An optimizer
            that already clips gradients keeps its own limit.
        seed: seed of the dropout.

    Input: tokens (B, T), integers. Output: logits (B, T, V), float32, V characters.

    Raises:
        ValueError: an argument is out of range, or a token is not an id of the vocabulary.

    Reference: notes 5; Mikolov et al., Recurrent neural network based language model (Interspeech 2010).
    """

    def __init__(
        self,
        vocabulary: str | Sequence[str],
        cell: CellName = "gru",
        units: int = 256,
        *,
        num_layers: int = 1,
        embedding_dim: int = 64,
        dropout: float = 0.0,
        clipnorm: float | None = 1.0,
        seed: int = 0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(
            cell, units, num_layers=num_layers, dropout=dropout, clipnorm=clipnorm, seed=seed, **kwargs
        )
        self.vocabulary = _checked_vocabulary(vocabulary)
        self.embedding_dim = check_int("embedding_dim", embedding_dim)
        self.embedding = keras.layers.Embedding(
            len(self.vocabulary), self.embedding_dim, dtype=self.dtype_policy
        )
        self.embedding.supports_masking = True  # passes on the mask of the tokens
        self.recurrent_layers = [
            self.recurrent_layer(return_sequences=True, return_state=True) for _ in range(num_layers)
        ]
        self.head = keras.layers.Dense(len(self.vocabulary), dtype="float32")
        self.state_names = ("h", "c") if cell == "lstm" else ("h",)
        self._ids = {character: index for index, character in enumerate(self.vocabulary)}
        self.supports_masking = True  # masked tokens do not contribute to the loss
        self.build((None, None))

    def build(self, input_shape: Any) -> None:
        self.embedding.build((None, None))
        features = self.embedding_dim
        for layer, drop in zip(self.recurrent_layers, self.drops, strict=True):
            layer.build((None, None, features))
            drop.build((None, self.units))
            features = self.units
        self.head.build((None, None, features))
        self.built = True

    # The equations.

    def initial_states(self, batch_size: int) -> list[Any]:
        """Return the initial states.

        Args:
            batch_size: B.

        Returns:
            Zeros (B, L H): [h], or [h, c] for the LSTM.
        """
        return [ops.zeros((batch_size, self.num_layers * self.units)) for _ in self.state_names]

    def read(
        self, tokens: Any, states: Sequence[Any] | None = None, training: bool = False, mask: Any = None
    ) -> tuple[Any, list[Any]]:
        """Read tokens, starting from the given states.

        Args:
            tokens: (B, T).
            states: the states from the previous call; None for the initial states.
            training: whether to apply dropout.
            mask: (B, T), False at tokens to skip; None skips none.

        Returns:
            The logits of the character after each token, (B, T, V), and the states after the last token.
        """
        x = self._embedded(tokens)
        before = [None] * self.num_layers if states is None else self._by_layer(states)
        after = []
        for index, layer in enumerate(self.recurrent_layers):
            x, *state = layer(x, initial_state=before[index], mask=mask, training=training)
            x = self.drop(index, x, training)
            after.append(state)
        return self.head(x), self._side_by_side(after)

    def step(self, token: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Read one character, as `read` does, without a loop.

        Args:
            token: (B,).
            states: the states from the previous call.

        Returns:
            The logits of the next character, (B, V), and the states after this character.
        """
        x = self._embedded(token)
        after = []
        for layer, state in zip(self.recurrent_layers, self._by_layer(states), strict=True):
            x, state = layer.step(x, state)
            after.append(state)
        return self.head(x), self._side_by_side(after)

    def _embedded(self, tokens: Any) -> Any:
        if tf.executing_eagerly():  # fit checks in its graphs; exported graphs have no checks
            self._check_ids("tokens", tokens)
        return self.embedding(tokens)

    def _by_layer(self, states: Sequence[Any]) -> list[list[Any]]:
        if len(states) != len(self.state_names):
            raise ValueError(
                f"states: expected {' and '.join(self.state_names)}, got {len(states)} arrays. Start with "
                "initial_states, and pass the states from the previous call."
            )
        states = [ops.cast(state, self.compute_dtype) for state in states]
        kinds = [ops.split(state, self.num_layers, axis=-1) for state in states]
        return [list(layer) for layer in zip(*kinds, strict=True)]

    def _side_by_side(self, by_layer: list[list[Any]]) -> list[Any]:
        kinds = zip(*by_layer, strict=True)
        return [ops.cast(ops.concatenate(layers, axis=-1), "float32") for layers in kinds]

    def call(self, tokens: Any, training: bool = False, mask: Any = None) -> Any:
        return self.read(tokens, training=training, mask=mask)[0]

    # Training.

    def compile(self, optimizer: Any = "adam", loss: Any = None, **kwargs: Any) -> None:
        """Compile as in Keras, with gradient clipping.

        Args:
            optimizer: as in Keras; if it does not clip gradients, `clipnorm` is set.
            loss: as in Keras; by default the cross-entropy in nats per character.
            **kwargs: as in Keras.
        """
        loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def checked_data(self, data: Any) -> Any:
        x, y, weight = super().checked_data(data)
        if weight is not None and weight.shape.rank == 1:  # one weight per example, for all of its characters
            weight = ops.expand_dims(weight, 1)
        return x, y, weight

    def checked_batch(self, x: Any, y: Any) -> tuple[Any, Any]:
        tokens = checked_tokens(x, len(self.vocabulary), name="tokens")
        return tokens, None if y is None else checked_tokens(y, len(self.vocabulary), name="next tokens")

    def nats_per_character(self, text: str) -> float:
        """Return the mean of -log p over all characters of a text except the first, given the previous ones.

        Args:
            text: at least two characters of the vocabulary.

        Returns:
            Nats per character; its exponential is the perplexity, and dividing by log 2 gives bits per
            character.

        Raises:
            ValueError: the text is too short, or contains a character that is not in the vocabulary.
        """
        ids = self.encode(text)
        if len(ids) < 2:
            raise ValueError(f"text: expected at least two characters, got {text!r}. Pass a longer text.")
        read = tf.function(self.read, reduce_retracing=True)
        states, total = self.initial_states(1), 0.0
        for start in range(0, len(ids) - 1, _CHUNK):
            tokens, targets = ids[start : start + _CHUNK], ids[start + 1 : start + 1 + _CHUNK]
            logits, states = read(tokens[np.newaxis, : len(targets)], states)
            total += float(
                ops.sum(keras.losses.sparse_categorical_crossentropy(targets, logits[0], from_logits=True))
            )
        return total / (len(ids) - 1)

    # Use.

    def encode(self, text: str) -> NDArray[np.int32]:
        """Return the ids of the characters of a text.

        Args:
            text: characters of the vocabulary.

        Returns:
            (T,) int32.

        Raises:
            ValueError: a character is not in the vocabulary.
        """
        for position, character in enumerate(text):
            if character not in self._ids:
                raise ValueError(
                    f"text: expected characters of the vocabulary {self.vocabulary!r}, got {character!r} at "
                    f"position {position}. Omit it, or train a model whose vocabulary contains it."
                )
        return np.array([self._ids[character] for character in text], np.int32)

    def decode(self, ids: ArrayLike) -> str:
        """Return the text of ids.

        Args:
            ids: (T,) integers.

        Returns:
            T characters.

        Raises:
            ValueError: an id is not in the vocabulary.
        """
        ids = np.asarray(ids)
        self._check_ids("ids", ids)
        return "".join(self.vocabulary[index] for index in ids.reshape(-1).tolist())

    def generate(
        self,
        prompt: str,
        length: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 0,
    ) -> str:
        """Return a text continued with characters drawn from the model.

        Args:
            prompt: the text to continue; at least one character.
            length: the number of characters to draw.
            temperature: divisor of the logits; values near 0 select the most likely character.
            top_k: draw only from the k most likely characters.
            seed: equal seeds give equal texts; the noise of the n-th character depends only on (seed, n).

        Returns:
            The prompt and its continuation.

        Raises:
            ValueError: an argument is out of range, or the prompt contains a character that is not in the
                vocabulary.
        """
        if not prompt:
            raise ValueError(
                "prompt: expected at least one character to continue from, got ''. Pass a beginning."
            )
        length = check_int("length", length)
        if not 0 < temperature < math.inf:
            raise ValueError(
                f"temperature: expected a positive number, got {temperature!r}. Pass 1 for the "
                "probabilities of the model, 0.01 for the most likely characters."
            )
        if top_k is not None:
            top_k = check_int("top_k", top_k)
        uniform = stateless_noise(length, (len(self.vocabulary),), seed=seed, step=0, distribution="uniform")
        with np.errstate(divide="ignore"):  # -log(-log(0)) is -inf: this character is not drawn
            gumbel = -np.log(-np.log(np.asarray(uniform, np.float64)))
        step = tf.function(self.step)
        states = self.initial_states(1)
        for token in self.encode(prompt):
            logits, states = step(token[np.newaxis], states)
        drawn = []
        for noise in gumbel:
            scores = np.asarray(logits[0], np.float64) / temperature
            if top_k is not None and top_k < len(scores):
                scores[np.argpartition(scores, -top_k)[:-top_k]] = -np.inf
            drawn.append(np.argmax(scores + noise))  # the Gumbel trick: a draw from softmax(scores)
            logits, states = step(np.array(drawn[-1:], np.int32), states)
        return prompt + self.decode(drawn)

    def _check_ids(self, name: str, ids: Any) -> None:
        ids = np.asarray(ids)
        if ids.size and not (
            np.issubdtype(ids.dtype, np.integer) and 0 <= ids.min() <= ids.max() < len(self._ids)
        ):
            raise ValueError(
                f"{name}: expected integers from 0 to {len(self._ids) - 1}, the ids of the vocabulary, got "
                f"{ids.dtype} from {ids.min()} to {ids.max()}. Encode the text with model.encode."
            )

    def endpoints(self) -> dict[str, Endpoint]:
        """Return `serving_default(tokens) -> logits`, and `step(token, h[, c]) -> logits, h[, c]`.

        The states h and c are (B, L H), initially zeros, as in `initial_states`.

        Returns:
            The endpoints by name.
        """
        states = {name: Spec(("batch", self.num_layers * self.units), "float32") for name in self.state_names}

        def serving_default(tokens: Any) -> dict[str, Any]:
            return {"logits": self.read(tokens)[0]}

        def step(token: Any, **states: Any) -> dict[str, Any]:
            logits, after = self.step(token, [states[name] for name in self.state_names])
            return {"logits": logits, **dict(zip(self.state_names, after, strict=True))}

        return {
            "serving_default": Endpoint(serving_default, {"tokens": Spec(("batch", "tokens_time"), "int32")}),
            "step": Endpoint(step, {"token": Spec(("batch",), "int32"), **states}),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "vocabulary": self.vocabulary, "embedding_dim": self.embedding_dim}


def _checked_vocabulary(vocabulary: str | Sequence[str]) -> str:
    characters = list(vocabulary) if isinstance(vocabulary, str | list | tuple) else []
    if not characters or any(
        not isinstance(character, str) or len(character) != 1 for character in characters
    ):
        raise ValueError(
            f"vocabulary: expected a string or a list of single characters, got {vocabulary!r}. "
            "Pass keras_dl.data.describe(...).vocabulary for that of a text."
        )
    if len(set(characters)) != len(characters):
        repeated = next(character for character in characters if characters.count(character) > 1)
        raise ValueError(
            f"vocabulary: expected each character once, got {repeated!r} {characters.count(repeated)} times. "
            "Remove the duplicates."
        )
    return "".join(characters)
