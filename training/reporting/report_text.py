"""Findings of a run -> the sections of its report: sentences, tables and plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from analyzer.artefact import BASELINE, EARNED
from analyzer.model_card import Metric, Metrics
from training.evaluate import DRAWS, ECE_BINS, TOO_FEW
from training.evaluation import fairness, scores
from training.evaluation.fairness import FALSE_ALARMS, HEALTHY, UNSAID, Group
from training.evaluation.scores import ACCURACY, BALANCED, MACRO_F1, WEIGHTED_F1
from training.reporting.document import Document, Plot, Section, Table
from training.reporting.findings import HEALTHY_RECALL, MODEL, Findings, Run
from training.reporting.mission import VERDICTS, Target

SUMMARY = (EARNED, BALANCED, ACCURACY, MACRO_F1, WEIGHTED_F1)
PER_CLASS = (
    scores.RECALL,
    scores.PRECISION,
    scores.SPECIFICITY,
    scores.FALSE_POSITIVES,
    scores.F1,
    scores.AUROC,
    scores.AVERAGE_PRECISION,
)
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
        Section("Targets", (), [targets_table(found.targets)]),
        Section("What remains within one source", _remains(found), list(_source_tables(found, run))),
        Section("Beside simple methods", [_leads(found)], [_baselines(found)], shown("comparison")),
        Section("Classes", (), [_classes(found, run)], shown("confusion", "classes", "ranking")),
        Section("Probabilities", [_calibrated(found, run)], (), shown("reliability")),
        Section(
            "Groups of people",
            _spreads(found, run),
            [_groups(name, held) for name, held in found.people.items()],
            shown("people"),
        ),
        Section("Mistakes", _mistakes(found, run), [_worst(found, run)] if len(found.worst) else (), shown("worst")),
        Section(
            "Where the evidence lies",
            _EXPLAINED,
            (),
            [plot for name, plot in plots.items() if name.startswith("explanation")],
        ),
        Section("Members and ensembles", (), [_candidates(run.candidates)] if run.candidates else ()),
        Section("Training", (), (), shown("history")),
        *run.sections,
        Section("Settings", [f"Command: {run.command}"], [_settings(run.config)]),
        Section("What to keep in mind", [*run.notes, HOW_TO_READ]),
    ]
    lead = [verdict(found), _in_short(found)]
    return Document(run.title, lead, [one for one in sections if one.tables or one.plots or one.title in _ALWAYS])


_ALWAYS = ("What to keep in mind", "Mistakes", "What remains within one source")
_EXPLAINED = (
    "Grad-CAM (Selvaraju et al., 2017) of the answered class: the tint is strongest where the last maps of a backbone speak for it.",
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


def targets_table(targets: Sequence[Target]) -> Table:
    rows = [(one.figure, one.verdict, one.asked, figure(one.measured), _count(one.measured)) for one in targets]
    note = (
        f'"Met" says that the worse end of the interval meets the target too, on {TOO_FEW} pictures or more; "not shown", that only '
        "the figure itself does."
    )
    return Table(("target", "verdict", "asked", "measured (95 % interval)", "pictures"), rows, note)


def figure(metric: Metric | None) -> str:
    """A figure with its interval."""
    if metric is None or not np.isfinite(metric.value):
        return "–"
    return f"{metric.value:.2f}" + (f" ({metric.interval[0]:.2f}–{metric.interval[1]:.2f})" if metric.interval else "")


def _signed(metric: Metric) -> str:
    interval = f" ({metric.interval[0]:+.2f} to {metric.interval[1]:+.2f})" if metric.interval else ""
    return f"{metric.value:+.2f}{interval}".replace("-", "−")


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


def _source_tables(found: Findings, run: Run) -> Iterator[Table]:
    if found.matched is not None:
        names = [HEALTHY_RECALL, ACCURACY, BALANCED, MACRO_F1]
        rows = [
            (
                who,
                name,
                figure(found.matched.before[who].get(name)),
                figure(after.get(name)),
                _change(found.matched.changes[who], name),
            )
            for who, after in found.matched.after.items()
            for name in names
        ]
        head = ("who answers", "figure", "healthy faces as they are", "through the clinical crop", "change")
        yield Table(head, rows, "The change is measured draw by draw on the same pictures.")
    for attribute, held in found.pictures.items():
        yield _groups(attribute, held)


def _change(changes: Metrics, name: str) -> str:
    return _signed(changes[name]) if name in changes else "–"


def _leads(found: Findings) -> str:
    leads = [f"{_signed(figures[BALANCED])} over {name}" for name, figures in found.leads.items()]
    return f"In {BALANCED} the model's lead, draw by draw on the same pictures, is {_listed(leads)}." if leads else ""


def _baselines(found: Findings) -> Table:
    rows = [(name, *(figure(figures.get(one)) for one in SUMMARY)) for name, figures in found.overall.items()]
    return Table(("who answers", *SUMMARY), rows)


def _classes(found: Findings, run: Run) -> Table:
    counts = np.bincount(found.answers.truth, minlength=len(run.classes))
    rows = [
        (name, str(counts[index]), *(figure(found.classes[name].get(one)) for one in PER_CLASS))
        for index, name in enumerate(run.classes)
    ]
    return Table(
        ("class", "pictures", *PER_CLASS),
        rows,
        "Each class against all others. – cannot be told: without pictures, or never answered.",
    )


def _calibrated(found: Findings, run: Run) -> str:
    before, after = (figure(found.calibration[when]) for when in ("before", "after"))
    return (
        f"Probabilities are softmax of the logits over the temperature {run.temperature:.2f}, fitted on the familiar ones of "
        f"{len(run.truth_validation)} validation pictures. Expected calibration error on the test pictures over {ECE_BINS} bins: "
        f"{before} before, {after} after."
    )


def _groups(attribute: str, held: Sequence[Group]) -> Table:
    names = [name for name in (ACCURACY, BALANCED, FALSE_ALARMS) if any(name in one.figures for one in held)] or [
        ACCURACY
    ]
    rows = [
        (
            one.name,
            str(one.count),
            str(one.healthy),
            *(_figure_of_group(one, name) for name in names),
        )
        for one in held
    ]
    return Table((attribute, "pictures", f"of them {HEALTHY}", *names), rows)


def _figure_of_group(group: Group, name: str) -> str:
    few = group.too_few or (name == FALSE_ALARMS and 0 < group.healthy < TOO_FEW)
    return "too few" if few else figure(group.figures.get(name))


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


def _worst(found: Findings, run: Run) -> Table:
    answers = found.answers
    rows = [
        (
            run.pictures[row].path.name,
            answers.sources[row],
            run.classes[answers.truth[row]],
            run.classes[answers.answered[row]],
            f"{run.shares[row].max():.2f}",
        )
        for row in found.worst
    ]
    return Table(("file", "source", "truth", "answer", "probability"), rows)


def _candidates(candidates: Mapping[str, Mapping[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for figures in candidates.values() for name in figures))
    rows = [(who, *(_any_figure(figures.get(name)) for name in names)) for who, figures in candidates.items()]
    return Table(("candidate", *names), rows)


def _any_figure(value: Any) -> str:
    if value is None or isinstance(value, Metric):
        return figure(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _settings(config: Mapping[str, Any]) -> Table:
    return Table(("setting", "value"), [(str(name), str(value)) for name, value in config.items()])


def _count(metric: Metric | None) -> str:
    return "–" if metric is None else str(metric.count)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
