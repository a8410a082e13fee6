"""Every source is read as it lies on disk: labels, groups, severities and lesions; traps are reported with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.command import BadInput
from training.data import sources
from training.data.pictures import Picture, Problem

VOC_BOX = "<object><bndbox>\n<xmin>{}</xmin><xmax>{}</xmax>\n<ymin>{}</ymin><ymax>{}</ymax></bndbox></object>"


def touched(folder: Path, *names: str) -> Path:
    """A folder with files; readers open no picture."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def by_name(pictures: list[Picture]) -> dict[str, Picture]:
    return {picture.path.name: picture for picture in pictures}


def told(problems: list[Problem]) -> str:
    return "\n".join(map(str, problems))


@pytest.mark.parametrize(
    "name",
    [
        "a_flipped.jpg",
        "a-rot90.png",
        "a_aug3.jpg",
        "a_aug_12.jpg",
        "a_jpg.rf.97b3557875ce1a754fd6181df8fd4856.jpg",
        "a_hflip_rotated_15.jpg",
        "a_flipped_jpg.rf.97b3557875.jpg",
        "a - Copy.jpg",
        "a_mirrored.webp",
    ],
)
def test_copies_of_a_picture_have_its_stem(name: str) -> None:
    assert sources.stem_of(Path(name)) == "a"


@pytest.mark.parametrize(
    "name", ["acne-12", "acne (3)", "acne_2", "flipped", "flip_3", "k19", "nose", "07AcnePittedScars", "saurot"]
)
def test_other_names_stay_whole(name: str) -> None:
    assert sources.stem_of(Path(f"{name}.jpg")) == name


def test_folders_are_classes_and_copies_one_group(tmp_path: Path) -> None:
    touched(
        tmp_path, "acne/a.jpg", "acne/a_flipped.JPG", "acne/b.png", "eczema/a.jpg", "acne/notes.txt", "acne/._a.jpg"
    )
    touched(tmp_path, ".cache/c.jpg", "__MACOSX/acne/d.jpg")
    pictures, problems = sources.folders(tmp_path, "clinic")
    found = by_name([picture for picture in pictures if picture.label == "acne"])
    assert found.keys() == {"a.jpg", "a_flipped.JPG", "b.png"}
    assert found["a.jpg"].group == found["a_flipped.JPG"].group != found["b.png"].group
    assert {picture.label for picture in pictures} == {"acne", "eczema"}
    assert len({picture.group for picture in pictures}) == 3  # a.jpg of another class is another picture
    assert all(picture.group.startswith("clinic/") for picture in pictures)
    assert problems == []


def test_folders_inside_a_class_are_subjects(tmp_path: Path) -> None:
    touched(tmp_path, "acne/anna/1.jpg", "acne/anna/2.jpg", "acne/ben/1.jpg", "healthy/carl/1.jpg")
    pictures, _ = sources.folders(tmp_path, "own")
    assert sorted({picture.group for picture in pictures}) == ["own/acne/anna", "own/acne/ben", "own/healthy/carl"]


def test_a_ready_made_split_is_read_as_one_because_it_tears_copies_apart(tmp_path: Path) -> None:
    touched(tmp_path, "train/acne/a_jpg.rf.0011223344.jpg", "valid/acne/a_jpg.rf.5566778899.jpg", "test/healthy/h.jpg")
    pictures, _ = sources.folders(tmp_path, "export")
    assert {picture.label for picture in pictures} == {"acne", "healthy"}
    assert len({picture.group for picture in pictures if picture.label == "acne"}) == 1


def test_a_folder_without_folders_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"expected class folders in it, such as .*acne"):
        sources.folders(touched(tmp_path, "a.jpg"), "own")
    with pytest.raises(BadInput, match=r"there is no such folder.*training\.data\.acquire"):
        sources.folders(tmp_path / "nothing", "own")


def test_utkface_names_say_age_gender_and_race(tmp_path: Path) -> None:
    touched(
        tmp_path,
        "25_1_1_20170116.jpg",
        "part2/61_0_4_20170117.jpg.chip.jpg",
        "9_1_2_20170118.jpg",
        "76_0_0_20170119.jpg",
    )
    pictures, problems = sources.utkface(tmp_path, "utkface")
    found = by_name(pictures)
    young, old = found["25_1_1_20170116.jpg"], found["61_0_4_20170117.jpg.chip.jpg"]
    assert (young.age, young.gender, young.ethnicity, young.label) == (25.0, "female", "Black", "healthy")
    assert (old.age, old.gender, old.ethnicity, old.kind) == (61.0, "male", "other", "60+")
    assert found["9_1_2_20170118.jpg"].label is None  # a child
    assert found["76_0_0_20170119.jpg"].label is None
    assert problems == []


@pytest.mark.parametrize(
    "name",
    [
        "61_1_20170109142408075.jpg",  # no race
        "53__0_20170116184028385.jpg",  # no gender
        "61_3_0_20170109150557335.jpg",
        "25_1_7_20170116.jpg",
        "250_1_1_20170116.jpg",
        "-5_1_1_20170116.jpg",
        "25_1_1_.jpg",
        "face.jpg",
    ],
)
def test_malformed_utkface_names_are_reported_and_left_out(tmp_path: Path, name: str) -> None:
    pictures, problems = sources.utkface(touched(tmp_path, name, "25_1_1_20170116.jpg"), "utkface")
    assert len(pictures) == 1
    assert name in told(problems)
    assert "AGE_GENDER_RACE_DATE" in told(problems)


def test_acne04_gives_severity_lesions_and_runs_of_numbers(tmp_path: Path) -> None:
    names = [f"levle{severity}_{number}" for severity, number in ((2, 41), (2, 59), (2, 60), (3, 41))]
    touched(tmp_path, *(f"{name}.jpg" for name in names))
    for name in names:
        (tmp_path / f"{name}.xml").write_text(f"<annotation>{VOC_BOX.format(10, 40, 5, 25)}</annotation>")
    pictures, problems = sources.acne04(tmp_path, "acne04")
    found = by_name(pictures)
    first = found["levle2_41.jpg"]
    assert (first.label, first.severity, first.kind, first.boxes) == ("acne", 2, "levle2", ((10.0, 5.0, 30.0, 20.0),))
    assert first.group == found["levle2_59.jpg"].group
    assert len({picture.group for picture in pictures}) == 3
    assert problems == []


def test_acne04_copies_of_an_export_stay_with_their_picture(tmp_path: Path) -> None:
    names = [
        "levle1_7_jpg.rf.97b3557875ce1a754fd6181df8fd4856.jpg",
        "levle1_7_jpg.rf.0044557875ce1a754fd6181df8fd4856.jpg",
    ]
    pictures, _ = sources.acne04(touched(tmp_path, *names), "other_name")
    assert {picture.group for picture in pictures} == {"other_name/levle1/0"}


def test_orphans_and_bad_annotations_are_told_with_their_line(tmp_path: Path) -> None:
    touched(tmp_path, *(f"levle0_{number}.jpg" for number in range(5)), "levle7_1.jpg", "selfie.jpg")
    (tmp_path / "levle0_0.xml").write_text("<annotation>\n<object>\n</annotation>")
    (tmp_path / "levle0_1.xml").write_text(f"<annotation>\n{VOC_BOX.format(40, 10, 5, 25)}\n</annotation>")
    (tmp_path / "levle0_2.xml").write_text(
        f"<annotation>{VOC_BOX.format(1, 4, 5, 9)}\n{VOC_BOX.format('x', 4, 5, 9)}</annotation>"
    )
    (tmp_path / "levle0_3.xml").write_text("<annotation></annotation>")
    (tmp_path / "levle0_9.xml").write_text("<annotation></annotation>")
    pictures, problems = sources.acne04(tmp_path, "acne04")
    assert by_name(pictures).keys() == {f"levle0_{number}.jpg" for number in range(5)}
    assert by_name(pictures)["levle0_2.jpg"].boxes == ((1.0, 5.0, 3.0, 4.0),)
    text = told(problems)
    assert "levle0_0.xml:3: no well-formed XML (mismatched tag)" in text
    assert "levle0_1.xml:2: a bndbox must have xmin < xmax" in text
    assert "levle0_2.xml:4: a bndbox needs the numbers" in text
    assert "levle0_4.jpg: there is no .xml beside it" in text
    assert "levle0_9.xml: there is no picture beside it" in text
    assert "levle7_1.jpg: the name must be levleS_N" in text
    assert "selfie.jpg: the name must be levleS_N" in text
    assert len(problems) == 7


SUBJECTS = "id,front,left_side,right_side,type\n"


@pytest.mark.parametrize(
    "table",
    [
        SUBJECTS + "0,/acne/0/front.jpg,/acne/0/left_side.jpg,,acne\n20,/redness/20/front.jpg,,,redness\n",
        "\ufeffID;Type;Front;Left Side\n0;Acne;acne\\0\\front.jpg;files/acne/0/left_side.jpg\n20;redness;redness/20/front.jpg;\n",
    ],
    ids=["as released", "by a spreadsheet"],
)
def test_skin_defects_are_read_from_their_table(tmp_path: Path, table: str) -> None:
    touched(tmp_path, "files/acne/0/front.jpg", "files/acne/0/left_side.jpg", "files/redness/20/front.jpg")
    (tmp_path / "skin_defects.csv").write_text(table, encoding="utf-8")
    pictures, problems = sources.skin_defects(tmp_path, "defects")
    assert sorted((picture.label, picture.group) for picture in pictures) == [
        ("acne", "defects/0"),
        ("acne", "defects/0"),
        ("redness", "defects/20"),
    ]
    assert problems == []


def test_rows_without_pictures_and_pictures_without_rows_are_told(tmp_path: Path) -> None:
    touched(tmp_path, "files/acne/0/front.jpg", "files/acne/1/front.jpg", "files/acne/1/left_side.jpg")
    rows = "0,/acne/0/front.jpg,/acne/0/left_side.jpg,,acne\n,x.jpg,,,acne\n5,/../../secret.jpg,,,acne\n"
    (tmp_path / "skin_defects.csv").write_text(SUBJECTS + rows)
    pictures, problems = sources.skin_defects(tmp_path, "defects")
    assert len(pictures) == 1
    text = told(problems)
    assert "skin_defects.csv:2: acne/0/left_side.jpg: there is no such picture" in text
    assert "skin_defects.csv:3: expected a value for each of id, type" in text
    assert "skin_defects.csv:4: ../../secret.jpg: there is no such picture" in text
    assert "names neither this picture nor 1 others" in text


def test_skin_defects_without_a_table_are_read_from_folders(tmp_path: Path) -> None:
    touched(tmp_path, "acne/0/front.jpg", "acne/0/left_side.jpg", "bags/10/front.jpg", "readme.jpg")
    pictures, _ = sources.skin_defects(tmp_path, "defects")
    assert [(picture.label, picture.group) for picture in pictures] == [
        ("acne", "defects/0"),
        ("acne", "defects/0"),
        ("bags", "defects/10"),
    ]
    with pytest.raises(BadInput, match=r"<type>/<subject>/front\.jpg"):
        sources.skin_defects(touched(tmp_path / "other", "a.jpg"), "defects")


HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization\n"


def test_lesions_have_no_label_and_stay_together(tmp_path: Path) -> None:
    touched(tmp_path, "part_1/ISIC_1.jpg", "part_2/ISIC_2.jpg", "part_2/ISIC_3.jpg", "ISIC_9.jpg")
    rows = "HAM_1,ISIC_1,mel,histo,50.0,male,face\nHAM_1,ISIC_2,mel,histo,50.0,male,face\nHAM_2,ISIC_3,nv,,,unknown,\n"
    (tmp_path / "HAM10000_metadata.csv").write_text(HAM + rows + "HAM_3,ISIC_4,nv,,,,\nHAM_4,,nv,,,,\n")
    pictures, problems = sources.ham10000(tmp_path, "ham")
    found = by_name(pictures)
    assert found["ISIC_1.jpg"].group == found["ISIC_2.jpg"].group != found["ISIC_3.jpg"].group
    assert {picture.label for picture in pictures} == {None}
    assert (found["ISIC_1.jpg"].kind, found["ISIC_1.jpg"].age, found["ISIC_1.jpg"].gender) == ("mel", 50.0, "male")
    assert (found["ISIC_3.jpg"].age, found["ISIC_3.jpg"].gender) == (None, None)
    text = told(problems)
    assert "HAM10000_metadata.csv:5: 1 rows, this one first, name pictures that are not there" in text
    assert "HAM10000_metadata.csv:6: expected a value for each of lesion_id, image_id, dx" in text
    assert "ISIC_9.jpg: HAM10000_metadata.csv names neither this picture" in text


def test_a_table_without_its_columns_is_no_table(tmp_path: Path) -> None:
    touched(tmp_path, "ISIC_1.jpg")
    with pytest.raises(BadInput, match=r"HAM10000_metadata\.csv: there is no such file"):
        sources.ham10000(tmp_path, "ham")
    (tmp_path / "HAM10000_metadata.csv").write_text("image_id,dx\nISIC_1,nv\n")
    with pytest.raises(BadInput, match=r"HAM10000_metadata\.csv:1: .*not there: lesion_id"):
        sources.ham10000(tmp_path, "ham")


def test_what_is_no_csv_is_told_with_its_line(tmp_path: Path) -> None:
    touched(tmp_path, "ISIC_1.jpg")
    (tmp_path / "HAM10000_metadata.csv").write_text(HAM + "HAM_1,ISIC_1,nv,,,,\n" + "x" * 200_000 + "\n")
    with pytest.raises(BadInput, match=r"HAM10000_metadata\.csv:3: is no CSV"):
        sources.ham10000(tmp_path, "ham")


@pytest.mark.parametrize("kind", sorted(sources.READERS))
def test_folders_that_hold_nothing_end_in_a_sentence(tmp_path: Path, kind: str) -> None:
    (tmp_path / "HAM10000_metadata.csv").write_text(HAM)
    with pytest.raises(BadInput, match="expected"):
        sources.READERS[kind](tmp_path, kind)
    with pytest.raises(BadInput, match="there is no such folder"):
        sources.READERS[kind](tmp_path / "nothing", kind)


@pytest.mark.data
def test_the_real_sources_are_read_whole(skin_data: Path) -> None:
    counts = {"utkface": (12_900, 12_900), "acne04": (991, 78), "ham10000": (10_015, 7_470), "skin_defects": (37, 13)}
    for kind, expected in counts.items():
        pictures, problems = sources.READERS[kind](skin_data / kind, kind)
        assert (len(pictures), len({picture.group for picture in pictures})) == expected
        assert problems == []
