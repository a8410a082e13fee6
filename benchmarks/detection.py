"""Measure face finding, the learned stage beside the cascades: recall, false faces, turns, errors, confidence, speed.

    python -m benchmarks.detection                 # tables and benchmarks/results/detection.json
    python -m benchmarks.detection --stage haar    # one stage alone; "both" takes what is there
    python -m benchmarks.detection --size 0.2      # a fifth of the pictures
    python -m benchmarks.detection --fit           # fit analyzer/face_confidence.json (cascades) again first

Needs the pictures of SKIN_DATA. Everything is measured on held-out pictures (`training/data/splits.py`). The cascades'
confidence as it stands was fitted on another half; docs/face-detection.md says what that means.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, cast

import cv2

from analyzer import haar
from analyzer.face import Detector
from benchmarks import dataset, figures
from benchmarks import detection_fit as fitting
from benchmarks import detection_pictures as pictures
from benchmarks import detection_stages as stages_of
from benchmarks import detection_tables as tables
from benchmarks.detection_pictures import Picture

SEED = 5
UTKFACE, FACELESS, PER_ANGLE, TIMED = 1500, 500, 40, 6  # pictures at --size 1
ANGLES_DEG = range(0, 360, 15)
LEAST_CONFIDENCE = 0.02  # of the network's candidates whose confidence is checked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages_of.add_choice(parser)
    parser.add_argument("--fit", action="store_true", help="fit face_confidence.json again first")
    parser.add_argument("--size", type=float, default=1.0, help="share of the pictures to use")
    options = parser.parse_args()
    if not dataset.data_root().is_dir():
        parser.error(f"no pictures at {dataset.data_root()}: set SKIN_DATA")
    cv2.setNumThreads(1)
    stages = stages_of.chosen(options.stage, parser)
    if options.fit:
        fitting.write(fitting.collect(fitting.fitting_pictures(options.size)))
    results = measure(stages, options.size)
    for name, rows in results.items():
        print(f"\n{name}")
        figures.print_table(rows)
    print(f"\nwritten to {dataset.write('detection', results)}")


def measure(stages: tables.Stages, size: float) -> dict[str, list[tables.Row]]:
    """All tables, on a share of the pictures."""
    scenes = (scene for scene in pictures.wider() if scene.held_out)
    return {
        **tables.places(stages, faces(size)),
        "crowds": tables.crowds(stages, shortened(scenes, 100, size)),
        "false_faces": tables.false_faces(stages, pictures.faceless(part(FACELESS, size), SEED)),
        "rotations": tables.rotations(stages, turned_faces(size)),
        **{f"reliability_{name}": reliability(name, stage, size) for name, stage in stages.items()},
        "speed": tables.speed(stages, timed(part(TIMED, size))),
    }


def faces(size: float) -> Iterator[Picture]:
    """Held-out pictures with one known face each."""
    yield from pictures.utkface(part(UTKFACE, size), SEED, held_out=True)
    yield from pictures.acne04(part(400, size), SEED, held_out=True)
    yield from shortened(pictures.hand_marked(held_out=True), 400, size)
    yield from shortened(pictures.skin_defects(), 40, size)


def turned_faces(size: float) -> Iterator[tuple[float, Picture]]:
    """The same faces of UTKFace and ACNE04 at every angle."""
    half = part(PER_ANGLE // 2, size)
    upright = chain(pictures.utkface(half, SEED, held_out=True), pictures.acne04(half, SEED, held_out=True))
    for picture in upright:
        for angle_deg in ANGLES_DEG:
            yield float(angle_deg), pictures.turned(picture, angle_deg)


def reliability(name: str, stage: Detector, size: float) -> list[tables.Row]:
    """Stated confidence against truth: of all that the cascades examined, of all that the network returns when asked for more."""
    held_out = (picture for picture in fitting.fitting_pictures(size) if picture.held_out)
    if name == "haar":
        candidates = fitting.collect(held_out)
        return tables.reliability(
            [haar.confidence(one.features) for one in candidates], [one.right for one in candidates]
        )
    detect = partial(cast(Any, stage.detect), least_confidence=LEAST_CONFIDENCE)
    found = [(one, picture.truths) for picture in held_out for one in detect(picture.rgb)]
    right = [any(truth.matches(one) for truth in truths) for one, truths in found]
    return tables.reliability([one.confidence for one, _ in found], right)


def timed(count: int) -> dict[str, list[Picture]]:
    """Pictures for the speed table."""
    fronts = (picture for picture in pictures.skin_defects() if picture.group == "front")
    return {
        "front selfie": list(islice(fronts, count)),
        "no face": list(islice(pictures.wider_tiles(), count)),
    }


def part(count: int, size: float) -> int:
    """A share of a count, at least one."""
    return max(1, round(count * size))


def shortened(source: Iterable[Picture], count: int, size: float) -> Iterable[Picture]:
    """All of a source of about `count` pictures, or a share of it."""
    return source if size >= 1 else islice(source, part(count, size))


if __name__ == "__main__":
    main()
