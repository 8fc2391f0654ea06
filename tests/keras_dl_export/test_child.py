"""Work in another process: results, errors and crashes."""

import operator
import os
import sys

import pytest

from keras_dl_export.child import ChildError, call_in_child


def test_the_result_is_returned():
    assert call_in_child(operator.add, "a", "b") == "ab"
    assert call_in_child(os.getpid) != os.getpid()
    assert call_in_child(sorted, [1, 2], reverse=True) == [2, 1]


def test_the_exception_is_raised():
    with pytest.raises(ValueError, match="invalid literal for int"):
        call_in_child(int, "eight")


def test_a_crash_and_an_early_end_are_errors():
    with pytest.raises(ChildError, match=r"crashed \(signal 6\)"):
        call_in_child(os.abort)
    with pytest.raises(ChildError, match="failed: exit status 3"):
        call_in_child(os._exit, 3)
    with pytest.raises(ChildError, match="failed: no license"):
        call_in_child(sys.exit, "no license")
