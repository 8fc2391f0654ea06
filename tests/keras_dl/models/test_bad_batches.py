"""What fit, evaluate and predict do with data that a model cannot take."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_dl.arguments import check_sizes
from keras_dl.data import load
from keras_dl.models import (
    CNN,
    DCGAN,
    MLP,
    VAE,
    GaussianNaiveBayes,
    LanguageModel,
    LogisticRegression,
    Perceptron,
    SequenceClassifier,
    SequenceRegressor,
)
from keras_dl_export.arguments import check_int

random = np.random.default_rng(0)
IMAGES = random.random((12, 8, 8, 1), dtype=np.float32)
FEATURES = random.standard_normal((12, 5)).astype("float32")
TOKENS = random.integers(0, 3, (12, 4), dtype=np.int32)
CLASSES = np.arange(12) % 3


def compiled(model, loss="sparse_categorical_crossentropy"):
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss=loss)
    return model


def mlp():
    return compiled(MLP((4,), 3))


def cnn():
    return compiled(CNN(3, (8, 8, 1), filters=(2, 3)))


LABELED = {
    "mlp": (mlp, FEATURES),
    "sequence-classifier": (lambda: compiled(SequenceClassifier("rnn", 2, 3)), IMAGES),
    "sequence-regressor": (lambda: compiled(SequenceRegressor("rnn", 2), "mse"), IMAGES),
    "language-model": (lambda: compiled(LanguageModel("abc", "rnn", 2), None), TOKENS),
    "naive-bayes": (lambda: GaussianNaiveBayes(3), FEATURES),
    "logistic-regression": (lambda: LogisticRegression(3), FEATURES),
    "perceptron": (Perceptron, FEATURES),
}


@pytest.mark.parametrize("name", LABELED)
def test_data_without_labels_are_refused(name):
    make, x = LABELED[name]
    model = make()
    for _ in range(2):  # a first failure must leave the model as it was
        with pytest.raises(
            ValueError, match="^label: expected inputs and labels, got only inputs. Pass pairs"
        ):
            model.fit(x, verbose=0)


def test_a_model_can_be_fitted_after_a_refusal():
    model = mlp()
    with pytest.raises(ValueError, match="^label: "):
        model.fit(FEATURES, verbose=0)
    assert np.isfinite(model.fit(FEATURES, CLASSES, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        (IMAGES * 255, CLASSES, "image: expected values from 0 to 1"),
        (IMAGES * np.float32("nan"), CLASSES, "image: expected values from 0 to 1, got values from nan"),
        (IMAGES, CLASSES + 1, "label: expected classes from 0 to 2, got 1 to 3"),
        (IMAGES, CLASSES + np.float32(1), "label: expected classes from 0 to 2, got 1 to 3"),
        (IMAGES, CLASSES / np.float32(2), "label: expected classes from 0 to 2, got 0 to 1"),
        (IMAGES, CLASSES - 1, "label: expected classes from 0 to 2, got -1 to 1"),
    ],
)
def test_a_refused_batch_changes_no_weight(x, y, error):
    model = cnn()
    weights = [weight for weight in model.weights if weight.dtype == "float32"]  # and no counts of noise
    before = [weight.numpy() for weight in weights]
    with pytest.raises(ValueError, match=f"^{error}"):
        model.fit(x, y, verbose=0)
    for weight, old in zip(weights, before, strict=True):
        np.testing.assert_array_equal(weight, old, err_msg=weight.path)


@pytest.mark.slow
def test_sizes_and_ranks_are_checked_however_many_were_seen_before():
    classifier = compiled(SequenceClassifier("rnn", 2, 3))
    classifier.fit(IMAGES, CLASSES, verbose=0)
    language = compiled(LanguageModel("abc", "rnn", 2), None)
    language.fit(TOKENS, TOKENS, verbose=0)
    gan = DCGAN((8, 8, 1), 5, filters=(2,))
    gan.predict(FEATURES, verbose=0)
    vae = compiled(VAE(2, (8, 8, 1), filters=(2,), units=()), None)
    vae.fit(IMAGES, verbose=0)
    rows = r"inputs: expected .*\(batch, time, 8\).*, got .*7"
    for _ in range(2):
        with pytest.raises(ValueError, match=rows):
            classifier.fit(IMAGES[:, :, :7], CLASSES, verbose=0)
        with pytest.raises(ValueError, match=rows):
            classifier.predict(IMAGES[:, :, :7, 0], verbose=0)
        with pytest.raises(ValueError, match=r"^tokens: expected shape \(batch, time\), got"):
            language.fit(TOKENS[:, 0], TOKENS[:, 0], verbose=0)
        with pytest.raises(ValueError, match=r"^z: expected shape \(batch, 5\), got"):
            gan.predict(FEATURES[:, :4], verbose=0)
        with pytest.raises(ValueError, match=r"^image: expected shape \(batch, 8, 8, 1\), got"):
            vae.fit(IMAGES[..., 0], verbose=0)
    assert len(classifier.predict(IMAGES, verbose=0)) == len(IMAGES)


def test_a_sequence_classifier_predicts_no_images_outside_the_unit_range():
    model = compiled(SequenceClassifier("rnn", 2, 3, image_shape=(8, 8, 1)))
    with pytest.raises(ValueError, match=r"^image: expected values from 0 to 1, got .*Divide"):
        model.predict(IMAGES * 255, verbose=0)
    assert np.isfinite(
        model.predict(IMAGES[..., 0] * 255, verbose=0)
    ).all()  # a sequence may be of any numbers


def test_boolean_images_are_zeros_and_ones():
    model = compiled(VAE(2, (8, 8, 1), filters=(2,), units=()), None)
    binary = IMAGES > 0.5
    assert model.evaluate(binary, verbose=0) == model.evaluate(binary.astype("float32"), verbose=0)


@pytest.mark.parametrize("model", [Perceptron(), GaussianNaiveBayes(2), LogisticRegression(2)])
def test_classifiers_of_features_take_rows_alone(model):
    with pytest.raises(
        ValueError, match=r"features: expected rows of numbers, .* got shape \(None, 8, 8, 1\)"
    ):
        model.fit(IMAGES, CLASSES > 0, verbose=0)


@pytest.mark.parametrize("model", [Perceptron(5), GaussianNaiveBayes(2, 5)])
def test_closed_rules_take_class_numbers_alone(model):
    with pytest.raises(ValueError, match=r"label: expected classes of shape \(batch,\), got float32.*argmax"):
        model.fit(FEATURES, np.eye(2)[CLASSES % 2], verbose=0)
    with pytest.raises(ValueError, match=r"label: expected classes from 0 to 1, got 0.5 to 0.5"):
        model.fit(FEATURES, np.full(12, 0.5), verbose=0)


def test_a_perceptron_weights_all_examples_equally():
    with pytest.raises(ValueError, match="sample_weight: expected None, because a Perceptron"):
        Perceptron().fit(FEATURES, CLASSES > 0, sample_weight=np.ones(12), verbose=0)


def test_naive_bayes_reports_a_loss_from_its_first_batch_on():
    order = np.argsort(CLASSES, kind="stable")  # the first batches hold but one class
    history = GaussianNaiveBayes(3).fit(
        FEATURES[order], CLASSES[order], batch_size=2, shuffle=False, verbose=0
    )
    assert np.isfinite(history.history["loss"]).all()
    with pytest.raises(ValueError, match="variance_floor: expected a fraction of at least 0, got -1"):
        GaussianNaiveBayes(3, variance_floor=-1)


def test_sizes_are_whole_numbers_of_python_or_numpy():
    model = MLP(list(np.array([4, 3])), CLASSES.max() + 1, image_shape=(5,))
    assert model.get_config()["units"] == (4, 3)
    assert [type(size) for size in (*model.units, model.num_classes)] == [int] * 3
    for wrong in (True, 2.0, "2", None, np.array([1, 2])):
        with pytest.raises(ValueError, match="^size: expected an int of at least 1, got "):
            check_int("size", wrong)
    for wrong in (64, None, "64"):
        with pytest.raises(ValueError, match=r"^units: expected a tuple of ints, one per layer, .*\(64,\)"):
            check_sizes("units", wrong)
    for make in (
        lambda: MLP(64),
        lambda: CNN(filters=32),
        lambda: VAE(filters=32),
        lambda: DCGAN(filters=32),
    ):
        with pytest.raises(ValueError, match="expected a tuple of ints"):
            make()


@pytest.mark.parametrize("make", [VAE, MLP, DCGAN, lambda seed: LanguageModel("ab", seed=seed)])
def test_a_seed_is_a_whole_number(make):
    for wrong in (None, -1, 0.5):
        with pytest.raises(ValueError, match="^seed: expected an int of at least 0, got "):
            make(seed=wrong)


def vae():
    model = VAE(2, (8, 8, 1), "mlp", units=(4,))
    model.compile("sgd")
    return model


@pytest.mark.parametrize("weights", [{"sample_weight": np.ones(6)}, {"class_weight": {0: 2.0}}])
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_weights_without_labels_are_not_dropped(method, weights):
    if method == "evaluate" and "class_weight" in weights:
        pytest.skip("evaluate takes no class_weight")
    (name,) = weights
    with pytest.raises(ValueError, match=rf"^{name}: expected none"):
        getattr(vae(), method)(np.zeros((6, 8, 8, 1)), **weights, verbose=0)


@pytest.mark.filterwarnings("ignore:.*ran out of data")
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_data_without_examples_are_refused(method):
    dataset = tf.data.Dataset.from_tensor_slices(np.zeros((6, 8, 8, 1), np.float32)).batch(2).take(0)
    for nothing in (np.zeros((0, 8, 8, 1)), dataset):
        with pytest.raises(ValueError, match=r"^x: expected at least one example"):
            getattr(vae(), method)(nothing, verbose=0)


def test_a_file_that_breaks_in_the_pass_is_named(tmp_path):
    for label in "ab":
        for number in range(3):
            path = tmp_path / label / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(
        ValueError, match=r"^source: .*b/2\.png cannot be decoded .*on_corrupt=\S+ to skip such files\.$"
    ):
        vae().fit(load(tmp_path, labels=False, cache=False), verbose=0)


def test_weights_of_examples_weigh_all_of_their_characters():
    tokens = np.random.default_rng(0).integers(0, 3, (4, 5))
    weight = np.array([0.0, 2.0, 0.0, 1.0])
    losses = []
    for x, options in ((tokens, {"sample_weight": weight}), (tokens[[1, 1, 3]], {})):
        keras.utils.set_random_seed(0)
        model = LanguageModel("abc", "rnn", 2)
        model.compile("sgd")
        losses.append(model.evaluate(x[:, :-1], x[:, 1:], verbose=0, **options))
    np.testing.assert_allclose(losses[0] * 4, losses[1] * 3, rtol=1e-5)  # Keras divides by the examples
