"""The stages that find faces, one beside the other."""

from __future__ import annotations

import argparse

from analyzer import face, settings
from analyzer.errors import AnalyzerError
from analyzer.face import Detector


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add --stage to the options of a benchmark."""
    parser.add_argument(
        "--stage", choices=("haar", "network", "both"), default="both", help="what to measure (default: what is there)"
    )


def chosen(name: str, parser: argparse.ArgumentParser) -> dict[str, Detector]:
    """Stage name → stage. A network that is not there ends the program when it was asked for, else it is left out."""
    stages = {} if name == "network" else {"haar": face.cascades()}
    if name == "haar":
        return stages
    try:
        return stages | {"network": face.network(settings.model_dir() / face.ARTEFACT)}
    except (AnalyzerError, ImportError) as error:
        if name == "network":
            parser.error(f"the learned stage cannot be used: {error}")
        print(f"the learned stage is left out: {error}")
        return stages
