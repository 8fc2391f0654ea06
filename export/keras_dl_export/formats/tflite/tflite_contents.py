"""The operators and versions in a TFLite file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema


def count_tflite_operators(path: Path) -> dict[str, int]:
    """Count the operators of all subgraphs of a TFLite file."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    counts = Counter(
        names[codes[operator.opcodeIndex]] for graph in model.subgraphs for operator in graph.operators
    )
    return dict(counts.most_common())


def tflite_versions(path: Path) -> dict[str, int | str]:
    """Return the versions of the schema and of the oldest runtime that supports the file's operators."""
    file = schema.Model.GetRootAsModel(path.read_bytes(), 0)
    metadata = [file.Metadata(index) for index in range(file.MetadataLength())]
    oldest = [
        file.Buffers(each.Buffer()).DataAsNumpy().tobytes().rstrip(b"\0").decode()
        for each in metadata
        if each.Name() == b"min_runtime_version"
    ]
    return {"schema": file.Version(), **({"runtime from": oldest[0]} if oldest else {})}
