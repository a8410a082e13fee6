"""Findings of a run -> the sections of its report: sentences, tables and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analyzer.artefact import BASELINE, EARNED
from training.evaluate import DRAWS, ECE_BINS, TOO_FEW
from training.evaluation import fairness
from training.evaluation.fairness import HEALTHY, UNSAID
from training.evaluation.scores import ACCURACY, BALANCED
from training.reporting import report_tables
from training.reporting.document import Document, Plot, Section
from training.reporting.findings import HEALTHY_RECALL, MODEL, Findings, Run
from training.reporting.mission import VERDICTS, Target
from training.reporting.report_tables import figure, signed

PAIRS = 6  # confusions that are named
HOW_TO_READ = (
    f"Figures stand with their 95 % interval: {DRAWS} bootstrap draws of whole groups (persons, lesions, near-duplicates). "
    f"Where all or none of the pictures are right the exact interval for that many groups stands instead."
)
NOTHING_PASSED = (
    "Healthy faces were not passed through the clinical crop in this run: it is not known what of these figures remains when "
    "healthy and clinical pictures are cut, scaled and compressed alike."
)


def document(run: Run, found: Findings, plots: Mapping[str, Plot]) -> Document:
    """The report.

    Args:
        run: that was measured.
        found: its figures.
        plots: by the names that `report` gives them; sections go without those that are missing.
    """

    def shown(*names: str) -> list[Plot]:
        return [plots[name] for name in names if name in plots]

    sections = [
        Section("Targets", (), [report_tables.of_targets(found.targets)]),
        Section("What remains within one source", _remains(found), list(report_tables.of_sources(found, run))),
        Section("Beside simple methods", [_leads(found)], [report_tables.of_baselines(found)], shown("comparison")),
        Section("Classes", (), [report_tables.of_classes(found, run)], shown("confusion", "classes", "ranking")),
        Section("Probabilities", [_calibrated(found, run)], (), shown("reliability")),
        Section(
            "Groups of people",
            _spreads(found, run),
            [report_tables.of_groups(name, held) for name, held in found.people.items()],
            shown("people"),
        ),
        Section(
            "Mistakes",
            _mistakes(found, run),
            [report_tables.of_mistakes(found, run)] if len(found.worst) else (),
            shown("worst"),
        ),
        Section(
            "Where the evidence lies",
            _EXPLAINED,
            (),
            [plot for name, plot in plots.items() if name.startswith("explanation")],
        ),
        Section("Members and ensembles", (), [report_tables.of_candidates(run.candidates)] if run.candidates else ()),
        Section("Training", (), (), shown("history")),
        *run.sections,
        Section("Settings", [f"Command: {run.command}"], [report_tables.of_settings(run.config)]),
        Section("What to keep in mind", [*run.notes, HOW_TO_READ]),
    ]
    lead = [verdict(found), _in_short(found)]
    return Document(run.title, lead, [one for one in sections if one.tables or one.plots or one.title in _ALWAYS])


_ALWAYS = ("What to keep in mind", "Mistakes", "What remains within one source")
_EXPLAINED = (
    "Grad-CAM (Selvaraju et al., 2017) of the answered class: the tint is strongest where the last maps of a backbone speak for it; "
    "the lines enclose what has half, and four fifths, of the strongest evidence. A panel without tint found nothing that speaks for it.",
)


def verdict(found: Findings) -> str:
    """Whether the model beats picture statistics with intervals apart: the rule by which the service lets a model speak."""
    own, baseline = (found.overall.get(name, {}).get(EARNED) for name in (MODEL, BASELINE))
    if own is None or baseline is None:
        return f"{found.silence} The service will not let it speak."
    told = f"{EARNED} {figure(own)} against {figure(baseline)} of {BASELINE} alone"
    if found.silence is None:
        return f"The model beats picture statistics, with intervals apart: {told}. The service will let it speak."
    if own.value <= baseline.value:
        return f"The model does not beat picture statistics: {told}. The service will not let it speak."
    return f"The model is not clearly better than picture statistics, the intervals overlap: {told}. The service will not let it speak."


def _in_short(found: Findings) -> str:
    own = found.overall[MODEL]
    count = len(found.answers.truth)
    return (
        f"On {count} test pictures of {len(set(found.answers.groups))} groups: {ACCURACY} {figure(own.get(ACCURACY))}, {BALANCED} "
        f"{figure(own.get(BALANCED))}. {_targets_told(found.targets)}"
    )


def _targets_told(targets: Sequence[Target]) -> str:
    counts = [f"{sum(one.verdict == verdict for one in targets)} {verdict}" for verdict in VERDICTS]
    return f"Of {len(targets)} targets: {', '.join(counts)}."


def _remains(found: Findings) -> list[str]:
    own = found.overall[MODEL]
    if found.chance is None:
        within = (
            "No source holds several classes: it cannot be told how much of these figures comes from the skin, and how much from "
            "size, cut and light of the sources."
        )
    else:
        within = (
            f"Within the sources that hold several classes the {BALANCED} is {figure(own.get(EARNED))}, where guessing "
            f"gives {found.chance:.2f}; over all pictures it is {figure(own.get(BALANCED))}. What lies between the two may be the sources, "
            "told apart."
        )
    if found.matched is None:
        return [within, NOTHING_PASSED]
    before, after = (way[MODEL] for way in (found.matched.before, found.matched.after))
    return [
        within,
        f"When healthy faces are cut, scaled and compressed as the clinical pictures are, of the {ACCURACY} of "
        f"{figure(before[ACCURACY])}, {figure(after[ACCURACY])} remains. Of the healthy faces {figure(after[HEALTHY_RECALL])} are "
        f"still taken for healthy; as they are it is {figure(before[HEALTHY_RECALL])}.",
    ]


def _leads(found: Findings) -> str:
    leads = [f"{signed(figures[BALANCED])} over {name}" for name, figures in found.leads.items()]
    return f"In {BALANCED} the model's lead, draw by draw on the same pictures, is {_listed(leads)}." if leads else ""


def _calibrated(found: Findings, run: Run) -> str:
    before, after = (figure(found.calibration[when]) for when in ("before", "after"))
    return (
        f"Probabilities are softmax of the logits over the temperature {run.temperature:.2f}, fitted on the familiar ones of "
        f"{len(run.truth_validation)} validation pictures. Expected calibration error on the test pictures over {ECE_BINS} bins: "
        f"{before} before, {after} after."
    )


def _spreads(found: Findings, run: Run) -> list[str]:
    """How far groups lie apart, and where that says little."""
    if not found.people:
        return ["Nothing is known of the people in the test pictures."]
    apart = {name: fairness.spread(held, ACCURACY) for name, held in found.people.items()}
    named = [f"{by:.2f} by {name}" for name, by in apart.items() if by is not None]
    told = (
        [f"Between groups of {TOO_FEW} pictures or more the {ACCURACY} differs at most by {_listed(named)}."]
        if named
        else []
    )
    one_sided = [
        attribute
        for attribute, held in found.people.items()
        if sum(one.count - one.healthy for one in held if one.name != UNSAID) == 0
    ]
    if one_sided and HEALTHY in run.classes:
        told.append(
            f"{_listed(one_sided).capitalize()}: known of healthy pictures only, so that these figures tell how often healthy skin is "
            "taken for a condition, and nothing of how well conditions are found in each group."
        )
    return told


def _mistakes(found: Findings, run: Run) -> list[str]:
    wrong = found.confusion - np.diag(np.diag(found.confusion))
    if not wrong.any():
        return ["Every test picture was answered rightly."]
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [np.unravel_index(place, wrong.shape) for place in order if wrong.flat[place]]
    named = [f"{run.classes[truth]} as {run.classes[answer]} ({wrong[truth, answer]})" for truth, answer in pairs]
    return [
        f"{wrong.sum()} of {found.confusion.sum()} answers are wrong; most often {_listed(named)}. The most confident ones:"
    ]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
