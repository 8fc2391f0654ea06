"""Serving side by side: keras_dl's server, typical custom servers, and bare servers.

    python benchmarks/serving.py [--quick] [--only NAME ...] [--out FILE.json]

Prints, for each workload and peer, the medians, their ratio (below 1: keras_dl is faster) with its quartiles
over the rounds, and the upper bound of the ratio, if there is one. `p50` is the median time of a request,
`per request` the time per request over all clients: the inverse of the requests per second.

Servers run in separate processes on the loopback; wrk sends REST requests, h2load raw bytes of gRPC, from the
same machine (`apt-get install wrk nghttp2-client`). `fastapi` needs FastAPI.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import httpx
import numpy as np
import orjson
from serving_load import Load, free_port, grpc_load, rest_load, running, seconds_to_first_response, versions
from side_by_side import QUICK, Comparison, Effort, Peer, available_cores, command_line, environment, run

from keras_dl_export.dtypes import Array
from keras_dl_serving.protocol.wire import messages, tensors

PEERS = Path(__file__).with_name("serving_peers.py")
PACKAGES = ("keras-dl", "tensorflow", "onnxruntime", "grpcio", "uvicorn", "uvloop", "protobuf", "fastapi")
_RNG = np.random.default_rng(0)
INPUTS: dict[str, dict[str, Array]] = {
    "half_plus_two": {"x": np.float32([1])},
    "cnn": {"image": _RNG.random((1, 28, 28, 1), np.float32)},
    "cnn_onnx": {"image": _RNG.random((1, 28, 28, 1), np.float32)},
    "cnn_tflite": {"image": _RNG.random((1, 28, 28, 1), np.float32)},
    "mean": {"x": _RNG.random((1, 224, 224, 3), np.float32)},
}


@dataclass(frozen=True)
class Options:
    """The options of a workload.

    Attributes:
        quick: few and short rounds.
        releases: the folder of the models.
    """

    quick: bool
    releases: Path

    @property
    def rounds(self) -> int:
        return 2 if self.quick else 5

    @property
    def seconds(self) -> float:
        return 1 if self.quick else 3


@dataclass(frozen=True)
class Side:
    """A running server: its addresses and the load on it.

    Attributes:
        options: the duration of the load.
        grpc: its gRPC port, or None.
        rest: its URL, with a placeholder for the model.
    """

    options: Options
    grpc: int | None = None
    rest: str = ""

    def over_grpc(self, model: str, clients: int) -> Load:
        """Predict over gRPC, for about as long as over REST."""
        assert self.grpc
        few = grpc_load(self.grpc, grpc_request(model), clients, 20 * clients)
        requests = max(20 * clients, round(self.options.seconds / few.per_request))
        return grpc_load(self.grpc, grpc_request(model), clients, requests)

    def over_rest(self, model: str, clients: int) -> Load:
        """Predict over REST."""
        url = self.rest.format(model=model)
        rest_load(url, rest_request(model), clients, 1)
        return rest_load(url, rest_request(model), clients, self.options.seconds)


def grpc_request(model: str) -> bytes:
    request = messages.PredictRequest()
    request.model_spec.name = model
    for name, array in INPUTS[model].items():
        tensors.write(array, request.inputs[name], as_content=True)
    return request.SerializeToString()


def rest_request(model: str) -> bytes:
    (array,) = INPUTS[model].values()
    return orjson.dumps({"instances": array}, option=orjson.OPT_SERIALIZE_NUMPY)


@contextmanager
def ours(options: Options, *flags: str) -> Iterator[Side]:
    """Run our server with all models."""
    grpc_port, rest_port = free_port(), free_port()
    command = [*server_command(options.releases), f"--port={grpc_port}", f"--rest_api_port={rest_port}"]
    url = f"http://127.0.0.1:{rest_port}"
    with running([*command, *flags], (grpc_port, rest_port)):
        httpx.get(
            f"{url}/keras_dl/ready", timeout=60
        ).raise_for_status()  # returns when the models are loaded
        yield Side(options, grpc_port, f"{url}/v1/models/{{model}}:predict")


@contextmanager
def peer(options: Options, kind: str, *arguments: str) -> Iterator[Side]:
    """Run a server of serving_peers.py."""
    port = free_port()
    with running([str(PEERS), kind, str(port), *arguments], (port,)):
        yield Side(options, port, f"http://127.0.0.1:{port}/")


def server_command(releases: Path, only: str = "") -> list[str]:
    config = releases / f"models{only}.config"
    names = [only] if only else [path.name for path in releases.iterdir() if path.is_dir()]
    platforms = {"cnn_onnx": "onnx", "cnn_tflite": "tflite"}
    listed = " ".join(
        f"config {{ name: '{name}' base_path: '{releases / name}' "
        f"model_platform: '{platforms.get(name, 'tensorflow')}' }}"
        for name in names
    )
    config.write_text(f"model_config_list {{ {listed} }}")
    return ["-m", "keras_dl_serving.model_server", f"--model_config_file={config}"]


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def against(
    name: str,
    figure: Literal["p50", "per request"],
    mine: Callable[[], Load],
    peers: Mapping[str, tuple[Callable[[], Load], float | None]],
    rounds: int,
) -> Comparison:
    """Compare one figure of ours with that of each peer, with its bound."""

    def work(load: Callable[[], Load]) -> Callable[[], float]:
        return lambda: getattr(load(), figure.replace(" ", "_"))  # type: ignore[no-any-return]

    return Comparison(
        f"{name}, {figure}",
        work(mine),
        {label: Peer(work(load), bound) for label, (load, bound) in peers.items()},
        unit="s",
        rounds=rounds,
    )


# Small requests: the cost of the protocol.


def small(options: Options) -> Iterator[Comparison]:
    """Compare `x / 2 + 2` of one number with a handler of raw bytes that runs the same session."""
    model = "half_plus_two"
    folder = str(options.releases / model / "1")
    with ours(options) as server, peer(options, "grpc-bare", folder) as bare:
        for figure, clients, bound in (("p50", 1, 2.2), ("per request", 8, 1 / 0.6)):
            yield against(
                f"small gRPC, {_clients(clients)}",
                figure,
                partial(server.over_grpc, model, clients),
                {"raw bytes": (partial(bare.over_grpc, model, clients), bound)},
                options.rounds,
            )
        yield against(
            "small REST, 1 client",
            "p50",
            partial(server.over_rest, model, 1),
            {"keras_dl gRPC": (partial(server.over_grpc, model, 1), 1.3)},
            options.rounds,
        )


def large(options: Options) -> Iterator[Comparison]:
    """Compare the mean of a 1 x 224 x 224 x 3 float32 image with an echo, and with orjson and NumPy."""
    folder = str(options.releases / "mean" / "1")
    with ExitStack() as stack:
        server = stack.enter_context(ours(options))
        echo = stack.enter_context(peer(options, "grpc-echo"))
        naive = stack.enter_context(peer(options, "json", folder))
        # About every second request of the naive server includes a garbage collection, so its median
        # includes one or not by chance: the p50 has no bound.
        for name, figure, mine, label, theirs, bound in (
            ("gRPC", "p50", server.over_grpc, "echo", echo.over_grpc, 2.0),
            ("JSON", "per request", server.over_rest, "orjson and NumPy", naive.over_rest, 1 / 7),
            ("JSON", "p50", server.over_rest, "orjson and NumPy", naive.over_rest, None),
        ):
            yield against(
                f"large {name}, 1 client",
                figure,
                partial(mine, "mean", 1),
                {label: (partial(theirs, "mean", 1), bound)},
                options.rounds,
            )


# A CNN for MNIST.


def fastapi(options: Options) -> Iterator[Comparison]:
    """Compare the CNN with the same Keras model behind FastAPI, both over REST."""
    if not importlib.util.find_spec("fastapi"):
        print("FastAPI is not installed, so its rows are omitted. Run pip install fastapi.", file=sys.stderr)
        return
    with ExitStack() as stack:
        server = stack.enter_context(ours(options))
        sides = {
            label: stack.enter_context(peer(options, kind))
            for label, kind in (("model.predict", "fastapi-predict"), ("model(x)", "fastapi-call"))
        }
        for figure, clients, bounds in (("p50", 1, (1 / 25, 1 / 4)), ("per request", 8, (1 / 30, 1 / 15))):
            yield against(
                f"cnn REST, {_clients(clients)}",
                figure,
                partial(server.over_rest, "cnn", clients),
                {
                    f"FastAPI, {label}": (partial(side.over_rest, "cnn", clients), bound)
                    for (label, side), bound in zip(sides.items(), bounds, strict=True)
                },
                options.rounds,
            )


def batching(options: Options) -> Iterator[Comparison]:
    """Compare 64 clients of the CNN with batching, set as docs/serving.md advises, and without it."""
    parameters = options.releases / "batching.config"
    parameters.write_text(
        "max_batch_size { value: 32 } batch_timeout_micros { value: 1000 } num_batch_threads { value: 1 }"
    )
    one_thread = "--tensorflow_session_parallelism=1"
    flags = ("--enable_batching", f"--batching_parameters_file={parameters}", one_thread)
    with (
        ours(options, *flags) as together,
        ours(options) as alone,
        ours(options, one_thread) as alone_on_one,
    ):
        for name, load in (("gRPC", Side.over_grpc), ("REST", Side.over_rest)):
            yield against(
                f"cnn {name} batched, 64 clients",
                "per request",
                partial(load, together, "cnn", 64),
                {
                    "unbatched": (partial(load, alone, "cnn", 64), 0.5),
                    "unbatched, one thread per run": (partial(load, alone_on_one, "cnn", 64), None),
                },
                options.rounds,
            )


def threads(options: Options) -> Iterator[Comparison]:
    """Compare the CNN on one thread per run with the number of threads that TensorFlow chooses."""
    with ours(options, "--tensorflow_session_parallelism=1") as one, ours(options) as automatic:
        for figure, clients in (("p50", 1), ("per request", 8)):
            yield against(
                f"cnn gRPC, one thread per run, {_clients(clients)}",
                figure,
                partial(one.over_grpc, "cnn", clients),
                {"automatic threads": (partial(automatic.over_grpc, "cnn", clients), None)},
                options.rounds,
            )


def engines(options: Options) -> Iterator[Comparison]:
    """Compare the CNN in onnxruntime with the SavedModel in TensorFlow."""
    with ours(options) as server:
        for figure, clients in (("p50", 1), ("per request", 8)):
            yield against(
                f"cnn ONNX gRPC, {_clients(clients)}",
                figure,
                partial(server.over_grpc, "cnn_onnx", clients),
                {"SavedModel": (partial(server.over_grpc, "cnn", clients), 1.0)},
                options.rounds,
            )


def start(options: Options) -> Iterator[Comparison]:
    """Compare the time from the start of the server to its first response."""

    def first(model: str) -> Callable[[], float]:
        port = free_port()
        command = [*server_command(options.releases, model), "--port=0", f"--rest_api_port={port}"]
        url = f"http://127.0.0.1:{port}/v1/models/{model}:predict"
        return lambda: seconds_to_first_response(command, url, rest_request(model))

    rounds = 1 if options.quick else 5
    yield Comparison(
        "first response, SavedModel",
        first("cnn"),
        {"import tensorflow": Peer(_import_tensorflow, 1.3)},
        unit="s",
        rounds=rounds,
    )
    for model, format in (("cnn_onnx", "ONNX"), ("cnn_tflite", "TFLite")):
        peers = {"two seconds": Peer(lambda: 2.0, 1.0)}
        yield Comparison(f"first response, {format}", first(model), peers, unit="s", rounds=rounds)


def _import_tensorflow() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, capture_output=True)
    return time.perf_counter() - began


WORKLOADS: dict[str, Callable[[Options], Iterator[Comparison]]] = {
    "small": small,
    "large": large,
    "fastapi": fastapi,
    "batching": batching,
    "threads": threads,
    "engines": engines,
    "start": start,
}


def make_releases(folder: Path) -> None:
    """Write the models: a CNN in three formats, and two models of a few operations."""
    code = f"from serving_models import save_all; save_all({str(folder)!r})"
    here = str(Path(__file__).parent)
    # In a separate process, so that the measuring process stays small.
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=here)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with the options of the command line."""
    parser = command_line("The server of keras_dl against other servers.", WORKLOADS)
    asked = parser.parse_args(arguments)
    machine = {**environment(available_cores(), PACKAGES), **versions()}
    with tempfile.TemporaryDirectory() as folder:
        make_releases(Path(folder))
        options = Options(asked.quick, Path(folder))
        comparisons: Iterable[Comparison] = (
            comparison for name in asked.only or WORKLOADS for comparison in WORKLOADS[name](options)
        )
        run(comparisons, QUICK if asked.quick else Effort(), machine, asked.out)


if __name__ == "__main__":
    main()
