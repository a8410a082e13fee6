"""A run leaves a folder that says plainly what it is worth, and whose page needs nothing but itself."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is in the training environment only: make train-env")
pytest.importorskip("fairlearn", reason="Fairlearn is in the training environment only: make train-env")

from analyzer.model_card import Metric
from training.data.pictures import Picture
from training.evaluation import scores
from training.reporting import document, findings, report, report_json
from training.reporting.document import Document, Plot, Section, Table

CLASSES = ("acne", "eczema", "healthy")
COUNT = 180


def logits(truth: np.ndarray, skill: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(truth), 3))
    return (skill * np.eye(3)[truth] + noise).astype(np.float32)


def made(skill: float = 3.0, statistics: float = 0.5, **others: object) -> report.Run:
    """Acne and eczema from one clinic, healthy faces of a street; so skilled are the model and the picture statistics."""
    truth = np.tile([0, 1, 2], COUNT // 3)
    pictures = [
        Picture(
            Path(f"/data/{('clinic', 'clinic', 'street')[label]}/{CLASSES[label]}/{row}.png"),
            ("clinic", "clinic", "street")[label],
            CLASSES[label],
            f"person {row}",
            gender=("female", "male")[row // 3 % 2] if label == 2 else None,
            fitzpatrick="VI" if row < 12 else "III",
            estimated=("fitzpatrick",),
        )
        for row, label in enumerate(truth)
    ]
    validation = np.tile([0, 1, 2], 10)
    given = {
        "title": "A small run",
        "command": "python -m training.train_hare_run pictures --out runs/small",
        "config": {"epochs": 3, "rate": 1e-3, "data": Path("pictures"), "patience": float("inf")},
        "classes": CLASSES,
        "pictures": pictures,
        "facts": [SimpleNamespace(has_face=bool(row % 2)) for row in range(COUNT)],
        "crops": np.random.default_rng(1).integers(0, 255, (COUNT, 16, 16, 3), np.uint8),
        "truth": truth,
        "logits": logits(truth, skill, 2),
        "temperature": 2.0,
        "logits_validation": logits(validation, skill, 3),
        "truth_validation": validation,
        "baselines": {
            "constant": np.zeros(COUNT, int),
            "picture statistics": logits(truth, statistics, 4).argmax(axis=1),
        },
        "history": [{"epoch": place, "loss": 1 / (1 + place), "val_loss": 1.0} for place in range(3)],
        "candidates": {"resnet alone": {"accuracy": 0.5}, "stacking": {"accuracy": Metric(0.6, (0.5, 0.7), 30)}},
        "notes": ["Drawn for a test."],
    }
    return report.Run(**{**given, **others})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("run") / "report"
    run = made()
    matched = run.logits.copy()
    matched[np.flatnonzero(run.truth == 2)[:30], 1] += 20.0  # half of the healthy faces become eczema
    kept = folder.parent / "kept.json"
    kept.write_text('{"seed": 7}')
    found = report.write(
        replace(run, matched_logits=matched, split=kept, pictures_validation=run.pictures[:30]), folder
    )
    return folder, found


def test_the_folder_holds_everything(written: tuple[Path, dict]) -> None:
    folder, found = written
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    plots = {"classes", "comparison", "confusion", "history", "people", "ranking", "reliability", "worst"}
    assert files == {
        *("config.json", "split.json", "history.csv", "metrics.json", "predictions.csv", "report.md", "report.html"),
        *(f"plots/{name}.png" for name in plots),
    }
    assert json.loads((folder / "metrics.json").read_text()) == found
    config = json.loads((folder / "config.json").read_text())
    assert (config["rate"], config["data"], config["patience"]) == (1e-3, "pictures", None)
    assert (folder / "split.json").read_text() == '{"seed": 7}'
    assert (folder / "history.csv").read_text().splitlines()[:2] == ["epoch,loss,val_loss", "0,1.0,1.0"]


def test_predictions_are_those_of_every_picture_with_paths_inside_the_data(written: tuple[Path, dict]) -> None:
    folder, found = written
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["part"] for row in rows] == ["test"] * COUNT + ["validation"] * 30
    assert rows[0]["path"] == "clinic/acne/0.png"
    shares = np.array([[float(row[f"probability of {name}"]) for name in CLASSES] for row in rows])
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert [row["answer"] for row in rows] == [CLASSES[best] for best in shares.argmax(axis=1)]
    right = np.mean([row["truth"] == row["answer"] for row in rows[:COUNT]])
    assert right == pytest.approx(found["overall"]["accuracy"]["value"], abs=1e-4)


@pytest.mark.parametrize(
    ("skill", "statistics", "sentence", "speaks"),
    [
        (
            3.0,
            0.5,
            "The model beats picture statistics, with intervals apart: source-matched balanced accuracy 0.9",
            True,
        ),
        (2.0, 1.8, "The model is not clearly better than picture statistics, the intervals overlap", False),
        (0.5, 6.0, "The model does not beat picture statistics", False),
    ],
)
def test_the_report_begins_with_whether_the_model_may_speak(
    skill: float, statistics: float, sentence: str, speaks: bool, tmp_path: Path
) -> None:
    run = made(skill, statistics)
    found = findings.measured(run)
    told = report.report_text.document(run, found, {})
    assert told.lead[0].startswith(sentence)
    assert told.lead[0].endswith("The service will let it speak." if speaks else "The service will not let it speak.")
    assert report_json.as_json(found, run)["may speak"] is speaks


def test_without_a_source_of_several_classes_nobody_can_say_what_is_skin() -> None:
    run = made()
    apart = [replace(one, source=str(one.label)) for one in run.pictures]
    run = replace(run, pictures=apart)
    told = document.markdown(report.report_text.document(run, findings.measured(run), {}), Path())
    assert "It was not measured how much better this model is than picture statistics alone." in told.splitlines()[2]
    assert "No source holds several classes" in told
    assert "Healthy faces were not passed through the clinical crop in this run" in told


def test_what_remains_through_the_clinical_crop_is_told_with_the_change(written: tuple[Path, dict]) -> None:
    folder, found = written
    passed = found["healthy through the clinical crop"]
    before, after = (passed[when]["the model"] for when in ("before", "after"))
    assert before["accuracy"] == found["overall"]["accuracy"]
    assert after["recall of healthy"]["value"] == pytest.approx(0.5, abs=0.02)
    change = passed["changes"]["the model"]["recall of healthy"]
    assert change["value"] == pytest.approx(
        after["recall of healthy"]["value"] - before["recall of healthy"]["value"], abs=2e-4
    )
    assert change["interval"][1] < -0.3
    text = (folder / "report.md").read_text()
    assert re.search(
        r"of the accuracy of 0\.9\d \(.+?\), 0\.8\d \(.+?\) remains\. Of the healthy faces 0\.5\d \(", text
    )


def test_groups_targets_candidates_and_notes_are_in_the_tables(written: tuple[Path, dict]) -> None:
    folder, found = written
    text = (folder / "report.md").read_text()
    assert "| VI (estimated) | 12 | 4 | too few | too few | too few |" in text
    assert re.search(r"^\| III \(estimated\) \| 168 \| 56 \| 0\.9", text, re.MULTILINE)
    assert "Gender: known of healthy pictures only" in text
    assert re.search(r"^\| recall of healthy \| (met|not shown) \| ≥ 0\.95 \|", text, re.MULTILINE)
    assert "| precision of basal_cell_carcinoma | not measured | ≥ 0.90 | – | – |" in text
    assert "| stacking | 0.60 (0.50–0.70) |" in text
    assert "Drawn for a test." in text
    assert found["groups"]["skin tone (Fitzpatrick)"]["VI (estimated)"] == {
        "pictures": 12,
        "healthy": 4,
        "too few": True,
    }
    assert {one["verdict"] for one in found["targets"]} <= {"met", "not shown", "not met", "not measured"}


class Page(HTMLParser):
    """Tags and everything that a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "srcset", "href", "action", "data")]


def test_the_page_needs_nothing_but_itself(written: tuple[Path, dict]) -> None:
    text = (written[0] / "report.html").read_text()
    page = Page(text)
    assert page.tags.count("img") == 8
    assert all(one.startswith(("data:image/png;base64,", "#")) for one in page.fetched)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script> | *x*"
    (tmp_path / "one plot.png").write_bytes(b"png")
    plot = Plot(tmp_path / "one plot.png", nasty)
    whole = Document(nasty, [nasty], [Section(nasty, [nasty], [Table(["a", nasty], [[nasty, "1"]], nasty)], [plot])])
    page = Page(document.html(whole))
    assert "script" not in page.tags
    assert page.tags.count("img") == 1
    text = document.markdown(whole, tmp_path)
    assert "<" not in text
    row = next(line for line in text.splitlines() if line.startswith("| &lt;script>"))
    assert row == r"| &lt;script>alert(1)&lt;/script> \| \*x\* | 1 |"
    assert "](one%20plot.png)" in text


def test_a_report_can_be_written_again_and_explanations_are_taken_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cam.png").write_bytes((Path(__file__).parent / "test_report.py").read_bytes())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.md").write_text("of an earlier run")
    (tmp_path / "run" / "plots").mkdir()
    (tmp_path / "run" / "plots" / "own.png").write_bytes(b"png")
    monkeypatch.chdir(tmp_path)
    given = [tmp_path / "cam.png", tmp_path / "run" / "plots" / "own.png"]
    report.write(made(explanations=given, history=[], candidates={}), Path("run"))
    assert (tmp_path / "run" / "plots" / "cam.png").read_bytes() == (tmp_path / "cam.png").read_bytes()
    text = (tmp_path / "run" / "report.md").read_text()
    assert "![cam](plots/cam.png)" in text
    assert "![own](plots/own.png)" in text
    assert "## Training" not in text
    assert not list((tmp_path / "run").rglob("*.part*"))


def test_curves_of_another_network_say_whose_they_are(tmp_path: Path) -> None:
    report.write(made(history_of="ResNet50, a member of the stacking that was chosen,"), tmp_path)
    told = "Loss and accuracy of ResNet50, a member of the stacking that was chosen, over the epochs."
    assert told in (tmp_path / "report.md").read_text()


def test_a_faultless_model_has_no_mistakes_to_show(tmp_path: Path) -> None:
    run = made(skill=50.0)
    found = findings.measured(run)
    told = document.markdown(report.report_text.document(run, found, {}), tmp_path)
    assert "Every test picture was answered rightly." in told
    assert scores.confusion(found.answers).trace() == COUNT


def test_a_run_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="a report needs test pictures"):
        made(crops=np.zeros((3, 16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match="a report needs test pictures"):
        made(classes=("acne", "healthy"))
