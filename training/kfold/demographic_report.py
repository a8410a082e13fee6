"""What demographics add -> sentences in plain words, tables for the report, and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from analyzer.model_card import Metric
from training.data.pictures import DEMOGRAPHICS
from training.kfold import arms
from training.kfold.arms import ALIKE, AS_SAID, FLAGS, IMAGE, KNOWN, NAIVE
from training.kfold.demographic_gain import FIGURES, WHICH, Difference, Gain
from training.reporting.document import Section, Table

TITLE = "What demographics add"
NAMES = {arm.key: arm.name for arm in arms.ARMS}


def sentences(gain: Gain, classes: Sequence[str]) -> list[str]:
    """What was found, in plain words: for the report and the card."""
    answer = [_missingness(gain, classes), *_parts(gain)]
    lost = [name for name in DEMOGRAPHICS if gain.kept[name] == 0]
    if lost:
        answer.append(
            f"Nothing can be learned of {_listed(lost)}: there is no value of it that pictures of every class say, so that all had to be "
            "dropped. The network's weights for it are zero; saying it changes no answer."
        )
    answer.append(_verdict(gain.differences[ALIKE.key], gain))
    return answer


def _missingness(gain: Gain, classes: Sequence[str]) -> str:
    found, chance = gain.telling[AS_SAID, WHICH], 1 / len(classes)
    told = f"balanced accuracy {_figure(found.balanced)} where guessing gives {chance:.2f}"
    if found.balanced.interval is None or found.balanced.interval[0] <= chance:
        return f"Which values are known does not tell the class ({told})."
    return (
        f"Which values are known tells the class without any picture ({told}); {found.best_class} from all others with an AUROC of "
        f"{_figure(found.auroc)}. That is a property of the sources, not of skin."
    )


def _parts(gain: Gain) -> list[str]:
    all_of_it, flags, known = (gain.differences[arm.key].pooled for arm in (NAIVE, FLAGS, KNOWN))
    first = f"Told as the sources say them, demographics change the balanced accuracy by {_signed(all_of_it)}"
    if all_of_it.interval is not None and all_of_it.interval[0] > 0:
        share = min(max(flags.value / all_of_it.value, 0.0), 1.0)
        first += (
            f"; which values are known does so by {_signed(flags)} without saying one of them: {share:.0%} of the apparent gain is "
            "missingness"
        )
    else:
        first += f", which values are known alone by {_signed(flags)}"
    told = gain.differences[NAIVE.key].told
    return [
        f"{first}. The network that is told so is better by {_signed(told)} than the very same network told nothing.",
        f"With every value known equally often in all classes, {_signed(known)} remains; that may still be who is shown by which source.",
    ]


def _verdict(found: Difference, gain: Gain) -> str:
    told = f"{_signed(found.pooled)} over all pictures, {_signed(found.across)} over the folds"
    told += f", {_signed(found.inside)} within a source" if found.inside else ", not measurable within a source"
    if not any(gain.kept.values()):
        return (
            "No gain of demographics counts: nothing is left to learn from once missingness and the sources' people are taken out. "
            "Pictures of every class with known values are needed."
        )
    if found.counts:
        return f"The gain of demographics counts: with the same people in every class it is still {told}."
    return f"No gain of demographics counts: with the same people in every class it is {told}, and an interval holds 0 or less."


def section(gain: Gain, classes: Sequence[str]) -> Section:
    """Of the report: what was found, and the tables behind it."""
    return Section(TITLE, sentences(gain, classes), [_known(gain), _telling(gain), _folds(gain), _differences(gain)])


def as_json(gain: Gain) -> dict[str, Any]:
    """Everything in `Gain`, for JSON."""
    return {
        "known": gain.known,
        "kept when said alike": gain.kept,
        "told without a picture": [
            {"way": way, "from": what, "balanced accuracy": asdict(one.balanced), "class told best": one.best_class}
            | {"AUROC": asdict(one.auroc)}
            for (way, what), one in gain.telling.items()
        ],
        "folds": [{"arm": arm, "told": way, **found} for (arm, way), found in gain.folds.items()],
        "differences": {arm: {**asdict(one), "counts": one.counts} for arm, one in gain.differences.items()},
    }


def _known(gain: Gain) -> Table:
    rows = [[name, *(f"{shares[one]:.0%}" for one in DEMOGRAPHICS)] for name, shares in gain.known.items()]
    rows.append(["all, said alike", *(f"{gain.kept[one]:.0%}" for one in DEMOGRAPHICS)])
    note = "Share of the pictures of which a value is known; in the last row, of which it is kept when said alike."
    return Table(["class", *DEMOGRAPHICS], rows, note)


def _telling(gain: Gain) -> Table:
    rows = [
        [way, what, _figure(one.balanced), one.best_class, _figure(one.auroc)]
        for (way, what), one in gain.telling.items()
    ]
    note = "What a decision tree makes of demographics without any picture, out of fold."
    return Table(["told", "from", "balanced accuracy", "class told best", "its AUROC"], rows, note)


def _folds(gain: Gain) -> Table:
    rows = [
        [NAMES[arm], way, *("{:.3f} ± {:.3f}".format(*found[one]) if one in found else "–" for one in FIGURES)]
        for (arm, way), found in gain.folds.items()
        if arm != IMAGE.key or way == arms.NOTHING
    ]
    ways = "; ".join(f"{way}: {meaning}" for way, meaning in arms.WAYS.items())
    note = (
        f"Mean ± standard deviation over the folds. Told when asked: {ways}. Dropping goes by the true class: it is a condition of "
        "measurement, in which saying something is as likely whatever somebody has, not something that a service does."
    )
    return Table(["network", "told when asked", *FIGURES], rows, note)


def _differences(gain: Gain) -> Table:
    rows = [
        [
            NAMES[arm],
            _signed(one.pooled),
            _signed(one.across),
            _signed(one.inside) if one.inside else "–",
            _signed(one.told),
            ("yes" if one.counts else "no") if arm == ALIKE.key else "–",
        ]
        for arm, one in gain.differences.items()
    ]
    note = (
        "Balanced accuracy of each network, told as in training, less that of the image alone, of the same folds and pictures. "
        "Intervals: draws of whole groups of pictures; over the folds, Student's t corrected for their common training pictures "
        "(Nadeau & Bengio 2003). Differences from the image alone hold the luck of two trainings, those of a network told and not told "
        "do not. Only the last network's gain may count: what others gain can be told from the sources."
    )
    return Table(
        ["network", "all pictures", "over the folds", "within a source", "less itself told nothing", "counts"],
        rows,
        note,
    )


def _figure(found: Metric) -> str:
    return f"{found.value:.2f}" + (f" ({found.interval[0]:.2f}–{found.interval[1]:.2f})" if found.interval else "")


def _signed(found: Metric) -> str:
    interval = f" ({found.interval[0]:+.3f} to {found.interval[1]:+.3f})" if found.interval else ""
    return f"{found.value:+.3f}{interval}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
