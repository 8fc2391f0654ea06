"""How many malformed requests of each kind the tests send: KERAS_DL_BAD_REQUESTS, 300 by default."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

BAD_REQUESTS = int(os.environ.get("KERAS_DL_BAD_REQUESTS", "300"))
bad_requests = settings(
    max_examples=BAD_REQUESTS, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
