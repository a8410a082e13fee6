"""Dockerfile -> its steps, and the steps done without an engine: below a folder instead of in an image, without its user."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Step:
    """One instruction: its word in capitals and the rest of its line, continued lines joined."""

    word: str
    rest: str


@dataclass
class Image:
    """A folder that stands for the root of an image, and what the steps so far have set."""

    root: Path
    environment: dict[str, str]
    workdir: str = "/"
    command: list[str] = field(default_factory=list)

    def inside(self, path: str) -> Path:
        """Where a path of the image lies here."""
        return self.root / str(PurePosixPath(self.workdir) / path).lstrip("/")


def read(path: Path) -> list[Step]:
    """All instructions, comments left out."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [Step(*line.split(maxsplit=1)) for line in lines if line.strip()]


def build(steps: list[Step], context: Path, root: Path, programs: Path) -> Image:
    """Do the steps in their order; `programs` holds the python of the base image.

    Raises:
        subprocess.CalledProcessError: a RUN step failed.
    """
    image = Image(root, {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(root)})
    for step in steps:
        if step.word == "ENV":
            image.environment |= {name: _placed(image, value) for name, value in re.findall(r"(\w+)=(\S+)", step.rest)}
        elif step.word == "WORKDIR":
            image.workdir = step.rest
            image.inside(".").mkdir(parents=True)
        elif step.word == "COPY":
            *sources, target = step.rest.split()
            for source in sources:
                _copy(context / source, image.inside(target), into=target.endswith("/"))
        elif step.word == "RUN":
            subprocess.run(["sh", "-ec", step.rest], cwd=image.inside("."), env=image.environment, check=True)
        elif step.word == "CMD":
            image.command = json.loads(step.rest)
    return image


def _placed(image: Image, value: str) -> str:
    """Absolute paths lie below the root."""
    return str(image.inside(value)) if value.startswith("/") else value


def _copy(source: Path, target: Path, *, into: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target / source.name if into else target)
