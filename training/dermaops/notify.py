"""What became of each stage -> the notification: Markdown for a file and for whoever orchestrates, plain text for the console."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from training import command
from training.dermaops import report
from training.dermaops.settings import Settings
from training.reporting import document
from training.reporting.document import Document, Section, Table

DONE, SKIPPED, FAILED = "done", "unchanged, skipped", "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of one stage: one of `DONE`, `SKIPPED`, `FAILED`, after so many seconds and attempts."""

    stage: str
    state: str
    seconds: float
    attempts: int = 1


def notification(settings: Settings, outcomes: Sequence[Outcome], failure: str | None) -> Document:
    """What a person who was not there wants to know first.

    Args:
        outcomes: of the stages that were begun, in order.
        failure: why the pipeline ended early; None where it did not.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    state = "failed" if failure else "succeeded"
    lead = [f"{when}: the pipeline {state}."]
    if failure:
        lead += [
            f"Reason: {failure}",
            "When that is mended, run the same command again: stages that are finished are not done again.",
        ]
    else:
        lead += _headline(settings)
    rows = [(one.stage, one.state, f"{one.seconds:.1f}", str(one.attempts)) for one in outcomes]
    table = Table(["stage", "state", "seconds", "attempts"], rows)
    return Document(f"DermaOps pipeline {state}", lead, [Section("Stages", [], [table])])


def notify(settings: Settings, outcomes: Sequence[Outcome], failure: str | None) -> str:
    """Write the notification, print it, and give its Markdown."""
    told = notification(settings, outcomes, failure)
    text = document.markdown(told, settings.reports)
    with command.whole(settings.notification) as path:
        path.write_text(text, encoding="utf-8")
    tables = [document.text(table) for section in told.sections for table in section.tables]
    print("", told.title, *told.lead, "", *tables, f"\nNotification: {settings.notification}", sep="\n", flush=True)
    return text


def _headline(settings: Settings) -> list[str]:
    if not settings.metrics.is_file():
        return []
    return report.headline(json.loads(settings.metrics.read_text(encoding="utf-8")))
