import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_dl.data import DataWarning, describe, load


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def only_batch(source, **options):
    (batch,) = load(source, shuffle=False, **options).as_numpy_iterator()
    return batch


@pytest.fixture
def animals(tmp_path):
    """Two classes of 20 gray images each."""
    for number in range(20):
        for value, name in ((10, "cats"), (100, "dogs")):
            save(tmp_path / name / f"{number:02}.png", np.full((6, 8), value + number, np.uint8))
    return tmp_path


# Every way to store the picture of four colored quarters.
KINDS = [
    ("RGB", "png"), ("RGB", "jpg"), ("RGB", "JPEG"), ("RGB", "jfif"), ("RGB", "webp"), ("RGB", "bmp"),
    ("RGB", "tiff"), ("RGB", "TIF"), ("RGB", "ppm"), ("RGB", "avif"), ("RGB", "tga"), ("RGB", "ico"),
    ("P", "gif"), ("P", "png"), ("CMYK", "jpg"), ("CMYK", "tiff"), ("RGBA", "png"), ("RGBA", "webp"),
]  # fmt: skip


def quarters(height=32, width=64):
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2, 0] = 255
    picture[: height // 2, width // 2 :, 1] = 255
    picture[height // 2 :, : width // 2, 2] = 255
    return picture


@pytest.mark.parametrize(("mode", "suffix"), KINDS)
def test_every_kind_of_image_is_read(tmp_path, mode, suffix):
    path = tmp_path / "a" / f"1.{suffix}"
    path.parent.mkdir()
    options = {"sizes": [(64, 32)]} if suffix == "ico" else {}
    Image.fromarray(quarters()).convert(mode).save(path, **options)
    images = only_batch(tmp_path, labels=False)
    assert images.shape == (1, 32, 64, 3)
    # The middles of the quarters, away from the blocks that a lossy format mixes.
    np.testing.assert_allclose(images[0, 8::16, 16::32] * 255, quarters()[8::16, 16::32], atol=4)


@pytest.mark.parametrize("name", ["really_a_png.jpg", "no_suffix", "picture.dat"])
def test_an_image_is_known_by_its_content(tmp_path, name):
    save(tmp_path / "a" / "1.png", quarters())
    (tmp_path / "a" / "1.png").rename(tmp_path / "a" / name)
    np.testing.assert_array_equal(only_batch(tmp_path, labels=False)[0] * 255, quarters())


def test_gray_of_every_depth_stays_gray(tmp_path):
    ramp = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)
    for number, picture in enumerate((ramp, ramp.astype(np.uint16) * 257)):
        save(tmp_path / "a" / f"{number}.png", picture)
    Image.fromarray(ramp).convert("LA").save(tmp_path / "a" / "2.png")
    images = only_batch(tmp_path, labels=False)
    assert images.shape == (3, 8, 8, 1)
    for each in images[..., 0]:
        np.testing.assert_allclose(each * 255, ramp, atol=1e-4)


# What brings the stored pixels upright, by the orientation that says how they lie.
UPRIGHT = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("image_size", [None, (20, 24)])
def test_photos_are_upright(tmp_path, suffix, image_size):
    for orientation, upright in UPRIGHT.items():
        folder = tmp_path / str(orientation)
        (folder / "a").mkdir(parents=True)
        exif = Image.Exif()
        exif[0x0112] = orientation
        lossless = {"lossless": True} if suffix == "webp" else {"quality": 95} if suffix == "jpg" else {}
        Image.fromarray(quarters()).save(folder / "a" / f"1.{suffix}", exif=exif, **lossless)
        (pixels,) = only_batch(folder, labels=False, image_size=image_size)
        expected = upright(quarters())
        if image_size is not None:
            expected = np.asarray(
                Image.fromarray(expected).resize(image_size[::-1], Image.Resampling.BILINEAR)
            )
        assert pixels.shape == expected.shape, orientation
        assert np.abs(pixels * 255 - expected).mean() < 4, orientation


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path):
    save(tmp_path / "a" / "1.png", quarters())
    exif = Image.Exif()
    exif[0x0112] = 6
    payload = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + payload
    chunk = struct.pack(">I", len(payload)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    content = (tmp_path / "a" / "1.png").read_bytes()
    (tmp_path / "a" / "1.png").write_bytes(content[:-12] + chunk + content[-12:])
    assert describe(tmp_path).image_shape == (64, 32, 3)
    np.testing.assert_array_equal(only_batch(tmp_path, labels=False)[0] * 255, np.rot90(quarters(), -1))


def broken_files(folder):
    whole = (folder / "cats" / "00.png").read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    save(folder / "truncated.jpg", noise)
    photo = (folder / "truncated.jpg").read_bytes()
    (folder / "truncated.jpg").unlink()
    bomb = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return {
        "empty.png": b"",
        "nonsense.bmp": b"nonsense",
        "truncated.png": whole[:45],
        "truncated.jpg": photo[: len(photo) // 2],
        "bomb.png": whole[:8]
        + struct.pack(">I", 13)
        + bomb
        + struct.pack(">I", zlib.crc32(bomb))
        + whole[33:],
    }


@pytest.mark.parametrize("name", ["empty.png", "nonsense.bmp", "truncated.png", "truncated.jpg", "bomb.png"])
def test_a_corrupt_image_is_named_or_skipped(animals, name):
    (animals / "cats" / name).write_bytes(broken_files(animals)[name])
    with pytest.raises(ValueError, match=rf"source: .*cats/{name} cannot be (read as an image|decoded)"):
        load(animals, image_size=4)
    with pytest.warns(DataWarning, match=rf"skipped 1 corrupt image: cats/{name}"):
        assert describe(animals, on_corrupt="skip").num_examples == {"train": 40}
    with pytest.warns(DataWarning, match="skipped 1 corrupt image"):
        assert len(only_batch(animals, on_corrupt="skip", cache=False)[1]) == 40


def test_on_corrupt_is_checked(animals):
    with pytest.raises(ValueError, match=r"on_corrupt: expected 'raise' or 'skip'"):
        load(animals, on_corrupt="ignore")
