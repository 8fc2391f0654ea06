"""`httpx` without its command line.

Where click, rich and pygments are installed, httpx imports all of them for its own `httpx` command: most of
the time that a REST client needs to start. Held back, httpx takes them for not installed; the command runs
in processes of its own and is not touched.
"""

from __future__ import annotations

import sys
from typing import Any

_COMMAND_LINE = "httpx._main"
_modules: dict[str, Any] = sys.modules

if "httpx" in _modules:
    import httpx
else:
    _modules[_COMMAND_LINE] = None  # an ImportError for whoever imports it
    try:
        import httpx
    finally:
        del _modules[_COMMAND_LINE]

__all__ = ["httpx"]
