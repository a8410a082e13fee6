"""Sources combine as a YAML says, or a folder of class folders; what is wrong in either is told with file and line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="PyYAML is in the training environment only: make train-env")

from training.command import BadInput
from training.data import mixture
from training.data.mixture import Mixture
from training.data.sources import RACES

CONFIGS = Path(__file__).resolve().parents[3] / "training" / "configs"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small folder of every source; readers open no picture."""
    root = tmp_path / "data"
    names = [f"clinic/{label}/{number}.jpg" for label in ("acne", "eczema", "warts") for number in range(6)]
    names += [f"faces/{18 + number}_{number % 2}_{number % 5}_2017{number}.jpg" for number in range(50)]
    names += [f"faces/{number}_0_0_2018.jpg" for number in range(1, 9)]
    names += [f"spots/levle{number % 4}_{number}.jpg" for number in range(40)]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def read(root: Path, text: str, **options: object) -> Mixture:
    file = root.parent / "mixture.yaml"
    file.write_text(text, encoding="utf-8")
    return mixture.read(file, root, **options)  # type: ignore[arg-type]


CLINIC = """
sources:
  - name: clinic
    kind: folders
    licence: CC BY 4.0
    classes: {acne: acne, eczema: eczema, warts: null}
"""
FACES = """
  - name: people
    kind: utkface
    path: faces
"""


def counts(found: Mixture) -> Counter[tuple[str | None, str]]:
    return Counter((picture.label, picture.source) for picture in found.pictures)


def test_folders_become_classes_as_the_map_says(root: Path) -> None:
    found = read(root, CLINIC + FACES)
    assert found.classes == ("acne", "eczema", "healthy")
    assert counts(found) == {
        ("acne", "clinic"): 6,
        ("eczema", "clinic"): 6,
        (None, "clinic"): 6,
        ("healthy", "people"): 50,
        (None, "people"): 8,
    }
    assert found.licences == {"clinic": "CC BY 4.0", "people": "not stated"}
    left_out = read(root, CLINIC.replace(", warts: null", ""))
    assert counts(left_out) == {("acne", "clinic"): 6, ("eczema", "clinic"): 6}


def test_kinds_can_be_mapped_too(root: Path) -> None:
    spots = "\n  - {name: spots, kind: acne04, classes: {levle0: healthy, levle3: acne, levle2: null}}"
    found = read(root, CLINIC + spots)
    assert {(one.label, one.severity) for one in found.pictures if one.source == "spots"} == {
        ("healthy", 0),
        ("acne", 3),
        (None, 2),
    }


def test_a_cap_holds_for_each_ethnicity_apart(root: Path) -> None:
    found = read(root, CLINIC + FACES + "    cap: 3\n    balance: ethnicity\n    extra: 0\n")
    people = [picture for picture in found.pictures if picture.source == "people"]
    assert Counter(picture.ethnicity for picture in people) == dict.fromkeys(RACES, 3)
    assert {picture.label for picture in people} == {"healthy"}


def test_what_is_over_the_cap_can_teach_features(root: Path) -> None:
    found = read(root, CLINIC + FACES + "    cap: 3\n    balance: ethnicity\n    extra: 20\n")
    assert counts(found)["healthy", "people"] == 15
    assert counts(found)[None, "people"] == 20
    without = read(root, CLINIC + FACES + "    cap: 9\n")
    assert counts(without)["healthy", "people"] == 9
    assert counts(without)[None, "people"] == 8  # a cap holds for each age band of those without a class


def test_pictures_that_come_in_exchange_few_others(root: Path) -> None:
    text = CLINIC + FACES + "    cap: 20\n"
    before = {one.path for one in read(root, text).pictures if one.label == "healthy"}
    assert before == {one.path for one in read(root, text).pictures if one.label == "healthy"}
    (root / "faces" / "44_0_0_2019.jpg").touch()
    after = {one.path for one in read(root, text).pictures if one.label == "healthy"}
    assert len(before - after) <= 1


def test_a_limit_takes_evenly_from_the_sources(root: Path) -> None:
    found = read(root, CLINIC + FACES + "\n  - {name: spots, kind: acne04}\n", limit=4)
    assert counts(found)["acne", "clinic"] == counts(found)["acne", "spots"] == 2
    assert Counter(picture.label for picture in found.pictures) == {"acne": 4, "eczema": 4, "healthy": 4, None: 4}


def test_a_folder_of_class_folders_is_a_mixture(root: Path) -> None:
    found = mixture.read(root / "clinic")
    assert found.classes == ("acne", "eczema", "warts")
    assert counts(found) == {("acne", "clinic"): 6, ("eczema", "clinic"): 6, ("warts", "clinic"): 6}
    assert found.licences == {"clinic": "not stated"}


def test_demographics_beside_the_pictures_are_read(root: Path) -> None:
    (root / "clinic" / "demographics.csv").write_text("path,age,fitzpatrick\nacne/0.jpg,30,V\nacne/x.jpg,30,V\n")
    for found in (mixture.read(root / "clinic"), read(root, CLINIC)):
        said = [picture for picture in found.pictures if picture.age == 30]
        assert [(picture.path.name, picture.fitzpatrick) for picture in said] == [("0.jpg", "V")]
        assert "demographics.csv:3: acne/x.jpg: there is no such picture" in str(found.problems[0])


def test_where_the_root_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = root.parent / "mixture.yaml"
    file.write_text(CLINIC)
    monkeypatch.setenv("SKIN_DATA", str(root))
    assert len(mixture.read(file).pictures) == 18
    monkeypatch.setenv("SKIN_DATA", str(root / "nothing"))
    with pytest.raises(BadInput, match="nothing/clinic: there is no such folder"):
        mixture.read(file)
    file.write_text("root: data\n" + CLINIC)
    assert len(mixture.read(file).pictures) == 18
    with pytest.raises(BadInput, match="other/clinic: there is no such folder"):
        mixture.read(file, root / "other")


def test_an_optional_source_may_be_absent(root: Path) -> None:
    absent = "\n  - name: lesions\n    kind: ham10000\n"
    with pytest.raises(BadInput, match=r"mixture\.yaml:8: .*lesions: there is no such folder"):
        read(root, CLINIC + absent)
    found = read(root, CLINIC + absent + "    optional: true\n")
    assert "the optional source lesions is not there" in str(found.problems[0])


def test_an_empty_class_folder_is_told(root: Path) -> None:
    (root / "clinic" / "rosacea").mkdir()
    with pytest.raises(BadInput, match="clinic/rosacea: the class folder holds no picture, so class rosacea"):
        mixture.read(root / "clinic")
    mapped = CLINIC.replace("warts: null", "rosacea: rosacea")
    with pytest.raises(BadInput, match=r"mixture\.yaml:3: .*clinic/rosacea: the class folder holds no picture"):
        read(root, mapped)
    with pytest.raises(BadInput, match="clinic/rosaca: the class folder is not there"):
        read(root, mapped.replace("rosacea: rosacea", "rosaca: rosacea"))
    unlabelled = read(root, CLINIC.replace("warts", "rosacea"))
    assert "clinic/rosacea: the class folder holds no picture" in str(unlabelled.problems[0])


def test_too_few_classes_are_told(root: Path) -> None:
    with pytest.raises(BadInput, match=r"found 1 class .acne.; at least 2"):
        read(root, "sources:\n  - {name: clinic, kind: folders, classes: {acne: acne}}\n")
    with pytest.raises(BadInput, match="no source gives a picture of class rosacea"):
        read(root, "classes: [acne, eczema, rosacea]\n" + CLINIC)
    with pytest.raises(BadInput, match="a source gives the class healthy, which `classes` does not name"):
        read(root, "classes: [acne, eczema]\n" + CLINIC + FACES)


def test_pictures_for_testing_only_are_never_trained_on(root: Path) -> None:
    for name in ("acne/0/front.jpg", "bags/1/front.jpg"):
        (root / "skin_defects" / name).parent.mkdir(parents=True)
        (root / "skin_defects" / name).touch()
    defects = "\n  - {name: selfies, kind: skin_defects, path: skin_defects}\n"
    with pytest.raises(BadInput, match=r"mixture\.yaml:8: .*for testing only and must never be trained on"):
        read(root, CLINIC + defects)
    with pytest.raises(BadInput, match="for testing only"):
        read(root, CLINIC + defects.replace("kind: skin_defects", "kind: folders"))
    for folder in (root / "skin_defects", root):  # by itself, and as one of the class folders
        with pytest.raises(BadInput, match="for testing only"):
            mixture.read(folder)
    assert counts(read(root, CLINIC + defects, testing=True))["bags", "selfies"] == 1


def test_a_picture_of_two_sources_is_told(root: Path) -> None:
    with pytest.raises(BadInput, match=r"0\.jpg: is read by two sources, clinic and again"):
        read(root, CLINIC + "\n  - {name: again, kind: folders, path: clinic, classes: {acne: acne}}\n")


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("", 0, "the file is empty"),
        ("just words\n", 1, "expected keys with values"),
        ("classes: [acne]\n", 1, "sources is missing"),
        ("sources: []\n", 1, "at least one source"),
        ("sauces:\n  - name: a\n", 1, "unknown key sauces; known are root, classes, sources"),
        ("sources:\n  - name: a\n    knid: folders\n", 3, "unknown key knid"),
        ("sources:\n  - name: a\n    kind: folder\n", 3, "expected one of folders, skin_defects"),
        ("sources:\n  - kind: folders\n", 2, "name is missing"),
        ("sources:\n  - name: a\n    kind: folders\n    cap: many\n", 4, "expected a whole number from 1"),
        ("sources:\n  - name: a\n    kind: folders\n    cap: 0\n", 4, "expected a whole number from 1"),
        ("sources:\n  - name: a\n    kind: folders\n    extra: -3\n", 4, "expected a whole number from 0"),
        ("sources:\n  - name: a\n    kind: folders\n    balance: race\n", 4, "expected one of ethnicity"),
        ("sources:\n  - name: a\n    kind: folders\n    balance: gender\n", 4, "give a cap as well"),
        ("sources:\n  - name: a\n    kind: folders\n    optional: maybe\n", 4, "expected one of true, false"),
        ("sources:\n  - name: a\n    kind: folders\n    path:\n", 4, "expected a text"),
        ("sources:\n  - name: a\n    kind: folders\n    classes: [acne]\n", 4, "expected keys with values"),
        ("sources:\n  - name: a\n    kind: folders\n    name: b\n", 4, "name is there twice"),
        ("sources:\n  - {name: a, kind: folders}\n  - {name: a, kind: acne04}\n", 3, "two sources are named a"),
        ("classes: acne\nsources:\n  - {name: a, kind: folders}\n", 1, "expected a list of names"),
        ("classes: [acne, acne]\nsources:\n  - {name: a, kind: folders}\n", 1, "a class is named twice"),
        (
            "classes: [acne]\nsources:\n  - name: a\n    kind: folders\n    classes:\n      x: ance\n",
            6,
            "ance is none of the classes acne",
        ),
        ("sources:\n  - name: 'a\n    kind: folders\n", 4, "no valid YAML"),
        ("sources:\n\t- name: a\n", 2, "no valid YAML"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(root: Path, text: str, line: int, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(root, text)
    place = f"mixture.yaml:{line}: " if line else "mixture.yaml: "
    assert place in str(refused.value)
    assert told in str(refused.value)


def test_a_file_that_is_absent_or_binary_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nothing\.yaml: cannot be read .No such file"):
        mixture.read(tmp_path / "nothing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01\x80")
    with pytest.raises(BadInput, match=r"binary\.yaml: no valid YAML"):
        mixture.read(tmp_path / "binary.yaml")
    with pytest.raises(BadInput, match="there is no such folder or YAML file"):
        mixture.read(tmp_path / "nothing")


@pytest.mark.data
def test_the_configurations_read_the_real_pictures(skin_data: Path) -> None:
    classes = ("acne", "actinic_keratosis", "basal_cell_carcinoma", "eczema", "healthy", "rosacea")
    facial = mixture.read(CONFIGS / "facial.yaml", skin_data)
    assert facial.classes == classes
    assert facial.problems == []
    assert Counter(picture.label for picture in facial.pictures) == {
        None: 4852,
        "acne": 1245,
        "healthy": 1270,
        "actinic_keratosis": 210,
        "eczema": 71,
        "basal_cell_carcinoma": 195,
        "rosacea": 122,
    }
    people = mixture.read(CONFIGS / "faces_demographics.yaml", skin_data)
    assert people.classes == classes
    assert {one.label for one in people.pictures if one.ethnicity} == {"healthy"}
    assert None not in {one.label for one in people.pictures}


def test_no_configuration_names_pictures_for_testing_only() -> None:
    files = sorted(CONFIGS.glob("*.yaml"))
    assert files
    assert [file.name for file in files if "skin_defects" in file.read_text(encoding="utf-8")] == []
