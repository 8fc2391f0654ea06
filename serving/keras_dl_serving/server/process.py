"""A process that does nothing but serve: its memory and threads are set up for that.

What is set here holds for all of a process, so a server embedded in a program of the user's leaves it alone.
"""

from __future__ import annotations

import ctypes
import gc
import sys

# One thread reads the requests of all clients, others run models. Of these, each would wait for up to 5 ms,
# Python's own choice, before it can go on after a run.
_SWITCH_SECONDS = 5e-4
# Requests leave no cycles to collect: to look for some after every 700 objects, Python's own choice, is time
# lost.
_OBJECTS_BEFORE_COLLECTION = 50_000
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_LARGEST_KEPT = 2**25  # bytes: the most that glibc allows for M_MMAP_THRESHOLD


_dedicated = False


def dedicate() -> None:
    """Set the process up for serving alone; for `main`s."""
    global _dedicated
    _dedicated = True
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    _keep_freed_memory()


def settle() -> None:
    """Leave alone what has been loaded; called when models have come or gone.

    A loaded TensorFlow is millions of objects, which every full collection would walk through; parsing large
    JSON triggers many. Thawed first, what has been unloaded is collected.
    """
    if _dedicated:
        gc.unfreeze()
        gc.collect()
        gc.freeze()


def _keep_freed_memory() -> None:
    """Have glibc keep what large requests leave, for the next: asked for anew, it costs a fault a page."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):  # musl has none
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_KEPT)
