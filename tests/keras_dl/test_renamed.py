"""Names that were replaced: the former ones keep working."""

import numpy as np
import pytest

from keras_dl import callbacks, data, metrics, theory
from keras_dl.renamed import arrays_by_keyword, renamed


@renamed(neighbors="neighbours")
def function(value, *, neighbors=3):
    return value, neighbors


def test_an_argument_is_accepted_under_its_former_name_with_a_warning():
    with pytest.warns(DeprecationWarning, match=r"neighbours.*neighbors="):
        assert function(1, neighbours=2) == (1, 2)
    assert function(1, neighbors=2) == (1, 2)
    assert function(1) == (1, 3)


def test_an_argument_under_both_names_is_refused():
    with pytest.raises(TypeError, match=r"neighbors.*'neighbours'"):
        function(1, neighbors=2, neighbours=2)


def test_the_public_functions_accept_former_names():
    points = np.random.default_rng(0).normal(size=(9, 2))
    with pytest.warns(DeprecationWarning, match="centres"):
        old = theory.mode_coverage(points, centres=theory.ring_centres(), sigma=0.5)
    new = theory.mode_coverage(points, centers=theory.ring_centers(), sigma=0.5)
    np.testing.assert_array_equal(old[0], new[0])
    with pytest.warns(DeprecationWarning, match="neighbours"):
        assert metrics.precision_recall(points, points, neighbours=2).recall == 1
    with pytest.warns(DeprecationWarning, match="share"):
        old = data.load("digits", seed=0, batch_size=4, share=data.Share(0, 1, 2))
    (image, _), (other, _) = next(iter(old)), next(iter(data.load("digits", seed=0, batch_size=4)))
    np.testing.assert_array_equal(image, other[:2])


class Sampler:
    @arrays_by_keyword("z", "label")
    def generate(self, count=None, *, z=None, label=None, seed=0):
        return count, z, label, seed


@pytest.mark.parametrize(
    ("positional", "keywords", "expected"),
    [
        (([1.0, 2.0], "label"), {"seed": 3}, (None, [1.0, 2.0], "label", 3)),
        ((2, "label"), {}, (2, None, "label", 0)),
        ((np.zeros(1),), {"label": 1}, (None, np.zeros(1), 1, 0)),
    ],
)
def test_arrays_are_accepted_by_position_with_a_warning(positional, keywords, expected):
    with pytest.warns(DeprecationWarning, match=r"by keyword.*=\.\.\."):
        assert Sampler().generate(*positional, **keywords) == expected


def test_a_count_and_arrays_by_keyword_raise_no_warning(recwarn):
    assert Sampler().generate(np.int64(4), label=2) == (4, None, 2, 0)
    assert Sampler().generate(z=[1]) == (None, [1], None, 0)
    assert not recwarn.list
    with pytest.raises(TypeError, match="positional"):
        Sampler().generate([1], 2, 3)


def test_former_names_are_aliases():
    assert data.Share is data.Shard
    assert data.shared is data.shard_batches
    assert metrics.Floored is metrics.DistanceWithFloor
    assert callbacks.GeneralisationGap is callbacks.GeneralizationGap
    terms = theory.decompose_error(2, 9, 3)
    assert terms.optimisation == terms.optimization
