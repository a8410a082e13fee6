"""Plots hold the figures that they are given, read without colour, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is in the training environment only: make train-env")

import matplotlib as mpl
from matplotlib._pylab_helpers import Gcf
from matplotlib.figure import Figure

from analyzer.model_card import Metric
from training.evaluation import scores
from training.evaluation.fairness import Group
from training.evaluation.scores import Answers
from training.reporting import plots

CLASSES = ("acne", "costs_$5$", "absent")


def answers() -> Answers:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 60)
    shares = rng.dirichlet([1, 1, 0.2], 60) * 0.5 + 0.5 * np.eye(3)[truth]
    return Answers(CLASSES, truth, shares.argmax(axis=1), [str(row) for row in range(60)], ["one"] * 60, shares)


def words(figure: Figure) -> list[str]:
    """All text of a figure."""
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    for axes in figure.axes:
        found += [axes.get_title(), axes.get_title(loc="left"), *(text.get_text() for text in axes.get_yticklabels())]
        if legend := axes.get_legend():
            found += [text.get_text() for text in legend.get_texts()]
    return found


def test_confusion_shows_counts_and_shares_and_nothing_for_a_class_without_pictures() -> None:
    drawn = words(plots.confusion(np.array([[3, 1, 0], [2, 2, 0], [0, 0, 0]]), CLASSES))
    assert [drawn.count(text) for text in ("3", "0.75", "0.50")] == [1, 1, 2]
    assert drawn.count("–") == 6


def test_curves_name_their_areas_and_skip_absent_classes() -> None:
    given = answers()
    figure = plots.ranking(given, classes := scores.of_classes(given))
    roc, precise = figure.axes
    assert [text.get_text() for text in roc.get_legend().get_texts()] == [
        f"acne: {classes['acne']['AUROC'].value:.2f}",
        rf"costs \$5\$: {classes['costs_$5$']['AUROC'].value:.2f}",
    ]
    styles = {(line.get_color(), line.get_linestyle()) for line in precise.get_lines()}
    assert len({colour for colour, _ in styles}) == len({dash for _, dash in styles}) == 2  # told apart without colour


def test_reliability_lies_on_the_line_where_probabilities_come_true() -> None:
    shares = np.repeat([[0.75, 0.25], [0.55, 0.45]], [100, 100], axis=0)
    truth = np.concatenate([np.repeat([0, 1], [75, 25]), np.repeat([0, 1], [55, 45])])
    figure = plots.reliability(truth, {"after": (shares, Metric(0.0, None, 200))})
    _, line, *_ = figure.axes[0].get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[0.55, 0.55], [0.75, 0.75]], atol=1e-9)
    assert figure.axes[0].get_title() == "after: calibration error 0.00"


def test_history_marks_the_epoch_of_the_least_validation_loss() -> None:
    rows = [{"epoch": place, "loss": 1.0, "accuracy": 0.5, "val_loss": loss} for place, loss in enumerate([3, 1, 2])]
    figure = plots.history(rows)
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    assert "least validation loss, 2" in figure.axes[0].get_xlabel()
    (alone,) = plots.history([{"loss": 1.0}]).axes
    assert alone.get_lines()[0].get_marker() == "o"  # a line of one point would not be seen


def test_small_groups_are_in_the_plot_and_say_so() -> None:
    groups = [
        Group("race", "Black", 40, 0, {"accuracy": Metric(0.5, (0.4, 0.6), 40)}),
        Group("race", "Indian", 3, 0, {}),
    ]
    figure = plots.groups({"race": groups}, "accuracy")
    drawn = words(figure)
    assert {"race: Black (40)", "race: Indian (3)", "too few"} <= set(drawn)
    assert figure.axes[0].get_lines()[0].get_xydata().tolist() == [[0.4, 0], [0.6, 0]]


def test_what_lies_beyond_0_and_1_is_drawn_too() -> None:
    kappa, error = Metric(-0.4, (-0.6, -0.1), 40), Metric(1.6, (1.2, 2.1), 40)
    figure = plots.dots({"the model": {"QWK": kappa, "MAE": error}}, ["QWK", "MAE"])
    assert figure.axes[0].get_xlim() == pytest.approx((-0.62, 1.02))
    assert figure.axes[1].get_xlim() == pytest.approx((-0.02, 2.12))


def test_a_sheet_holds_as_many_pictures_as_there_is_room_for() -> None:
    crops = np.zeros((25, 8, 8, 3), np.uint8)
    figure = plots.sheet(crops, [f"picture {row}" for row in range(25)])
    assert sum(bool(axes.images) for axes in figure.axes) == plots.SHEET_MOST
    assert "picture 0" in words(figure)


def test_drawing_leaves_no_state_and_no_unfinished_file(tmp_path: Path) -> None:
    before, backend = dict(mpl.rcParams), mpl.get_backend()
    given = answers()
    figures = [
        plots.confusion(scores.confusion(given), CLASSES),
        plots.ranking(given, scores.of_classes(given)),
        plots.dots(scores.of_classes(given), ["recall", "precision"]),
        plots.sheet(np.zeros((1, 8, 8, 3), np.uint8), ["one $"]),
    ]
    for place, figure in enumerate(figures):
        drawn = cv2.imread(str(plots.save(figure, tmp_path / "new folder" / f"{place}.png")))
        assert np.ptp(drawn) > 200
    assert sorted(path.name for path in (tmp_path / "new folder").iterdir()) == ["0.png", "1.png", "2.png", "3.png"]
    assert Gcf.figs == {}
    assert (dict(mpl.rcParams), mpl.get_backend()) == (before, backend)


@pytest.mark.parametrize("index", range(7))
def test_lines_stand_out_from_white(index: int) -> None:
    """Relative luminance of every colour lies well below that of the page (WCAG's formula)."""
    red, green, blue = (int(plots.COLOURS[index][place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    assert 1.05 / (0.05 + np.dot(linear, [0.2126, 0.7152, 0.0722])) > 2
