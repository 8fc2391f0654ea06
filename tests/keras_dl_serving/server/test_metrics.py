"""The metrics and their labels."""

from __future__ import annotations

import pytest

from keras_dl_serving.errors import NotFoundError
from keras_dl_serving.server.core import Core
from keras_dl_serving.server.metrics import Metrics
from tests._support.fake_engine import FakeEngine, folder


def test_unknown_model_names_never_displace_a_model() -> None:
    core = Core(lambda _: FakeEngine())
    metrics = Metrics(core.knows)
    for number in range(10_001):
        with pytest.raises(NotFoundError), metrics.request(f"invented{number}", "Predict", "REST"):
            raise NotFoundError("missing")
    core.serve({"new": [folder(1)]})
    with metrics.request("new", "Predict", "REST"):
        pass
    lines = [line for line in metrics.text().splitlines() if line.startswith(":tensorflow:serving:request_c")]
    assert lines == [
        ':tensorflow:serving:request_count{model_name="(unknown)",status="NOT_FOUND"} 10001',
        ':tensorflow:serving:request_count{model_name="new",status="OK"} 1',
    ]
    assert 'request_latency_count{model_name="new",API="Predict",entrypoint="REST"} 1' in metrics.text()
