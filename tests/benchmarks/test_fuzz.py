"""The benchmark of damaged files: its files can be made again, and a decoder that dies or hangs is seen."""

from __future__ import annotations

import multiprocessing
import zlib
from pathlib import Path

import pytest

from benchmarks import cut_jpegs, dataset, fuzz
from benchmarks.damaged_pictures import damaged, whole, with_valid_checksums
from benchmarks.fuzz import Outcome


def test_a_file_is_made_again_from_its_number() -> None:
    assert damaged(7) == damaged(7)
    assert len({damaged(number)[1] for number in range(50)}) == 50


def test_files_of_every_kind_are_damaged() -> None:
    assert {damaged(number)[0] for number in range(500)} == set(whole())


def test_checksums_of_a_damaged_png_are_made_valid() -> None:
    data = bytearray(whole()["PNG alpha"])
    data[20] ^= 1
    mended = with_valid_checksums(bytes(data))
    assert mended[29:33] == zlib.crc32(mended[12:29]).to_bytes(4, "big")
    assert mended[33:] == bytes(data[33:])


def test_a_child_process_decodes_a_batch() -> None:
    numbers = range(3)
    assert [outcome.number for outcome in fuzz.run_batch(numbers)] == list(numbers)


def test_death_and_silence_are_outcomes() -> None:
    ours, theirs = multiprocessing.Pipe()
    assert fuzz._receive(ours, 1, patience_s=0.01).result == fuzz.HANGS
    theirs.close()
    assert fuzz._receive(ours, 1, patience_s=1.0).result == fuzz.DIED


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome(1, "PNG", "decoded", 0.1), 0),
        (Outcome(1, "PNG", "bad_image", 0.1), 0),
        (Outcome(1, "PNG", "AssertionError", 0.1), 1),
        (Outcome(1, "PNG", fuzz.DIED, 0.1), 1),
        (Outcome(1, "PNG", "decoded", fuzz.LIMIT_S + 1), 1),
    ],
)
def test_only_soon_decoded_or_refused_passes(
    outcome: Outcome, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dataset, "RESULTS", tmp_path)
    assert fuzz.report([outcome]) == status
    assert ("--first 1 --count 1" in capsys.readouterr().out) == bool(status)


def test_cuts_of_a_generated_file_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "whole.jpg"
    path.write_bytes(whole()["JPEG"])
    rows = cut_jpegs.cuts([path])
    assert {row["way"] for row in rows} == {"as it is", *cut_jpegs.WAYS}
    assert [row["missed"] for row in rows] == [0] * len(rows)
    assert cut_jpegs.compare(path.read_bytes()) == cut_jpegs.SAME
