"""rgb -> faces, by the best stage that is there: the learned one when its artefact is verified, else the Haar cascades.

The stage is chosen once in a process, by the first picture or by `warm_up`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analyzer import face_network, haar, settings
from analyzer.errors import AnalyzerError
from analyzer.values import Face, Rgb
from analyzer.vocabulary import StageName

ARTEFACT = "face_geometry"  # folder below MODEL_DIR

log = logging.getLogger("analyzer.face")


@dataclass(frozen=True)
class FaceStage:
    """What finds the faces.

    Attributes:
        version: of the artefact, or of the cascades' fit.
        fallback_reason: why the learned stage is not used, for people; None where it is.
    """

    name: StageName
    version: str
    fallback_reason: str | None = None


@dataclass(frozen=True)
class Detector:
    """A stage and its function."""

    stage: FaceStage
    detect: Callable[[Rgb], tuple[Face, ...]]


_choosing = threading.Lock()
_chosen: Detector | None = None


def detect(rgb: Rgb) -> tuple[Face, ...]:
    """Faces of a picture, best first (confidence times area).

    Args:
        rgb: (H, W, 3) uint8 sRGB.

    Returns:
        Faces in pixels of `rgb`; empty when none was found. With landmarks when the learned stage found them.
    """
    return _detector().detect(rgb)


def warm_up() -> FaceStage:
    """Choose the stage now, so that no picture waits for its loading."""
    return _detector().stage


def stage() -> FaceStage | None:
    """The stage in use; None as long as none was chosen. Never loads anything."""
    return None if _chosen is None else _chosen.stage


def choose(folder: Path) -> Detector:
    """The learned stage of an artefact folder, or the cascades with the reason why it cannot be used."""
    try:
        return network(folder)
    except AnalyzerError as error:
        reason, cause = error.message, error.message
    except ImportError as error:
        reason, cause = "What the learned face stage runs on is not installed.", str(error)
    log.warning("face_stage_fallback", extra={"fields": {"reason": cause, "folder": str(folder)}})
    return cascades(reason)


def network(folder: Path) -> Detector:
    """The learned stage.

    Raises:
        ModelUnavailable: the folder holds no artefact.
        BadModel: it holds one that is damaged or does not fit.
        ImportError: its runtime is not installed.
    """
    learned = face_network.load(folder)
    return Detector(FaceStage(StageName.NETWORK, learned.version), learned.detect)


def cascades(fallback_reason: str | None = None) -> Detector:
    """The Haar cascades, which are always there."""
    return Detector(FaceStage(StageName.HAAR, haar.VERSION, fallback_reason), haar.detect)


def _detector() -> Detector:
    global _chosen
    if _chosen is None:
        with _choosing:
            if _chosen is None:
                _chosen = choose(settings.model_dir() / ARTEFACT)
    return _chosen
