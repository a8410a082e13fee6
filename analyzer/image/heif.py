"""HEIF files: HEIC, decoded by libheif, and AVIF, decoded by Pillow; others are named.

Sources: ISO/IEC 14496-12 (boxes), ISO/IEC 23008-12 (HEIF), AV1 Image File Format 1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analyzer.image import deep, exif, text_damage
from analyzer.image.colour import ColourSpace, by_code_points
from analyzer.image.header import MAX_PARTS, Header, bounded_profile
from analyzer.image.refusals import bad_photo, truncated_photo, unsupported_type

BRANDS = frozenset(
    b"mif1 mif2 msf1 miaf heic heix heim heis hevc hevx hevm hevs avif avis MA1A MA1B avci avcs jpeg j2ki vvic evbi".split()
)
MAX_BRANDS_BYTES = 256  # of the first box that are searched for a brand
MAX_ITEMS = 10_000  # a picture of 50 megapixels in tiles of 256 x 256 has 763

_TOP_BOXES = frozenset({b"ftyp", b"meta", b"mdat", b"idat", b"moov", b"free", b"skip", b"wide", b"uuid", b"mpvd"})
_HEVC, _AV1 = frozenset({b"hvc1", b"hev1", b"lhv1"}), frozenset({b"av01"})
_NOT_TAKEN = {
    b"avc1": "HEIF with H.264 pictures",
    b"vvc1": "HEIF with H.266 pictures",
    b"evc1": "HEIF with EVC pictures",
    b"jpeg": "HEIF with JPEG pictures",
    b"j2k1": "HEIF with JPEG 2000 pictures",
    b"unci": "HEIF with uncompressed pictures",
}


def is_heif(data: bytes) -> bool:
    """Return whether the first box names a brand of still pictures or of sequences of them."""
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4], "big"), MAX_BRANDS_BYTES)
    return not BRANDS.isdisjoint({data[8:12], *(data[at : at + 4] for at in range(16, end, 4))})


def read(data: bytes) -> Header:
    """Read the header of a HEIF file and make sure that the file is whole.

    Raises:
        UnsupportedType: a sequence without a still picture, or pictures in another coding than HEVC and AV1.
        BadPhoto: damaged, or ``truncated_image``.
    """
    if concealed := text_damage.concealed_refusal(data):
        raise concealed
    tops: dict[bytes, tuple[int, int]] = {}
    for kind, start, end in _top_boxes(data):
        tops.setdefault(kind, (start, end))
    items = _item_types(data, *tops[b"meta"]) if b"meta" in tops else frozenset()
    if items & _HEVC:
        return _read_heic(data[:end])
    if items & _AV1 or (b"moov" in tops and data[8:12] == b"avis"):
        return _read_avif(data[:end], is_described=bool(items))
    for kind in sorted(items & _NOT_TAKEN.keys()):
        raise unsupported_type(_NOT_TAKEN[kind])
    if b"moov" in tops:
        raise unsupported_type("HEIF image sequence")
    raise bad_photo() if b"meta" in tops else truncated_photo()


def _top_boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of every top-level box, header included; a foreign trailer, as phones add, ends the walk."""
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind not in _TOP_BOXES:
            return
        if end > len(data):
            raise truncated_photo()
        yield kind, start, end


def _boxes(data: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of the boxes in a part of the file; an end beyond the part is for the caller to refuse."""
    for _ in range(MAX_PARTS):
        if at + 8 > stop:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        end = at + size if size else stop
        if end < at + 8:
            raise bad_photo()
        yield kind, at, end
        at = end
    raise bad_photo()


def _item_types(data: bytes, start: int, end: int) -> frozenset[bytes]:
    """Return the codings that the items of a meta box name in its item information (iinf, infe)."""
    types: set[bytes] = set()
    for kind, at, stop in _boxes(data, start + 12, end):
        if kind == b"iinf":
            first = at + (14 if data[at + 8] == 0 else 16)
            for number, (_, entry, _) in enumerate(_boxes(data, first, min(stop, end))):
                if number >= MAX_ITEMS:
                    raise bad_photo()
                types.add(data[entry + 16 : entry + 20] if data[entry + 8] == 2 else data[entry + 18 : entry + 22])
    return frozenset(types)


def _read_heic(data: bytes) -> Header:
    """libheif applies the file's own rotation, which by the standard replaces Exif's: nothing is left to turn."""
    with _refusing_codings():
        heif = _open(data)
    return Header(
        "image/heic",
        heif.size,
        len(data),
        icc_profile=bounded_profile(heif.info.get("icc_profile")),
        colour_space=_colour_space(heif),
        bits=heif.info["bit_depth"],
    )


def _read_avif(data: bytes, *, is_described: bool) -> Header:
    """Pillow gives the file's own rotation as an Exif orientation; bits and colour space come from libheif.

    Args:
        data: the file.
        is_described: whether there is a meta box, without which libheif does not read it.
    """
    image = open_avif(data)
    profile = bounded_profile(image.info.get("icc_profile"))
    orientation = exif.read(image.info.get("exif", b"")).orientation
    if not is_described:
        return Header("image/avif", image.size, len(data), orientation, profile)
    heif = _open(data)
    space, bits = _colour_space(heif), heif.info["bit_depth"]
    return Header("image/avif", image.size, len(data), orientation, profile, space, bits=bits)


def _colour_space(heif: Any) -> ColourSpace | None:
    nclx = heif.info.get("nclx_profile")
    return by_code_points(nclx["color_primaries"], nclx["transfer_characteristics"]) if nclx else None


def _open(data: bytes, *, is_deep: bool = False) -> Any:
    """Return a `pillow_heif.HeifFile` that is not yet decoded.

    Imported on first use: the library costs 20 ms and 10 MB, and most servers meet few HEIC files.
    """
    import pillow_heif

    return pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=not is_deep)


@contextmanager
def _refusing_codings() -> Iterator[None]:
    """Name the kind where libheif cannot read it, such as colours in ICtCp."""
    try:
        yield
    except (SyntaxError, ValueError, RuntimeError) as error:
        if "unsupported" in str(error).lower():
            raise unsupported_type("HEIC in a coding that cannot be read") from error
        raise


def open_heic(data: bytes) -> Image.Image:
    """Decode the primary picture to 8 bits a channel."""
    with _refusing_codings():
        image: Image.Image = _open(data).to_pillow()
    return image


def open_avif(data: bytes) -> Image.Image:
    """Open the primary picture, or the first of a sequence; decoded on demand."""
    return Image.open(BytesIO(_with_brand(data)), formats=["AVIF"])


def _with_brand(data: bytes) -> bytes:
    """Return an AVIF file with the brand of AVIF, without which libavif does not open it."""
    return data if data[8:12] == b"avis" else data[:8] + b"avif" + data[12:]


def decode_deep(data: bytes, header: Header) -> tuple[NDArray[np.uint16], int]:
    """Decode more than 8 bits to (H, W, 3) RGB or (H, W, 4) with alpha, and return the value of full scale, too."""
    if header.media_type == "image/avif":
        return deep.decode(_with_brand(data), open_avif), (1 << header.bits) - 1
    heif = _open(data, is_deep=True)
    with _refusing_codings():
        values = np.asarray(heif[heif.primary_index])
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=-1)
    return values, (1 << 16) - (1 << 16 - header.bits)
