"""Files that an earlier version wrote: the classes have moved since, their registered names have not."""

import json
import re
import zipfile

import numpy as np
import pytest

from keras_dl import load_model
from keras_dl.models import CNN, DCGAN, GAN, VAE, ConditionalGAN, LanguageModel, SequenceClassifier
from keras_dl.optimizers import Adam

IMAGES = (8, 8, 1)


def in_files_of_old(text):
    """A config with the classes where they were: `keras_dl.models.<file>`, `keras_dl.optimizers`."""
    text = re.sub(r'"keras_dl\.models\.\w+\.(\w+)"', r'"keras_dl.models.\1"', text)
    return text.replace('"keras_dl.optimizers.fused_adam"', '"keras_dl.optimizers"')


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: CNN(num_classes=3, image_shape=IMAGES), "CNN"),
        (lambda: VAE(latent_dim=2, image_shape=IMAGES, architecture="mlp"), "VAE"),
        (lambda: DCGAN(image_shape=IMAGES, latent_dim=4, filters=(4, 4)), "DCGAN"),
        (
            lambda: ConditionalGAN(num_classes=3, image_shape=IMAGES, latent_dim=4, filters=(4, 4)),
            "ConditionalGAN",
        ),
        (lambda: SequenceClassifier(cell="gru", units=4, num_classes=3), "SequenceClassifier"),
        (lambda: LanguageModel("abc", cell="rnn", units=4), "LanguageModel"),
    ],
)
def test_a_file_with_the_old_places_of_the_classes_loads(make, name, tmp_path):
    model = make()
    if isinstance(model, GAN):
        model.compile(generator_optimizer=Adam(), discriminator_optimizer=Adam())
    if isinstance(model, SequenceClassifier):
        model.build((None, 5, 2))
    if not model.built:
        model.build((None, None) if isinstance(model, LanguageModel) else (None, *IMAGES))
    model.save(tmp_path / "new.keras")
    with (
        zipfile.ZipFile(tmp_path / "new.keras") as new,
        zipfile.ZipFile(tmp_path / "old.keras", "w") as old,
    ):
        for entry in new.namelist():
            content = new.read(entry)
            if entry == "config.json":
                assert json.loads(content)["registered_name"] == f"keras_dl>{name}"
                content = in_files_of_old(content.decode()).encode()
            old.writestr(entry, content)
    again = load_model(tmp_path / "old.keras")
    assert type(again) is type(model)
    for loaded, saved in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, saved)
