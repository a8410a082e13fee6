"""Facts of pictures + what they are called -> how well size, light and sharpness alone tell it, which see no skin and must not.

Asked is the class, the class within one source, a class that shares its sources with no other, and the source. A way that finds
the class from picture statistics is open to a network too, and it need not look at the skin to take it (Torralba & Efros,
"Unbiased look at dataset bias", CVPR 2011; Geirhos et al., "Shortcut learning in deep neural networks", Nat. Mach. Intell. 2020).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer.model_card import Metric
from analyzer.settings import CORES
from training import command
from training.data.facts import STATISTICS, Facts, statistics
from training.data.pictures import Picture
from training.evaluation import bootstrap, scores
from training.evaluation.scores import Answers

FOLDS = 5
LEAST_GROUPS = 10  # of a kind: two in every fold
TREES, LEAST_LEAF = 100, 2
MANY = 1000  # pictures from which trees are worth being grown side by side
LEAVES, LEAST_ALONE = 16, 5  # of the tree on one statistic; pictures in a leaf
CLASS, SOURCE, OTHERS = "class", "source", " or another class"  # what is asked; the last one follows a class
FACE_FOUND = "whole face found"
REGRESSION, FOREST = "logistic regression", "random forest"
SLIGHT = 0.05  # above chance, for the lower end of the interval: below it nothing is told


@dataclass(frozen=True)
class Confound:
    """How well something is told from picture statistics alone, by cross-validation that keeps groups together.

    Attributes:
        asked: what was to be told, such as ``"class"``.
        names: the answers that were possible.
        pictures: how many were asked about.
        ways: `REGRESSION` and `FOREST` on all statistics → balanced accuracy.
        alone: statistic → balanced accuracy of a small tree on it, best first.
        recalls: name → share of it that the better way finds.
        left_out: names with fewer than `LEAST_GROUPS` groups.
    """

    asked: str
    names: tuple[str, ...]
    pictures: int
    ways: Mapping[str, Metric]
    alone: Mapping[str, Metric]
    recalls: Mapping[str, Metric]
    left_out: tuple[str, ...] = ()

    @property
    def chance(self) -> float:
        return 1 / len(self.names)

    @property
    def best(self) -> Metric:
        return max(self.ways.values(), key=lambda found: found.value)

    @property
    def least(self) -> float:
        """Lower end of the interval of the better way."""
        return self.best.interval[0] if self.best.interval else self.best.value

    @property
    def severity(self) -> str:
        """``"error"`` from half-way between chance and certainty, ``"warning"`` from a little above chance, else ``"note"``."""
        if self.least > (1 + self.chance) / 2:
            return "error"
        return "warning" if self.least > self.chance + SLIGHT else "note"


def all_of(pictures: Sequence[Picture], facts: Sequence[Facts], *, seed: int = command.SEED) -> list[Confound]:
    """Everything that is asked about labelled pictures; what too few groups can tell is left out."""
    table = columns(facts)
    groups = [one.group for one in pictures]
    asked = list(questions(pictures))
    found = []
    for name, rows, truth in command.progress(asked, len(asked), "questions to picture statistics"):
        answer = told(name, table[rows], truth, [groups[row] for row in rows], seed=seed)
        found += [answer] if answer else []
    return found


def columns(facts: Sequence[Facts]) -> NDArray[np.float32]:
    """(N, 11): `statistics`, and whether a whole face was cut out."""
    cut = np.array([[one.has_face] for one in facts], np.float32).reshape(-1, 1)
    return np.concatenate([statistics(facts), cut], axis=1)


def questions(pictures: Sequence[Picture]) -> Iterator[tuple[str, NDArray[np.intp], list[str]]]:
    """Name, rows, and what is to be told of each."""
    labels, sources = [str(one.label) for one in pictures], [one.source for one in pictures]
    everyone = np.arange(len(pictures))
    yield CLASS, everyone, labels
    for name in on_their_own(pictures):
        yield f"{name}{OTHERS}", everyone, [label if label == name else "another class" for label in labels]
    for source in sorted(set(sources)):
        rows = np.array([row for row in everyone if sources[row] == source], np.intp)
        yield f"{CLASS} within {source}", rows, [labels[row] for row in rows]
    yield SOURCE, everyone, sources


def on_their_own(pictures: Sequence[Picture]) -> list[str]:
    """Classes none of whose sources holds another class, where there are others."""
    held: dict[str, set[str]] = defaultdict(set)
    for one in pictures:
        held[one.source].add(str(one.label))
    homes: dict[str, list[set[str]]] = defaultdict(list)
    for names in held.values():
        for name in names:
            homes[name].append(names)
    return sorted(name for name, those in homes.items() if len(homes) > 1 and all(len(names) == 1 for names in those))


def told(
    asked: str, table: NDArray[np.float32], truth: Sequence[str], groups: Sequence[str], *, seed: int = command.SEED
) -> Confound | None:
    """How well (N, 11) `columns` tell the truth; None where there are not two names with enough groups."""
    members: dict[str, set[str]] = defaultdict(set)
    for name, group in zip(truth, groups, strict=True):
        members[name].add(group)
    names = tuple(sorted(name for name, held in members.items() if len(held) >= LEAST_GROUPS))
    if len(names) < 2:
        return None
    rows = np.flatnonzero(np.isin(truth, names))
    index = np.array([names.index(truth[row]) for row in rows], np.intp)
    kept = [groups[row] for row in rows]
    folds = _folds(index, kept, seed)
    draws = Answers(names, index, index, kept, [""] * len(rows))

    def figure(model: Any, chosen: NDArray[np.float32]) -> tuple[Metric, Answers]:
        answered = _out_of_fold(model, chosen, index, folds)
        answers = Answers(names, index, answered, kept, draws.sources)
        return bootstrap.metric(scores.values_of_all(answers)[scores.BALANCED], len(rows)), answers

    inside = table[rows]
    ways = {name: figure(model, inside[:, : len(STATISTICS)]) for name, model in _models(seed, len(rows)).items()}
    alone = {name: figure(_tree(), inside[:, [place]])[0] for place, name in enumerate((*STATISTICS, FACE_FOUND))}
    better = max(ways.values(), key=lambda way: way[0].value)[1]
    return Confound(
        asked,
        names,
        len(rows),
        {name: metric for name, (metric, _) in ways.items()},
        dict(sorted(alone.items(), key=lambda item: -item[1].value)),
        {name: held[scores.RECALL] for name, held in scores.of_classes(better).items()},
        tuple(sorted(set(members) - set(names))),
    )


def _folds(truth: NDArray[np.intp], groups: Sequence[str], seed: int) -> NDArray[np.intp]:
    """(N,) fold of each row: classes alike, groups whole."""
    from sklearn.model_selection import StratifiedGroupKFold

    fold = np.zeros(len(truth), np.intp)
    cut = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for number, (_, held) in enumerate(cut.split(truth[:, None], truth, list(groups))):
        fold[held] = number
    return fold


def _out_of_fold(
    model: Any, table: NDArray[np.float32], truth: NDArray[np.intp], folds: NDArray[np.intp]
) -> NDArray[np.intp]:
    answered = np.zeros(len(truth), np.intp)
    for fold in np.unique(folds):
        held = folds == fold
        answered[held] = model.fit(table[~held], truth[~held]).predict(table[held])
    return answered


def _models(seed: int, pictures: int) -> dict[str, Any]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(max_iter=2000, class_weight="balanced")
    forest = RandomForestClassifier(
        TREES,
        min_samples_leaf=LEAST_LEAF,
        class_weight="balanced",
        random_state=seed,
        n_jobs=CORES if pictures >= MANY else 1,
    )
    return {REGRESSION: make_pipeline(StandardScaler(), regression), FOREST: forest}


def _tree() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(
        max_leaf_nodes=LEAVES, min_samples_leaf=LEAST_ALONE, class_weight="balanced", random_state=0
    )
