"""What is said of people -> training rows balanced over groups of people, and values dropped until they no longer tell the class.

Healthy faces come with ages and ethnicities and clinical pictures with none, so that *which* values are known tells a class
already, and so do the values, since sources show different people. `evening` says how often each value must be dropped for
neither to tell anything: then only what a value means for the picture beside it can be learned.

Everything works on the vectors of `analyzer.preprocessing.demographics_vector`, (N, 12) float32, or on their `levels`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer.preprocessing import DEMOGRAPHICS_WIDTH, ETHNICITIES, FITZPATRICK, GENDERS, OLDEST
from training.data.pictures import AGE_BANDS, DEMOGRAPHICS

Rows = NDArray[np.intp]
Said = NDArray[np.float32]  # (N, 12)
Levels = NDArray[np.intp]  # (N, 4), in the order of `DEMOGRAPHICS`; UNKNOWN where nothing is said
Kept = NDArray[np.bool_]  # (N, 4)

UNKNOWN = -1
_FIRST_ETHNICITY = 2 + len(GENDERS)
PLACES: Mapping[str, slice] = {  # of each of `DEMOGRAPHICS` in the vector
    "age": slice(0, 2),
    "gender": slice(2, _FIRST_ETHNICITY),
    "ethnicity": slice(_FIRST_ETHNICITY, _FIRST_ETHNICITY + len(ETHNICITIES)),
    "fitzpatrick": slice(DEMOGRAPHICS_WIDTH - 2, DEMOGRAPHICS_WIDTH),
}
WIDTHS = [places.stop - places.start for places in PLACES.values()]
HIDDEN_ONE, HIDDEN_ALL = 0.3, 0.2  # chance that a said value, or all that is said, is hidden from a training view
MOST_REPEATS = 4.0  # how much oftener than its share a rare person's picture is drawn


def known(said: Said) -> Kept:
    """(N, 4) bool: which values are said."""
    return np.stack([said[:, places].any(axis=1) for places in PLACES.values()], axis=1)


def keeping(said: Said, kept: Kept) -> Said:
    """The vectors with only the `kept` values; the others as if they had never been said."""
    return np.where(np.repeat(kept, WIDTHS, axis=1), said, np.float32(0))


def flags(said: Said) -> Said:
    """Vectors that say which values are known and not what they are."""
    answer = np.zeros_like(said)
    first = [PLACES[name].start + (name in ("age", "fitzpatrick")) for name in DEMOGRAPHICS]
    answer[:, first] = known(said)
    return answer


def levels(said: Said) -> Levels:
    """(N, 4): age band, gender, ethnicity and type as indices; `UNKNOWN` where nothing is said."""
    bands = np.array([first for first, _ in AGE_BANDS[1:]])
    found = [
        np.searchsorted(bands, np.round(said[:, 0] * OLDEST, 3), side="right"),
        said[:, PLACES["gender"]].argmax(axis=1),
        said[:, PLACES["ethnicity"]].argmax(axis=1),
        np.rint(said[:, PLACES["fitzpatrick"].start] * len(FITZPATRICK)).astype(int) - 1,
    ]
    return np.where(known(said), np.stack(found, axis=1), UNKNOWN).astype(np.intp)


def hidden(rng: np.random.Generator, count: int, one: float = HIDDEN_ONE, everything: float = HIDDEN_ALL) -> Kept:
    """(N, 12) bool: places to hide from a training view: each value with the chance `one`, all of them with `everything`."""
    values = (rng.random((count, len(PLACES))) < one) | (rng.random((count, 1)) < everything)
    return np.repeat(values, WIDTHS, axis=1)


def balanced(rng: np.random.Generator, people: Levels, truth: Rows, most: float = MOST_REPEATS) -> Rows:
    """(N,) rows, some several times: every class alike, and in it every ethnicity × gender × age band as far as known.

    How much of a class is known stays as it was, for the unknown are no group of people. A picture is drawn at most `most`
    times as often as others of its class that are known as well.
    """
    groups = people[:, [DEMOGRAPHICS.index(name) for name in ("ethnicity", "gender", "age")]]
    weights = np.zeros(len(truth))
    for label in np.unique(truth):
        inside = np.flatnonzero(truth == label)
        for alike in _rows_of(groups[inside] != UNKNOWN):
            rows = inside[alike]
            weights[rows] = _even_weights(groups[rows], most) * len(rows) / len(inside)
    return _systematic(rng, weights / weights.sum(), np.column_stack([groups, truth]))


@dataclass(frozen=True, eq=False)
class Evening:
    """How often which values of each picture are to be kept.

    Attributes:
        kept: of each picture, the sets of values that it may keep, (K, 4) bool.
        chances: of each picture, the chance of each set, (K,), summing to 1.
    """

    kept: Sequence[Kept]
    chances: Sequence[NDArray[np.float64]]

    def draw(self, rng: np.random.Generator) -> Kept:
        """(N, 4) bool: which values are kept this time."""
        chosen = [rng.choice(len(chances), p=chances) for chances in self.chances]
        return np.array([sets[one] for sets, one in zip(self.kept, chosen, strict=True)], bool).reshape(-1, len(PLACES))

    @property
    def kept_share(self) -> NDArray[np.float64]:
        """(4,) share of the pictures that keep each value, as expected."""
        held = [chances @ sets for sets, chances in zip(self.kept, self.chances, strict=True)]
        return np.mean(held, axis=0) if held else np.zeros(len(PLACES))


def evening(people: Levels, truth: Rows) -> Evening:
    """How often to keep which values, so that what is left to be seen is distributed alike in every class.

    With `people` as they are, neither the values nor which of them are known tell the class any more; with
    ``np.minimum(people, 0)``, which are known tells nothing, but the values still may.

    Of all ways to drop values, the one that keeps most of them: a linear programme over the shares x(class, person, kept set).
    For every person of a class the shares of its sets sum to how frequent that person is there; for everything that can be seen
    afterwards, the shares that lead to it sum to the same in every class. Dropping all is always a solution.

    Args:
        people: (N, 4) of the pictures that it is for.
        truth: (N,) class of each.
    """
    labels = np.unique(truth)
    shares = [_shares(people[truth == label]) for label in labels]
    seen = [{person: _views(person) for person in share} for share in shares]
    common = set.intersection(*({view for views in one.values() for view in views} for one in seen)) if seen else set()
    solved = _solved(shares, [{p: [v for v in views if v in common] for p, views in one.items()} for one in seen])
    kept, chances = [], []
    for person, label in zip(map(tuple, people.tolist()), truth, strict=True):
        views, parts = solved[int(np.searchsorted(labels, label))][person]
        kept.append(np.array(views) != UNKNOWN)
        chances.append(parts)
    return Evening(kept, chances)


Person = tuple[int, ...]  # a row of levels
Column = tuple[int, Person, Person]  # class, person, what is left to be seen


def _shares(people: Levels) -> dict[Person, float]:
    """Person → share of the pictures."""
    found, counts = np.unique(people, axis=0, return_counts=True)
    return {tuple(person): float(count) / len(people) for person, count in zip(found.tolist(), counts, strict=True)}


def _views(person: Person) -> list[Person]:
    """What can be left of a person: each said value kept or dropped."""
    return list(product(*({value, UNKNOWN} for value in person)))


def _solved(
    shares: Sequence[Mapping[Person, float]], views: Sequence[Mapping[Person, Sequence[Person]]]
) -> list[dict[Person, tuple[Sequence[Person], NDArray[np.float64]]]]:
    """The linear programme; of each class: person → its views and their chances."""
    from scipy.optimize import linprog

    columns = [(index, person, view) for index, one in enumerate(views) for person in one for view in one[person]]
    worth = [-sum(value != UNKNOWN for value in view) for _, _, view in columns]
    table, limits = _equations(columns, shares)
    answer = linprog(worth, A_eq=table, b_eq=limits, bounds=(0, None), method="highs")
    return _chances(columns, answer.x, len(shares))


def _equations(columns: Sequence[Column], shares: Sequence[Mapping[Person, float]]) -> tuple[Any, NDArray[np.float64]]:
    """Sparse (equations, columns) and its right side: sums of every person, and equal views of the first and each other class."""
    from scipy.sparse import coo_array

    people = {
        (index, person): row for row, (index, person) in enumerate(dict.fromkeys(column[:2] for column in columns))
    }
    alike: dict[tuple[int, Person], int] = {}
    entries = [(people[index, person], place, 1.0) for place, (index, person, _) in enumerate(columns)]
    for place, (index, _, view) in enumerate(columns):
        for other in range(1, len(shares)) if index == 0 else (index,):
            row = alike.setdefault((other, view), len(people) + len(alike))
            entries.append((row, place, 1.0 if index == 0 else -1.0))
    rows, across, signs = zip(*entries, strict=True)
    count = len(people) + len(alike)
    limits = np.zeros(count)
    limits[: len(people)] = [shares[index][person] for index, person in people]
    return coo_array((signs, (rows, across)), shape=(count, len(columns))).tocsr(), limits


def _chances(
    columns: Sequence[Column], answer: NDArray[np.float64], classes: int
) -> list[dict[Person, tuple[Sequence[Person], NDArray[np.float64]]]]:
    found: list[dict[Person, list[tuple[Person, float]]]] = [defaultdict(list) for _ in range(classes)]
    for (index, person, view), part in zip(columns, answer, strict=True):
        found[index][person].append((view, max(float(part), 0.0)))
    return [
        {
            person: (([view for view, _ in held]), _normalised([part for _, part in held]))
            for person, held in one.items()
        }
        for one in found
    ]


def _normalised(parts: Sequence[float]) -> NDArray[np.float64]:
    return np.array(parts) / sum(parts)


def _rows_of(keys: NDArray[np.generic]) -> list[Rows]:
    """Rows of each distinct key of (N, K)."""
    if not len(keys):
        return []
    index = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    return [np.flatnonzero(index == one) for one in range(int(index.max()) + 1)]


def _even_weights(groups: Levels, most: float) -> NDArray[np.float64]:
    """(N,) summing to 1: every group alike, no picture more than `most` times the least."""
    weights = np.zeros(len(groups))
    for rows in _rows_of(groups):
        weights[rows] = 1.0 / len(rows)
    weights = np.minimum(weights, most * weights.min())
    return weights / weights.sum()


def _systematic(rng: np.random.Generator, shares: NDArray[np.float64], kinds: Levels) -> Rows:
    """N rows in random order, each its share of them, rounded up or down by one common random offset.

    Rows of one kind, (N, K), stand together when they are dealt, so that every kind gets its share to within one.
    """
    shuffled = rng.permutation(len(shares))
    order = shuffled[np.lexsort(kinds[shuffled].T)]
    marks = (np.arange(len(shares)) + rng.random()) / len(shares)
    drawn = order[np.minimum(np.searchsorted(np.cumsum(shares[order]), marks), len(order) - 1)]
    return np.asarray(rng.permutation(drawn), np.intp)
