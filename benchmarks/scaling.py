"""Training on two workers against one, and the data pipelines against the training step.

    python benchmarks/scaling.py [--quick] [--only NAME ...] [--out FILE.json] [--plot FILE.png]

`workers` measures the steps per second and the bytes exchanged of two workers on this machine's loopback,
each with one thread. Peers with the same number of examples per worker are: one worker; two workers that
train independently and share caches and memory; and the cost model of `ring.py`, which predicts the step from
these independent workers and from bare all-reduces. The plot extends the model to 64 workers on assumed
links. Every other name is a recipe: the next batch of its pipeline against its training step, which must not
wait for it (bound: a third). `ss` of iproute2 counts the bytes; without it these rows are omitted.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import ring
from side_by_side import QUICK, Comparison, Effort, Peer, available_cores, command_line, environment, run

PACKAGES = ("keras-dl", "keras", "tensorflow", "numpy")
MODELS = {"vae": 64, "dcgan": 32, "lstm": 64}  # model -> examples per worker
SIZES = (1_000, 100_000, 1_000_000, 4_000_000)  # numbers per bare all-reduce
SECONDS = 300  # timeout of a launch
# Links between hosts for the calculation, latency and bytes per second: assumed, not measured.
PLANNED = {"10 Gbit/s, 50 us": ring.Link(50e-6, 1.25e9), "100 Gbit/s, 10 us": ring.Link(10e-6, 12.5e9)}


@dataclass(frozen=True)
class Measured:
    """A report of the workers of one launch.

    Attributes:
        step: seconds of a training step.
        parameters: numbers exchanged per step.
        bytes: sent per step by each worker; None if they could not be counted.
        exchanges: number of exchanges per step.
        bare: seconds of a bare all-reduce of each of `SIZES`; empty for one worker.
    """

    step: float
    parameters: int
    bytes: float | None
    exchanges: int
    bare: Sequence[float]


# In the launched processes.


def worker(name: str, steps: int) -> None:
    """Train one model and print a line after each epoch; the chief's last line is its report."""
    import keras
    import tensorflow as tf

    from keras_dl.data import shard_batches
    from keras_dl.training.distribution import Team, open_team

    tf.config.threading.set_intra_op_parallelism_threads(1)
    team = open_team("multi-worker") if "TF_CONFIG" in os.environ else Team()
    with team.scope():
        model, batch = _model(name, MODELS[name] * team.replicas)
    endless = tf.data.Dataset.from_tensors(batch).repeat()
    data = endless if team.strategy is None else team.batches(lambda shard: shard_batches(endless, shard))
    moments = []

    def epoch_ended(epoch: int, logs: Any) -> None:
        moments.append(time.perf_counter())
        print("epoch", flush=True)

    watch = keras.callbacks.LambdaCallback(on_epoch_end=epoch_ended)
    with team.training():
        model.fit(data, steps_per_epoch=steps, epochs=4, shuffle=False, verbose=0, callbacks=[watch])
    several = team.replicas > 1
    report = {
        "step": float(np.median(np.diff(moments))) / steps,
        "parameters": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        "exchanges": _exchanges(team, model, batch) if several else 0,
        "bare": _bare_exchanges(team.strategy, steps) if several else [],
    }
    print(json.dumps(report), flush=True)


def _model(name: str, size: int) -> tuple[Any, Any]:
    """Return a compiled model and a batch for it."""
    from keras_dl.models import DCGAN, VAE, SequenceClassifier
    from keras_dl.optimizers import Adam

    images = np.random.default_rng(0).random((size, 28, 28, 1), np.float32)
    if name == "vae":
        model = VAE()
        model.compile(Adam(1e-3), jit_compile=False)
        return model, images
    if name == "dcgan":
        model = DCGAN()
        model.compile(Adam(2e-4), Adam(2e-4), jit_compile=False)
        return model, images
    model = SequenceClassifier("lstm", 128, 10, image_shape=(28, 28, 1))
    model.compile(Adam(1e-3), loss="sparse_categorical_crossentropy", jit_compile=False)
    return model, (images, np.arange(size) % 10)


def _exchanges(team: Any, model: Any, batch: Any) -> int:
    """Return the number of exchanges in the graph of a step, plus one for each metric that it reports."""
    import tensorflow as tf

    step = tf.function(lambda values: team.strategy.run(model.train_step, args=(values,)))
    mine = tf.nest.map_structure(lambda values: tf.constant(values[: len(values) // team.replicas]), batch)
    graph = step.get_concrete_function(mine).graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return sum(node.op.startswith("CollectiveReduce") for node in nodes) + len(model.metrics)


def _bare_exchanges(strategy: Any, repetitions: int) -> list[float]:
    """Return the seconds of an all-reduce of each of `SIZES` numbers."""
    import tensorflow as tf

    from keras_dl.replicas import replica_sum

    seconds = []
    for size in SIZES:
        compiled = tf.function(lambda values: strategy.run(replica_sum, args=(values,)))
        values = tf.zeros(size)
        turns = []
        for _ in range(repetitions):
            began = time.perf_counter()
            compiled(values)
            turns.append(time.perf_counter() - began)
        seconds.append(float(np.median(turns[1:])))
    return seconds


# In the process that compares.


def launch(name: str, workers: int, steps: int, *, together: bool = True) -> Measured:
    """Train a model on several workers of this machine, together over its loopback or independently."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    with ExitStack() as stack:
        processes = []
        for index in range(workers):
            config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
            several = {"TF_CONFIG": config} if workers > 1 and together else {}
            quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **several}
            errors = stack.enter_context(tempfile.TemporaryFile("w+"))
            command = [sys.executable, __file__, "worker", name, str(steps)]
            process = subprocess.Popen(command, env=quiet, stdout=subprocess.PIPE, stderr=errors, text=True)
            stack.callback(_end, process)
            processes.append((process, errors))
        try:
            return _report(processes[0][0], ports, steps)
        except ValueError:
            processes[0][1].seek(0)
            raise RuntimeError(f"a worker failed: {processes[0][1].read()[-2000:]}") from None


def _end(process: Any) -> None:
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _report(chief: Any, ports: Sequence[int], steps: int) -> Measured:
    counts = []
    line = ""
    for line in chief.stdout:
        if line.startswith("epoch"):
            counts.append(_sent(ports))
    report = json.loads(line)
    between = [after - before for before, after in pairwise(counts)]
    sent = float(np.median(between)) / steps / len(ports) if None not in counts else None
    return Measured(bytes=sent, **report)


def _sent(ports: Sequence[int]) -> Any:
    """Return the bytes sent so far over all connections of these ports, both ends; None without `ss`."""
    if shutil.which("ss") is None:
        return None
    chosen = " or ".join(f"sport = :{port} or dport = :{port}" for port in ports)
    listed = subprocess.run(["ss", "-tinH", chosen], capture_output=True, text=True, check=True).stdout
    return sum(int(word[len("bytes_sent:") :]) for word in listed.split() if word.startswith("bytes_sent:"))


def workers(quick: bool, points: list[tuple[str, Measured, Measured]]) -> Iterator[Comparison]:
    """Compare two workers with one, with independent ones and with the cost model; append to `points`."""
    steps, rounds = (10, 1) if quick else (40, 3)
    for name in MODELS:
        launches = [
            (launch(name, 1, steps), launch(name, 2, steps, together=False), launch(name, 2, steps))
            for _ in range(rounds)
        ]
        one, apart, two = (_median(each) for each in zip(*launches, strict=True))
        points.append((name, apart, two))
        link = ring.fitted(2, SIZES, two.bare)
        predicted = ring.step_seconds(2, apart.step, two.parameters, link, two.exchanges)
        peers = {"1 worker": one.step, "2 independent workers": apart.step, "cost model": predicted}
        yield Comparison(
            f"2 workers: {name}, {MODELS[name]} examples per worker, {two.parameters:,} parameters",
            lambda two=two: 1 / two.step,
            {label: Peer(lambda seconds=seconds: 1 / seconds) for label, seconds in peers.items()},
            unit="steps/s",
            rounds=1,
        )
        if two.bytes is not None:
            expected = ring.bytes_sent(2, two.parameters)
            yield Comparison(
                f"bytes per step and worker, 2 workers: {name}",
                lambda two=two: two.bytes / 1e6,
                {"ring all-reduce": Peer(lambda expected=expected: expected / 1e6)},
                unit="MB",
                rounds=1,
            )


def _median(reports: Sequence[Measured]) -> Measured:
    """Return the launch with the median step."""
    return sorted(reports, key=lambda report: report.step)[len(reports) // 2]


def pipeline(name: str) -> Iterator[Comparison]:
    """Compare the next batch of a recipe's pipeline with a bare training step."""
    from keras_dl.data import Shard
    from keras_dl.recipes import get_recipe

    recipe = get_recipe(name)
    splits = recipe.splits()
    batches = iter(splits.shared(Shard(0, 1, 1))[0])
    model = recipe.build(splits)
    import tensorflow as tf

    again = iter(tf.data.Dataset.from_tensors(next(batches)).repeat())
    model.make_train_function()
    yield Comparison(
        f"next batch: {name}",
        lambda: next(batches),
        {"training step": Peer(lambda: model.train_function(again), at_most=1 / 3)},
    )


def plot(points: Sequence[tuple[str, Measured, Measured]], path: Path) -> None:
    """Plot the efficiency over the workers: measured against independent workers, and calculated."""
    from matplotlib.figure import Figure

    counts = [2**power for power in range(7)]
    figure = Figure(figsize=(3.6 * len(points), 3.6), layout="constrained")
    handles: Any = ()
    for place, (name, apart, two) in enumerate(points, start=1):
        axes = figure.add_subplot(1, len(points), place)
        loopback = ring.fitted(2, SIZES, two.bare)
        links = {"this loopback": loopback, **PLANNED}
        for label, link in links.items():
            shares = [
                ring.efficiency(count, apart.step, two.parameters, link, two.exchanges) for count in counts
            ]
            axes.plot(counts, shares, "-" if link is loopback else "--", label=label)
        axes.plot([1, 2], [1.0, apart.step / two.step], "ko", label="measured")
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_ylim(0, 1.1)
        axes.set_xlabel("workers")
        axes.set_title(f"{name}: {two.parameters / 1e6:.2f} M parameters", fontsize=9)
        if place == 1:
            axes.set_ylabel("share of n times the speed")
            handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _comparisons(names: Sequence[str], quick: bool, points: Any) -> Iterator[Comparison]:
    for name in names:
        yield from workers(quick, points) if name == "workers" else pipeline(name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with the options of the command line."""
    from keras_dl.recipes import list_recipes

    parser = command_line("Training on several workers, and data pipelines.", ["workers", *list_recipes()])
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="plot the cost model and the measurements"
    )
    asked = parser.parse_args(arguments)
    points: list[tuple[str, Measured, Measured]] = []
    effort = QUICK if asked.quick else Effort()
    names = asked.only or ["workers", *list_recipes()]
    run(_comparisons(names, asked.quick, points), effort, environment(available_cores(), PACKAGES), asked.out)
    for name, apart, two in points:
        link = ring.fitted(2, SIZES, two.bare)
        print(
            f"{name}: {two.exchanges} exchanges per step; a turn takes {1e6 * link.latency:.0f} us and its "
            f"bytes at {link.bandwidth / 1e9:.2f} GB/s; a step of two workers takes {1e3 * two.step:.1f} ms, "
            f"of two independent workers {1e3 * apart.step:.1f} ms"
        )
        for count in (2, 8, 64):
            shares = [
                f"{ring.efficiency(count, apart.step, two.parameters, each, two.exchanges):.0%} ({label})"
                for label, each in PLANNED.items()
            ]
            print(f"  {count} workers, calculated: {', '.join(shares)}")
    if asked.plot and points:
        plot(points, asked.plot)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(sys.argv[2], int(sys.argv[3]))
    else:
        main()
