"""Nothing -> a small look-alike of the set shine-skin-collective: painted faces, three generations of sidecars, every odd case.

Run:     python -m training.data.make_synthetic OUT [--scale 3] [--side 448] [--seed 6] [--tidy]
Cost:    a fifth of a second a picture on a core that is free: 370 pictures, a minute, 100 MB with the usual options.
Expects: nothing; OUT must not be there yet. --scale 13 gives about as many pictures as the real set has (833 and their mirrored copies).

For tests, and to try train_multilabel on. The faces are drawn (`training.data.painting`): a model that learned from them knows nothing
of photos. The same seed gives the same files. `training.data.synthetic_oddities` says which odd cases are in it; --tidy leaves them out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training import command
from training.command import BadInput
from training.data import painted_conditions, painting, synthetic_oddities, synthetic_sidecars
from training.data.shine_labels import CONDITIONS, HEALTHY, USUAL_WORDS
from training.data.synthetic_sidecars import FIRST_AGES, FOUR, GENDERS, TONES, Planned

BATCHES = {"v1": ("20250910_163628", "20250928_151250"), "v2": ("20250930_221854",)}
HOME = Path("Synthetic", "output_images")
SCALE, SIDE_PX = 3, 448
LEAST_SIDE_PX = 64


def main() -> None:
    options = parsed()
    counts = write(options.out, seed=options.seed, scale=options.scale, side_px=options.side, tidy=options.tidy)
    print(f"{options.out / HOME}: {counts['originals']} pictures and {counts['copies']} mirrored copies")
    print(f"What is odd in it: python -m training.data.shine_report {options.out}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument(
        "--scale", type=command.counted, default=SCALE, help="pictures of each condition, severity and batch"
    )
    parser.add_argument("--side", type=command.counted, default=SIDE_PX, help="of a picture, in pixels (%(default)s)")
    parser.add_argument("--seed", type=int, default=command.SEED, help="of all that is drawn (%(default)s)")
    parser.add_argument("--tidy", action="store_true", help="without odd cases")
    return parser.parse_args()


def write(out: Path, *, seed: int, scale: int, side_px: int = SIDE_PX, tidy: bool = False) -> dict[str, int]:
    """Make the tree, as a whole or not at all; how many originals and copies were drawn.

    Raises:
        BadInput: OUT is there already, or the pictures would be too small.
    """
    if out.exists():
        raise BadInput(f"{out}: is there already; name a folder that is not, or remove it.")
    if side_px < LEAST_SIDE_PX or seed < 0:
        raise BadInput(f"--side {side_px} --seed {seed}: expected at least {LEAST_SIDE_PX} px and a seed from 0.")
    unfinished = out.with_name(f"{out.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        plan = list(planned(seed, scale))
        for one in command.progress(plan, len(plan), "faces painted"):
            put(unfinished / HOME, one, seed, side_px)
        if not tidy:
            synthetic_oddities.add(unfinished / HOME, BATCHES)
        unfinished.rename(out)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return {"originals": len(plan), "copies": len(plan)}


def planned(seed: int, scale: int) -> Iterator[Planned]:
    """Every original: a few of v0, `scale` of each condition, severity and batch of v1 and v2, one of healthy skin."""
    for condition in CONDITIONS:
        for grade, word in enumerate(USUAL_WORDS[condition], 1):
            yield _planned(seed, condition, word, grade, "v0", f"{condition}_{word}_0", 0)
    for generation, batches in BATCHES.items():
        for batch in batches:
            number = 0
            for condition in CONDITIONS if generation == "v1" else FOUR:
                for grade, word in enumerate(USUAL_WORDS[condition], 1):
                    for _ in range(scale):
                        stem = f"{condition}_{word}_{batch}_{number:04}"
                        yield _planned(seed, condition, word, grade, generation, stem, number)
                        number += 1
    stem = f"{HEALTHY}_clear_skin_{BATCHES['v1'][0]}_9000"
    yield _planned(seed, HEALTHY, "clear_skin", 0, "v1", stem, 9000)


def put(home: Path, one: Planned, seed: int, side_px: int) -> None:
    """Write a picture and its mirrored copy, each with its sidecar."""
    rng, folder = generator(seed, one.stem), home / one.folder
    rgb = drawn(one, rng, side_px)
    original = synthetic_sidecars.sidecar(one, rng)
    folder.mkdir(parents=True, exist_ok=True)
    for stem, picture, said in (
        (one.stem, rgb, original),
        (f"{one.stem}_flipped", rgb[:, ::-1], synthetic_sidecars.flipped(original)),
    ):
        (folder / f"{stem}.png").write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
        (folder / f"{stem}.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def drawn(one: Planned, rng: np.random.Generator, side_px: int) -> NDArray[np.uint8]:
    """(S, S, 3) uint8 sRGB of a planned picture."""
    tone = one.tone.partition(" skin tone")[0]
    person = painting.Person(tone, one.gender, rng.uniform(*one.years))
    face = painting.portrait(person, rng, side_px, plain=one.generation == "v2")
    return painting.finished(painted_conditions.painted(face, one.condition, one.grade, rng).lab, rng)


def generator(seed: int, stem: str) -> np.random.Generator:
    """A source of chance of one picture's own, so that none depends on how many there are."""
    return np.random.default_rng([seed, zlib.crc32(stem.encode())])


def _planned(seed: int, condition: str, word: str, grade: int, generation: str, stem: str, number: int) -> Planned:
    rng = generator(seed, f"person {stem}")
    tone, gender, age = (
        str(rng.choice(list(words[generation]))) for words in (TONES, GENDERS, FIRST_AGES)
    )  # none depends on the condition
    return Planned(condition, word, grade, generation, stem, number, tone, gender, age)


if __name__ == "__main__":
    command.run(main)
