"""Both clients against servers of other authors."""

from __future__ import annotations

from typing import Any

import pytest

from keras_dl_serving import (
    Client,
    ConnectionFailedError,
    InternalError,
    InvalidRequestError,
    PermissionDeniedError,
    Server,
    UnavailableError,
    UnimplementedError,
    UnknownError,
    UnsupportedByServerError,
)
from keras_dl_serving.client.grpc_transport import _translate
from keras_dl_serving.errors import Request
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.settings import ServerSettings
from tests._support.certificates import certificate
from tests._support.peers import GrpcPeer, rest_peer

# ---- what others do not have


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (400, b'{"error": "Malformed request: GET /keras_dl/models"}'),
        (404, b"<html>"),
        (405, b""),
        (501, b"{}"),
        (200, b"<html>"),
        (200, b""),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"models": null}'),
        (200, b'{"models": {"m": 1}}'),
    ],
)
def test_servers_that_do_not_list_models(client_class: Any, status: int, content: bytes) -> None:
    with (
        rest_peer(lambda path, body: (status, content)) as url,
        client_class(url) as client,
        pytest.raises(UnsupportedByServerError, match="does not list its models: ask for the status"),
    ):
        client.models()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, PermissionDeniedError), (500, InternalError), (502, UnknownError), (503, UnavailableError)],
)
def test_servers_that_fail_to_list_models(status: int, kind: type[Exception]) -> None:
    with (
        rest_peer(lambda path, body: (status, b'{"error": "no"}')) as url,
        Client(url, retries=0) as client,
        pytest.raises(kind, match="no"),
    ):
        client.models()


def test_calls_that_a_grpc_server_does_not_have(client_class: Any) -> None:
    with GrpcPeer().serving(model_service=False) as peer, client_class(peer.url) as client:
        assert client.predict("m", [2.0])["double"].tolist() == [4.0]
        for ask, text in (
            (lambda: client.status("m"), "The server has no 'status' over gRPC: Method not found!"),
            (lambda: client.classify("m", [{}]), "no 'classify' over gRPC: Method not implemented!"),
            (lambda: client.regress("m", [{}]), "no 'regress' over gRPC: Method not implemented!"),
            (lambda: client.multi_inference("m", [{}], {"a": "regress"}), "no 'multi_inference'"),
            (lambda: client.reload_config(""), "The server has no 'reload_config' over gRPC"),
        ):
            with pytest.raises(UnsupportedByServerError, match=text) as caught:
                ask()
            assert caught.value.request is not None


@pytest.mark.parametrize(
    ("details", "kind"),
    [
        ("", UnsupportedByServerError),
        ("unknown service tensorflow.serving.ModelService", UnsupportedByServerError),
        (
            "unknown method Classify for service tensorflow.serving.PredictionService",
            UnsupportedByServerError,
        ),
        ("Op type not registered", UnimplementedError),
    ],
)
def test_messages_of_servers_in_other_languages(details: str, kind: type[Exception]) -> None:
    class Error:
        def code(self) -> Any:
            import grpc

            return grpc.StatusCode.UNIMPLEMENTED

        def details(self) -> str:
            return details

    assert type(_translate(Error(), Request("classify", "grpc://m:1"))) is kind


# ---- numbers and documents that the protocol does not have


def test_an_unknown_state(client_class: Any) -> None:
    with GrpcPeer(state=99).serving() as peer, client_class(peer.url) as client:
        (version,) = client.status("m")
        assert (version.state, version.available) == ("99", False)


@pytest.mark.parametrize(("code", "kind"), [(20, UnknownError), (13, InternalError)])
def test_a_reload_that_fails(client_class: Any, code: int, kind: type[Exception]) -> None:
    with (
        GrpcPeer(reload_error=code).serving() as peer,
        client_class(peer.url) as client,
        pytest.raises(kind, match="refused"),
    ):
        client.reload_config("")


def test_a_signature_that_cannot_be_sent(client_class: Any) -> None:
    with GrpcPeer().serving() as peer, client_class(peer.url) as client:
        assert client.metadata("m").signatures.keys() == {"serving_default"}
        with pytest.raises(
            InvalidRequestError,
            match="'of_variants' cannot be called: tensors of TensorFlow's dtype DT_VARIANT",
        ):
            client.predict("m", [1.0], signature_name="of_variants")


@pytest.mark.parametrize(
    "version",
    [
        b'{"version": "1", "state": "AVAILABLE", "status": "OK"}',
        b'{"version": "one", "state": "AVAILABLE"}',
        b'{"version": "1"}',
        b'"1"',
        b"null",
    ],
)
def test_an_invalid_status(client_class: Any, version: bytes) -> None:
    content = b'{"model_version_status": [%b]}' % version
    with (
        rest_peer(lambda path, body: (200, content)) as url,
        client_class(url) as client,
        pytest.raises(InternalError, match="The server's answer is no status"),
    ):
        client.status("m")


@pytest.mark.parametrize(
    "content",
    [
        b'{"model_spec": "m", "metadata": {}}',
        b'{"model_spec": {"name": "m", "version": "1"}, "metadata": {"signature_def": {"signature_def": 3}}}',
    ],
)
def test_invalid_metadata(client_class: Any, content: bytes) -> None:
    with (
        rest_peer(lambda path, body: (200, content)) as url,
        client_class(url) as client,
        pytest.raises(InternalError, match="The server's answer is no metadata"),
    ):
        client.metadata("m")


# ---- servers at another port, or with TLS or without


def test_the_other_protocol_and_tls_are_suggested(client_class: Any, triple: Server) -> None:
    key, cert = certificate()
    tls = messages.SSLConfig(server_key=key, server_cert=cert)
    settings = ServerSettings(grpc_tls=tls, rest_tls=tls)
    rest = r"Is this the REST port, and does it speak TLS \(https://\) or not \(http://\)\?"
    grpc = r"Is this the gRPC port, and does it speak TLS \(grpcs://\) or not \(grpc://\)\?"
    with Server(triple.releases, rest_port=0, grpc_port=0, settings=settings) as with_tls:
        for url, hint in (
            (f"http://localhost:{triple.grpc_port}", rest),
            (f"grpc://localhost:{triple.rest_port}", grpc),
            (f"https://localhost:{triple.rest_port}", rest),
            (f"grpcs://localhost:{triple.grpc_port}", grpc),
            (f"http://localhost:{with_tls.rest_port}", rest),
            (f"grpc://localhost:{with_tls.grpc_port}", grpc),
        ):
            with (
                client_class(url, retries=0, timeout=20) as client,
                pytest.raises(ConnectionFailedError, match=f"The server cannot be reached: .*{hint}"),
            ):
                client.status("triple")


@pytest.mark.parametrize("url", ["http://nowhere.invalid:1", "grpc://nowhere.invalid:1"])
def test_an_unknown_host(client_class: Any, url: str) -> None:
    with client_class(url, retries=0) as client:
        with pytest.raises(ConnectionFailedError, match="The server cannot be reached") as caught:
            client.status("m")
        assert "Is this" not in str(caught.value)
