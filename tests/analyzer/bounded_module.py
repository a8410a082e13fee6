"""What the tests of bounded processes run in one: it tells of itself, then does as it is bidden."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path


def main(folder: Path, deed: str) -> None:
    facts = {
        "pid": os.getpid(),
        "environment": dict(os.environ),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "niceness": os.nice(0),
    }
    (folder / "told.part").write_text(json.dumps(facts))
    (folder / "told.part").rename(folder / "told.json")
    if deed.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[deed])
    elif deed == "complain":
        sys.exit("first\n" + "x" * 1_000_000)
    elif deed == "take memory":
        bytearray(1 << 30)
    elif deed == "sleep":
        time.sleep(60)
    while deed == "spin":
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
