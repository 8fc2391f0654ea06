"""Figures as people read them."""

import pytest

from keras_dl.reports.tables import format_figure


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10_000.0, "10,000"),
        (61_674, "61,674"),
        (0.99412, "0.9941"),
        (1234.5, "1,234"),
        (5.7e-5, "5.7e-05"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("reached", "reached"),
        (True, "True"),
    ],
)
def test_format_figure(value, text):
    assert format_figure(value) == text
