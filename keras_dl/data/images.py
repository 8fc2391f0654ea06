"""Image files of all formats that Pillow decodes, turned upright, as 8-bit pixels."""

from __future__ import annotations

import functools
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

_GRAY = {"1", "L", "La", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N"}
_SIDEWAYS = {5, 6, 7, 8}  # EXIF orientations that exchange height and width
# Formats without pixels: Pillow only identifies the file, or runs another program to draw it.
_NOT_PIXELS = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "PALM", "PDF", "SPIDER", "WMF"}
# Their first bytes identify the format, so that files are recognized under any name.
_UNMISTAKABLE = ["AVIF", "GIF", "JPEG", "JPEG2000", "PNG", "QOI", "TIFF", "WEBP"]


@dataclass(frozen=True)
class Header:
    """The header of an image file: its size when turned upright, and whether it is gray."""

    height: int
    width: int
    gray: bool


def is_image_file(path: Path) -> bool:
    """Return whether the file is an image, by its name, or else by its content."""
    suffix = path.suffix.lower()
    if suffix in _suffixes():
        return True
    try:
        with Image.open(path, formats=_UNMISTAKABLE):
            return True
    except Exception:  # decoders raise any error for files of other formats
        return False


def read_header(path: Path) -> Header:
    """Return the header of an image file without decoding its pixels.

    Raises:
        ValueError: the file is not an image, or exceeds Pillow's limit against decompression bombs.
    """
    try:
        with _opened(path) as image:
            width, height = image.size
            if _orientation(image) in _SIDEWAYS:
                width, height = height, width
            return Header(height, width, image.mode in _GRAY)
    except Exception as error:  # Pillow's decoders raise many types of errors
        raise ValueError(
            f"source: {path} cannot be read as an image ({_reason(error)}). {_remedy(error)}"
        ) from None


def read_pixels(path: Path, size: tuple[int, int] | None, channels: int) -> NDArray[np.uint8]:
    """Return the image, turned upright by its EXIF orientation: (H, W, channels) uint8.

    16-bit gray is reduced to its high byte, palettes and CMYK are converted to RGB, transparency is dropped,
    and only the first of several frames is read.

    Args:
        path: the file.
        size: (H, W) to which it is resized, bilinearly with antialiasing; None keeps its size.
        channels: 1 for gray, 3 for RGB.

    Raises:
        ValueError: the file cannot be decoded.
    """
    try:
        with _opened(path) as image:
            upright = _eight_bits(image).convert("L" if channels == 1 else "RGB")
        if size is not None and upright.size != size[::-1]:
            upright = upright.resize(size[::-1], Image.Resampling.BILINEAR)
        return np.asarray(upright, np.uint8).reshape(upright.height, upright.width, channels)
    except Exception as error:
        raise ValueError(f"source: {path} cannot be decoded ({_reason(error)}). {_remedy(error)}") from None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return the upright image; 16-bit gray as 8-bit gray, which Pillow's own conversion saturates."""
    upright = ImageOps.exif_transpose(image)
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise ValueError("expected 8 or 16 bits per channel, got 32-bit pixels of unknown range")
    if not image.mode.startswith("I"):
        return upright
    return Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))


def _opened(path: Path) -> Image.Image:
    if not path.exists():
        raise FileNotFoundError(
            "it is a link to a file that does not exist" if path.is_symlink() else "it no longer exists"
        )
    return Image.open(path, formats=_formats())


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, that Pillow has not applied yet, without decoding pixels."""
    if image.format == "TIFF":
        return 1
    if image.format == "PNG" and "exif" not in image.info and _exif_behind_pixels(image):
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))


def _exif_behind_pixels(image: Any) -> bool:
    file = image.fp
    position = file.tell()
    file.seek(8)
    found = False
    while not found and len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        found = kind == b"eXIf"
        file.seek(length + 4, os.SEEK_CUR)
    file.seek(position)
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no decoder supports its content"
    return str(error).partition("\n")[0] or type(error).__name__


def _remedy(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return "Make it smaller or remove it, or raise PIL.Image.MAX_IMAGE_PIXELS if it can be trusted."
    return 'Repair or remove it, or pass on_corrupt="skip" to skip such files.'


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.OPEN if name not in _NOT_PIXELS]


@functools.cache
def _suffixes() -> frozenset[str]:
    Image.init()
    return frozenset(
        suffix for suffix, name in Image.registered_extensions().items() if name not in _NOT_PIXELS
    )
