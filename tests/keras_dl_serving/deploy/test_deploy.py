"""The files of a deployment: each checked by its schema, and all of them against each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from keras_dl_serving.deploy import IMAGE
from keras_dl_serving.deploy.deployment import METRICS_PATH, render
from keras_dl_serving.deploy.example import MODELS, RELEASES
from keras_dl_serving.deploy.folder import write_folder
from keras_dl_serving.deploy.served import Served
from keras_dl_serving.model_server.flags import make_parser
from keras_dl_serving.protocol import text_files
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server import batching, model_configs
from keras_dl_serving.server.metrics import Metrics
from keras_dl_serving.server.settings import DEFAULT_METRICS_PATH
from tests._support.manifests import faults, read_yaml

ROOT = Path(__file__).parents[3]
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in Path(__file__).parent.glob("deploy_schemas/*")}
JOINED = render(MODELS, RELEASES)
ALONE = render([Served("letters", joinable=False), Served("on", joinable=True)], "a $b/c", replicas=3)
Files = dict[str, str]
both = pytest.mark.parametrize("files", [JOINED, ALONE], ids=["batching", "no batching"])


def documents(files: Files) -> dict[tuple[str, str], Any]:
    """All objects of Kubernetes by kind and name."""
    found = [
        document
        for path, text in files.items()
        if path.startswith(("kubernetes/", "kserve/"))
        for document in read_yaml(text)
    ]
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in found}
    assert len(by_name) == len(found)
    return by_name


def yaml(files: Files, path: str) -> Any:
    (document,) = read_yaml(files[path])
    return document


def container(files: Files) -> Any:
    (found,) = documents(files)["Deployment", "serving"]["spec"]["template"]["spec"]["containers"]
    return found


def test_the_example_is_up_to_date(tmp_path: Path) -> None:
    """If not: `python -m keras_dl_serving.deploy.example serving/deploy`."""
    write_folder(tmp_path / "new", JOINED)
    new, committed = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "new", ROOT / "serving" / "deploy")
    )
    assert new == committed


@both
def test_objects_of_kubernetes_follow_their_schemas(files: Files) -> None:
    schema = SCHEMAS["kubernetes"]
    objects = {**documents(files), "kustomize": yaml(files, "kustomization.yaml")}
    for name, each in objects.items():
        assert list(faults(each, {"$ref": f"#/$defs/{each['kind']}"}, schema)) == [], name


@both
def test_other_files_follow_their_schemas(files: Files) -> None:
    grafana = SCHEMAS["grafana"]
    for value, schema, root in (
        (yaml(files, "compose.yaml"), SCHEMAS["compose"], SCHEMAS["compose"]),
        (yaml(files, "prometheus/prometheus.yml"), SCHEMAS["prometheus"], SCHEMAS["prometheus"]),
        (yaml(files, "grafana/datasource.yaml"), {"$ref": "#/$defs/datasources"}, grafana),
        (yaml(files, "grafana/provider.yaml"), {"$ref": "#/$defs/providers"}, grafana),
        (json.loads(files["grafana/serving.json"]), {"$ref": "#/$defs/dashboard"}, grafana),
    ):
        assert list(faults(value, schema, root)) == []


def test_schemas_find_faults() -> None:
    service = documents(JOINED)["Service", "serving"]
    check = partial(faults, schema={"$ref": "#/$defs/Service"}, root=SCHEMAS["kubernetes"])
    spec = service["spec"]
    for broken, fault in (
        ({**service, "apiVersion": "v2"}, "'v1' was expected"),
        ({**service, "replicas": 2}, "'replicas' was unexpected"),
        ({**service, "spec": {"selector": spec["selector"]}}, "'ports' is a required property"),
        (
            {**service, "spec": {**spec, "ports": [{"port": "8501"}]}},
            "$.spec.ports[0].port: '8501' is not of type 'integer'",
        ),
        ({**service, "spec": {**spec, "ports": [{"port": True}]}}, "True is not of type 'integer'"),
        ({**service, "metadata": {"name": "Serving"}}, "$.metadata.name: 'Serving' does not match"),
    ):
        assert any(fault in each for each in check(broken)), fault


@pytest.mark.parametrize(
    "text",
    ["a: yes\n", "a: x: y\n", "a:\n", "a: 1\na: 2\n", "a: b\n   c: d\n", "a: *b\n", "a: [b]\n", "a: 'b'\n"],
)
def test_the_reader_refuses_ambiguous_yaml(text: str) -> None:
    with pytest.raises(ValueError, match="expected a value|no key|a key without|not indented"):
        read_yaml(text)


@both
def test_the_reader_agrees_with_pyyaml(files: Files) -> None:
    reference = pytest.importorskip("yaml", reason="needs PyYAML")
    for path, text in files.items():
        if path.endswith((".yaml", ".yml")):
            assert read_yaml(text) == list(reference.safe_load_all(text)), path


def test_the_original_reads_the_models() -> None:
    from tensorflow_serving.config import model_server_config_pb2

    original = text_format.Parse(JOINED["models.config"], model_server_config_pb2.ModelServerConfig())
    found = [(each.name, each.base_path, each.model_platform) for each in original.model_config_list.config]
    assert found == [
        ("digits", "/models/digits", "tensorflow"),
        ("digits-vae", "/models/digits-vae", "tensorflow"),
    ]


@both
def test_our_server_accepts_flags_and_files(files: Files, tmp_path: Path) -> None:
    flags = make_parser().parse_args(container(files)["args"])
    write_folder(tmp_path / "out", files)

    def read(path: str, kind: type[text_files.File]) -> text_files.File:
        return text_files.read_file(tmp_path / "out" / Path(path).name, kind)

    assert model_configs.model_configs(read(flags.model_config_file, messages.ModelServerConfig))
    monitoring = read(flags.monitoring_config_file, messages.MonitoringConfig).prometheus_config
    assert monitoring.enable
    assert monitoring.path == METRICS_PATH == DEFAULT_METRICS_PATH
    assert flags.enable_batching == bool(flags.batching_parameters_file) == ("batching.config" in files)
    if flags.enable_batching:
        proto = read(flags.batching_parameters_file, messages.BatchingParameters)
        assert batching.from_proto(proto).split
        assert proto.max_execution_batch_size.value <= proto.max_batch_size.value


def test_options_reach_the_files() -> None:
    scaler = documents(ALONE)["HorizontalPodAutoscaler", "serving"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 9)
    assert "a $$b/c" in ALONE["compose.yaml"], "a single $ would be filled in by Compose"
    images = re.findall(r'image: "(.*)"', "".join(render(MODELS, RELEASES, image="mine:1").values()))
    assert images == ["mine:1"] * (2 + len(MODELS))


@both
def test_selectors_match_labels(files: Files) -> None:
    objects = documents(files)
    spec = objects["Deployment", "serving"]["spec"]
    labels = spec["template"]["metadata"]["labels"].items()
    spread = spec["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]
    for selector in (
        spec["selector"]["matchLabels"],
        spread["matchLabels"],
        objects["Service", "serving"]["spec"]["selector"],
        objects["Service", "serving-pods"]["spec"]["selector"],
        objects["PodDisruptionBudget", "serving"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector
        assert selector.items() <= labels
    target = objects["HorizontalPodAutoscaler", "serving"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) in objects
    assert target["apiVersion"] == objects[target["kind"], target["name"]]["apiVersion"]
    assert "cpu" in container(files)["resources"]["requests"], "or percents of it mean nothing"


@both
def test_ports_and_paths_match(files: Files) -> None:
    objects, server, compose = documents(files), container(files), yaml(files, "compose.yaml")
    flags = dict(flag.removeprefix("--").split("=") for flag in server["args"])
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    assert ports == {"http": int(flags["rest_api_port"]), "grpc": int(flags["port"])}
    for name in ("serving", "serving-pods"):
        for port in objects["Service", name]["spec"]["ports"]:
            assert port["port"] == ports[port["targetPort"]]
    probes = [server[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert [next(probe[k] for k in ("tcpSocket", "httpGet") if k in probe)["port"] for probe in probes] == [
        "http"
    ] * 3
    names = re.findall(r'name: "(.*)"', files["models.config"])
    assert server["readinessProbe"]["httpGet"]["path"] in {f"/v1/models/{name}/metadata" for name in names}

    template = objects["Deployment", "serving"]["spec"]["template"]
    notes = template["metadata"]["annotations"]
    assert notes["prometheus.io/port"] == flags["rest_api_port"]
    assert notes["prometheus.io/path"] == METRICS_PATH
    pause = int(server["lifecycle"]["preStop"]["exec"]["command"][1])
    assert template["spec"]["terminationGracePeriodSeconds"] >= pause + 30

    (job,) = yaml(files, "prometheus/prometheus.yml")["scrape_configs"]
    assert job["metrics_path"] == METRICS_PATH
    assert job["static_configs"][0]["targets"] == [f"serving:{flags['rest_api_port']}"]
    assert compose["services"]["serving"]["command"] == server["args"]
    assert [port.split(":")[-1] for port in compose["services"]["serving"]["ports"]] == [
        flags["rest_api_port"],
        flags["port"],
    ]
    source = yaml(files, "grafana/datasource.yaml")["datasources"][0]["url"]
    assert source == f"http://prometheus:{compose['services']['prometheus']['ports'][0].split(':')[-1]}"


@both
def test_mounted_files_match_the_flags(files: Files) -> None:
    objects, server = documents(files), container(files)
    asked = {flag.split("=")[1] for flag in server["args"] if "=/config/" in flag}
    kustomize = yaml(files, "kustomization.yaml")
    (generated,) = kustomize["configMapGenerator"]
    assert {f"/config/{name}" for name in generated["files"]} == asked
    assert set(generated["files"]) | set(kustomize["resources"]) <= files.keys()
    pod = objects["Deployment", "serving"]["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in server["volumeMounts"]}
    assert mounts.keys() == volumes.keys()
    assert mounts["config"] == "/config"
    assert volumes["config"]["configMap"]["name"] == generated["name"]
    claim = volumes["releases"]["persistentVolumeClaim"]["claimName"]
    assert ("PersistentVolumeClaim", claim) in objects

    compose = yaml(files, "compose.yaml")
    serving = compose["services"]["serving"]
    assert {each["target"] for each in serving["configs"]} == asked
    for service in compose["services"].values():
        assert {each["source"] for each in service.get("configs", ())} <= compose["configs"].keys()
        assert set(service.get("depends_on", ())) <= compose["services"].keys()
    for each in serving["configs"]:
        assert Path(compose["configs"][each["source"]]["file"]).name == Path(each["target"]).name
    assert {Path(each["file"]).as_posix() for each in compose["configs"].values()} <= files.keys()
    assert mounts["releases"] == serving["volumes"][0]["target"] == "/models"
    bases = re.findall(r'base_path: "(.*)"', files["models.config"])
    assert {str(Path(base).parent) for base in bases} == {"/models"}

    names = {Path(base).name for base in bases}
    services = {name: each for (kind, name), each in objects.items() if kind == "InferenceService"}
    assert services.keys() == names
    for name, each in services.items():
        assert each["spec"]["predictor"]["model"]["storageUri"] == f"pvc://{claim}/{name}"


def test_the_dashboard_queries_existing_metrics() -> None:
    metrics = Metrics()
    with metrics.request("digits", "Predict", "REST"):
        metrics.runtime_latency.observe(0.001, "digits", "Predict", "TF1")
    exposed: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(:[\w:]+)\{(.*)\}", metrics.text(), re.M):
        exposed[name] = set(re.findall(r'(\w+)="', labels))
    dashboard = json.loads(JOINED["grafana/serving.json"])
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    asked = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            assert expression.count("(") == expression.count(")")
            assert set(re.findall(r"\$(\w+)", expression)) - {"__rate_interval"} <= variables
            by = {name for group in re.findall(r"by \((.*?)\)", expression) for name in group.split(", ")}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= by
            selected = re.findall(r"(:tensorflow:serving:\w+)\{(.*?)\}", expression)
            assert selected
            for name, selector in selected:
                assert set(re.findall(r"(\w+)(?:=~|!=|=)", selector)) | by - {"le"} <= exposed[name]
                asked.add(name)
    assert asked == {
        f":tensorflow:serving:{name}"
        for name in (
            "request_count",
            *(
                f"{kind}_latency_{part}"
                for kind in ("request", "runtime")
                for part in ("bucket", "sum", "count")
            ),
        )
    }


@pytest.fixture
def answering() -> Iterator[Callable[[int], int]]:
    """Return a function that starts a server of one HTTP status, and returns its port."""
    servers = []

    def start(status: int) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path == "/v1/models/digits/metadata" and self.headers["Host"]
                self.send_response(status if found else 500)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (404, False)])
def test_the_healthcheck_of_compose(answering: Callable[[int], int], status: int, healthy: bool) -> None:
    test = yaml(JOINED, "compose.yaml")["services"]["serving"]["healthcheck"]["test"]
    assert test[0] == "CMD"
    assert "$" not in test[-1], "Compose would fill it in"
    script = test[-1].replace("/8501", f"/{answering(status)}")
    assert (subprocess.run([*test[1:-1], script], timeout=20, check=False).returncode == 0) == healthy


def test_no_tensorflow() -> None:
    code = "import sys, keras_dl_serving.deploy; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False"]
    assert IMAGE.startswith("tensorflow/serving:")


@both
def test_releases_are_copied_onto_the_volume_that_servers_read(files: Files) -> None:
    claim = documents(files)["PersistentVolumeClaim", "releases"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    mounts = {each["name"]: each for each in container(files)["volumeMounts"]}
    assert mounts["releases"]["readOnly"] is True
