"""What is said of people comes from metadata, what is estimated is marked and not passed off as said."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training import command
from training.command import BadInput
from training.data import demographics, fitzpatrick
from training.data.fitzpatrick import QUESTIONS, type_of
from training.data.pictures import Picture

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "fitzpatrick.md"


def pictures(folder: Path, count: int = 3) -> list[Picture]:
    return [Picture(folder / "acne" / f"{number}.jpg", "own", "acne", f"own/{number}") for number in range(count)]


def table(folder: Path, text: str) -> Path:
    path = folder / "demographics.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_beside_the_pictures_says_who_they_show(tmp_path: Path) -> None:
    rows = "path,age,gender,ethnicity,fitzpatrick\nacne/0.jpg,34,F,South Asian,4\nacne/1.jpg,,non-binary,,vi\n"
    answer, problems = demographics.described(pictures(tmp_path), table(tmp_path, rows))
    first, second, third = answer
    assert (first.age, first.gender, first.ethnicity, first.fitzpatrick) == (34.0, "female", "South Asian", "IV")
    assert (second.age, second.gender, second.ethnicity, second.fitzpatrick) == (None, "nonbinary", None, "VI")
    assert third == pictures(tmp_path)[2]
    assert problems == []


def test_the_table_goes_before_the_source_and_before_estimates(tmp_path: Path) -> None:
    own = replace(pictures(tmp_path, 1)[0], age=20.0, gender="male", fitzpatrick="I", estimated=("fitzpatrick",))
    (answer,), _ = demographics.described([own], table(tmp_path, "path,age,fitzpatrick\nacne/0.jpg,40,V\n"))
    assert (answer.age, answer.gender, answer.fitzpatrick, answer.estimated) == (40.0, "male", "V", ())


def test_wrong_cells_are_told_with_their_line_and_taken_as_unknown(tmp_path: Path) -> None:
    rows = "path,age,gender,fitzpatrick\nacne/0.jpg,old,female,7\n\nacne/9.jpg,30,,\nacne/1.jpg,130,robot,\n,30,,\n"
    answer, problems = demographics.described(pictures(tmp_path), table(tmp_path, rows))
    assert (answer[0].age, answer[0].gender, answer[0].fitzpatrick) == (None, "female", None)
    assert [re.sub(".*demographics.csv", "", str(problem)) for problem in problems] == [
        ":2: age 'old': expected years from 0 to 120; taken as unknown",
        ":2: fitzpatrick '7': expected one of I, II, III, IV, V, VI; taken as unknown",
        ":4: acne/9.jpg: there is no such picture in this source",
        ":5: age '130': expected years from 0 to 120; taken as unknown",
        ":5: gender 'robot': expected one of female, male, nonbinary; taken as unknown",
        ":6: expected a value for each of path",
    ]


def test_misspelt_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"demographics\.csv:1: unknown column ethnicty"):
        demographics.described([], table(tmp_path, "path,ethnicty\n"))
    with pytest.raises(BadInput, match=r"demographics\.csv:1: .*not there: path"):
        demographics.described([], table(tmp_path, "age,gender\n"))
    with pytest.raises(BadInput, match="there is no such file"):
        demographics.described([], tmp_path / "people.csv")


def test_lighter_skin_is_never_estimated_as_a_darker_type(tmp_path: Path) -> None:
    own = pictures(tmp_path, 1)[0]
    names = [demographics.estimated(own, float(ita)).fitzpatrick for ita in range(-80, 81, 5)]
    places = [demographics.FITZPATRICK.index(str(name)) for name in names]
    assert places == sorted(places, reverse=True)
    assert set(places) == set(range(6))


def test_estimates_are_marked_and_never_replace_what_was_said(tmp_path: Path) -> None:
    own = pictures(tmp_path, 1)[0]
    guessed = demographics.estimated(own, 60.0)
    assert (guessed.fitzpatrick, guessed.estimated) == ("I", ("fitzpatrick",))
    assert demographics.estimated(guessed, 0.0).fitzpatrick == "V"  # a better estimate may come
    said = replace(own, fitzpatrick="III")
    assert demographics.estimated(said, 60.0) == said
    assert demographics.estimated(own, None) == own


def test_vectors_pass_no_estimate_off_as_said(tmp_path: Path) -> None:
    said = replace(pictures(tmp_path, 1)[0], age=33.6, gender="nonbinary", ethnicity="Indian", fitzpatrick="III")
    guessed = replace(said, estimated=("fitzpatrick",))
    whole = demographics.vector(said)
    assert whole.shape == (12,)
    assert whole.dtype == np.float32
    assert whole[:2] == pytest.approx([0.34, 1.0])
    assert whole.sum() == pytest.approx(0.34 + 1 + 1 + 1 + 0.5 + 1)
    assert (demographics.vector(guessed)[:10] == whole[:10]).all()
    assert (demographics.vector(guessed)[10:] == 0).all()
    assert (demographics.vector(guessed, with_estimated=True) == whole).all()
    assert (demographics.vector(pictures(tmp_path, 1)[0]) == 0).all()


def test_groups_to_compare_results_over(tmp_path: Path) -> None:
    first, second = pictures(tmp_path, 2)
    first = demographics.estimated(replace(first, age=29.0, gender="male", ethnicity="Black"), 20.0)
    features = demographics.sensitive_features([first, replace(second, fitzpatrick="II")])
    assert features == {
        "age band": ["18-29", "not known"],
        "gender": ["male", "not known"],
        "ethnicity": ["Black", "not known"],
        "Fitzpatrick type": ["IV (estimated)", "II"],
    }


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("I", 0, 6), ("II", 7, 13), ("III", 14, 20), ("IV", 21, 27), ("V", 28, 34), ("VI", 35, 40)],
)
def test_points_give_the_published_type(name: str, least: int, most: int) -> None:
    for points in (least, most):
        whole, rest = divmod(points, 4)
        answers = [4] * whole + [rest] * (whole < 10) + [0] * (9 - whole)
        assert type_of(answers) == name


@pytest.mark.parametrize("answers", [[1] * 9, [1] * 11, [1] * 9 + [5], [1] * 9 + [-1], [1] * 9 + [True]])
def test_incomplete_answers_give_no_type(answers: list[int]) -> None:
    with pytest.raises(ValueError, match=r"expected the answers to all 10|must be 0 to 4"):
        type_of(answers)


def asked(monkeypatch: pytest.MonkeyPatch, typed: list[str]) -> None:
    replies = iter(typed)

    def reply(_: str) -> str:
        try:
            return next(replies)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(sys, "argv", ["fitzpatrick"])
    monkeypatch.setattr(fitzpatrick, "asked", lambda question, number: ASKED(question, number, reply))
    command.run(fitzpatrick.main)


ASKED = fitzpatrick.asked


def test_the_terminal_asks_until_it_is_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(monkeypatch, ["brown", "7", " 4 ", *["3"] * 9])
    out = capsys.readouterr().out
    assert out.count("please type a number from 0 to 4") == 2
    assert "31 points: type V" in out
    assert all(question.text in out for question in QUESTIONS)


def test_answers_that_end_too_soon_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="answer all ten questions"):
        asked(monkeypatch, ["1"] * 9)


def test_the_document_holds_the_questions_points_and_limits() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    for number, question in enumerate(QUESTIONS, 1):
        assert f"| {number} | {question.text} | {' | '.join(question.answers)} |" in document
    limits = [*fitzpatrick.FIRST_POINTS, 41]
    for name, first, after in zip(demographics.FITZPATRICK, limits, limits[1:], strict=False):
        assert f"| {name} | {first}–{after - 1} |" in document
