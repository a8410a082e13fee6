"""An artefact is written beside its place, and what a killed run left there goes."""

from __future__ import annotations

from pathlib import Path

from training import artefact_files


def test_what_a_killed_run_left_is_taken_away(tmp_path: Path) -> None:
    folder = tmp_path / "artefact"
    with artefact_files.unfinished(folder) as made:
        (made / artefact_files.KERAS_FILE).write_bytes(b"half")
        left = made.rename(made.with_name(".artefact-0a1b_2c3"))
        made.mkdir()
    others = [tmp_path / ".artefact", tmp_path / ".artefact-kept", tmp_path / ".other-0a1b_2c3"]
    for other in others:
        other.mkdir()
    with artefact_files.unfinished(folder) as made:
        assert not left.exists()
        assert made.is_dir()
    assert sorted(tmp_path.iterdir()) == sorted(others)
