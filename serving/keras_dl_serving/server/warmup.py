"""Warm-up requests of a version, run before it is served, so that its first request is not slow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from keras_dl_export.dtypes import Array
from keras_dl_serving.coroutines import run_to_end
from keras_dl_serving.errors import DataLossError, InvalidArgumentError, UnimplementedError
from keras_dl_serving.protocol.wire import messages, tensors
from keras_dl_serving.server import example_inference
from keras_dl_serving.server.engines.engine import Engine
from keras_dl_serving.server.predict import predict
from keras_dl_serving.server.servable_runner import Immediate, Runner

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000
_LENGTH = 8
_CHECKSUM = 4
_MASK = 0xA282EAD8  # of the checksums in TFRecord files


def warm_up(
    engine: Engine, version_folder: Path, iterations: int = 1, *, check_method_names: bool = False
) -> int:
    """Run a version's warm-up requests.

    Args:
        engine: the engine of the version.
        version_folder: the folder of the version.
        iterations: how often each request runs.
        check_method_names: as for requests of clients.

    Returns:
        The number of requests.

    Raises:
        StatusError: a record cannot be read, or its request fails.
    """
    file = version_folder / WARMUP_FILE
    if not file.is_file():
        return 0
    count = 0
    for record in records(file.read_bytes()):
        count += 1
        if count > MAX_RECORDS:
            raise InvalidArgumentError(
                f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}"
            )
        try:
            log = messages.PredictionLog.FromString(record)
        except DecodeError:
            raise InvalidArgumentError(f"Failed to parse warmup record: {count - 1} from {file}") from None
        for _ in range(iterations):
            run_to_end(_run(Immediate(engine, checks_method_names=check_method_names), log))
    return count


def records(data: bytes) -> Iterator[bytes]:
    """Return the records of a TFRecord file: length, its checksum, data, its checksum.

    Raises:
        DataLossError: the file is truncated, or a checksum does not match its bytes.
    """

    def read(start: int, size: int) -> bytes:
        block = data[start : start + size]
        checksum = data[start + size : start + size + _CHECKSUM]
        if len(checksum) < _CHECKSUM:
            raise wrong("truncated")
        if _masked_crc32c(block) != int.from_bytes(checksum, "little"):
            raise wrong("corrupted")
        return block

    def wrong(how: str) -> DataLossError:
        return DataLossError(
            f"{how} record at {position}. Please verify your warmup data is in TFRecord format."
        )

    position = 0
    while position < len(data):
        length = int.from_bytes(read(position, _LENGTH), "little")
        record = read(position + _LENGTH + _CHECKSUM, length)
        position += _LENGTH + length + 2 * _CHECKSUM
        yield record


def _masked_crc32c(block: bytes) -> int:
    from google_crc32c import value  # imported only for a version with warm-up requests

    crc: int = value(block)
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


async def _run(runner: Runner, log: messages.PredictionLog) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        request = log.predict_log.request
        await predict(runner, request.model_spec.signature_name, request.inputs, _read, request.output_filter)
    elif kind == "classify_log":
        asked = log.classify_log.request
        await example_inference.classify(runner, asked.model_spec.signature_name, asked.input)
    elif kind == "regress_log":
        wanted = log.regress_log.request
        await example_inference.regress(runner, wanted.model_spec.signature_name, wanted.input)
    elif kind == "multi_inference_log":
        several = log.multi_inference_log.request
        await example_inference.multi_inference(runner, several.tasks, several.input)
    elif kind == "session_run_log":
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise UnimplementedError(f"Unsupported log_type for warmup: {number}")


def _read(name: str, proto: messages.TensorProto) -> Array:
    try:
        return tensors.read(proto)
    except ValueError as error:
        raise InvalidArgumentError(f"tensor parsing error: {name}: {error}") from None
