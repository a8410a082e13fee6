"""Locked requirements -> the weaknesses that are known of them, by pip-audit; exit status 1 if there are any.

Without a registry, or with one that keeps no advisories, a sentence says that nothing was looked at, and the exit status is 0. pip-audit
itself says "No known vulnerabilities found" where it could look nothing up, so its counts are read, not its word.

Run: make audit, which makes the environment that this runs in
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROBE = "24.0"  # a version of pip that every registry has
PROBE_S = 60
TIMEOUT_S = 600
ANSWER_S = "10"  # of one question


def main(locks: list[str]) -> int:
    """Ask about each lock and print what was found, if there is somebody to ask."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as probe:
        probe.write(f"pip=={PROBE}\n")
        probe.flush()
        if not looked_up(asked(probe.name, PROBE_S)):
            print("audit: SKIPPED, nothing was looked at: no registry that keeps advisories is within reach.")
            return 0
    return max([report(lock, asked(lock, TIMEOUT_S)) for lock in locks])


def asked(lock: str, seconds: float) -> list[dict[str, Any]] | None:
    """What pip-audit found of each package; None where it could not ask."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "told.json")
        options = ["-r", lock, "--no-deps", "--disable-pip", "--timeout", ANSWER_S, "-f", "json", "-o", str(told)]
        try:
            subprocess.run(
                [sys.executable, "-m", "pip_audit", *options], capture_output=True, timeout=seconds, check=False
            )
            packages: list[dict[str, Any]] = json.loads(told.read_bytes())["dependencies"]
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None
    return packages


def looked_up(packages: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The packages that the registry knows."""
    return [package for package in packages or [] if "vulns" in package]


def report(lock: str, packages: list[dict[str, Any]] | None) -> int:
    """Print what was found; 1 if a weakness is known."""
    known = looked_up(packages)
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
    sys.exit(main(sys.argv[1:]))
