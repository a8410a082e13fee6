"""Ensembles of heads are single chains of dense layers: what they answer is what their members answer together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for package in ("tensorflow", "sklearn"):
    pytest.importorskip(package, reason=f"{package} is in the training environment only: make train-env")

from analyzer import artefact, model_card  # noqa: E402
from analyzer.values import Demographics  # noqa: E402
from training import ensembles, export, heads, networks  # noqa: E402
from training.ensembles import Candidate, Known  # noqa: E402
from training.heads import MEMBERS, Chain, Recipe  # noqa: E402

CLASSES = ("acne", "eczema", "healthy")
WIDTH = 3328
SHORT = Recipe(units=(8, 4), dropout=(0.1, 0.0), epochs=3, rate=3e-3)


def chain(inputs: int, units: tuple[int, ...] = (6, 5, 3), seed: int = 0) -> Chain:
    rng = np.random.default_rng(seed)
    widths = (inputs, *units)
    return tuple(
        (rng.normal(0, width**-0.5, (width, after)).astype(np.float32), rng.normal(0, 0.3, after).astype(np.float32))
        for width, after in zip(widths, units, strict=False)
    )


def known(count: int, seed: int, views: int = 1) -> Known:
    """Classes 0 and 1 differ in the first member's features, class 2 in the second's."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    features = rng.normal(0, 0.5, (count, views, WIDTH))
    features[truth == 0, :, :40] += 0.6
    features[truth == 2, :, 1280:1320] += 0.6
    return Known(features.astype(np.float16), truth, [f"person {row // 2}" for row in range(count)])


def pair(asked: Known) -> list[Candidate]:
    found = []
    for place, (name, columns) in enumerate(MEMBERS.items()):
        own = chain(columns.stop - columns.start, seed=place)
        wide = ensembles.spread(own, np.arange(WIDTH)[columns], WIDTH)
        found.append(Candidate(name, wide, heads.logits_of(own, asked.features[:, 0, columns]), []))
    return found


def test_a_member_in_a_wider_input_answers_the_same() -> None:
    asked = known(20, 1)
    for one in pair(asked):
        np.testing.assert_allclose(heads.logits_of(one.chain, asked.seen), one.validation_logits, atol=1e-4)


def test_two_heads_side_by_side_answer_what_a_layer_on_their_logits_would() -> None:
    asked = known(20, 1)
    members = pair(asked)
    rng = np.random.default_rng(4)
    kernel, bias = rng.normal(size=(6, 3)), rng.normal(size=3)
    both = np.concatenate([one.validation_logits for one in members], axis=1)
    together = ensembles.joined([one.chain for one in members], kernel, bias)
    np.testing.assert_allclose(heads.logits_of(together, asked.seen), both @ kernel + bias, atol=1e-4)
    assert ensembles.units_of(together) == (12, 10)
    assert all(layer.dtype == np.float32 for pair_ in together for layer in pair_)


def test_voting_takes_the_share_with_the_lowest_loss() -> None:
    asked = known(60, 2)
    members = pair(asked)
    good = 4 * np.eye(3, dtype=np.float32)[asked.truth]
    sure = [Candidate("good", members[0].chain, good, []), Candidate("bad", members[1].chain, -good, [])]
    voted = ensembles.voting(sure, asked)
    assert float(voted.note.partition(" ")[0]) > 0.5  # beyond it nothing changes but the temperature
    voted = ensembles.voting(members, asked)
    losses = [
        ensembles.loss((one * members[0].validation_logits + (1 - one) * members[1].validation_logits), asked.truth)
        for one in ensembles.VOTES
    ]
    assert ensembles.loss(voted.validation_logits, asked.truth) == pytest.approx(min(losses), abs=1e-4)


def test_stacking_is_judged_by_pictures_that_it_was_not_fitted_on() -> None:
    asked = known(60, 2)
    noise = np.random.default_rng(9).normal(size=(2, 60, 3)).astype(np.float32)
    members = [Candidate(one.name, one.chain, logits, []) for one, logits in zip(pair(asked), noise, strict=True)]
    stacked = ensembles.stacking(members, asked, 3, seed=1)
    fitted_on = ensembles._regression(np.concatenate(list(noise), axis=1), asked.truth, 3)
    seen = np.concatenate(list(noise), axis=1) @ fitted_on[0] + fitted_on[1]
    assert np.mean(stacked.validation_logits.argmax(axis=1) == asked.truth) < np.mean(
        seen.argmax(axis=1) == asked.truth
    )


def test_folds_keep_groups_whole_and_deal_every_class() -> None:
    asked = known(60, 2)
    folds = ensembles.folds(asked.truth, asked.groups, 5, seed=3)
    for group in set(asked.groups):
        assert len({fold for fold, one in zip(folds, asked.groups, strict=True) if one == group}) == 1
    assert np.bincount(folds).tolist() == [12] * 5


def test_a_class_that_validation_lacks_stays_improbable() -> None:
    logits = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    for truth in (np.arange(30) % 2, (np.arange(30) % 2) * 2):
        kernel, bias = ensembles._regression(logits, truth, 4)
        answered = set((logits @ kernel + bias).argmax(axis=1).tolist())
        assert answered == set(truth.tolist())


def test_the_best_on_validation_is_kept_and_of_equal_ones_the_first() -> None:
    asked = known(30, 2)
    right, wrong = 3 * np.eye(3, dtype=np.float32)[asked.truth], np.eye(3, dtype=np.float32)[(asked.truth + 1) % 3]
    named = [Candidate(name, (), logits, []) for name, logits in (("a", wrong), ("b", right), ("c", right))]
    assert ensembles.best(named, asked).name == "b"
    assert ensembles.table(named, asked)["b"]["balanced accuracy"] == 1.0


def test_all_candidates_are_trained_and_the_ensemble_is_served_as_it_was_measured(tmp_path: Path) -> None:
    train, validation = known(60, 1, views=2), known(30, 2)
    found = ensembles.candidates(train, validation, SHORT, CLASSES, tmp_path / "heads")
    assert [one.name for one in found] == [*MEMBERS, "concatenation", "weighted voting", "stacking"]
    stacked = found[-1]
    network = networks.hare_run(3, side_px=32, units=ensembles.units_of(stacked.chain))
    networks.take_head(network, stacked.chain)
    card = artefact.bare_card("0" * 64, 1, ".h5", CLASSES)
    export.export(network, tmp_path / "served", card)
    opened = artefact.open_folder(tmp_path / "served", precision="f32")
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    features = opened.network(picture[None])[artefact.FEATURES]
    wanted = artefact.probabilities(heads.logits_of(stacked.chain, features), 1.0)[0]
    answered = list(opened.predict(picture, Demographics()).probabilities.values())
    assert answered == pytest.approx(wanted.tolist(), abs=2e-3)
    assert model_card.read(tmp_path / "served").files
