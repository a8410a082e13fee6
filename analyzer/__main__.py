"""The analysis at a terminal: python -m analyzer PHOTO [--json] [--overlay OUT.png|.jpg|.webp]."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from analyzer import overlay, settings, wording
from analyzer.combination import HEALTHY, Outcome, judge
from analyzer.ensemble import Ensemble
from analyzer.errors import AnalyzerError, BadPhoto
from analyzer.model_sources import ModelSources
from analyzer.pipeline import analyze_photo
from analyzer.values import Face, Finding, Report
from analyzer.vocabulary import ConditionName
from analyzer.wording import count_spots

ANALYSED, FAILED, REFUSED, BAD_PHOTO = 0, 1, 2, 3
EXITS = """\
exit status:
  0  the photo was analysed
  1  a file cannot be read or written, or the command was wrong in itself
  2  the photo was read, but cannot be analysed (no face, too dark, too blurred ...); the reason is printed
  3  the file is not a picture that is taken

The result is a cosmetic estimate, not a diagnosis. Nothing is sent anywhere or kept.
"""
PLAIN_FIELDS = (
    "error_code",
    "guidance",
    "checks",
    "findings",
    "skin_tone",
    "primary_condition",
    "primary_concerns",
    "health_score",
    "confidence",
    "summary",
    "recommendations",
    "timings_ms",
)
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")  # what an overlay is written as
BAR_WIDTH = 20  # characters for a score of 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        report = _analyze(options.photo.read_bytes())
        if options.overlay is not None:
            _save_overlay(report, options.overlay)
        text = json.dumps(_plain(report), indent=2, allow_nan=False) if options.json else "\n".join(_lines(report))
        print(text, flush=True)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _fail(f"{error.filename or options.photo}: {error.strerror or error}", FAILED)
    except AnalyzerError as error:
        status = BAD_PHOTO if isinstance(error, BadPhoto) else FAILED
        return _fail(f"{options.photo}: {error.message} {error.hint} ({error.code})", status)
    return ANALYSED if report.error_code is None else REFUSED


def _analyze(data: bytes) -> Report:
    """The report, with the ensemble that the settings name; what it logs, the report says too."""
    logging.getLogger("analyzer").addHandler(logging.NullHandler())
    ensemble = Ensemble(ModelSources(settings.read().store))
    try:
        return analyze_photo(data, ensemble)
    finally:
        ensemble.stop()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m analyzer",
        description="Analyse the skin of the face in one photo (JPEG, PNG, WebP, GIF, HEIC or AVIF).",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="picture file with one face, looking at the camera")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON instead of a table")
    parser.add_argument(
        "--overlay",
        type=_picture_path,
        metavar="OUT.png",
        help=f"also draw face, skin mask, regions and spots into this file ({', '.join(PICTURE_SUFFIXES)})",
    )
    return parser


def _picture_path(text: str) -> Path:
    """A path that a picture can be written to; known before the work begins."""
    path = Path(text)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text} must end in one of {', '.join(PICTURE_SUFFIXES)}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"the folder of {text} does not exist")
    return path


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        """Leave with FAILED, since 2 means a refused photo here."""
        self.print_usage(sys.stderr)
        self.exit(FAILED, f"{self.prog}: {message}\n")


def _lines(report: Report) -> Iterable[str]:
    width, height = report.photo.original_size
    yield f"Photo      {width} x {height} pixels, {report.photo.media_type}"
    if report.error_code is not None:
        yield f"Refused    {report.error_code}: {report.guidance.message}"
        yield from (f"           - {suggestion}" for suggestion in report.guidance.suggestions)
        return
    if report.face is not None:
        yield f"Face       confidence {report.face.confidence:.2f}, found by {report.face.method}"
    yield from (f"Warning    {check.code}: {check.advice}" for check in report.checks if not check.passed)
    if report.skin_tone is not None:
        tone = report.skin_tone
        yield (
            f"Skin tone  ITA {tone.ita_deg:.0f} deg ({tone.ita_group}), Fitzpatrick {tone.fitzpatrick_estimate}, "
            f"Monk {tone.monk_estimate}: estimates under this light"
        )
    yield ""
    yield f"{'condition':<13} {'score':<{BAR_WIDTH + 5}} {'95 % interval':<14} {'severity':<9} {'certain':<8} found"
    yield from (_row(finding) for finding in report.findings)
    yield ""
    if report.health_score is not None:
        yield f"Skin health score {report.health_score:.0f} of 100"
    yield report.summary
    yield from _ensemble_lines(report)
    if not report.model.available:
        yield f"Degraded: {report.model.reason}"
    yield "A cosmetic estimate, not a diagnosis."


def _ensemble_lines(report: Report) -> Iterable[str]:
    """What the ensemble says, marked as an experiment where it takes no part in the report."""
    if report.prediction is None:
        return
    opinion = judge(report.prediction, report.findings)
    shares = ", ".join(f"{_outcome_words(outcome)} {share:.0%}" for outcome, share in opinion.outcomes.items())
    yield ""
    yield f"Ensemble   {'' if opinion.speaks else 'an experiment, no part of the report: '}{shares}"
    told = (opinion.wording, opinion.agreement_text) if opinion.speaks else (report.prediction.silence_reason,)
    yield from (f"           {sentence}" for sentence in told if sentence)


def _outcome_words(outcome: Outcome) -> str:
    if isinstance(outcome, ConditionName):
        return wording.TITLES[outcome].lower()
    return "nothing noticeable" if outcome == HEALTHY else "one for a professional"


def _row(finding: Finding) -> str:
    if finding.score is None or finding.interval is None:
        return f"{finding.name:<13} not measured: {finding.reason}"
    low, high = finding.interval
    bar = "#" * round(BAR_WIDTH * finding.score)
    spots = count_spots(len(finding.lesions)) if finding.detected and finding.lesions else ""
    return (
        f"{finding.name:<13} {finding.score:.2f} {bar:<{BAR_WIDTH}} {f'{low:.2f} to {high:.2f}':<14} "
        f"{finding.severity:<9} {f'{finding.confidence:.0%}':<8} {spots}"
    ).rstrip()


def _plain(report: Report) -> dict[str, Any]:
    """The report without its pictures, ready for JSON; all boxes in original pixels."""
    width, height = report.photo.original_size
    face = report.face
    return {
        "photo": {"width": width, "height": height, "media_type": report.photo.media_type},
        "face": None if face is None else _plain_face(face, report.photo.scale),
        "degraded_reason": report.model.reason,
        "ensemble": _plain_ensemble(report),
        **{name: _plain_value(getattr(report, name)) for name in PLAIN_FIELDS},
    }


def _plain_ensemble(report: Report) -> dict[str, Any] | None:
    prediction = report.prediction
    if prediction is None:
        return None
    return {
        "version": prediction.version,
        "silence_reason": prediction.silence_reason,
        "threshold": prediction.threshold,
        "distance": prediction.distance,
        "distance_limit": prediction.distance_limit,
        **_plain_value(judge(prediction, report.findings)),
    }


def _plain_face(face: Face, scale: float) -> dict[str, Any]:
    return {
        "box": _plain_value(face.box.scaled(1 / scale)),
        "confidence": face.confidence,
        "roll_deg": face.roll_deg,
        "yaw_deg": face.yaw_deg,
        "method": face.method,
    }


def _plain_value(value: Any) -> Any:
    if is_dataclass(value):
        return {part.name: _plain_value(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain_value(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain_value(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _save_overlay(report: Report, path: Path) -> None:
    encoded, picture = cv2.imencode(path.suffix.lower(), overlay.draw(report)[..., ::-1])
    if not encoded:
        raise OSError(f"the overlay cannot be encoded for {path}")
    path.write_bytes(picture.tobytes())


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
