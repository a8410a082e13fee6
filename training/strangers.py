"""Held-out pictures that are of none of the classes -> crops by kind: what a model should find unfamiliar.

Nothing of them was used to fit head, distance or limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analyzer import face, photo, preprocessing, roi
from analyzer.errors import AnalyzerError
from analyzer.values import Rgb
from training.data import faces

if TYPE_CHECKING:
    from training.data.prepared import Prepared

MOST = 200  # of one kind
TILES, SELFIES = "pieces of scenes without a face", "phone selfies of skin_defects"


def crops_of(prepared: Prepared, parts: Sequence[str], root: Path) -> dict[str, list[NDArray[np.uint8]]]:
    """Kind of picture → at most 200 crops.

    Args:
        prepared: all pictures; taken are those without a class in the part "test", of kinds that have no class anywhere.
        parts: of each picture.
        root: folder that may hold `wider` and `skin_defects`; left out where none of the pictures lies in it, or it lacks them.
    """
    classed = {(one.source, one.kind) for one in prepared.pictures if one.label is not None}
    found: dict[str, list[NDArray[np.uint8]]] = {}
    for one, part, crop in zip(prepared.pictures, parts, prepared.crops, strict=True):
        if part == "test" and one.label is None and (one.source, one.kind) not in classed:
            found.setdefault(f"other pictures of {one.source}", []).append(crop)
    home = root.resolve()
    if not any(one.path.resolve().is_relative_to(home) for one in prepared.pictures):
        return {kind: held[:MOST] for kind, held in found.items()}
    if (root / "wider").is_dir():
        scenes = (piece for scene in faces.crowds(root, "test") for piece in faces.tiles(scene))
        found[TILES] = [preprocessing.middle(piece.rgb) for piece in scenes]
    found[SELFIES] = [crop for path in sorted((root / "skin_defects").glob("*/*/front.jpg")) for crop in _face(path)]
    return {kind: held[:MOST] for kind, held in found.items() if held}


def _face(path: Path) -> list[Rgb]:
    """The crop of the face in a file, where there is one."""
    try:
        picture = photo.decode(path.read_bytes())
        found = face.detect(picture.rgb)
        return [preprocessing.face(roi.extract(picture, found[0]))] if found else []
    except AnalyzerError:
        return []
