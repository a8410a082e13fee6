"""What the command line says -> the settings of a pipeline, and where each of its stages keeps what it makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SPLITS = ("lesion", "image")  # by what the pictures are parted; the second one leaks
ALL = "all"


@dataclass(frozen=True)
class Settings:
    """All that the stages depend on.

    Attributes:
        source: folder of HAM10000, or what `training.data.acquire` fetches: kaggle:owner/name, a URL, a list of URLs, an archive.
        out: folder of everything that is made.
        cache: folder of the features, which several runs may share.
        split: one of `SPLITS`, for the network; the baseline is measured on both.
        weights: of ResNet50: ``"imagenet"``, ``"none"``, or a folder with `resnet.weights.h5`.
        limit: most pictures of each diagnosis; None: all.
        side_px: of the square that the network is shown.
        views: augmented ones of each training picture, for the frozen phase.
        epochs: most of the frozen phase.
        finetune_epochs: most with `conv5` unfrozen; 0: that phase is left out.
        pretext_epochs: of a backbone that starts from nothing; None: as usual.
        repeats: splits on which the leak is measured.
    """

    source: str
    out: Path
    cache: Path
    split: str = SPLITS[0]
    weights: str = "imagenet"
    limit: int | None = None
    side_px: int = 224
    views: int = 1
    epochs: int = 60
    finetune_epochs: int = 10
    batch: int = 32
    rate: float = 1e-3
    pretext_epochs: int | None = None
    repeats: int = 5
    seed: int = 6

    @property
    def fetched(self) -> Path:
        return self.out / "data"

    @property
    def ingested(self) -> Path:
        return self.out / "ingest.json"

    @property
    def quality(self) -> Path:
        return self.out / "quality.json"

    @property
    def lesions(self) -> Path:
        return self.out / "lesions.csv"

    @property
    def colours(self) -> Path:
        return self.out / "colour_and_texture.npy"

    @property
    def forest(self) -> Path:
        return self.out / "forest.json"

    @property
    def training(self) -> Path:
        return self.out / "training"

    @property
    def history(self) -> Path:
        return self.training / "history.json"

    @property
    def metrics(self) -> Path:
        return self.out / "metrics.json"

    @property
    def predictions(self) -> Path:
        return self.out / "predictions.csv"

    @property
    def reports(self) -> Path:
        return self.out / "reports"

    @property
    def gradcam(self) -> Path:
        return self.reports / "figures" / "melanoma_gradcam.png"

    @property
    def notification(self) -> Path:
        return self.reports / "pipeline_notification.md"
