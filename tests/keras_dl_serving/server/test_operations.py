"""REST requests of probes, scrapers and browsers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from keras_dl_serving import Server
from keras_dl_serving.server.model_configs import ModelConfig
from keras_dl_serving.server.settings import ServerSettings
from tests._support.served_models import save_scale
from tests._support.waiting import eventually

METRICS = "/monitoring/prometheus/metrics"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("operations")
    save_scale(folder / "m" / "1", 2)
    with Server(folder, rest_port=0, grpc_port=None, settings=ServerSettings(cors=True)) as server:
        yield server.rest_url


@pytest.mark.parametrize("path", ["live", "ready", "models", "openapi.json"])
def test_our_own_paths_accept_head_and_queries(url: str, path: str) -> None:
    answer = httpx.get(f"{url}/keras_dl/{path}")
    assert answer.status_code == 200
    assert httpx.get(f"{url}/keras_dl/{path}?time=1").content == answer.content
    for query in ("", "?time=1"):
        head = httpx.head(f"{url}/keras_dl/{path}{query}")
        # The date may be another second's.
        headers = {**answer.headers, "date": head.headers["date"]}
        assert (head.status_code, dict(head.headers), head.content) == (200, headers, b"")
    assert httpx.post(f"{url}/keras_dl/{path}").status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "OPTIONS"])
def test_metrics_by_any_method(url: str, method: str) -> None:
    answer = httpx.request(method, url + METRICS)
    assert (answer.status_code, "request_count" in answer.text) == (200, method != "HEAD")
    answer = httpx.request(method, f"{url}{METRICS}?x=1")
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    if method != "HEAD":
        assert answer.text == f"Unexpected path: {METRICS}?x=1. Should be {METRICS}"


def test_preflight_requests_list_the_methods(url: str) -> None:
    answer = httpx.options(f"{url}/v1/models/m:predict", headers={"Origin": "https://example.org"})
    assert answer.headers["access-control-allow-methods"] == "POST, GET"


def served(server: Server) -> tuple[Any, Any]:
    """The list of models, with missing ones."""
    models = httpx.get(f"{server.rest_url}/keras_dl/models").json()["models"]
    return models, httpx.get(f"{server.rest_url}/keras_dl/ready").json()["missing"]


def test_removed_models_are_not_listed(tmp_path: Path) -> None:
    save_scale(tmp_path / "gone" / "1", 2)
    save_scale(tmp_path / "stays" / "1", 2)
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.onnx").write_bytes(b"broken")
    with Server(tmp_path, rest_port=0, grpc_port=None, poll_seconds=0.05, require_models=False) as server:
        assert served(server) == (["broken", "gone", "stays"], ["broken"])
        shutil.rmtree(tmp_path / "gone")
        eventually(lambda: served(server) == (["broken", "stays"], ["broken"]))
        shutil.rmtree(tmp_path / "broken")
        eventually(lambda: served(server) == (["stays"], []))


def test_models_that_are_named_are_listed_also_without_a_version(tmp_path: Path) -> None:
    save_scale(tmp_path / "m" / "1", 2)
    models = [ModelConfig(name, tmp_path / name, "onnx") for name in ("m", "later")]
    with Server(models=models, rest_port=0, grpc_port=None, poll_seconds=0.05) as server:
        assert served(server) == (["later", "m"], ["later"])
        save_scale(tmp_path / "later" / "1", 2)
        eventually(lambda: served(server) == (["later", "m"], []))
