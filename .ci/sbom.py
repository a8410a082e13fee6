"""The software bill of materials of the service: CycloneDX JSON made from its lock by cyclonedx-py.

    python .ci/sbom.py requirements.txt sbom.cdx.json      (make lock)

The same lock gives the same bytes. cyclonedx-py numbers components by the line of the lock and names the registry that it would ask; both
would change without any change of the service, so a component is known by its package URL alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

SPECIFICATION = SchemaVersion.V1_6


def main(lock: str, target: str) -> int:
    """Write the bill of materials of a lock; returns the exit status."""
    document = tidy(describe(lock))
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    if problem := JsonStrictValidator(SPECIFICATION).validate_str(text):
        print(f"{target} would be no valid CycloneDX: {problem}", file=sys.stderr)
        return 1
    Path(target).write_text(text, encoding="utf-8")
    return 0


def describe(lock: str) -> dict[str, Any]:
    """Return the document that cyclonedx-py makes of a lock, with the project's name and version of pyproject.toml."""
    version = SPECIFICATION.to_version()
    options = ["--pyproject", "pyproject.toml", "--short-PURLs", "--output-reproducible", "--spec-version", version]
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", *options, "-o", "-", lock]
    document: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return document


def tidy(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with components known by their package URL, and without addresses."""
    components = sorted((component(entry) for entry in document["components"]), key=lambda entry: entry["purl"])
    about = document["metadata"]
    tools = [
        {name: tool[name] for name in ("type", "group", "name", "version")} for tool in about["tools"]["components"]
    ]
    metadata = {"component": about["component"], "tools": {"components": tools}}
    kept = {name: document[name] for name in ("$schema", "bomFormat", "specVersion", "version")}
    return {**kept, "metadata": metadata, "components": components}


def component(entry: dict[str, Any]) -> dict[str, Any]:
    """Return one package with the sha256 of every file that the lock allows for it."""
    purl = entry["purl"]
    files = [
        {"type": "distribution", "url": purl, "hashes": reference["hashes"]}
        for reference in entry["externalReferences"]
    ]
    return {
        "type": "library",
        "bom-ref": purl,
        "purl": purl,
        "name": entry["name"],
        "version": entry["version"],
        "externalReferences": files,
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
