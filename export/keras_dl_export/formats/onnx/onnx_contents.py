"""The nodes and versions in an ONNX file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx


def count_onnx_operators(path: Path) -> dict[str, int]:
    """Count the nodes of an ONNX file, including those inside loops and branches."""
    model = onnx.load(path, load_external_data=False)
    return dict(Counter(node.op_type for node in onnx_nodes_of(model.graph)).most_common())


def onnx_versions(path: Path) -> dict[str, int | str]:
    """Return the versions of the operator sets used by a file, and of its format."""
    model = onnx.load(path, load_external_data=False)
    used = {"", *(node.domain for node in model.graph.node)}
    imported = {each.domain: each.version for each in model.opset_import if each.domain in used}
    return {
        "opset": imported.pop(""),
        **{f"opset {domain}": version for domain, version in imported.items()},
        "IR": model.ir_version,
    }


def onnx_nodes_of(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph, each followed by the nodes of its loops and branches."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from onnx_nodes_of(inner)
