"""Process-wide settings of memory and threads for a process that only serves.

They affect a whole process, so a server that is embedded in a user's program does not apply them.
"""

from __future__ import annotations

import ctypes
import gc
import sys

# One thread reads the requests of all clients, others run models. With Python's default, each of these would
# wait for up to 5 ms before it continues after a run.
_SWITCH_SECONDS = 5e-4
# Requests leave no cycles to collect: collecting after every 700 objects, Python's default, wastes time.
_OBJECTS_BEFORE_COLLECTION = 50_000
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_LARGEST_KEPT = 2**25  # bytes: the most that glibc allows for M_MMAP_THRESHOLD


_dedicated = False


def dedicate() -> None:
    """Apply the settings. It is for `main` functions."""
    global _dedicated
    _dedicated = True
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    _keep_freed_memory()


def settle() -> None:
    """Exclude all loaded objects from garbage collection; called when models were loaded or unloaded.

    A loaded TensorFlow has millions of objects, which every full collection would visit; parsing large JSON
    triggers many. Objects are unfrozen first, so that unloaded models are collected.
    """
    if _dedicated:
        gc.unfreeze()
        gc.collect()
        gc.freeze()


def _keep_freed_memory() -> None:
    """Make glibc keep the memory of large requests for the next ones: new memory costs a fault per page."""
    if sys.platform == "linux" and (
        mallopt := getattr(ctypes.CDLL(None), "mallopt", None)
    ):  # missing in musl
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_KEPT)
