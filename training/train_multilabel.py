"""Train a network that tells which of seven conditions a face shows and how severe each is, and write an artefact that is served.

Run:     python -m training.train_multilabel DATA --out DIR [--backbone ResNet50] [--weights imagenet|none|PATH] [--folds K] …
Cost:    with ImageNet or earlier weights about a tenth of a second a picture and view on 2 cores, once, for faces and features;
         then seconds a head. Interrupted at any time, it goes on where it was when the same command is given again.
Result:  in DIR: validation.json (what is odd in the data), config.json, split.json, history.csv, metrics.json, predictions.csv,
         plots, report.md, report.html, TensorBoard's curves, MLflow's runs, artefact; with --trials the search in DIR/search.

DATA is a tree in the layout of shine-skin-collective: output_images, or a folder that holds it (training/data/shine_skin.py;
`python -m training.data.make_synthetic OUT` paints one). The backbone is frozen: its features of each picture and of augmented views
are computed once, and one dense head with 7 probabilities and 7 ordinal severities is trained on them; the epoch with the best
macro-F1 on validation is kept, and thresholds are tuned there. --fine-tune N trains the top blocks on and keeps what is better on
validation. The part "test" is opened once, for the report and the card, beside methods that do not look at skin.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from training import command

BACKBONES = ("ResNet50", "ResNet101", "EfficientNetB0", "ConvNeXtTiny")
LOSSES, SEVERITY_LOSSES = ("bce", "focal"), ("coral", "ce")
MOST_VIEWS = 16


def main() -> None:
    options = parsed()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from training.multilabel import multilabel

    multilabel.train(options)


def parsed() -> argparse.Namespace:
    parser = command.options(__doc__, data="a tree in the layout of shine-skin-collective")
    add = parser.add_argument
    add("--backbone", choices=BACKBONES, default=BACKBONES[0], help="(default %(default)s)")
    add("--weights", default="imagenet", help="of it: imagenet, none, or a folder or .weights.h5 file (%(default)s)")
    add("--loss", choices=LOSSES, default="bce", help="of the conditions (default %(default)s)")
    add("--severity-loss", choices=SEVERITY_LOSSES, default="coral", help="of their severities (default %(default)s)")
    add("--severity-weight", type=command.positive, default=1.0, help="of that beside the other (default %(default)s)")
    add("--epochs", type=command.counted, default=100, help="most of the head (default %(default)s)")
    add("--patience", type=command.counted, default=15, help="epochs without gain that end it (default %(default)s)")
    add("--batch", type=command.counted, default=32, help="pictures a step (default %(default)s)")
    add("--rate", type=command.positive, default=1e-3, help="of AdamW, falling as a cosine (default %(default)s)")
    add("--decay", type=command.positive, default=1e-2, help="of the weights (default %(default)s)")
    add("--dropout", type=command.share, default=0.4, help="in the head (default %(default)s)")
    add(
        "--views",
        type=int,
        choices=range(MOST_VIEWS + 1),
        default=2,
        metavar="V",
        help="augmented, of each picture (2)",
    )
    add("--folds", type=command.counted, metavar="K", help="also answer train and validation out of K folds, from 2")
    add("--trials", type=command.counted, metavar="N", help="search loss, head, rate, decay, dropout and batch first")
    add("--fine-tune", type=command.none_or_more, default=0, metavar="N", help="epochs on pixels, top unfrozen (0)")
    add("--pretext-epochs", type=command.counted, help="of the backbone, with --weights none, other than usual")
    add("--precision", choices=("f32", "bf16"), default="f32", help="of the frozen backbone (default %(default)s)")
    add("--cache", type=Path, help="what is kept of pictures; several runs may share it (default: DIR/cache)")
    add("--model-dir", type=Path, help="folder of the artefact (default: DIR/artefact)")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data}: there is no such folder; name output_images, or a folder that holds it")
    if options.folds == 1:
        parser.error("--folds 1: must be 2 or more")
    options.cache = options.cache or options.out / "cache"
    options.model_dir = options.model_dir or options.out / "artefact"
    return options


if __name__ == "__main__":
    command.run(main)
