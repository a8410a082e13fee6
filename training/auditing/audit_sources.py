"""What picture statistics, crops and watermarks tell -> findings: by what a network could take the class without seeing the skin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from analyzer.model_card import Metric
from training.auditing import confounds
from training.auditing.audit_findings import Finding, in_percent, labelled
from training.auditing.confounds import CLASS, FACE_FOUND, SLIGHT, SOURCE, Confound
from training.auditing.watermarks import Overlay
from training.data import matching
from training.data.prepared import Prepared
from training.evaluation.fairness import HEALTHY

MOST_MATCHED = 200  # healthy faces that are made like clinical pictures
MATCHED = f"{HEALTHY}, made like clinical pictures, or another class"
BESIDE = "Believe no accuracy without this baseline beside it, and read the figures within one source."


def of_classes(prepared: Prepared) -> Iterator[Finding]:
    """Classes that come from sources of their own."""
    pictures = [prepared.pictures[row] for row in labelled(prepared)]
    for name in confounds.on_their_own(pictures):
        sources = sorted({one.source for one in pictures if one.label == name})
        said = f"Class {name} comes only from {' and '.join(sources)}, where there is no other class."
        to_do = f"Whatever tells these sources from others tells {name}: add {name} pictures from the sources of the other classes."
        yield Finding("error", "class on its own", said, to_do)


def of_confounds(found: Sequence[Confound]) -> Iterator[Finding]:
    """What statistics of whole pictures tell, and by which one most."""
    for one in found:
        name, alone = next((name, metric) for name, metric in one.alone.items() if name != FACE_FOUND)
        said = f"Size, light, sharpness and border {{}} {_asked(one)}: balanced accuracy {_told(one.best)}, chance is {one.chance:.2f}"
        if one.severity == "note":
            yield Finding("note", "confound", f"{said.format('hardly tell')}.", "Nothing.")
        else:
            said = f"{said.format('alone tell')}; most by {name} ({alone.value:.2f} by itself)."
            yield Finding(one.severity, "confound", said, _to_do(one))


def of_crops(prepared: Prepared, found: Sequence[Confound]) -> Iterator[Finding]:
    """Whether it tells the class that a crop is an aligned face."""
    worst = max(
        (one for one in found if one.asked == CLASS or one.asked.endswith(confounds.OTHERS)),
        key=lambda one: _above(one.alone[FACE_FOUND], one.chance),
        default=None,
    )
    if worst is None or _above(worst.alone[FACE_FOUND], worst.chance) <= 0:
        return
    rows = labelled(prepared)
    held = {str(prepared.pictures[row].label): [] for row in rows}  # type: dict[str, list[bool]]
    for row in rows:
        held[str(prepared.pictures[row].label)].append(prepared.facts[row].has_face)
    shares = in_percent({name: float(np.mean(faces)) for name, faces in held.items()})
    said = (
        f"The crop tells {_asked(worst)}: by whether a whole face was cut out alone, balanced accuracy is "
        f"{_told(worst.alone[FACE_FOUND])}, chance is {worst.chance:.2f} (whole faces: {shares})."
    )
    to_do = "Report figures with and without a face apart, or keep whole faces only: --drop faceless."
    yield Finding("error" if _above(worst.alone[FACE_FOUND], worst.chance) > 0.1 else "warning", "crop", said, to_do)


def of_overlays(prepared: Prepared, overlays: Sequence[Overlay]) -> Iterator[Finding]:
    """Sources with a watermark, and the classes that never have one."""
    marked = {one.source for one in overlays if one.is_mark}
    pictures = [prepared.pictures[row] for row in labelled(prepared)]
    free = sorted({str(one.label) for one in pictures} - {str(one.label) for one in pictures if one.source in marked})
    for one in overlays:
        if one.is_mark:
            never = f"; no picture of {' or '.join(free)} comes from a source with a mark" if free else ""
            said = f"All pictures of {one.source} share fine detail over {_percent(one.share)} of the crop, a watermark{never}."
            to_do = "Look at watermarks.png; cut the mark off, or take originals without it for all classes."
            yield Finding("error" if free else "warning", "watermark", said, to_do)


def matched(prepared: Prepared, seed: int) -> tuple[Prepared, Prepared, Confound] | None:
    """Healthy faces before and after they were made like the other pictures, and what statistics still tell.

    None without healthy pictures, or where their sources hold other classes too.
    """
    pictures = [prepared.pictures[row] for row in labelled(prepared)]
    if HEALTHY not in confounds.on_their_own(pictures):
        return None
    rows = [row for row in labelled(prepared) if prepared.pictures[row].label == HEALTHY and prepared.facts[row].faces]
    others = prepared.subset([row for row in labelled(prepared) if prepared.pictures[row].label != HEALTHY])
    chosen = sorted(np.random.default_rng(seed).permutation(rows)[:MOST_MATCHED].tolist())
    after = matching.matched_rows(prepared, chosen, others.facts, seed=seed)
    truth = ["another class"] * len(others.pictures) + [HEALTHY] * len(after.pictures)
    groups = [one.group for one in (*others.pictures, *after.pictures)]
    table = confounds.columns([*others.facts, *after.facts])
    found = confounds.told(MATCHED, table, truth, groups, seed=seed)
    return None if found is None else (prepared.subset(chosen), after, found)


def of_matched(after: Confound, found: Sequence[Confound]) -> Iterator[Finding]:
    """What is left of a confound when faces are passed through the clinical crop."""
    before = next(one for one in found if one.asked == f"{HEALTHY}{confounds.OTHERS}")
    said = (
        f"Made like clinical pictures (training/data/matching.py), {HEALTHY} faces are told by these statistics with a balanced "
        f"accuracy of {_told(after.best)} instead of {_told(before.best)}, chance is {after.chance:.2f}."
    )
    yield Finding(
        "note", "matched", said, "Read what remains of a model's accuracy on such faces: its report gives it."
    )


def _asked(one: Confound) -> str:
    if one.asked == CLASS:
        return "the class"
    if one.asked == SOURCE:
        return "the source"
    if one.asked.endswith(confounds.OTHERS):
        return f"{one.asked.removesuffix(confounds.OTHERS)} from the other classes"
    return f"the {one.asked}"


def _to_do(one: Confound) -> str:
    if one.asked == SOURCE:
        return "Compare classes within one source: between sources, a network needs to see no skin."
    if one.asked.endswith(confounds.OTHERS):
        name = one.asked.removesuffix(confounds.OTHERS)
        return f"Take {name} pictures of the same kind as the others; until then read what remains of the accuracy on matched faces."
    return BESIDE


def _above(found: Metric, chance: float) -> float:
    """How far the lower end of an interval lies above a little more than chance."""
    return (found.interval[0] if found.interval else found.value) - chance - SLIGHT


def _told(found: Metric) -> str:
    interval = f" (95 % interval {found.interval[0]:.2f} to {found.interval[1]:.2f})" if found.interval else ""
    return f"{found.value:.2f}{interval}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
