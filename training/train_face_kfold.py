"""Train a network on face pictures and what people say of themselves, measured by folds against pictures alone; write an artefact.

Run:     python -m training.train_face_kfold DATA --out DIR [--weights imagenet|none|PATH] [--folds 5] [--balanced] [--ray] …
Cost:    with ImageNet or earlier weights about an hour on 2 cores for 3,000 pictures: half of it for faces and features, which
         are kept, half for 25 heads (5 folds × 5 networks). Interrupted at any time, it goes on where it was when the same
         command is given again; a fold that is finished is not trained again.
Result:  in DIR: config.json, split.json, audit, folds.json, oof.csv, demographics.json, report, plots, artefact.

The test part is kept apart and opened once, for the report and the card; the folds are of all else, stratified, with no person
or copy of a picture torn apart. Healthy faces come with age, gender and ethnicity and most clinical pictures with nothing, so
that which values are known gives the class away. So five networks are compared in the same folds: the image alone; with which
values are known; with the values; with values dropped until they are known equally often in every class; with values dropped
until the same people occur equally often in every class. A gain counts only if the last one has it, also within one source.
That one is trained on all folds and becomes the artefact, which takes the `demographics` of a request.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from training import audit, cluster, command

FOLDS, VIEWS, EPOCHS, BATCH, RATE = 5, 2, 60, 64, 1e-3


def main() -> None:
    options = parsed()
    cluster.keep_to_cpus(options)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from training.kfold import face_kfold

    face_kfold.train(options)


def parsed() -> argparse.Namespace:
    parser = command.options(__doc__)
    add = parser.add_argument
    add("--weights", default="imagenet", help="of the backbones: imagenet, none, or a folder or file (%(default)s)")
    add("--folds", type=folds, default=FOLDS, metavar="K", help="(default %(default)s)")
    add(
        "--balanced", action="store_true", help="draw ethnicity × gender × age alike within each class, as far as known"
    )
    add("--said-only", action="store_true", help="leave out Fitzpatrick types that were estimated from the picture")
    add("--epochs", type=command.counted, default=EPOCHS, help="most of each head (default %(default)s)")
    add("--views", type=int, choices=range(17), default=VIEWS, metavar="V", help="augmented ones (default %(default)s)")
    add("--batch", type=command.counted, default=BATCH, help="pictures a step (default %(default)s)")
    add("--rate", type=command.positive, default=RATE, help="of Adam (default %(default)s)")
    add("--drop", type=audit.kinds, default=(), metavar="KINDS", help=f"leave out: some of {','.join(audit.KINDS)}")
    add("--pretext-epochs", type=command.counted, help="of each backbone, with --weights none, other than usual")
    add("--precision", choices=("f32", "bf16"), default="f32", help="of the frozen backbones (default %(default)s)")
    add("--cache", type=Path, help="what is kept of pictures; several runs may share it (default: DIR/cache)")
    add("--model-dir", type=Path, help="folder of the artefact (default: DIR/artefact)")
    cluster.add_options(parser)
    options = parser.parse_args()
    if not options.data.exists():
        parser.error(
            f"{options.data}: there is no such file or folder; name a YAML of training/configs or a folder of class folders"
        )
    options.cache = options.cache or options.out / "cache"
    options.model_dir = options.model_dir or options.out / "artefact"
    return options


def folds(text: str) -> int:
    """A whole number from 3, as an option's type: two folds have no spread to speak of."""
    value = command.whole_number(text)
    if value < 3:
        raise argparse.ArgumentTypeError(f"{text} must be 3 or more")
    return value


if __name__ == "__main__":
    command.run(main)
