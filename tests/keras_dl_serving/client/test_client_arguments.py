"""Invalid arguments of a connection or a call."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from keras_dl_serving import AsyncClient, Client, InvalidRequestError, Server, ServingError
from tests._support.certificates import certificate
from tests._support.peers import GrpcPeer, rest_peer

# ---- URLs


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (
            "grpc://localhost",
            "expected a port, as gRPC has no default, got 'grpc://localhost'. Add it; TensorFlow Serving's",
        ),
        (
            "grpc://localhost:8500/x",
            "expected grpc://HOST:PORT and nothing else, got 'grpc://localhost:8500/x'",
        ),
        ("grpcs://me@localhost:8500", "expected grpc://HOST:PORT and nothing else"),
        ("http://localhost:1?x=1", "expected no query (?) and no fragment (#)"),
        ("grpc://localhost:1#x", "expected no query (?) and no fragment (#)"),
        ("http://local\x00host:1", "url: expected http://HOST:PORT for REST or grpc://"),
        ("grpc://local\nhost:1", "url: expected http://HOST:PORT for REST or grpc://"),
        ("http://a b:1", "url: expected http://HOST:PORT for REST or grpc://"),
        ("http://a..b:1", "expected a host name that can be resolved"),
        ("grpc://\ud800:1", "expected a host name that can be resolved"),
        (f"http://{'a' * 64}.de:1", "expected a host name that can be resolved"),
    ],
)
def test_urls(url: str, text: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=re.escape(text)):
            kind(url)


def test_valid_urls(client_class: Any) -> None:
    asked: list[str] = []

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        asked.append(path)
        return 200, b'{"model_version_status": []}'

    with rest_peer(answer) as url:
        for behind in ("", "/", "/models at/\u00e9/"):
            with client_class(url + behind.replace(" ", "%20")) as client:
                client.status("m\u00fc")
    assert asked == ["/v1/models/m%C3%BC"] * 2 + ["/models%20at/%C3%A9/v1/models/m%C3%BC"]
    client_class("http://[::1]:1").close()
    client_class("grpc://[::1]:1/").close()
    client_class("http://m\u00fcller.example").close()


# ---- headers


@pytest.mark.parametrize("url", ["http://localhost:1", "grpc://localhost:1"])
@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"a b": "c"}, "expected names that can be sent, such as 'authorization', got 'a b'"),
        ({"": "c"}, "expected names that can be sent"),
        ({"\u00e9": "c"}, "expected names that can be sent"),
        ({3: "c"}, "expected names that can be sent"),
        ({"a": "b\r\nc: d"}, "expected printable ASCII characters for 'a', without spaces around them"),
        ({"a": "\u00e9"}, "expected printable ASCII characters for 'a'"),
        ({"a": " b"}, "expected printable ASCII characters for 'a'"),
        ({"a": 3}, "got another int"),
    ],
)
def test_headers(url: str, headers: Any, text: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=text) as caught:
            kind(url, headers=headers)
        assert "c: d" not in str(caught.value)
    with pytest.raises(ValueError, match="expected names that can be sent"):
        Client("grpc://localhost:1", headers={"grpc-timeout": "1S"})


def test_binary_metadata(client_class: Any) -> None:
    with (
        GrpcPeer().serving() as peer,
        client_class(peer.url, headers={"Trace-Bin": "abc", "a": ""}) as client,
    ):
        assert client.status("m")


# ---- certificates


def test_invalid_certificate_files(tmp_path: Path) -> None:
    (key, cert), (other_key, _) = certificate(), certificate()
    for name, text in (("k", key), ("c", cert), ("other", other_key), ("garbage", "-----BEGIN NOTHING")):
        (tmp_path / name).write_text(text)
    paths = {name: tmp_path / name for name in ("k", "c", "other", "garbage", "nope")}
    for url in ("https://localhost:1", "grpcs://localhost:1"):
        for files, error, text in (
            ({"ca_file": "nope"}, FileNotFoundError, str(paths["nope"])),
            ({"cert_file": "c", "key_file": "nope"}, FileNotFoundError, str(paths["nope"])),
            ({"ca_file": "garbage"}, ValueError, "ca_file: expected certificates in PEM format, got "),
            ({"ca_file": "garbage"}, ValueError, str(paths["garbage"])),
            ({"cert_file": "garbage", "key_file": "k"}, ValueError, str(paths["garbage"])),
            ({"cert_file": "c", "key_file": "garbage"}, ValueError, str(paths["garbage"])),
            (
                {"cert_file": "c", "key_file": "other"},
                ValueError,
                f"key_file: expected the key of the certificate in {paths['c']}, got another one in "
                f"{paths['other']}",
            ),
        ):
            for kind in (Client, AsyncClient):
                with pytest.raises(error, match=re.escape(text)):
                    kind(url, **{argument: paths[name] for argument, name in files.items()})


# ---- proxies


@pytest.fixture
def socks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")


def test_no_proxy_is_used_for_the_local_machine(
    socks: None, client_class: Any, triple: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for host in ("localhost", "127.0.0.1"):
        with client_class(f"http://{host}:{triple.rest_port}") as client:
            assert client.predict("triple", [1.0])["y"].tolist() == [3.0]
    monkeypatch.setenv("NO_PROXY", "models.example")
    client_class("http://models.example:1").close()


def test_a_proxy_that_cannot_be_used(socks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"ALL_PROXY: .* is a SOCKS proxy, which needs the package socksio"):
        Client("http://models.example:1")
    monkeypatch.setenv("HTTP_PROXY", "ftp://proxy")
    with pytest.raises(
        ValueError, match="HTTP_PROXY: expected an http, https or socks5 URL, got 'ftp://proxy'"
    ):
        Client("http://models.example:1")


def test_a_proxy_is_used(client_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        asked.append(path)
        return 200, b'{"model_version_status": []}'

    with rest_peer(answer) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        with client_class("http://models.example:8501") as client:
            assert client.status("m") == []
    assert asked == ["http://models.example:8501/v1/models/m"]


# ---- calls


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"label": 3}, "label: expected the name of a version, got 3"),
        ({"label": ""}, "label: expected the name of a version, got an empty text"),
        ({"label": "\ud800"}, r"label: expected the name of a version, got '\\ud800'"),
        ({"signature_name": 3}, "signature_name: expected the name of a signature, got 3"),
        ({"signature_name": "\ud800"}, "signature_name: expected the name of a signature"),
        ({"version": "1"}, "version: expected a whole number"),
    ],
)
def test_names(client_class: Any, protocol: str, triple: Server, options: Any, text: str) -> None:
    with client_class(getattr(triple, protocol)) as client:
        with pytest.raises(InvalidRequestError, match=text) as caught:
            client.predict("triple", [1.0], **options)
        assert caught.value.request is not None
        with pytest.raises(InvalidRequestError, match=r"model: expected the name of a model, got 'a\\ud800'"):
            client.status("a\ud800")
        with pytest.raises(InvalidRequestError, match=r"outputs: expected names among 'y', got '\\ud800'"):
            client.predict("triple", [1.0], outputs=["\ud800"])
        with pytest.raises(InvalidRequestError, match=r"'\\ud800' is unknown"):
            client.predict("triple", {"\ud800": [1.0]})


def test_texts_of_other_calls(client_class: Any, triple: Server) -> None:
    with client_class(triple.grpc_url) as client:
        with pytest.raises(InvalidRequestError, match="config: expected text, got"):
            client.reload_config("# \ud800")
        with pytest.raises(InvalidRequestError, match="metric_names: expected text, got"):
            client.reload_config("", metric_names=["\ud800"])
        with pytest.raises(InvalidRequestError, match="tasks: expected signature names"):
            client.multi_inference("triple", [{}], {"\ud800": "classify"})


def test_a_closed_client(client_class: Any, protocol: str, triple: Server) -> None:
    with client_class(getattr(triple, protocol)) as client:
        client.predict("triple", [1.0])
        answers = client.predict_batches("triple", [[1.0]] * 3, in_flight=1)
        assert next(answers)["y"].tolist() == [3.0]
        client.close()
        for ask in (
            lambda: client.predict("triple", [1.0]),
            lambda: client.status("triple"),
            lambda: client.wait_ready("triple"),
            lambda: next(answers),
        ):
            with pytest.raises(InvalidRequestError, match="The client is closed. Create a new one"):
                ask()
        client.close()


def test_a_client_that_is_closed_under_a_call(protocol: str, triple: Server) -> None:
    async def ask() -> Any:
        client = AsyncClient(getattr(triple, protocol))
        calls = [asyncio.create_task(client.predict("triple", [1.0])) for _ in range(4)]
        await asyncio.sleep(0.001)
        await client.close()
        return await asyncio.gather(*calls, return_exceptions=True)

    for found in asyncio.run(ask()):
        assert isinstance(found, dict | ServingError | asyncio.CancelledError), repr(found)
