"""The language model: its logits and states against each other, its texts against probabilities by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_dl.models.recurrent.language_model import LanguageModel

CELLS = ["rnn", "lstm", "gru"]
LETTERS = "abcde \n"
UNITS = 6


@pytest.fixture(name="random")
def _random():
    return np.random.default_rng(5)


def model_of(cell, random, **options):
    """A model whose weights are large enough for the past to matter."""
    model = LanguageModel(LETTERS, cell, UNITS, **{"num_layers": 2, "embedding_dim": 3, **options})
    model.set_weights([random.normal(size=w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("cell", CELLS)
class TestStates:
    def test_step_by_step_is_the_whole_sequence(self, cell, random):
        model, tokens = model_of(cell, random), random.integers(0, 7, (3, 9))
        logits = model(tokens).numpy()
        assert logits.shape == (3, 9, 7)
        states = model.initial_states(3)
        for t in range(9):
            answer, states = model.step(tokens[:, t], states)
            np.testing.assert_allclose(answer, logits[:, t], rtol=0, atol=1e-5)

    def test_reading_in_parts_equals_reading_at_once(self, cell, random):
        model, tokens = model_of(cell, random), random.integers(0, 7, (3, 9))
        first, states = model.read(tokens[:, :4])
        second, _ = model.read(tokens[:, 4:], states)
        np.testing.assert_allclose(np.concatenate([first, second], axis=1), model(tokens), rtol=0, atol=1e-5)

    def test_endpoints(self, cell, random):
        model, tokens = model_of(cell, random), random.integers(0, 7, (3, 9)).astype("int32")
        endpoints = model.endpoints()
        names = ["h", "c"] if cell == "lstm" else ["h"]
        assert {name: spec.shape for name, spec in endpoints["step"].inputs.items()} == {
            "token": ("batch",),
            **dict.fromkeys(names, ("batch", 2 * UNITS)),
        }
        assert endpoints["serving_default"].inputs["tokens"].shape == ("batch", "tokens_time")
        assert endpoints["serving_default"].inputs["tokens"].dtype == "int32"
        expected = endpoints["serving_default"].function(tokens=tokens)["logits"]
        np.testing.assert_array_equal(expected, model(tokens))
        states = {name: np.zeros((3, 2 * UNITS), "float32") for name in reversed(names)}
        for t in range(9):
            answer = endpoints["step"].function(token=tokens[:, t], **states)
            states = {name: answer[name] for name in states}
            assert list(answer) == ["logits", *names]
            np.testing.assert_allclose(answer["logits"], expected[:, t], rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
class TestTraining:
    @pytest.mark.slow
    def test_a_file_restores_the_whole_model(self, cell, random, tmp_path):
        tokens = random.integers(0, 7, (12, 10))
        model = LanguageModel(
            list(LETTERS), cell, UNITS, num_layers=2, embedding_dim=3, dropout=0.2, clipnorm=2.0
        )
        model.compile("adam", metrics=["accuracy"])
        model.fit(tokens[:, :-1], tokens[:, 1:], epochs=2, verbose=0, validation_split=0.5)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert loaded.get_config() == model.get_config()
        assert loaded.vocabulary == LETTERS
        assert loaded.optimizer.global_clipnorm == 2.0
        np.testing.assert_array_equal(loaded.predict(tokens, verbose=0), model.predict(tokens, verbose=0))
        for mine, its in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
            np.testing.assert_array_equal(mine, its)

    def test_the_model_learns_the_next_character(self, cell):
        keras.utils.set_random_seed(0)
        text = "ab cde\n" * 60
        model = LanguageModel(LETTERS, cell, 16, embedding_dim=8)
        model.compile(keras.optimizers.Adam(0.02))
        windows = np.lib.stride_tricks.sliding_window_view(model.encode(text), 22)
        model.fit(windows[:, :-1], windows[:, 1:], epochs=6, verbose=0)
        assert model.nats_per_character(text) < 0.1  # log 7 = 1.95 at the start
        assert model.generate("ab c", 17) == "ab cde\nab cde\nab cde\n"

    def test_logits_and_states_are_float32_in_mixed_precision(self, cell, random):
        model, tokens = model_of(cell, random, dtype="mixed_float16"), random.integers(0, 7, (3, 9))
        logits, states = model.read(tokens)
        assert {keras.backend.standardize_dtype(t.dtype) for t in [logits, *states]} == {"float32"}
        assert model.recurrent_layers[0].compute_dtype == "float16"


class TestLikelihood:
    @pytest.mark.slow
    @pytest.mark.parametrize("cell", CELLS)
    def test_nats_per_character_are_those_of_one_long_reading(self, cell, random):
        model = model_of(cell, random)
        text = "".join(random.choice(list(LETTERS), 600))  # longer than what is read in one call
        ids = model.encode(text)
        log_p = log_softmax(model(ids[np.newaxis, :-1])[0])
        expected = -log_p[np.arange(599), ids[1:]].mean()
        np.testing.assert_allclose(model.nats_per_character(text), expected, rtol=1e-5)

    def test_the_default_loss_is_nats_per_character(self, random):
        model, tokens = model_of("gru", random), random.integers(0, 7, (4, 9))
        model.compile("sgd")
        log_p = log_softmax(model(tokens[:, :-1]))
        expected = -np.take_along_axis(log_p, tokens[:, 1:, np.newaxis], axis=-1).mean()
        np.testing.assert_allclose(
            model.evaluate(tokens[:, :-1], tokens[:, 1:], verbose=0), expected, rtol=1e-5
        )


class TestText:
    def test_encode_and_decode(self, random):
        model = model_of("gru", random)
        ids = model.encode("bad cab\n")
        assert ids.tolist() == [1, 0, 3, 5, 2, 0, 1, 6]
        assert ids.dtype == np.int32
        assert model.decode(ids) == "bad cab\n"
        assert model.decode([]) == ""

    def test_a_text_continues_its_prompt_and_depends_on_the_seed(self, random):
        model = model_of("lstm", random)
        text = model.generate("bad ", 30, seed=1)
        assert text.startswith("bad ")
        assert len(text) == 34
        assert text == model.generate("bad ", 30, seed=1)
        assert text != model.generate("bad ", 30, seed=2)
        assert text[:14] == model.generate("bad ", 10, seed=1)  # a longer text begins as the shorter one

    def test_top_k_1_and_temperature_near_0_choose_the_likeliest_character(self, random):
        model, ids = model_of("gru", random), [1, 0]
        for _ in range(12):
            ids.append(int(np.argmax(model(np.array([ids]))[0, -1])))
        assert model.generate("ba", 12, top_k=1, seed=3) == model.decode(ids)
        assert model.generate("ba", 12, temperature=1e-4, seed=4) == model.decode(ids)

    @pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, 99), (2.0, 3)])
    def test_characters_are_drawn_with_their_probabilities(self, temperature, top_k, random):
        model = LanguageModel(LETTERS, "rnn", 2, embedding_dim=1)
        scores = random.normal(size=7)
        model.head.set_weights([np.zeros((2, 7)), scores])  # forgets its past: every draw is alike
        text = model.generate("a", 2000, temperature=temperature, top_k=top_k)[1:]
        probabilities = np.exp(scores / temperature)
        if top_k == 3:
            probabilities[np.argsort(scores)[:-3]] = 0
        probabilities /= probabilities.sum()
        counts = np.bincount(model.encode(text), minlength=7)
        spread = np.sqrt(2000 * probabilities * (1 - probabilities))
        assert np.all(np.abs(counts - 2000 * probabilities) <= 5 * spread)


class TestErrors:
    @pytest.mark.parametrize(
        ("vocabulary", "text"),
        [
            ("", "vocabulary: expected a string or a list of single characters, got ''"),
            (["a", "bc"], r"vocabulary: expected a string or a list of single characters, got \['a', 'bc'\]"),
            (65, "vocabulary: expected a string or a list of single characters, got 65"),
            ("abcab", "vocabulary: expected each character once, got 'a' 2 times"),
        ],
    )
    def test_vocabulary(self, vocabulary, text):
        with pytest.raises(ValueError, match=text):
            LanguageModel(vocabulary)

    @pytest.mark.parametrize(
        ("argument", "text"),
        [
            ({"cell": "transformer"}, "cell: expected 'rnn' or 'lstm' or 'gru', got 'transformer'"),
            ({"embedding_dim": 0}, "embedding_dim: expected an int of at least 1, got 0"),
            ({"num_layers": 1.5}, "num_layers: expected an int of at least 1, got 1.5"),
        ],
    )
    def test_arguments(self, argument, text):
        with pytest.raises(ValueError, match=text):
            LanguageModel(LETTERS, **argument)

    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda model: model.generate("aBc"), "text: expected characters .*, got 'B' at position 1"),
            (lambda model: model.generate(""), "prompt: expected at least one character to continue from"),
            (lambda model: model.generate("a", 0), "length: expected an int of at least 1, got 0"),
            (
                lambda model: model.generate("a", temperature=0),
                "temperature: expected a positive number, got 0",
            ),
            (
                lambda model: model.generate("a", temperature=float("nan")),
                "temperature: expected .*, got nan",
            ),
            (lambda model: model.generate("a", top_k=0), "top_k: expected an int of at least 1, got 0"),
            (
                lambda model: model.decode([0, 7]),
                "ids: expected integers from 0 to 6, .* got int64 from 0 to 7",
            ),
            (lambda model: model.decode([-1]), "ids: expected integers from 0 to 6, .* from -1 to -1"),
            (lambda model: model.decode([0.5]), "ids: expected integers from 0 to 6, .* got float64"),
            (lambda model: model(np.array([[7]])), "tokens: expected integers from 0 to 6, .* from 7 to 7"),
            (
                lambda model: model.step(np.array([7]), model.initial_states(1)),
                "tokens: expected integers from 0 to 6, .* from 7 to 7",
            ),
            (
                lambda model: model.step(np.array([0]), 2 * model.initial_states(1)),
                "states: expected h, got 2 arrays. Start with initial_states",
            ),
            (lambda model: model.nats_per_character("a"), "text: expected at least two characters, got 'a'"),
        ],
    )
    def test_use(self, call, text, random):
        with pytest.raises(ValueError, match=text):
            call(model_of("gru", random))

    def test_tokens_in_data_sets(self, random):
        model, right = model_of("gru", random), np.array([[1, 2]])
        model.compile("sgd")
        for wrong in (np.array([[1, 7]]), np.array([[-1, 2]])):
            for run in (
                lambda: model.fit(wrong, right, verbose=0),  # noqa: B023 - called at once
                lambda: model.fit(right, wrong, verbose=0),  # noqa: B023
                lambda: model.evaluate(wrong, right, verbose=0),  # noqa: B023
                lambda: model.predict(wrong, verbose=0),  # noqa: B023
            ):
                with pytest.raises(ValueError, match=f"from 0 to 6, got {wrong.min()} to {wrong.max()}"):
                    run()
