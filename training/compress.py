"""Make an artefact smaller and faster: int8 arithmetic, and a student that learns from it; accuracy, size and speed before and after.

Run:     python -m training.compress ARTEFACT DATA --out DIR [--int8] [--distil] [--split FILE] [--cache FOLDER] …
Cost:    with the cache of the training about 20 minutes on 2 cores for 4,000 pictures; with --fine-tune N some minutes an
         epoch more. Interrupted, it goes on with what it has when the same command is given again.
Result:  in DIR: compression.md and .json, the table; int8/, the artefact with an int8 form beside its f32 one, where one
         passed; student/, an artefact of EfficientNetB0 alone. Without --int8 and --distil both are made.

Ranges of int8 come from pictures of the part "train"; "validation" decides whether a form is as good as f32; "test" is for the
table. An int8 form is kept only if it answers the golden pictures within the card's tolerance - the service takes no other -
and the validation pictures as f32 does. The split must be that of the artefact's training, or pictures that it has learned
would be among those that it is measured on: DIR of train_hare_run keeps it as split.json.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from training import command

CALIBRATION, EPOCHS, VIEWS = 200, 60, 2


def main() -> None:
    options = parsed()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from training.compressing import compression

    compression.compress(options)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "artefact", type=Path, metavar="ARTEFACT", help="folder of a trained artefact, with its Keras file for --distil"
    )
    add("data", type=Path, metavar="DATA", help="what it was trained on: a YAML, or a folder of class folders")
    add("--out", type=Path, required=True, help="folder of everything that is made")
    add("--int8", action="store_true", help="quantise")
    add("--distil", action="store_true", help="train a student")
    add("--split", type=Path, help="of the artefact's training (default: split.json beside ARTEFACT)")
    add("--calibration", type=command.counted, default=CALIBRATION, help="pictures for ranges (default %(default)s)")
    add("--epochs", type=command.counted, default=EPOCHS, help="most of the student's head (default %(default)s)")
    add(
        "--views", type=int, choices=range(17), default=VIEWS, metavar="K", help="of the training (default %(default)s)"
    )
    add(
        "--fine-tune",
        type=command.none_or_more,
        default=0,
        metavar="N",
        help="epochs of the student on pixels (default %(default)s)",
    )
    add("--limit", type=command.counted, help="most pictures of each class, for a quick try")
    add("--seed", type=command.seed, default=command.SEED, help="of the training (default %(default)s)")
    add("--cache", type=Path, help="of the training, DIR/cache there (default: DIR/cache here)")
    options = parser.parse_args()
    for path in (options.artefact, options.data):
        if not path.exists():
            parser.error(f"{path}: there is no such file or folder")
    if not (options.int8 or options.distil):
        options.int8 = options.distil = True
    options.split = options.split or options.artefact.parent / "split.json"
    options.cache = options.cache or options.out / "cache"
    return options


if __name__ == "__main__":
    command.run(main)
