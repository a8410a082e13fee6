"""What a stage was given and what it made -> whether it has to run again: one small record a stage, by content, not by date."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from training import command
from training.data.download import sha256_of

FOLDER = "checkpoints"


def fingerprint(*given: object) -> str:
    """sha256 of anything that JSON can write; paths and the like as their text."""
    return hashlib.sha256(json.dumps(given, sort_keys=True, default=str).encode()).hexdigest()


def unchanged(out: Path, stage: str, inputs: str) -> bool:
    """Whether a stage has finished with these inputs, and what it made is still there as it was."""
    kept = _read(out, stage)
    if kept is None or kept["inputs"] != inputs:
        return False
    return all(content(out / name) == digest for name, digest in kept["outputs"].items())


def finished(out: Path, stage: str, inputs: str, made: Sequence[Path], seconds: float) -> None:
    """Record that a stage has finished; what it made lies below `out`."""
    outputs = {path.relative_to(out).as_posix(): content(path) for path in made}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"inputs": inputs, "outputs": outputs, "seconds": round(seconds, 1), "finished": when}, indent=1)
    with command.whole(_place(out, stage)) as path:
        path.write_text(text + "\n", encoding="utf-8")
    _mark(out, stage).unlink(missing_ok=True)


def outputs_of(out: Path, stage: str) -> str | None:
    """Fingerprint of what a stage made; None where it has not finished."""
    kept = _read(out, stage)
    return None if kept is None else fingerprint(kept["outputs"])


def begin_anew(out: Path, stage: str) -> None:
    """Record that what an earlier run left of a stage is gone, until the stage has finished."""
    _mark(out, stage).parent.mkdir(parents=True, exist_ok=True)
    _mark(out, stage).touch()


def begun_anew(out: Path, stage: str) -> bool:
    return _mark(out, stage).is_file()


def forget(out: Path, stage: str) -> None:
    _place(out, stage).unlink(missing_ok=True)


def _read(out: Path, stage: str) -> dict[str, dict[str, str]] | None:
    try:
        kept = json.loads(_place(out, stage).read_text(encoding="utf-8"))
        return kept if {"inputs", "outputs"} <= set(kept) else None
    except (OSError, ValueError, TypeError):
        return None  # a record that cannot be read costs a stage, not the pipeline


def content(path: Path) -> str | None:
    return sha256_of(path) if path.is_file() else None


def _place(out: Path, stage: str) -> Path:
    return out / FOLDER / f"{stage}.json"


def _mark(out: Path, stage: str) -> Path:
    return out / FOLDER / f"{stage}.begun_anew"
