"""The published rule: what an ensemble's answer may say, to whom it agrees, and that no disease is ever named."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer import calibration, combination, wording
from analyzer.combination import HEALTHY, PROFESSIONAL, Agreement, judge
from analyzer.conditions import CONDITIONS
from analyzer.values import Finding, Prediction
from tests.analyzer.predictions import CLASSES, DISEASES, REFERRAL, UNSTATED, graded, prediction, probable, weak

SHARES = st.lists(st.floats(0.001, 1.0), min_size=len(CLASSES), max_size=len(CLASSES))


def findings(**raw: float | None) -> tuple[Finding, ...]:
    """All eight: those named with a raw measurement (1e6: the most; None: not measured), the others clear."""
    return tuple(
        calibration.not_measured(name, "too_blurred", "The photo is blurred.")
        if raw.get(name, 0.0) is None
        else calibration.measured(name, raw.get(name) or -1e6)
        for name in CONDITIONS
    )


CLEAR, BLEMISHED, LINED = findings(), findings(acne=1e6), findings(wrinkles=1e6)


def test_the_findings_here_are_what_they_are_called() -> None:
    assert not any(finding.detected for finding in CLEAR)
    assert [finding.name for finding in BLEMISHED if finding.detected] == ["acne"]
    assert [finding.name for finding in LINED if finding.detected] == ["wrinkles"]


@given(SHARES)
def test_classes_are_added_up_to_outcomes_that_may_be_told(shares: list[float]) -> None:
    probabilities = {name: share / sum(shares) for name, share in zip(CLASSES, shares, strict=True)}
    outcomes = judge(prediction(probabilities), CLEAR).outcomes
    assert set(outcomes) == {"acne", HEALTHY, PROFESSIONAL}
    assert sum(outcomes.values()) == pytest.approx(1.0)
    assert outcomes[PROFESSIONAL] == pytest.approx(sum(probabilities[name] for name in UNSTATED))
    assert list(outcomes.values()) == sorted(outcomes.values(), reverse=True)


@given(st.lists(st.floats(0.0, 1.0), min_size=len(CLASSES), max_size=len(CLASSES)))
def test_classes_that_are_each_there_or_not_make_outcomes_of_any_of_them(shares: list[float]) -> None:
    """The probability of an outcome is that not all of its classes are absent; it never leaves 0..1."""
    probabilities = dict(zip(CLASSES, shares, strict=True))
    outcomes = judge(prediction(probabilities, independent=True), CLEAR).outcomes
    absent = math.prod(1 - probabilities[name] for name in UNSTATED)
    assert outcomes[PROFESSIONAL] == pytest.approx(1 - absent, abs=1e-9)
    assert (outcomes["acne"], outcomes[HEALTHY]) == (probabilities["acne"], probabilities["healthy"])
    assert all(0 <= probability <= 1 for probability in outcomes.values())


@pytest.mark.parametrize("name", [*CONDITIONS, HEALTHY])
def test_measured_conditions_and_healthy_skin_may_be_stated(name: str) -> None:
    assert combination.outcome_of(name) == name


@pytest.mark.parametrize("name", [*UNSTATED, "melanoma", "Acne", "acne_vulgaris", "", "unknown_to_us"])
def test_every_other_class_is_one_for_a_professional(name: str) -> None:
    assert combination.outcome_of(name) == PROFESSIONAL


@pytest.mark.parametrize("top", UNSTATED)
def test_a_class_that_is_never_stated_refers_and_lists_nothing(top: str) -> None:
    opinion = judge(prediction(probable(top)), BLEMISHED)
    assert (opinion.outcome, opinion.refers, opinion.conditions) == (PROFESSIONAL, True, ())
    assert opinion.wording == REFERRAL
    assert opinion.agreement is Agreement.NOT_COMPARABLE


def test_a_stated_condition_is_listed_and_healthy_is_not() -> None:
    assert judge(prediction(probable("acne")), CLEAR).conditions == ("acne",)
    assert judge(prediction(probable("healthy")), CLEAR).conditions == ()
    assert not judge(prediction(probable("acne")), CLEAR).refers


def test_several_improbable_diseases_together_outweigh_a_condition() -> None:
    together = {"acne": 0.35, "healthy": 0.05, **dict.fromkeys(UNSTATED, 0.15)}
    opinion = judge(prediction(together, threshold=0.3), CLEAR)
    assert (opinion.outcome, opinion.certainty) == (PROFESSIONAL, 0.35)
    assert opinion.refers


SAME = [
    ("acne", BLEMISHED, Agreement.AGREE),
    ("acne", CLEAR, Agreement.DISAGREE),
    ("acne", findings(acne=None), Agreement.NOT_COMPARABLE),
    ("healthy", CLEAR, Agreement.AGREE),
    ("healthy", BLEMISHED, Agreement.DISAGREE),
    ("healthy", LINED, Agreement.AGREE),  # the model knows no lines, so it says nothing against them
    ("healthy", findings(acne=None), Agreement.NOT_COMPARABLE),
    ("healthy", (), Agreement.NOT_COMPARABLE),
]


@pytest.mark.parametrize(("top", "measured", "agreement"), SAME)
@pytest.mark.parametrize("of", [prediction, weak])
def test_agreement_is_about_what_both_can_know(
    top: str, measured: tuple[Finding, ...], agreement: Agreement, of: type[Prediction]
) -> None:
    opinion = judge(of(probable(top)), measured)
    assert opinion.agreement is agreement
    assert opinion.agreement_text.endswith(".")
    assert ("blemishes" in opinion.agreement_text) is (agreement is not Agreement.NOT_COMPARABLE)


def test_far_from_what_it_learned_it_abstains_even_when_it_is_sure() -> None:
    opinion = judge(prediction(probable("basal_cell_carcinoma", 0.99), distance=20.1), CLEAR)
    assert (opinion.abstention, opinion.wording) == ("unfamiliar", None)
    assert (opinion.takes_part, opinion.refers, opinion.conditions) == (False, False, ())
    assert opinion.agreement is Agreement.NOT_COMPARABLE


@pytest.mark.parametrize(("probability", "abstention"), [(0.49, "undecided"), (0.5, None)])
def test_below_the_threshold_it_abstains(probability: float, abstention: str | None) -> None:
    opinion = judge(prediction(probable("acne", probability)), CLEAR)
    assert opinion.abstention == abstention
    assert opinion.conditions == (() if abstention else ("acne",))


@pytest.mark.parametrize("distances", [{"distance": None}, {"distance_limit": None}])
def test_without_a_known_distance_only_the_threshold_counts(distances: Mapping[str, None]) -> None:
    assert judge(prediction(**distances), CLEAR).abstention is None


@pytest.mark.parametrize("top", CLASSES)
def test_a_weak_model_takes_no_part_whatever_it_sees(top: str) -> None:
    opinion = judge(weak(probable(top, 0.999)), CLEAR)
    assert (opinion.takes_part, opinion.refers, opinion.conditions) == (False, False, ())


@pytest.mark.parametrize("top", CLASSES)
@pytest.mark.parametrize(
    "told",
    [None, "", "This looks like basal cell carcinoma.", "Eczema.", "It may be ROSACEA", "Actinic skin", "Plain words."],
)
def test_no_card_can_have_a_disease_named(top: str, told: str | None) -> None:
    opinion = judge(prediction(probable(top), wordings=dict.fromkeys(CLASSES, told)), BLEMISHED)
    assert not [word for word in (*DISEASES, "actinic", "basal") if word in str(opinion).lower()]
    assert opinion.wording
    assert (opinion.wording == told) is (told == "Plain words.")


def test_what_a_card_leaves_out_has_usual_words() -> None:
    said = {top: judge(prediction(probable(top), wordings={}), CLEAR).wording for top in ("acne", "healthy", "rosacea")}
    assert said["acne"] == "The trained model sees blemishes in this photo."
    assert (said["healthy"], said["rosacea"]) == (wording.MODEL_SEES_NOTHING, wording.SEE_A_PROFESSIONAL)


def test_what_is_explained_is_the_strongest_class_of_the_outcome() -> None:
    together = {"acne": 0.3, "healthy": 0.1, "eczema": 0.35, "rosacea": 0.05, "basal_cell_carcinoma": 0.2}
    assert combination.explained_class(prediction(together)) == "eczema"
    assert combination.explained_class(prediction({**together, "acne": 0.9})) == "acne"


def test_sentences_join_as_people_write() -> None:
    assert wording.join(["one"]) == "one"
    assert wording.join(["one", "two"]) == "one and two"
    assert wording.join(["one", "two", "three"]) == "one, two and three"


SEVEN = ("acne", "aging", "fine_lines_wrinkles", "hyperpigmentation", "pore_size", "redness", "textured_skin")


def seven(**said: tuple[float, int]) -> dict[str, tuple[float, int]]:
    """Every class of the multi-label set: those named with probability and severity, the others improbable."""
    return {name: said.get(name, (0.1, 0)) for name in SEVEN}


def test_graded_classes_are_told_as_the_conditions_that_are_measured() -> None:
    opinion = judge(graded(seven()), CLEAR)
    assert list(opinion.grades) == ["acne", "redness", "texture", "pores", "wrinkles", "pigmentation"]
    assert set(opinion.outcomes) == {HEALTHY, *opinion.grades}
    assert (opinion.outcome, opinion.seen) == (HEALTHY, ())
    assert opinion.outcomes[HEALTHY] == pytest.approx(0.9**6)


def test_the_most_severe_comes_first_whatever_the_probability() -> None:
    opinion = judge(graded(seven(acne=(0.99, 1), redness=(0.6, 3), pore_size=(0.7, 3))), CLEAR)
    assert opinion.conditions == ("pores", "redness", "acne")
    assert list(opinion.outcomes)[:3] == ["pores", "redness", "acne"]
    assert opinion.certainty == 0.7


def test_presence_and_severity_must_agree_that_something_is_there() -> None:
    opinion = judge(graded(seven(acne=(0.9, 0), redness=(0.4, 3))), CLEAR)
    assert (opinion.outcome, opinion.conditions) == (HEALTHY, ())


@pytest.mark.parametrize(
    ("aging", "lines", "label"),
    [((0.9, 2), (0.2, 1), "aging"), ((0.6, 1), (0.8, 3), "fine_lines_wrinkles"), ((0.4, 2), (0.2, 3), "aging")],
)
def test_of_two_classes_for_one_condition_the_one_that_is_there_speaks(
    aging: tuple[float, int], lines: tuple[float, int], label: str
) -> None:
    told = graded(seven(aging=aging, fine_lines_wrinkles=lines))
    assert judge(told, CLEAR).grades["wrinkles"] == (told.grades or {})[label]
    if judge(told, CLEAR).seen:
        assert combination.explained_class(told) == label


@pytest.mark.parametrize(
    ("said", "measured", "agreement", "text"),
    [
        ({"acne": (0.9, 2)}, BLEMISHED, Agreement.AGREE, "both see blemishes."),
        ({}, CLEAR, Agreement.AGREE, "none of this is noticeable"),
        ({"acne": (0.9, 2)}, LINED, Agreement.DISAGREE, "sees blemishes and the measurements do not; the measurements find lines"),
        ({"acne": (0.9, 2), "redness": (0.9, 1)}, BLEMISHED, Agreement.DISAGREE, "both see blemishes. The trained model sees redness"),
        ({"acne": (0.9, 2)}, (), Agreement.NOT_COMPARABLE, "could not be measured"),
    ],
)  # fmt: skip
def test_graded_conditions_are_compared_one_by_one(
    said: dict[str, tuple[float, int]], measured: tuple[Finding, ...], agreement: Agreement, text: str
) -> None:
    opinion = judge(graded(seven(**said)), measured)
    assert opinion.agreement is agreement
    assert text in opinion.agreement_text


def test_a_graded_model_abstains_from_what_is_unfamiliar_and_is_silent_when_weak() -> None:
    far, silent = (
        judge(graded(seven(acne=(0.9, 2)), **parts), CLEAR) for parts in ({"distance": 99.0}, {"speaks": False})
    )
    assert (far.abstention, far.wording, far.conditions) == ("unfamiliar", None, ())
    assert (silent.abstention, silent.conditions, silent.seen) == (None, (), ("acne",))
    assert "nothing" not in (silent.wording or "")


def test_graded_classes_that_are_no_condition_here_are_never_told() -> None:
    opinion = judge(graded(seven() | {"melanoma": (0.99, 3)}), CLEAR)
    assert "melanoma" not in str(opinion)
    assert not opinion.refers
