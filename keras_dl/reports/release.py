"""Reports of a release, as tables for the terminal and as an HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_dl.reports.html import Section, Table, write_report
from keras_dl.reports.tables import FORMAT_NAMES

if TYPE_CHECKING:
    from keras_dl_export import Artifact, Comparison, Parity, Release
    from keras_dl_export.results import Timing

_SHORT_HASH = 16  # digits; 64 do not fit into a terminal


def release_sections(
    release: Release, parity: Parity, timings: Sequence[Timing], machine: str, *, whole_hashes: bool = True
) -> list[Section]:
    """Return all sections of the report of a release.

    Args:
        release: the release.
        parity: the parity of its files, compared again.
        timings: the latencies of its files, measured again.
        machine: description of the machine of these measurements.
        whole_hashes: False shortens them for a terminal.
    """
    again = f"Now: {machine}."
    released = f" Released: {release.machine}." if release.machine else ""
    accuracy = accuracy_table(release.artifacts)
    return [
        Section("Files", tables=[_files(release)]),
        Section(
            "Endpoints",
            "FLOPs of one call of the model in any format; a multiply-add counts as 2.",
            tables=[_endpoints(release)],
        ),
        Section(
            "Parity",
            "The difference that is largest relative to its tolerance: between each file and the Keras model "
            f"at the release, and between each file and the reference now. {_samples(release, parity)}",
            tables=[_parity(release, parity)],
        ),
        *([Section("Accuracy", "On labeled data, at the release.", [accuracy])] if accuracy else []),
        Section(
            "Latency",
            f"Milliseconds of a call, median and 95th percentile, by number of threads. {again}{released}",
            tables=[_latency(release, timings)],
        ),
        Section("Operators", tables=[_operators(release.artifacts)]),
        Section(
            "Hashes",
            "" if whole_hashes else f"The first {_SHORT_HASH} digits of SHA-256; release.json has all.",
            tables=[_hashes(release, None if whole_hashes else _SHORT_HASH)],
        ),
    ]


def write_release_report(
    path: str | Path, release: Release, parity: Parity, timings: Sequence[Timing], machine: str
) -> Path:
    """Write the page of a release that was just verified.

    Args:
        path: the HTML file; its folder must exist. It must be outside of the release, which is never changed.
        release: the release.
        parity: the parity of its files, compared again.
        timings: the latencies of its files, measured again.
        machine: description of the machine of these measurements.

    Raises:
        ValueError: `path` is in the release.
    """
    if release.path.resolve() in Path(path).resolve().parents:
        raise ValueError(
            f"path: {path} is in {release.path}, which is never changed. Pass a path outside of it."
        )
    model = release.manifest["model"]
    fastest = min((timing.p50_ms for timing in timings if _is_default(timing)), default=None)
    largest = max(release.flops.values(), key=lambda flops: flops.total, default=None)
    return write_report(
        path,
        title=f"{release.name}, version {release.version}",
        summary=f"{model['class']}, released {release.manifest['created']}. Its "
        f"{len(release.manifest['files'])} files are unchanged and agree in their own runtimes.",
        figures={
            "parameters": f"{model['parameters']:,}",
            **({"FLOPs of the most expensive endpoint": format_count(largest.total)} if largest else {}),
            "largest difference": f"{parity.max_abs_error:.0e}",
            **({"fastest median": f"{_milliseconds(fastest)} ms"} if fastest is not None else {}),
        },
        sections=[*release_sections(release, parity, timings, machine), _tools(release)],
    )


def accuracy_table(artifacts: Iterable[Artifact]) -> Table | None:
    """Return the accuracies of model and files on labeled data; None if they were not measured."""
    rows = [
        (
            FORMAT_NAMES[artifact.format],
            artifact.accuracy.endpoint,
            artifact.quantize or "none",
            f"{artifact.accuracy.before:.2%}",
            f"{artifact.accuracy.after:.2%}",
            f"{artifact.accuracy.examples:,}",
        )
        for artifact in artifacts
        if artifact.accuracy
    ]
    columns = ("format", "endpoint", "quantized", "Keras model", "file", "examples")
    return Table(columns, rows) if rows else None


def format_count(count: int) -> str:
    """Return a large count with a unit, such as `11.4 M`."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def _files(release: Release) -> Table:
    entries = {entry["path"]: entry for entry in release.manifest["artifacts"]}
    rows = []
    for artifact in release.artifacts:
        path = artifact.path.relative_to(release.path).as_posix()
        versions = entries[path].get("versions", {})
        rows.append(
            (
                FORMAT_NAMES[artifact.format],
                "(the folder)" if path == "." else path,
                f"{artifact.bytes:,}",
                artifact.quantize or "none",
                f"{sum(artifact.operators.values()):,}",
                ", ".join(f"{name} {version}" for name, version in versions.items()),
            )
        )
    return Table(("format", "file", "bytes", "quantized", "operators", "versions"), rows)


def _endpoints(release: Release) -> Table:
    rows = []
    for name in release.inputs:
        flops = release.flops.get(name)
        entry = release.manifest["endpoints"][name]
        sizes = entry.get("sizes", {})
        rows.append(
            (
                name,
                ", ".join(release.inputs[name]),
                ", ".join(release.outputs[name]),
                f"not counted: {entry.get('flops_missing')}" if flops is None else f"{flops.total:,}",
                (", ".join(f"{axis} {size}" for axis, size in sizes.items()) or "fixed sizes")
                + (f"; without {', '.join(flops.uncounted)}" if flops and flops.uncounted else ""),
            )
        )
    return Table(("endpoint", "inputs", "outputs", "FLOPs", "at"), rows)


def _parity(release: Release, parity: Parity) -> Table:
    """Return one row per endpoint of each file."""
    rows = []
    for artifact in release.artifacts:
        for endpoint in artifact.endpoints:
            released = _nearest_to_limit(artifact.parity, artifact, endpoint)
            now = _nearest_to_limit(parity, artifact, endpoint)
            rows.append(
                (
                    FORMAT_NAMES[artifact.format],
                    endpoint,
                    _error(released.max_abs_error) if released else "-",
                    _error(now.max_abs_error) if now else "-",
                    f"{released.tolerance:.0e}" if released else "-",
                )
            )
    return Table(("format", "endpoint", "released", "now", "tolerance"), rows)


def _nearest_to_limit(parity: Parity, artifact: Artifact, endpoint: str) -> Comparison | None:
    """Return the comparison with the largest error relative to its tolerance, as samples differ in scale."""
    of_file = [
        each for each in parity.comparisons if (each.file, each.endpoint) == (artifact.label, endpoint)
    ]
    return max(of_file, key=lambda each: each.max_abs_error / each.tolerance, default=None)


def _samples(release: Release, parity: Parity) -> str:
    tried = dict.fromkeys(kind for artifact in release.artifacts for kind in artifact.parity.kinds)
    widened = "" if release.tolerance is None else f" The tolerance is widened to {release.tolerance:g}."
    return f"Tried on samples that are {', '.join(tried)}; now on {', '.join(parity.kinds)}.{widened}"


def _latency(release: Release, timings: Sequence[Timing]) -> Table:
    released = {(timing.path, timing.endpoint, timing.threads): timing for timing in release.timings}
    rows = []
    for timing in timings:
        earlier = released.get((timing.path, timing.endpoint, timing.threads))
        rows.append(
            (
                FORMAT_NAMES[timing.format],
                timing.endpoint,
                str(timing.threads),
                _milliseconds(timing.p50_ms),
                _milliseconds(timing.p95_ms),
                _milliseconds(earlier.p50_ms) if earlier else "-",
                _milliseconds(earlier.p95_ms) if earlier else "-",
            )
        )
    return Table(
        ("format", "endpoint", "threads", "p50 now", "p95 now", "p50 released", "p95 released"), rows
    )


def _operators(artifacts: Iterable[Artifact]) -> Table:
    rows = [
        (
            FORMAT_NAMES[artifact.format],
            artifact.endpoints[0] if artifact.format == "onnx" else "all",
            ", ".join(f"{name} {count}" for name, count in artifact.operators.items()),
        )
        for artifact in artifacts
    ]
    return Table(("format", "endpoint", "operators"), rows)


def _hashes(release: Release, digits: int | None) -> Table:
    rows = [
        (path, f"{entry['bytes']:,}", entry["sha256"][:digits])
        for path, entry in release.manifest["files"].items()
    ]
    return Table(("file", "bytes", "SHA-256"), rows)


def _tools(release: Release) -> Section:
    rows = [(name, version) for name, version in release.manifest["tools"].items()]
    return Section("Made with", tables=[Table(("tool", "version"), rows)])


def _is_default(timing: Timing) -> bool:
    return timing.endpoint == "serving_default"


def _error(value: float) -> str:
    return f"{value:.0e}" if value else "0"


def _milliseconds(value: float) -> str:
    return f"{value:,.3f}"
