"""The memory that is reserved for decoding a picture is at least what decoding it takes."""

from __future__ import annotations

import sys

import pytest

from analyzer.image import memory
from benchmarks import decode_memory
from tests.analyzer.picture_files import MEDIA_TYPES

DEAREST = (  # of each type, without and with a conversion of colours
    "JPEG, progressive 4:4:4",
    "JPEG, CMYK, progressive, profile, turned",
    "PNG, 16 bit, alpha",
    "PNG, 16 bit, alpha, PQ",
    "WebP, lossless, alpha",
    "WebP, lossless, alpha, profile, turned",
    "GIF",
    "HEIC",
    "HEIC, alpha, profile",
    "AVIF, 4:4:4, alpha",
    "AVIF, 4:4:4, alpha, profile, turned",
)


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of a process are read from Linux's /proc")
def test_the_dearest_kinds_of_file_take_what_is_reserved_and_no_more() -> None:
    rows = decode_memory.table(1000, 800, DEAREST)
    assert [row["kind"] for row in rows] == list(DEAREST)
    assert [row for row in rows if not 0.7 * row["reserved"] < row["peak"] <= row["reserved"]] == []


def test_every_type_that_is_taken_has_its_figures() -> None:
    assert set(memory.PLAIN) == set(memory.CONVERTED) == set(MEDIA_TYPES.values())
