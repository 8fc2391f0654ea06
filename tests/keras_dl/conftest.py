"""Two finished runs that several test files read; no test may change them."""

import pytest

from keras_dl.training import train
from tests._support.runs import SMALL


@pytest.fixture(scope="session")
def vae_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "vae"
    return train("vae-digits", epochs=3, settings=SMALL, out=folder, verbose=False)


@pytest.fixture(scope="session")
def mlp_run(tmp_path_factory):
    return train("mlp-digits", epochs=2, out=tmp_path_factory.mktemp("runs") / "mlp", verbose=False)
