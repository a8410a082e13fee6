"""An audit finds by itself what is wrong with pictures, says what to do, and leaves out what it is told to."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.data.test_duplicates import pictures as fields
from tests.training.data.test_prepared import face, written
from training import audit
from training.auditing import audit_balance, audit_findings, watermarks
from training.auditing.audit_findings import Finding
from training.command import BadInput
from training.data import duplicates
from training.data.facts import Facts
from training.data.pictures import Picture, Problem
from training.data.prepared import Prepared

ROOT = Path(__file__).parents[2]
FACTS = Facts(
    sha256="",
    width=400,
    height=300,
    size_bytes=20_000,
    faces=1,
    has_face=True,
    face_confidence=0.99,
    face_box=(100.0, 50.0, 200.0, 200.0),
    cut_px=250.0,
    brightness=120.0,
    contrast=40.0,
    sharpness=5.0,
    border=(50.0, 5.0, 9.0),
    blur_px=1.5,
    bright_l=80.0,
    refused=(),
    failed=(),
    ita_deg=30.0,
    fingerprint="",
)


def known(name: str, look: str = "", **changes: object) -> Facts:
    """Facts of a file of its own; those with the same look show the same picture."""
    seed = int(hashlib.sha256((look or name).encode()).hexdigest()[:8], 16)
    detail = np.random.default_rng(seed).integers(-60, 60, duplicates.SIDE**2).astype(np.int8)
    digest = hashlib.sha256(name.encode()).hexdigest()
    return replace(FACTS, **{"sha256": digest, "fingerprint": duplicates.written([detail, detail]), **changes})  # type: ignore[arg-type]


def picture(name: str, label: str | None = "acne", group: str = "", **said: object) -> Picture:
    return Picture(Path("/data") / f"{name}.jpg", "clinic", label, group or f"clinic/{name}", **said)  # type: ignore[arg-type]


def prepared(rows: Sequence[tuple[Picture, Facts]], problems: Sequence[Problem] = ()) -> Prepared:
    crops = np.zeros((len(rows), 224, 224, 3), np.uint8)
    return Prepared([one for one, _ in rows], [its for _, its in rows], crops, list(problems))


def plain(label: str, count: int, **said: object) -> list[tuple[Picture, Facts]]:
    return [(picture(f"{label}-{n:04}", label, **said), known(f"{label}-{n}")) for n in range(count)]


def only(found: Sequence[Finding], code: str) -> Finding:
    (one,) = [finding for finding in found if finding.code == code]
    return one


def codes(found: Sequence[Finding]) -> set[str]:
    return {finding.code for finding in found}


def test_spoiled_pictures_are_counted_by_class() -> None:
    rows = plain("acne", 20) + plain("eczema", 20)
    for row in (1, 2, 3):
        rows[row] = (rows[row][0], replace(rows[row][1], failed=("blurred", "small")))
    rows[30] = (rows[30][0], replace(rows[30][1], has_face=False))
    rows.append((picture("without", None), known("without", failed=("dark",))))
    found = list(audit_findings.of_quality(prepared(rows, [Problem(Path("/data/x.jpg"), "expected a picture")])))
    assert codes(found) == {"unreadable", "blurred", "small", "faceless"}  # what has no class may be dark
    assert only(found, "blurred").rows == (1, 2, 3)
    assert only(found, "blurred").severity == "warning"
    assert "3 of 40" in only(found, "blurred").said
    assert "acne 15 %, eczema 0 %" in only(found, "blurred").said
    assert only(found, "faceless").severity == "note"
    assert "/data/x.jpg: expected a picture" in only(found, "unreadable").said


def doubled() -> Prepared:
    """0-1 one file twice, 2-3 near copies, 4-5 under two labels, 6-7 with and without a class, 8-9 one person, 10 alone."""
    rows = [(picture(f"p{n}"), known(f"p{n}")) for n in range(11)] + plain("eczema", 1)
    rows[1] = (rows[1][0], rows[0][1])
    rows[3] = (rows[3][0], known("p3", look="p2"))
    rows[5] = (picture("p5", "eczema"), known("p5", look="p4"))
    rows[6] = (picture("p6", None), known("p6", look="p7"))
    mixed = 0.85 * duplicates.read(rows[8][1].fingerprint)[0] + 0.5 * duplicates.read(rows[9][1].fingerprint)[0]
    half = mixed.astype(np.int8)
    rows[9] = (picture("p9", group="clinic/p8"), replace(rows[9][1], fingerprint=duplicates.written([half, half])))
    return prepared(rows)


def test_copies_and_pictures_under_two_labels_are_told_apart() -> None:
    given = doubled()
    sets = audit_findings.copies(given)
    assert sets == [(0, 1), (2, 3), (4, 5), (6, 7)]
    found = list(audit_findings.of_copies(given, sets))
    assert only(found, "exact duplicates").rows == (0, 1)
    assert only(found, "near duplicates").rows == (2, 3, 4, 5, 6, 7)
    assert only(found, "two labels").rows == (4, 5)
    assert only(found, "two labels").severity == "error"
    assert "acne and eczema" in only(found, "two labels").said
    assert only(found, "label and none").rows == (6, 7)
    assert only(found, "same subject").rows == (8, 9)


def test_copies_are_dropped_but_one_and_all_of_those_under_two_labels() -> None:
    given = doubled()
    left, gone = audit.dropped(given, ("duplicates",))
    assert [one.path.stem for one in gone] == ["p1", "p3", "p4", "p5", "p6"]
    assert [one.path.stem for one in left.pictures] == ["p0", "p2", "p7", "p8", "p9", "p10", "eczema-0000"]
    assert "copy of /data/p0.jpg" in gone[0].reason
    assert "acne and eczema" in gone[2].reason
    assert len(left.crops) == len(left.facts) == 7


def test_what_is_spoiled_is_dropped_where_it_has_a_label_and_listed(tmp_path: Path) -> None:
    rows = plain("acne", 5) + plain("eczema", 5)
    rows[2] = (rows[2][0], replace(rows[2][1], failed=("blurred",)))
    rows[7] = (rows[7][0], replace(rows[7][1], has_face=False, failed=("dark",)))
    rows.append((picture("lesion", None), known("lesion", has_face=False)))
    given = prepared(rows, [Problem(Path("/data/broken.jpg"), "expected a picture")])
    left, gone = audit.dropped(given, ("blurred", "faceless", "unreadable"))
    assert [(one.path.stem, one.kind) for one in gone] == [
        ("acne-0002", "blurred"),
        ("eczema-0002", "faceless"),
        ("broken", "unreadable"),
    ]
    assert len(left.pictures) == 9
    audit.write_dropped(gone, tmp_path / "dropped.csv")
    with (tmp_path / "dropped.csv").open(newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["blurred", "faceless", "unreadable"]
    assert audit.dropped(given, ("dark",))[1][0].path.stem == "eczema-0002"
    assert audit.dropped(given, ("small",))[1] == []


def test_dropping_a_whole_class_is_refused() -> None:
    rows = plain("acne", 3) + [(one, replace(its, has_face=False)) for one, its in plain("eczema", 3)]
    with pytest.raises(BadInput, match="--drop faceless leaves no picture of class eczema \\(3 before\\)"):
        audit.dropped(prepared(rows), ("faceless",))


def test_unknown_kinds_are_refused() -> None:
    assert audit.kinds("duplicates, blurred") == ("duplicates", "blurred")
    with pytest.raises(argparse.ArgumentTypeError, match="'sharp' is none of duplicates"):
        audit.kinds("blurred,sharp")


def test_what_lies_on_two_sides_of_a_split_is_found() -> None:
    rows = plain("acne", 8)
    rows[1] = (replace(rows[1][0], group="clinic/acne-0000"), rows[1][1])
    rows[3] = (rows[3][0], known("other", look="acne-2"))
    rows[5] = (replace(rows[5][0], path=Path("/elsewhere/acne-0004.jpg")), rows[5][1])
    given = prepared(rows)
    sets = audit_findings.copies(given)
    good = ["train", "train", "test", "test", "train", "train", "train", "validation"]
    (fine,) = audit_findings.of_parts(given, good, sets)
    assert (fine.severity, fine.code) == ("note", "split")
    bad = ["train", "test", "test", "train", "train", "test", "train", None]
    found = list(audit_findings.of_parts(given, bad, sets))
    assert [one.severity for one in found] == ["error", "error", "error", "warning"]
    assert [one.rows for one in found[:3]] == [(0, 1), (2, 3), (4, 5)]
    assert "acne-0000.jpg (train) and acne-0001.jpg (test)" in found[0].said
    assert "1 picture is in no part" in found[3].said


def test_the_split_of_a_run_tears_nothing_apart() -> None:
    rows = [row for n, row in enumerate(plain("acne", 30) + plain("eczema", 30))]
    rows = [(replace(one, group=f"{one.label}/{n % 30 // 2}"), its) for n, (one, its) in enumerate(rows)]
    given = prepared(rows)
    parts = audit.new_parts(given, seed=3)
    assert parts is not None
    assert codes(list(audit_findings.of_parts(given, parts, audit_findings.copies(given)))) == {"split"}


def test_classes_too_small_uneven_or_of_one_subject_are_told() -> None:
    rows = plain("acne", 150) + plain("eczema", 30) + plain("rosacea", 5, group="clinic/one") + plain("healthy", 2)
    found = list(audit_balance.of_sizes(prepared(rows), ("acne", "eczema", "healthy", "rosacea", "vitiligo"), None))
    assert [(one.severity, one.code) for one in found] == [
        ("warning", "small class"),
        ("error", "too few groups"),
        ("error", "one subject"),
        ("error", "empty class"),
        ("warning", "uneven classes"),
    ]
    assert "eczema" in found[0].said
    assert "134" in found[0].to_do
    assert "All 5 pictures of class rosacea are of one subject" in found[2].said
    assert "75 times" in found[4].said
    parts = ["train"] * 150 + ["train", "validation"] * 15 + ["train"] * 7
    found = list(audit_balance.of_sizes(prepared(rows), ("acne", "eczema"), parts))
    assert [one.said for one in found[:2]] == [
        "Class acne has no picture in validation and test.",
        "Class eczema has no picture in test.",
    ]
    assert audit.new_parts(prepared(rows), seed=1) is None


def test_people_known_of_some_classes_only_are_told() -> None:
    rows = plain("acne", 30) + plain("healthy", 30, ethnicity="Asian", age=40.0) + plain("eczema", 3, age=70.0)
    found = list(audit_balance.of_people(prepared(rows)))
    said = " ".join(one.said for one in found if one.code == "known of some classes")
    assert "Ethnicity is known of healthy but not of acne, eczema." in said
    assert "Age band is known of eczema, healthy but not of acne." in said
    assert "Age band: too few pictures for figures of 60+ 3." in [one.said for one in found]
    assert "Gender is known of no picture." in [one.said for one in found]


def test_parts_are_read_from_the_split_of_a_run_or_a_csv(tmp_path: Path) -> None:
    pictures = [replace(picture(name), path=tmp_path / f"{name}.jpg") for name in ("a", "b", "c")]
    run = tmp_path / "split.json"
    run.write_text(json.dumps({"seed": 6, "groups": {"clinic/a": "train", "clinic/c": "test", "clinic/z": "test"}}))
    assert audit.parts_of(run, pictures) == ["train", None, "test"]
    table = tmp_path / "split.csv"
    table.write_text(f"part,path\ntest,b.jpg\ntrain,{tmp_path / 'a.jpg'}\n")
    assert audit.parts_of(table, pictures) == ["train", "test", None]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("split.json", "[1]", "expected a split"),
        ("split.json", '{"groups": {"x": "train"}}', "knows none of the 1 pictures"),
        ("split.csv", "file,part\na,b\n", "split.csv:1: expected the columns path and part, found file, part"),
        ("split.csv", "path,part\na.jpg,\n", "split.csv:2: expected a path and a part"),
    ],
)
def test_what_is_no_split_is_one_sentence(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=said):
        audit.parts_of(tmp_path / name, [picture("a")])


def test_a_watermark_is_what_all_pictures_of_a_source_share() -> None:
    rng = np.random.default_rng(0)
    crops = np.stack(
        [
            cv2.resize(rng.integers(40, 200, (28, 28, 3), np.uint8), (224, 224), interpolation=cv2.INTER_CUBIC)
            for _ in range(60)
        ]
    )
    for crop in crops[:30]:
        cv2.putText(crop, "(c) clinic", (30, 120), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (230, 230, 230), 2)
    rows = [
        (replace(picture(f"{n}"), source="marked" if n < 30 else "free"), known(f"{n}", has_face=False))
        for n in range(60)
    ]
    rows += [(replace(picture(f"{n}"), source="faces"), known(f"{n}")) for n in range(60, 90)]
    given = Prepared([one for one, _ in rows], [its for _, its in rows], np.concatenate([crops, crops[:30]]), [])
    overlays = {one.source: one for one in watermarks.of_sources(given)}
    assert {name: one.is_mark for name, one in overlays.items()} == {"free": False, "marked": True}
    sure = np.abs(overlays["marked"].detail) > watermarks.SURE
    assert sure[90:130, 25:200].sum() > 0.9 * sure.sum()
    assert overlays["marked"].deviation[sure].mean() < 0.7 * overlays["marked"].deviation[~sure].mean()


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import runpy, sys\n"
        "sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'sklearn', 'yaml', 'matplotlib')))\n"
        "sys.argv = ['audit', '--help']\n"
        "runpy.run_module('training.audit', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--drop KINDS" in done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture: two diseases of a clinic that marks its pictures, healthy faces from elsewhere, and some faults."""
    folder = tmp_path_factory.mktemp("data")
    for number, rgb in enumerate(fields(44)):
        close_up = cv2.resize(rgb, (360, 270))
        cv2.putText(close_up, "clinic", (90, 140), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (235, 235, 235), 3)
        label = ("acne", "eczema")[number % 2]
        written(folder / "clinic" / label / f"{label}-{number:03}.jpg", close_up, 80)
    for number, rgb in enumerate(fields(14)):
        tinted = cv2.addWeighted(
            face(("light", "medium", "dark")[number % 3]), 0.75, cv2.resize(rgb, (692, 632)), 0.25, 0
        )
        written(folder / "web" / "healthy" / f"{number:02}.png", cv2.resize(tinted, (160, 150)))
    acne = folder / "clinic" / "acne"
    (folder / "clinic" / "eczema" / "again-001.jpg").write_bytes((acne / "acne-000.jpg").read_bytes())
    (acne / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (folder / "mixture.yaml").write_text(
        f"root: {folder}\nsources:\n  - name: clinic\n    kind: folders\n  - name: web\n    kind: folders\n"
    )
    return folder


def audited(folder: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "training.audit",
        str(folder),
        "--out",
        str(out),
        "--cache",
        str(out.parent / "cache"),
    ]
    return subprocess.run([*command, *options], capture_output=True, text=True, cwd=ROOT, check=False)


def test_an_audit_discovers_the_source_confound_by_itself(folder: Path, tmp_path: Path) -> None:
    for library in ("sklearn", "yaml"):
        pytest.importorskip(library, reason=f"{library} is in the training environment only: make train-env")
    done = audited(folder / "mixture.yaml", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "audit.json").read_text())
    found = {(one["severity"], one["code"]): one for one in record["findings"]}
    assert "healthy comes only from web" in found["error", "class on its own"]["said"]
    assert "no picture of healthy comes from a source with a mark" in found["error", "watermark"]["said"]
    assert ("error", "crop") in found
    assert [Path(path).name for path in found["error", "two labels"]["pictures"]] == ["acne-000.jpg", "again-001.jpg"]
    asked = {one["asked"]: one for one in record["confounds"]}
    assert asked["healthy or another class"]["ways"]["random forest"]["value"] > 0.95
    assert asked["class within clinic"]["severity"] == "note"
    assert asked["source"]["alone"]["width"]["value"] == 1.0
    assert ("note", "split") in found
    assert "broken.jpg" in record["unreadable"][0]
    assert record["counts"]["class and source"]["healthy"] == {"clinic": "0", "web": "14"}
    page = (tmp_path / "out" / "audit.html").read_text()
    assert "healthy comes only from web" in page
    for name in ("classes", "watermarks", "two_labels", "faceless"):
        assert cv2.imread(str(tmp_path / "out" / f"{name}.png")).shape[0] > 150
    assert "error: Class healthy comes only from web" in done.stdout


def test_an_audit_leaves_out_what_it_is_told_to(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yaml", reason="yaml is in the training environment only: make train-env")
    from training.auditing import confounds

    monkeypatch.setattr(confounds, "LEAST_GROUPS", 1000)  # the questions were asked above
    options = ["--out", str(tmp_path / "out"), "--drop", "duplicates,unreadable"]
    monkeypatch.setattr(sys, "argv", ["audit", str(folder / "mixture.yaml"), *options])
    audit.main()
    with (tmp_path / "out" / "dropped.csv").open(newline="") as file:
        left_out = {Path(row["path"]).name: row["kind"] for row in csv.DictReader(file)}
    assert left_out == {"acne-000.jpg": "duplicates", "again-001.jpg": "duplicates", "broken.jpg": "unreadable"}
    record = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert record["pictures"] == 44 + 14 - 1
    assert not {"two labels", "exact duplicates", "near duplicates"} & {one["code"] for one in record["findings"]}


def test_a_wrong_path_is_one_sentence(tmp_path: Path) -> None:
    done = audited(tmp_path / "absent", tmp_path / "out")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "absent: there is no such folder" in done.stderr
