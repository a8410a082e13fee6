"""What a run answered to its test pictures -> every figure of its report, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, model_card
from analyzer.artefact import BASELINE, probabilities
from analyzer.model_card import Metrics
from training.data.facts import Facts
from training.data.pictures import Picture
from training.evaluation import bootstrap, fairness, scores
from training.evaluation.fairness import HEALTHY, Group
from training.evaluation.scores import Answers
from training.reporting import mission
from training.reporting.document import Section
from training.reporting.mission import Target

MODEL = "the model"
HEALTHY_RECALL = f"recall of {HEALTHY}"
WORST = 20  # mistakes that are shown
Indices = NDArray[np.intp]
Logits = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Run:
    """Everything a report is made of. The first N things are about the test pictures, in one order.

    Attributes:
        title: of the report.
        command: that made the run.
        config: settings that it used.
        classes: C names, in the order of the logits.
        pictures, facts, crops: N of each; crops (N, side, side, 3) uint8.
        truth: (N,) index of the class.
        logits: (N, C) float32.
        temperature: that the logits are divided by, fitted on validation pictures.
        logits_validation, truth_validation: (M, C) and (M,).
        baselines: name → (N,) what it answered.
        history: one mapping for each epoch: epoch, loss, accuracy, val_loss, val_accuracy, …
        history_of: whose it is; the model's own where empty.
        candidates: members and ensembles that were compared → figures, as numbers or with intervals.
        matched_logits: (N, C) of the same pictures, healthy ones through the clinical crop; None where that was not done.
        matched_baselines: what baselines answer to those.
        explanations: PNG files.
        notes: sentences that a reader must know.
        parts: part of each test picture, such as its fold; all "test" where empty.
        pictures_validation: M pictures, so that their predictions are kept too.
        root: folder that paths are written relative to; the one that holds all pictures where None.
        split: file of the split, copied beside the report.
        sections: further ones, shown before the settings.
    """

    title: str
    command: str
    config: Mapping[str, Any]
    classes: Sequence[str]
    pictures: Sequence[Picture]
    facts: Sequence[Facts]
    crops: NDArray[np.uint8]
    truth: Indices
    logits: Logits
    temperature: float
    logits_validation: Logits
    truth_validation: Indices
    baselines: Mapping[str, Indices]
    history: Sequence[Mapping[str, Any]] = ()
    history_of: str = ""
    candidates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    matched_logits: Logits | None = None
    explanations: Sequence[Path] = ()
    notes: Sequence[str] = ()
    matched_baselines: Mapping[str, Indices] = field(default_factory=dict)
    parts: Sequence[str] = ()
    pictures_validation: Sequence[Picture] = ()
    root: Path | None = None
    split: Path | None = None
    sections: Sequence[Section] = ()

    def __post_init__(self) -> None:
        count = len(self.pictures)
        lengths = {len(held) for held in (self.facts, self.crops, self.truth, self.logits, *self.baselines.values())}
        if not count or lengths != {count} or self.logits.shape[1] != len(self.classes):
            raise ValueError(
                f"a report needs test pictures, and facts, crops, truth and answers of each: {count}, {lengths}"
            )

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """(N, C) probabilities, after the temperature."""
        return probabilities(self.logits, self.temperature)

    def answers(self, answered: Indices | None = None) -> Answers:
        """The model's answers, or others to the same pictures."""
        groups, sources = ([getattr(one, name) for one in self.pictures] for name in ("group", "source"))
        own = self.shares if answered is None else None
        told = np.argmax(self.shares, axis=1) if answered is None else answered
        return Answers(self.classes, np.asarray(self.truth, np.intp), np.asarray(told, np.intp), groups, sources, own)


@dataclass(frozen=True, eq=False)
class Matched:
    """What is left when healthy faces pass through the clinical crop: who answers → figures before, after, and their change."""

    before: Mapping[str, Metrics]
    after: Mapping[str, Metrics]
    changes: Mapping[str, Metrics]


@dataclass(frozen=True, eq=False)
class Findings:
    """Every figure of a report.

    Attributes:
        answers: the model's.
        overall: `MODEL` and each baseline → figures.
        leads: baseline → by how much the model is better, draw by draw.
        classes: class → figures of the model.
        classes_of_baselines: baseline → class → figures.
        confusion: (C, C), truth by answer.
        calibration: "before" and "after" the temperature → expected calibration error on the test pictures.
        people, pictures: attribute → groups of people; of pictures by where they come from.
        chance: balanced accuracy of guessing within the sources that hold several classes; None without such.
        silence: why the service would not let the model speak; None when it would.
        worst: rows of the most confident mistakes, worst first.
    """

    answers: Answers
    overall: Mapping[str, Metrics]
    leads: Mapping[str, Metrics]
    classes: Mapping[str, Metrics]
    classes_of_baselines: Mapping[str, Mapping[str, Metrics]]
    confusion: Indices
    calibration: Metrics
    people: Mapping[str, Sequence[Group]]
    pictures: Mapping[str, Sequence[Group]]
    targets: Sequence[Target]
    matched: Matched | None
    chance: float | None
    silence: str | None
    worst: Indices


def measured(run: Run) -> Findings:
    """All figures of a run."""
    own = run.answers()
    others = {name: run.answers(answered) for name, answered in run.baselines.items()}
    overall = {name: scores.overall(one) for name, one in {MODEL: own, **others}.items()}
    classes = scores.of_classes(own)
    faces = ["aligned face" if one.has_face else "middle of the picture" for one in run.facts]
    return Findings(
        answers=own,
        overall=overall,
        leads={name: scores.difference(own, one) for name, one in others.items()},
        classes=classes,
        classes_of_baselines={name: scores.of_classes(one) for name, one in others.items()},
        confusion=scores.confusion(own),
        calibration={
            "before": scores.calibration_error(own, probabilities(run.logits, 1.0)),
            "after": scores.calibration_error(own, run.shares),
        },
        people=fairness.of_people(own, run.pictures),
        pictures={
            "source": fairness.of_attribute(own, "source", own.sources),
            "crop": fairness.of_attribute(own, "crop", faces),
        },
        targets=mission.targets(overall[MODEL], classes),
        matched=_matched(run, own, others),
        chance=_chance(own),
        silence=silence(overall[MODEL], overall.get(BASELINE, {})),
        worst=_worst(own),
    )


def silence(own: Metrics, baseline: Metrics) -> str | None:
    """Why the service would not let a model with these figures speak; None when it would. The rule is the service's own."""
    card = artefact.bare_card("0" * 64, 0, ".keras", ())
    told = replace(card, metrics=model_card.Measured(own, {}, {}), baselines={BASELINE: baseline})
    return artefact.silence_reason(told)


def _matched(run: Run, own: Answers, others: Mapping[str, Answers]) -> Matched | None:
    """None where no healthy picture was passed through the crop."""
    healthy = HEALTHY in run.classes and np.any(own.truth == list(run.classes).index(HEALTHY))
    if run.matched_logits is None or not healthy:
        return None
    before = {MODEL: own, **others}
    after = {MODEL: run.answers(np.argmax(run.matched_logits, axis=1))}
    after |= {name: run.answers(answered) for name, answered in run.matched_baselines.items() if name in others}
    return Matched(
        *({name: scores.overall(way[name]) | _healthy(way[name]) for name in after} for way in (before, after)),
        {name: _changes(one, before[name]) for name, one in after.items()},
    )


def _healthy(answers: Answers) -> Metrics:
    is_it, called = _of_healthy(answers)
    return {HEALTHY_RECALL: answers.bootstrap.share(called, is_it)}


def _changes(after: Answers, before: Answers) -> Metrics:
    first, second = (one.bootstrap.shares(*reversed(_of_healthy(one))) for one in (before, after))
    change = bootstrap.metric(second - first, int(_of_healthy(after)[0].sum()))
    return {HEALTHY_RECALL: change, **scores.difference(after, before)}


def _of_healthy(answers: Answers) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N,) which pictures are healthy, and which were taken for it."""
    index = list(answers.classes).index(HEALTHY)
    return answers.truth == index, answers.answered == index


def _chance(answers: Answers) -> float | None:
    inside = scores.compared(answers)
    if not inside.any():
        return None
    sources, truth = np.asarray(answers.sources)[inside], answers.truth[inside]
    return float(np.mean([1 / len(np.unique(truth[sources == one])) for one in np.unique(sources)]))


def _worst(answers: Answers) -> Indices:
    assert answers.shares is not None
    wrong = np.flatnonzero(answers.answered != answers.truth)
    return wrong[np.argsort(-answers.shares[wrong].max(axis=1), kind="stable")][:WORST]
