"""Pictures -> train, validation and test, or folds: stratified by class, source and group of people, never tearing a group apart.

The parts are written to a file and read from it the next time, so that every run on the same pictures is measured on the same ones.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from training.data.pictures import Picture

PARTS = ("train", "validation", "test")
SHARES: Mapping[str, float] = {"train": 0.70, "validation": 0.15, "test": 0.15}
LEAST_GROUPS = 3  # of a class: one for each part


class TooFewGroups(ValueError):
    """A class has fewer persons, lesions or pictures than there are parts."""


def stratum(picture: Picture) -> tuple[str, ...]:
    """What every part gets its share of."""
    return (str(picture.label), picture.source, str(picture.ethnicity), str(picture.gender), str(picture.age_band))


def parts(
    pictures: Sequence[Picture],
    *,
    seed: int,
    shares: Mapping[str, float] = SHARES,
    seen: Collection[str] = (),
    key: Callable[[Picture], tuple[str, ...]] = stratum,
) -> list[str]:
    """The part of each picture.

    Of a stratum with few groups validation and test get one each before train gets its share: where all have three, the parts are
    nearer to 60/20/20 than to 70/15/15.

    Args:
        pictures: labelled or not.
        seed: of the order in which groups are dealt.
        shares: part → share of the pictures, summing to 1.
        seen: groups that weights were trained on before: they can only be trained on.
        key: what every part gets its share of.

    Raises:
        TooFewGroups: a class cannot reach every part.
    """
    names = list(shares)
    dealt = _deal(pictures, [shares[name] for name in names], seed, key, dict.fromkeys(seen, 0))
    answer = [names[dealt[picture.group]] for picture in pictures]
    _check(pictures, answer, names)
    return answer


def folds(
    pictures: Sequence[Picture], count: int, *, seed: int, key: Callable[[Picture], tuple[str, ...]] = stratum
) -> list[int]:
    """The fold of each picture, 0 to count - 1, as `parts`: equal shares.

    Raises:
        TooFewGroups: a class has fewer groups than there are folds.
    """
    dealt = _deal(pictures, [1 / count] * count, seed, key, {})
    answer = [dealt[picture.group] for picture in pictures]
    _check(pictures, answer, range(count))
    return answer


def kept(
    path: Path,
    pictures: Sequence[Picture],
    *,
    seed: int,
    seen: Collection[str] = (),
    key: Callable[[Picture], tuple[str, ...]] = stratum,
) -> list[str]:
    """The parts that a file holds, or new ones, written to it.

    Pictures whose group the file does not know are dealt among the parts; those of known groups stay where they were. The
    file is JSON: ``{"seed": 7, "groups": {"utkface/25_0_1_2017": "train", …}}``.

    Raises:
        ValueError: the file is no such file, was made with another seed, or knows none of the pictures.
        TooFewGroups: as `parts`.
    """
    known: dict[str, str] = {}
    if path.is_file():
        known = read(path, seed)
        if known.keys().isdisjoint(picture.group for picture in pictures):
            raise ValueError(
                f"{path}: parts other pictures, none of these; its folder holds another run: name another --out."
            )
    names = list(SHARES)
    fixed = dict.fromkeys(seen, 0) | {group: names.index(part) for group, part in known.items()}
    dealt = _deal(pictures, [SHARES[name] for name in names], seed, key, fixed)
    answer = [names[dealt[picture.group]] for picture in pictures]
    _check(pictures, answer, names)
    groups = known | {picture.group: part for picture, part in zip(pictures, answer, strict=True)}
    unfinished = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(json.dumps({"seed": seed, "groups": dict(sorted(groups.items()))}, indent=0) + "\n")
    unfinished.replace(path)
    return answer


def read(path: Path, seed: int) -> dict[str, str]:
    """Group → part, as a file holds them.

    Raises:
        ValueError: the file is no such file, or was made with another seed.
    """
    try:
        stored = json.loads(path.read_text())
        known = {str(group): str(part) for group, part in stored["groups"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected a split written by an earlier run ({error!r}); remove it or name another."
        ) from error
    if strange := set(known.values()) - set(PARTS):
        raise ValueError(f"{path}: expected the parts {', '.join(PARTS)}, found {', '.join(sorted(strange))}.")
    if stored.get("seed") != seed:
        raise ValueError(
            f"{path}: was made with --seed {stored.get('seed')}; use that seed, or remove the file to split anew."
        )
    return known


def _deal(
    pictures: Sequence[Picture],
    shares: Sequence[float],
    seed: int,
    key: Callable[[Picture], tuple[str, ...]],
    fixed: Mapping[str, int],
) -> dict[str, int]:
    """Group → index of its part. Large groups first, each to the part that its strata lack most.

    A lack is counted over the whole stratum, its class within the source, and the class, so that rare strata do not all
    fall to the largest part.
    """
    members: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        members[picture.group].append(picture)
    levels = {group: _levels(held, key) for group, held in members.items()}
    totals: Counter[tuple[str, ...]] = Counter()
    for counted in levels.values():
        totals.update(counted)
    given: list[Counter[tuple[str, ...]]] = [Counter() for _ in shares]
    order = sorted(members)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: (group not in fixed, -len(members[group])))
    dealt: dict[str, int] = {}
    for group in order:
        if group in fixed:
            part = fixed[group]
        else:
            part = max(range(len(shares)), key=lambda one: _lack(levels[group], totals, given[one], shares[one]))
        dealt[group] = part
        given[part].update(levels[group])
    return dealt


def _levels(held: Sequence[Picture], key: Callable[[Picture], tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    counted: Counter[tuple[str, ...]] = Counter()
    for picture in held:
        counted.update([(str(picture.label),), (str(picture.label), picture.source), ("stratum", *key(picture))])
    return counted


def _lack(
    wanted: Counter[tuple[str, ...]],
    totals: Counter[tuple[str, ...]],
    given: Counter[tuple[str, ...]],
    share: float,
) -> float:
    """How far below its share a part is in the strata of a group: share of the part that is still missing, mean over levels."""
    return sum((share * totals[level] - given[level]) / (share * totals[level]) for level in wanted) / len(wanted)


def _check(pictures: Sequence[Picture], answer: Sequence[object], names: Collection[object]) -> None:
    groups: dict[str, set[str]] = defaultdict(set)
    reached: dict[str, set[object]] = defaultdict(set)
    for picture, part in zip(pictures, answer, strict=True):
        if picture.label is not None:
            groups[picture.label].add(picture.group)
            reached[picture.label].add(part)
    for label, parts_reached in sorted(reached.items()):
        if len(parts_reached) < len(names):
            raise TooFewGroups(
                f"class {label}: {len(groups[label])} subjects or groups of pictures; at least {len(names)} are needed, one for "
                "each part. Add pictures of other people, or leave the class out."
            )
