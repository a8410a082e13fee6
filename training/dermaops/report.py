"""Stage 5: what the stages measured -> reports/: report.md, report.html and every figure, drawn anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training import command, weights
from training.dermaops import baseline, checkpoints, evaluate, figures, quality
from training.dermaops.evaluate import FIGURES, FOREST
from training.dermaops.lesions import NETWORK
from training.dermaops.quality import Quality
from training.dermaops.settings import Settings
from training.evaluation.scores import ACCURACY, WEIGHTED_F1
from training.reporting import document, plots
from training.reporting.document import Document, Plot, Section, Table

VERSION = 1  # of what is made here
TITLE = "DermaOps: HAM10000"
COSMETIC = "These are figures of a research data set. Nothing here diagnoses anybody."
LEAKING = "leaks: pictures of one lesion lie on both sides"
PUBLISHED = "published (image split)"
PUBLISHED_NETWORK = {
    "validation": {"accuracy": 0.7635},
    "test": {"accuracy": 0.7285, "weighted F1": 0.7486, "macro-F1": 0.5891},
}
PUBLISHED_RECALL = 0.5495  # of melanoma, test


def inputs(settings: Settings) -> str:
    kept = [checkpoints.content(path) for path in (settings.quality, settings.history)]
    return checkpoints.fingerprint(VERSION, settings.weights, settings.limit, kept)


def run(settings: Settings) -> Sequence[Path]:
    """Write everything anew from what the stages kept; nothing is measured here."""
    found = Quality(**_read(settings.quality))
    metrics, history = _read(settings.metrics), _read(settings.history)
    home = settings.reports / "figures"
    classes = metrics["classes"]
    drawn = {
        "class_distribution": figures.distribution(found.diagnoses, found.lesions_of),
        "learning_curves": figures.curves(history["phases"], history["chosen"]),
        "confusion_network": plots.confusion(np.array(metrics["confusion"], np.intp), classes),
        "confusion_forest": plots.confusion(np.array(metrics["confusion of the forest"], np.intp), classes),
    }
    saved = {name: plots.save(figure, home / f"{name}.png") for name, figure in drawn.items()}
    told = _document(settings, found, metrics, saved)
    made = [*saved.values()]
    for name, text in (("report.md", document.markdown(told, settings.reports)), ("report.html", document.html(told))):
        with command.whole(settings.reports / name) as path:
            path.write_text(text, encoding="utf-8")
        made.append(settings.reports / name)
    return made


def candidates(metrics: Mapping[str, Any]) -> Table:
    """Who answered, on validation and test, beside the published figures."""
    rows = []
    for who, parts in metrics["figures"].items():
        name = f"{who} (kept)" if who == metrics["chosen"] else who
        if who == f"{FOREST}, image split":
            name += ", leaks"
        for part, told in parts.items():
            rows.append((name, part, *(_figure(told.get(figure)) for figure in FIGURES)))
    rows.append((f"{FOREST}, {PUBLISHED}", "validation", *_published(baseline.PUBLISHED)))
    rows += [(f"ResNet50, {PUBLISHED}", part, *_published(told)) for part, told in PUBLISHED_NETWORK.items()]
    return Table(["who answers", "part", *FIGURES], rows, "With 95 % intervals over whole lesions.")


def leak(metrics: Mapping[str, Any]) -> Table:
    """What the image-level split gives away: mean over the repeats, smallest and largest."""
    rows = [(name, _spread([row[name] for row in metrics["leak"]])) for name in metrics["leak"][0]]
    pairs = {
        "difference of the splits (images - lesions)": ("images", "lesions"),
        "difference on the same pictures": ("same pictures, as few trained", "same pictures, lesions strange"),
    }
    for name, (more, less) in pairs.items():
        rows.append((name, _spread([row[more] - row[less] for row in metrics["leak"]])))
    return Table(["random forest", "mean (least to most)"], rows)


def headline(metrics: Mapping[str, Any]) -> list[str]:
    """The sentences that matter most."""
    chosen, parts = metrics["chosen"], metrics["figures"]
    test, forest = parts[chosen]["test"], parts[f"{FOREST}, {NETWORK} split"]["test"]
    image = parts[f"{FOREST}, image split"]["validation"]
    reached = image[ACCURACY]["value"] >= baseline.PUBLISHED["accuracy"]
    also = image[WEIGHTED_F1]["value"] >= baseline.PUBLISHED["weighted F1"]
    return [
        f"ResNet50 ({chosen}): test accuracy {test[ACCURACY]['value']:.4f}, weighted F1 {test[WEIGHTED_F1]['value']:.4f}; random "
        f"forest on the same pictures {forest[ACCURACY]['value']:.4f} and {forest[WEIGHTED_F1]['value']:.4f}.",
        f"Random forest, image split, validation: accuracy {image[ACCURACY]['value']:.4f} (published 0.6936: "
        f"{'reached' if reached else 'not reached'}), weighted F1 {image[WEIGHTED_F1]['value']:.4f} (published 0.61: "
        f"{'reached' if also else 'not reached'}).",
        f"On the image split {metrics['leaked share']['image']:.1%} of the test pictures show a lesion that is also in training; "
        f"on the lesion split {metrics['leaked share']['lesion']:.1%}.",
    ]


def _document(settings: Settings, found: Quality, metrics: Mapping[str, Any], saved: Mapping[str, Path]) -> Document:
    texts = {
        "class_distribution": "Pictures and lesions of each diagnosis.",
        "learning_curves": "Each epoch of both phases; validation is the solid line.",
        "confusion_network": "Network, test part: what was answered (columns) to each diagnosis (rows).",
        "confusion_forest": "Random forest, same pictures.",
    }
    plot = {name: Plot(path, texts[name]) for name, path in saved.items()}
    sections = [
        Section("Data quality", [], [quality.table(found), quality.distribution(found)], [plot["class_distribution"]]),
        Section("Who answers how well", _notes(settings, metrics), [candidates(metrics), _sizes(metrics)]),
        Section("Learning", [], [], [plot["learning_curves"]]),
        Section(
            "Test part, diagnosis by diagnosis",
            [f"Published recall of melanoma: {PUBLISHED_RECALL:.4f} (image split)."],
            [_classes(metrics)],
            [plot["confusion_network"], plot["confusion_forest"]],
        ),
        Section("What a leaking split flatters", [_leak_note(metrics)], [leak(metrics)]),
    ]
    if settings.gradcam.is_file():
        told = "Melanomas of the test part: recognised ones first, then missed ones; brighter where the evidence lies (Grad-CAM)."
        sections.append(Section("Where the network sees melanoma", [], [], [Plot(settings.gradcam, told)]))
    return Document(TITLE, [*headline(metrics), COSMETIC], sections)


def _notes(settings: Settings, metrics: Mapping[str, Any]) -> list[str]:
    notes = [
        weights.note(settings.weights),
        f"The network is trained on the {settings.split} split{f' ({LEAKING})' if settings.split == 'image' else ''}; the part "
        f"'{NETWORK} split' is that one, in which pictures that the weights had seen before can only be trained on.",
    ]
    if settings.limit:
        notes.append(f"At most {settings.limit} pictures of each diagnosis were taken.")
    return notes


def _leak_note(metrics: Mapping[str, Any]) -> str:
    return (
        f"On {len(metrics['leak'])} splits of each kind. 'Known' pictures show a lesion that is also in training. The last lines "
        "compare forests on the very same test pictures: one was not shown other pictures of their lesions, the other was shown "
        "them and had as many other pictures taken away."
    )


def _sizes(metrics: Mapping[str, Any]) -> Table:
    rows = [(way, *(str(count) for count in parts.values())) for way, parts in metrics["sizes"].items()]
    return Table(["split", "train", "validation", "test"], rows)


def _classes(metrics: Mapping[str, Any]) -> Table:
    names = list(evaluate.CLASS_FIGURES)
    rows = [(one, *(_figure(told.get(name)) for name in names)) for one, told in metrics["of classes"].items()]
    return Table(["diagnosis", *names], rows, f"Network, {metrics['chosen']}.")


def _published(told: Mapping[str, float]) -> list[str]:
    return [f"{told[name]:.4f}" if name in told else "–" for name in FIGURES]


def _figure(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return "–"
    low, high = told["interval"] or (None, None)
    return f"{told['value']:.4f}" + (f" ({low:.3f}–{high:.3f})" if low is not None else "")


def _spread(values: Sequence[float]) -> str:
    told = np.array(values)[np.isfinite(values)]
    return f"{told.mean():.4f} ({told.min():.4f} to {told.max():.4f})" if len(told) else "–"


def _read(path: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return answer
