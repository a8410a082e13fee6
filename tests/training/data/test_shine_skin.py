"""The tree of shine-skin-collective: what its sidecars say, what is odd in it, and parts that keep copies together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.command import BadInput
from training.data import partition, shine_skin
from training.data.shine_labels import CONDITIONS
from training.data.shine_skin import Labelled, Synthetic

V1_STEM, V2_STEM = "redness_severe_20250910_163628_0004", "redness_mild_20250930_221854_0007"
V0 = {
    "skin_condition": "acne",
    "severity": "mild",
    "annotations": {"detected": True, "percentage": 4.0, "spot_count": 9, "confidence": 0.9},
}
V1 = {
    "skin_condition": "redness",
    "severity": "severe",
    "classification_targets": {name: name == "redness" for name in CONDITIONS},
    "severity_targets": {name: "severe" if name == "redness" else "none" for name in CONDITIONS},
    "training_annotations": {"condition_detected": True, "severity_level": "severe", "confidence_score": 0.9},
    "demographics": {
        "age_group": "middle_aged",
        "age_range": "41-60",
        "skin_tone": "dark skin tone",
        "gender": "non-binary",
        "variation_index": 4,
    },
}
FOUR = ("redness", "pore_size", "textured_skin", "hyperpigmentation")
V2 = {
    "skin_condition": "redness",
    "severity": "mild",
    "classification_targets": {name: name == "redness" for name in FOUR},
    "severity_targets": {name: "mild" if name == "redness" else "none" for name in FOUR},
    "prompt_used": "portrait, plain grey background",
    "demographics": {
        "age_group": "mature",
        "age_range": "51-65",
        "skin_tone": "deep brown skin tone (Fitzpatrick VI)",
        "gender": "person",
    },
}


def put(root: Path, folder: str, stem: str, sidecar: dict[str, Any] | str | None = None) -> Path:
    """A picture (nothing opens it) with its sidecar below ``output_images``."""
    home = root / "Synthetic" / "output_images" / folder
    home.mkdir(parents=True, exist_ok=True)
    if sidecar is not None:
        text = sidecar if isinstance(sidecar, str) else json.dumps(sidecar)
        (home / f"{stem}.json").write_text(text, encoding="utf-8")
    (home / f"{stem}.png").write_bytes(b"")
    return home / f"{stem}.png"


def one(root: Path, folder: str, stem: str, sidecar: dict[str, Any]) -> tuple[Labelled, Synthetic]:
    put(root, folder, stem, sidecar)
    found = shine_skin.read(root)
    return found.labelled[0], found


def codes(found: Synthetic) -> set[str]:
    return {oddity.code for oddity in found.oddities}


def test_first_generation_is_filled_from_condition_and_severity(tmp_path: Path) -> None:
    labelled, found = one(tmp_path, "acne/mild", "acne_mild_0", V0)
    assert labelled.targets == (True, False, False, False, False, False, False)
    assert labelled.severities == (1, 0, 0, 0, 0, 0, 0)
    assert (labelled.batch, labelled.generation, labelled.picture.age) == ("v0", "v0", None)
    assert codes(found) == {"filled_targets", "filled_severities"}


def test_second_generation_says_all_seven(tmp_path: Path) -> None:
    labelled, found = one(tmp_path, "redness/severe", V1_STEM, V1)
    picture = labelled.picture
    assert labelled.severities == (0, 0, 0, 0, 0, 3, 0)
    assert (picture.label, picture.kind, picture.severity, picture.source) == (
        "redness",
        "redness/3",
        3,
        "shine_skin 20250910_163628",
    )
    assert (picture.age_band, picture.gender, picture.fitzpatrick, labelled.skin_tone) == (
        "45-59",
        "nonbinary",
        None,
        "dark",
    )
    assert found.oddities == ()


def test_third_generation_knows_four_conditions_and_skin_types(tmp_path: Path) -> None:
    labelled, found = one(tmp_path, "redness/mild", V2_STEM, V2)
    assert labelled.severities == (0, 0, 0, 0, 0, 1, 0)
    assert (labelled.picture.fitzpatrick, labelled.picture.gender, labelled.picture.age) == ("VI", None, 58.0)
    assert codes(found) == {"missing_keys"}


@pytest.mark.parametrize(
    ("condition", "word", "grade"),
    [
        ("aging", "early_signs", 1),
        ("aging", "advanced", 3),
        ("textured_skin", "slight", 1),
        ("textured_skin", "mild", 1),
    ],
)
def test_words_of_severity_mean_one_scale(tmp_path: Path, condition: str, word: str, grade: int) -> None:
    targets = {name: name == condition for name in CONDITIONS}
    severities = {name: word if name == condition else "none" for name in CONDITIONS}
    said = V1 | {
        "skin_condition": condition,
        "severity": word,
        "classification_targets": targets,
        "severity_targets": severities,
    }
    labelled, found = one(tmp_path, f"{condition}/{word}", "a_20250910_163628_0001", said)
    assert labelled.severities[CONDITIONS.index(condition)] == labelled.picture.severity == grade
    assert codes(found) == ({"stray_severity"} if word == "mild" else set())


def test_copies_stay_together_even_without_their_original(tmp_path: Path) -> None:
    for number in range(12):
        stem = f"redness_severe_20250910_163628_{number:04}"
        flip = V1 | {"is_flipped": True, "original_filename": f"{stem}.png", "flip_timestamp": "2025-10-01T00:00:00"}
        put(tmp_path, "redness/severe", f"{stem}_flipped", flip)
        if number:
            put(tmp_path, "redness/severe", stem, V1)
    found = shine_skin.read(tmp_path)
    assert [(oddity.code, oddity.path.stem) for oddity in found.oddities] == [
        ("flipped_alone", "redness_severe_20250910_163628_0000_flipped")
    ]
    parts = partition.parts(found.pictures, seed=6, key=shine_skin.stratum)
    homes = {picture.group: set() for picture in found.pictures}  # type: dict[str, set[str]]
    for picture, part in zip(found.pictures, parts, strict=True):
        homes[picture.group].add(part)
    assert len(homes) == 12
    assert all(len(reached) == 1 for reached in homes.values())


def test_nothing_to_use_is_a_sentence(tmp_path: Path) -> None:
    put(tmp_path, "acne/mild", "acne_mild_0", "{ broken")
    with pytest.raises(BadInput, match=r"expected <condition>/<severity>/NAME.png .*acne_mild_0.json:1: expected JSON"):
        shine_skin.read(tmp_path)
    with pytest.raises(BadInput, match="expected the folder output_images"):
        shine_skin.read(tmp_path / "elsewhere")


def test_targets_that_are_no_booleans_or_of_none_that_is_known(tmp_path: Path) -> None:
    put(
        tmp_path,
        "redness/severe",
        V1_STEM,
        V1 | {"classification_targets": {name: int(name == "redness") for name in CONDITIONS}},
    )
    put(
        tmp_path,
        "eczema/severe",
        "eczema_severe_1",
        V1 | {"skin_condition": "eczema", "classification_targets": {"eczema": True}},
    )
    found = shine_skin.read(tmp_path)
    (one,) = found.labelled  # nothing that is known was said of the other: no example of skin without conditions
    assert dict(zip(CONDITIONS, one.targets, strict=True)) == {name: name == "redness" for name in CONDITIONS}
    codes = [oddity.code for oddity in found.oddities]
    assert (codes.count("bad_value"), codes.count("unlabelled")) == (len(CONDITIONS), 1)


def test_a_second_picture_of_a_sidecar_is_told(tmp_path: Path) -> None:
    kept = put(tmp_path, "redness/severe", V1_STEM, V1)
    kept.with_suffix(".jpg").write_bytes(b"")
    found = shine_skin.read(tmp_path)
    assert [one.picture.path for one in found.labelled] == [kept]
    assert [(oddity.code, oddity.path.suffix) for oddity in found.oddities] == [("second_picture", ".jpg")]
