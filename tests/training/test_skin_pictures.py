"""Pictures are labelled by their folders and names, kept together where they belong together, and cut once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.data import skin_pictures
from training.data.skin_pictures import Example

HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization\n"


def written(path: Path, seed: int, side_px: int = 60) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = np.random.default_rng(seed).uniform(20, 235, (9, 9, 3)).astype(np.float32)
    cv2.imwrite(str(path), np.clip(cv2.resize(grid, (side_px, side_px), interpolation=cv2.INTER_CUBIC), 0, 255))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A small folder of every source, with a malformed name, a broken file and a copy across sources."""
    data = tmp_path / "data"
    for seed in range(6):
        written(data / "facial_skin_diseases" / "acne" / f"a{seed}.jpg", seed)
        written(data / "dermnet_facial" / "rosacea" / f"r{seed}.jpg", 100 + seed)
        written(data / "dermnet_facial" / "melasma" / f"m{seed}.jpg", 200 + seed)
        written(data / "acne04" / f"levle{seed % 4}_{seed}.jpg", 300 + seed)
        written(data / "utkface" / f"{20 + seed}_0_{seed % 5}_2017.jpg", 400 + seed)
        written(data / "ham10000" / "images" / f"ISIC_{seed}.jpg", 500 + seed)
    written(data / "dermnet_facial" / "rosacea" / "copy.jpg", 0, side_px=80)
    written(data / "utkface" / "61_1_20170109142408075.jpg", 450)
    written(data / "utkface" / "9_1_2_2017.jpg", 451)
    (data / "facial_skin_diseases" / "acne" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    rows = "".join(f"HAM_{seed // 2},ISIC_{seed},nv,histo,50,male,face\n" for seed in range(6))
    (data / "ham10000" / "HAM10000_metadata.csv").write_text(HEADER + rows, encoding="utf-8")
    return data


def by_path(examples: list[Example]) -> dict[str, Example]:
    return {example.path: example for example in examples}


def test_labels_come_from_folders_and_names(data: Path) -> None:
    found = by_path(skin_pictures.gather(data))
    assert found["facial_skin_diseases/acne/a0.jpg"].label == "acne"
    assert found["dermnet_facial/rosacea/r0.jpg"].label == "rosacea"
    assert found["dermnet_facial/melasma/m0.jpg"].label is None
    assert found["acne04/levle3_3.jpg"].label == "acne"
    assert found["acne04/levle3_3.jpg"].pretext == "acne04/levle3"
    assert (found["utkface/21_0_1_2017.jpg"].label, found["utkface/21_0_1_2017.jpg"].race) == ("healthy", "Black")
    assert found["utkface/9_1_2_2017.jpg"].label is None  # a child is no adult with healthy skin
    assert "utkface/61_1_20170109142408075.jpg" not in found  # no race in its name


def test_pictures_of_one_lesion_are_in_one_part(data: Path) -> None:
    found = by_path(skin_pictures.gather(data))
    for first in (0, 2, 4):
        pair = [found[f"ham10000/images/ISIC_{seed}.jpg"] for seed in (first, first + 1)]
        assert pair[0].group == pair[1].group
        assert pair[0].part == pair[1].part


def test_copies_are_in_one_part_whatever_their_source_and_unreadable_files_are_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples, crops = skin_pictures.crops(data, tmp_path / "work" / "crops.npz")
    found = by_path(examples)
    original, copy = found["facial_skin_diseases/acne/a0.jpg"], found["dermnet_facial/rosacea/copy.jpg"]
    assert (original.group, original.part) == (copy.group, copy.part)
    assert crops.shape == (len(examples), 224, 224, 3)
    assert "facial_skin_diseases/acne/broken.jpg: cannot be read; left out" in capsys.readouterr().out
    assert "facial_skin_diseases/acne/broken.jpg" not in found


def test_crops_are_cut_once_and_anew_when_a_picture_comes_in(data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "crops.npz"
    examples, crops = skin_pictures.crops(data, kept)
    stamp = kept.stat().st_mtime_ns
    again, same = skin_pictures.crops(data, kept)
    assert kept.stat().st_mtime_ns == stamp
    assert again == examples
    assert (same == crops).all()
    written(data / "dermnet_facial" / "melasma" / "new.jpg", 999)
    assert len(skin_pictures.crops(data, kept)[0]) == len(examples) + 1


def test_a_folder_without_pictures_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected at least one of facial_skin_diseases"):
        skin_pictures.gather(tmp_path)
