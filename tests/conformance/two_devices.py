"""Run every conformance test on two devices: `python -m tests.conformance.two_devices REPORT [OPTIONS]`.

A process of its own, because devices can only be split before TensorFlow starts. The tests
detect the two devices and train on both. REPORT is a JUnit XML file; OPTIONS are pytest's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tensorflow as tf


def main() -> int:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tests = Path(__file__).with_name("test_conformance.py")
    options = ["-p", "no:cacheprovider", "--tb=short", "-q", *sys.argv[2:]]
    return pytest.main([str(tests), f"--junitxml={sys.argv[1]}", *options])


if __name__ == "__main__":
    sys.exit(main())
