"""Train the Hare Run ensemble on pictures of skin classes and write an artefact that the service serves.

Run:     python -m training.train_hare_run DATA --out DIR [--weights imagenet|none|PATH] [--epochs N] [--limit N] [--ray] …
Cost:    with ImageNet or earlier weights about half an hour on 2 cores for 4,000 pictures, nearly all of it for faces and
         features, which are kept: the next run takes minutes. With --weights none about an hour and a half more.
         Interrupted at any time, it goes on where it was when the same command is given again.
Result:  in DIR: config.json, split.json, audit, report, plots, history.csv, predictions.csv, TensorBoard's curves, MLflow's
         runs, the artefact.

The backbones are frozen: their features of each training picture and of augmented views of it are computed once, and heads
are trained on those: of each backbone alone and of both together. The best on validation is kept; then, where --fine-tune
asks for it, the top blocks of the backbones are trained on as well, and what comes of it is kept if it is better still. Only
the part "train" is trained on; "validation" ends trainings, chooses, and gives temperature and limits; "test" is opened once,
for the report and the card. The steps stand in training/hare_run.py, in order.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from training import audit, cluster, command

MOST_VIEWS = 16


def main() -> None:
    options = parsed()
    cluster.keep_to_cpus(options)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from training import hare_run

    hare_run.train(options)


def parsed() -> argparse.Namespace:
    parser = command.options(__doc__)
    add = parser.add_argument
    add(
        "--weights",
        default="imagenet",
        help="of the backbones: imagenet, none, or a folder or file (default %(default)s)",
    )
    add("--recipe", type=Path, metavar="JSON", help="best.json of training.tune; the options below overrule it")
    add("--epochs", type=command.counted, help="most of each head (default 100)")
    add(
        "--views",
        type=int,
        choices=range(MOST_VIEWS + 1),
        metavar="K",
        help="augmented, of each training picture (default 2)",
    )
    add("--batch", type=command.counted, help="pictures a step (default 32)")
    add("--rate", type=command.positive, help="of Adam (default 0.001)")
    add("--schedule", choices=("cosine", "plateau"), help="of the rate (default cosine)")
    add("--label-smoothing", type=command.share, help="(default 0)")
    add("--fine-tune", type=command.none_or_more, metavar="N", help="epochs on pixels, top blocks unfrozen (default 0)")
    add(
        "--drop",
        type=audit.kinds,
        default=(),
        metavar="KINDS",
        help=f"what to leave out: some of {','.join(audit.KINDS)}",
    )
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


if __name__ == "__main__":
    command.run(main)
