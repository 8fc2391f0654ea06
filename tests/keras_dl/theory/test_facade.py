"""The lazy imports of keras_dl.theory."""

import subprocess
import sys

import keras_dl.theory as theory

FORMER_NAMES = {"ring_centres": "ring_centers"}


def test_every_name_exists():
    for name in theory.__all__:
        assert getattr(theory, name).__name__ == FORMER_NAMES.get(name, name)
    assert set(theory.__all__) <= set(dir(theory))


def test_the_formulas_need_neither_tensorflow_nor_matplotlib():
    code = """
import sys
from keras_dl.theory import bptt, hoeffding_bound, conv_output_size, LinearGaussianVAE, separation
assert hoeffding_bound(10, 0.1) > 0
print([name for name in ("tensorflow", "keras", "matplotlib", "scipy") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
