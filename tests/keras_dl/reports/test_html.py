"""The HTML report, read back with a real HTML parser."""

import struct
import zlib
from html.parser import HTMLParser

import pytest

from keras_dl.reports.html import Picture, Section, Table, write_report


class Page(HTMLParser):
    """Collects the text of each kind of element."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.images = [], {}, []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "elements close in the order they opened"

    def handle_data(self, data):
        if data.strip() and self.open:
            self.text.setdefault(self.open[-1], []).append(data.strip())


@pytest.fixture
def png(tmp_path):
    """A 1x1 gray PNG written by hand."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    path = tmp_path / "dot.png"
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0\x80"))
        + chunk(b"IEND", b"")
    )
    return path


def test_the_page_contains_everything(tmp_path, png):
    table = Table(("layer", "error"), [("<conv>", "1.2e-07"), ("dense", "0")], caption="Parity")
    path = write_report(
        tmp_path / "report.html",
        title="Digits & more",
        summary="What happened.",
        figures={"test accuracy": "98.1 %"},
        sections=[
            Section(
                "Tables", text="Some text", tables=[table], pictures=[Picture(png, "a dot")], code="x = 1"
            )
        ],
    )
    page = Page(path.read_text())
    assert page.open == []
    assert page.text["h1"] == page.text["title"] == ["Digits & more"]
    assert page.text["td"] == ["<conv>", "1.2e-07", "dense", "0"]
    assert page.text["th"] == ["layer", "error"]
    assert page.text["caption"] == ["Parity"]
    assert page.text["b"] == ["98.1 %"]
    assert page.text["pre"] == ["x = 1"]
    (image,) = page.images
    assert image["alt"] == "a dot"
    assert image["src"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert [p.name for p in tmp_path.iterdir() if p != png] == ["report.html"]


def test_only_columns_of_numbers_are_aligned_right():
    table = Table(("name", "n", "mixed"), [("a", "1", "2"), ("b", "-3.5", "none")])
    assert table.numeric == {1}
    assert Table(("n",), []).numeric == set()


def test_a_missing_picture_leaves_no_report(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.png"):
        write_report(
            tmp_path / "report.html",
            title="t",
            summary="s",
            sections=[Section("p", pictures=[Picture(tmp_path / "absent.png", "gone")])],
        )
    assert list(tmp_path.iterdir()) == []
