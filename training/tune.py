"""Search for the recipe that `train_hare_run` should use: learning rate, batch, dropout, head, augmentation, unfreezing.

Run:     python -m training.tune DATA --out DIR [--trials 30] [--sampler tpe|random|grid] [--pruner median|hyperband|none] [--ray] …
Cost:    for 4,000 pictures and frozen backbones up to 20 minutes once on 2 cores, for features of all views, which are kept and
         may be shared with train_hare_run (--cache); then about half a minute a trial. With --fine-tune N half of the trials
         also train the top blocks on pixels: minutes an epoch on a CPU.
         Interrupted or killed at any time, it goes on when the same command is given again: the trial that was running is
         marked as failed and done again from its last epoch.
Result:  in DIR: study.db (Optuna's, unless --storage names another), best.json for `train_hare_run --recipe`, trials.csv,
         trials.md, optimisation_history.png, importance.png.

A trial trains a head on the part "train" and is judged by its balanced accuracy on "validation", within each source where
several sources hold several classes. The part "test" is never looked at. The best of many trials has also been lucky on
validation: only train_hare_run's figures on "test" say what it is worth.

With --at-once N, N trials begin together, chosen and pruned by what was finished before them, one after the other or, with --ray, at
the same time: the trials are the same either way. Another N is another search.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from training import audit, cluster, command

if TYPE_CHECKING:
    from argparse import Namespace

SAMPLERS, PRUNERS = ("tpe", "random", "grid"), ("median", "hyperband", "none")
TRIALS, EPOCHS = 30, 60


def main() -> None:
    options = parsed()
    cluster.keep_to_cpus(options)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from training.searching import search

    search.search(options)


def parsed() -> Namespace:
    parser = command.options(__doc__)
    add = parser.add_argument
    add("--weights", default="imagenet", help="of the backbones: imagenet, none, or a folder or file (%(default)s)")
    add("--trials", type=command.counted, default=TRIALS, help="finished ones in the end (default %(default)s)")
    add("--sampler", choices=SAMPLERS, default="tpe", help="who chooses the next setting (default %(default)s)")
    add("--pruner", choices=PRUNERS, default="median", help="who ends trials without hope (default %(default)s)")
    add("--at-once", type=command.counted, help="trials that begin together (default: as many as there are workers)")
    add("--storage", metavar="URL", help="database of the study, as SQLAlchemy names it (default: DIR/study.db)")
    add("--study", metavar="NAME", help="of the study in its database (default: name of DATA)")
    add("--epochs", type=command.counted, default=EPOCHS, help="most of a head (default %(default)s)")
    add(
        "--fine-tune",
        type=command.none_or_more,
        default=0,
        metavar="N",
        help="let trials unfreeze the top blocks for N epochs (0: none)",
    )
    add(
        "--drop", type=audit.kinds, default=(), metavar="KINDS", help="left out of the audit's findings, as in training"
    )
    add("--pretext-epochs", type=command.counted, help="of each backbone, with --weights none, other than usual")
    add("--precision", choices=("f32", "bf16"), default="f32", help="of the frozen backbones (default %(default)s)")
    add("--cache", type=Path, help="what is kept of pictures; several runs may share it (default: DIR/cache)")
    cluster.add_options(parser)
    options = parser.parse_args()
    if not options.data.exists():
        parser.error(
            f"{options.data}: there is no such file or folder; name a YAML of training/configs or a folder of class folders"
        )
    options.cache = options.cache or options.out / "cache"
    return options


if __name__ == "__main__":
    command.run(main)
