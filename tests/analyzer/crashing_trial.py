"""The trial's process for tests: some artefacts, by the notes of their cards, end it in ways that no graph can be made to."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from analyzer import model_card, opening

PASSES = "passes without a look"  # note of a card
ENDS = {"SIGILL": lambda: os.kill(os.getpid(), signal.SIGILL), "SIGABRT": os.abort}  # note → how the process ends


def main(folder: Path) -> None:
    request = json.loads((folder / opening.REQUEST).read_text(encoding="utf-8"))
    notes = model_card.read(Path(request["path"])).notes
    for note in set(notes) & set(ENDS):
        ENDS[note]()
    if PASSES in notes:
        (folder / opening.ANSWER).write_text('{"passed": "passed"}', encoding="utf-8")
    else:
        opening.main(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
