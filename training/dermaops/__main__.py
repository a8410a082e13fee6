"""HAM10000 from the download to the report, orchestrated: what is finished is skipped, what fails is tried again or resumed.

Run:     python -m training.dermaops [DATA] [--out DIR] [--stage ingest|preprocess|train|evaluate|report] [--force-retrain] …
         DATA is a folder of HAM10000, kaggle:kmader/skin-cancer-mnist-ham10000 (the default where SKIN_DATA/ham10000 is not
         there), a URL, a list of URLs, or an archive.
Cost:    reading 10,015 pictures and the forest take some ten minutes of processor time; ResNet50 on all of them is work for a GPU
         or a night, which --limit and --side 112 make shorter (docs/dermaops.md says what was measured). Interrupted at any time,
         also killed, it goes on where it was when the same command is given again.
Result:  in DIR: quality.json, lesions.csv (parts), metrics.json, predictions.csv, training/, and reports/ with report.html, every
         figure and pipeline_notification.md. Remove reports/ and give the same command to have all of it drawn anew.

Stages: ingest, preprocess, train (random forest; ResNet50 frozen, then `conv5` unfrozen at 1e-5), evaluate, report. Prefect runs them
as the flow DermaOps-ML-Pipeline with a local server of its own: no account, no internet, nothing is left running.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from training import command
from training.command import BadInput
from training.dermaops.settings import ALL, SPLITS, Settings

STAGES = ("ingest", "preprocess", "train", "evaluate", "report")
KAGGLE = "kaggle:kmader/skin-cancer-mnist-ham10000"
FORCED = {  # option → stage
    "ingest": "ingest",
    "preprocess": "preprocess",
    "retrain": "train",
    "evaluate": "evaluate",
    "report": "report",
}
OUT = Path("runs/dermaops")


def main() -> None:
    options = parsed()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from training.dermaops import flow, pipeline

    settings = settings_of(options)
    forced = {stage: name for name, stage in FORCED.items() if getattr(options, f"force_{name}")}
    settings.out.mkdir(parents=True, exist_ok=True)
    with command.alone(settings.out):
        stages = pipeline.wanted(settings, options.stage)
        for stage in forced.keys() - {one.name for one in stages}:
            raise BadInput(
                f"--force-{forced[stage]}: --stage {options.stage} does not do that stage; leave one of them out."
            )
        flow.run(settings, stages, forced, options.pauses)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.dermaops",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("data", nargs="?", metavar="DATA", help="see above")
    add("--out", type=Path, default=OUT, help="folder of everything that is made (default %(default)s)")
    add("--stage", choices=(ALL, *STAGES), default=ALL, help="only this one (default %(default)s)")
    for name, stage in FORCED.items():
        add(f"--force-{name}", action="store_true", help=f"do stage {stage} anew, even if it is finished")
    add("--split", choices=SPLITS, default=SPLITS[0], help="for the network; image leaks (default %(default)s)")
    add(
        "--weights",
        default="imagenet",
        help="of ResNet50: imagenet, none, or a folder with resnet.weights.h5 (%(default)s)",
    )
    add("--epochs", type=command.counted, default=60, help="most with the backbone frozen (default %(default)s)")
    add(
        "--finetune-epochs",
        type=command.none_or_more,
        default=10,
        help="most with conv5 unfrozen (default %(default)s)",
    )
    add("--pretext-epochs", type=command.counted, help="of the backbone, with --weights none, other than usual")
    add("--batch-size", type=command.counted, default=32, help="pictures a step (default %(default)s)")
    add(
        "--rate", type=command.positive, default=1e-3, help="of Adam while the backbone is frozen (default %(default)s)"
    )
    add("--views", type=int, choices=range(17), default=1, metavar="V", help="augmented ones (default %(default)s)")
    add("--side", type=side, default=224, metavar="PX", help="of what the network is shown (default %(default)s)")
    add("--limit", type=command.counted, help="most pictures of each diagnosis, for a quick try")
    add("--repeats", type=command.counted, default=5, help="splits on which the leak is measured (default %(default)s)")
    add("--pauses", type=pause, default=1.0, metavar="FACTOR", help="multiplies the pauses before retries (default 1)")
    add("--cache", type=Path, help="folder of the features; several runs may share it (default: DIR/cache)")
    add("--seed", type=command.seed, default=command.SEED, help="of split, views and weights (default %(default)s)")
    return parser.parse_args()


def settings_of(options: argparse.Namespace) -> Settings:
    """What the options say."""
    local = Path(os.environ.get("SKIN_DATA", "../shared/data")) / "ham10000"
    return Settings(
        source=options.data or (str(local) if local.is_dir() else KAGGLE),
        out=options.out,
        cache=options.cache or options.out / "cache",
        split=options.split,
        weights=options.weights,
        limit=options.limit,
        side_px=options.side,
        views=options.views,
        epochs=options.epochs,
        finetune_epochs=options.finetune_epochs,
        batch=options.batch_size,
        rate=options.rate,
        pretext_epochs=options.pretext_epochs,
        repeats=options.repeats,
        seed=options.seed,
    )


def side(text: str) -> int:
    """Pixels from 32, which is what ResNet50 needs, as an option's type."""
    value = command.whole_number(text)
    if value < 32:
        raise argparse.ArgumentTypeError(f"{text} must be 32 or more")
    return value


def pause(text: str) -> float:
    """A number from 0, as an option's type."""
    value = command.number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be 0 or more")
    return value


if __name__ == "__main__":
    command.run(main)
