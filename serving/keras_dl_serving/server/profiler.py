"""TensorFlow's profiler service on the gRPC port, from which TensorBoard and `tf.profiler` take traces."""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

from keras_dl_serving.errors import (
    AlreadyExistsError,
    InternalError,
    InvalidArgumentError,
    UnavailableError,
    UnimplementedError,
)
from keras_dl_serving.protocol.wire import messages

_MAX_SECONDS = 3600.0


class Profiler:
    """The profiler service. It traces the TensorFlow of this process, if it is loaded."""

    def __init__(self) -> None:
        self._stops: dict[str, threading.Event] = {}
        self._closed = False

    def profile(self, request: messages.ProfileRequest) -> messages.ProfileResponse:
        """Answer ProfilerService.Profile: trace, and write `<repository_root>/<session_id>/<host>.xplane.pb`.

        Raises:
            UnimplementedError: TensorFlow is not loaded in this process.
            InvalidArgumentError: a name would leave the folder, or there is no folder to write to.
            AlreadyExistsError: a trace of this session id is being taken.
            UnavailableError: the server is stopping.
            InternalError: another trace is being taken, or this one cannot be written.
        """
        if "tensorflow" not in sys.modules:
            raise UnimplementedError(
                "Profiling traces TensorFlow, which this server has not loaded: it serves no SavedModel"
            )
        from tensorflow.python.framework import errors
        from tensorflow.python.profiler.internal import _pywrap_profiler
        from tensorflow.tsl.profiler.protobuf import xplane_pb2

        for name in (request.session_id, request.host_name):
            if "/" in name or "\\" in name or name in (".", ".."):
                raise InvalidArgumentError(f"session_id and host_name must be names, not paths: {name}")
        if not request.emit_xspace and not (request.repository_root and request.session_id):
            raise InvalidArgumentError(
                "repository_root and session_id must say where to write the trace, unless emit_xspace is set"
            )
        levels = ("host_tracer_level", "device_tracer_level", "python_tracer_level")
        # Options without a version count as missing.
        options = {name: getattr(request.opts, name) for name in levels if request.opts.version}
        stopped = threading.Event()
        if self._stops.setdefault(request.session_id, stopped) is not stopped:
            raise AlreadyExistsError(f"A trace of session_id {request.session_id} is being taken already.")
        try:
            if self._closed:
                raise UnavailableError("The server is stopping.")
            with tempfile.TemporaryDirectory() as folder:
                session = _pywrap_profiler.ProfilerSession()
                session.start(folder, options)
                stopped.wait(min(request.opts.duration_ms * 1e-3, _MAX_SECONDS))
                session.export_to_tb()
                trace = next(Path(folder).rglob("*.xplane.pb")).read_bytes()
            if not request.emit_xspace:
                _save(request, trace)
        except (errors.OpError, OSError, StopIteration) as error:
            raise InternalError(str(error)) from error
        finally:
            del self._stops[request.session_id]
        planes = xplane_pb2.XSpace.FromString(trace).planes
        return messages.ProfileResponse(
            empty_trace=not any(line.events for plane in planes for line in plane.lines),
            xspace=trace if request.emit_xspace else b"",
        )

    def terminate(self, request: messages.TerminateRequest) -> messages.TerminateResponse:
        """Answer ProfilerService.Terminate: end a trace early."""
        if stop := self._stops.get(request.session_id):
            stop.set()
        return messages.TerminateResponse()

    def monitor(self, request: messages.MonitorRequest) -> messages.MonitorResponse:
        """Refuse ProfilerService.Monitor, which the original does not implement either."""
        raise UnimplementedError("unimplemented.")

    def close(self) -> None:
        """End a running trace, and accept no other."""
        self._closed = True
        for stop in [*self._stops.values()]:
            stop.set()


def _save(request: messages.ProfileRequest, trace: bytes) -> None:
    folder = Path(request.repository_root) / request.session_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{request.host_name.replace(':', '_')}.xplane.pb").write_bytes(trace)
