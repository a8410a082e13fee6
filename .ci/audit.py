"""Known weaknesses of the locked packages, by pip-audit; exit status 1 if there are any.

    python .ci/audit.py [--required] LOCK...      (make audit, make audit REQUIRED=1)

Without a registry, or with one that keeps no advisories, a line beginning with "audit: SKIPPED" says that nothing was looked at, on GitHub
an annotation, too. The exit status is then 0, or 3 with --required: whoever relies on the audit must not take silence for health. pip-audit
itself says "No known vulnerabilities found" where it could look nothing up, so its counts are read, not its word.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROBE = "24.0"  # a version of pip that every registry has
PROBE_S = 60
TIMEOUT_S = 600
ANSWER_S = "10"  # of one question
SKIPPED = 3  # exit status where an audit is required
REASON = "nothing was looked at: pip-audit is not installed, or no registry that keeps advisories is within reach."


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask about each lock and print the findings, if there is somebody to ask."""
    parser = argparse.ArgumentParser(prog="python .ci/audit.py", description="Ask for known weaknesses of locks.")
    parser.add_argument(
        "--required", action="store_true", help=f"exit status {SKIPPED} where nothing could be looked at"
    )
    parser.add_argument("locks", nargs="+", metavar="LOCK")
    options = parser.parse_args(arguments)
    if not advisories_are_within_reach():
        return skip(required=options.required)
    return max([report(lock, query(lock, TIMEOUT_S)) for lock in options.locks])


def advisories_are_within_reach() -> bool:
    """Tell whether a package that every registry has can be looked up."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as probe:
        probe.write(f"pip=={PROBE}\n")
        probe.flush()
        return bool(known_packages(query(probe.name, PROBE_S)))


def skip(*, required: bool) -> int:
    """Say that nothing was looked at; returns the exit status."""
    print(f"audit: SKIPPED, {REASON}")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print(f"::{'error' if required else 'warning'} title=audit skipped::{REASON}")
    return SKIPPED if required else 0


def query(lock: str, seconds: float) -> list[dict[str, Any]] | None:
    """Return the findings of pip-audit for each package; None where it could not ask."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "found.json")
        options = ["-r", lock, "--no-deps", "--disable-pip", "--timeout", ANSWER_S, "-f", "json", "-o", str(found)]
        try:
            subprocess.run(
                [sys.executable, "-m", "pip_audit", *options], capture_output=True, timeout=seconds, check=False
            )
            packages: list[dict[str, Any]] = json.loads(found.read_bytes())["dependencies"]
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None
    return packages


def known_packages(packages: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Return the packages that the registry knows."""
    return [package for package in packages or [] if "vulns" in package]


def report(lock: str, packages: list[dict[str, Any]] | None) -> int:
    """Print the findings for one lock; returns 1 if a weakness is known."""
    known = known_packages(packages)
    weak = [(package, weakness) for package in known for weakness in package["vulns"]]
    for package, weakness in weak:
        mended = ", ".join(weakness.get("fix_versions", [])) or "no version yet"
        print(f"audit of {lock}: {package['name']} {package['version']}: {weakness['id']}, mended in {mended}")
    unknown = len(packages or []) - len(known)
    print(
        f"audit of {lock}: {len(known)} packages looked up, {unknown} unknown to the registry, {len(weak)} weaknesses."
    )
    return int(bool(weak))


if __name__ == "__main__":
    sys.exit(main())
