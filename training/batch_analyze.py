"""Score an archive of photos with the service's own pipeline; write one row per photo into Parquet.

Run:     python -m training.batch_analyze SRC DST [--ray | --ray-address ADDRESS] [--cpus N] [--limit N]
Cost:    about a third of a second a selfie and core (docs/batch.md: measured, and what a million photos cost).
Result:  in DST: part-NNNNNN.parquet, with a row for each photo: path, sha256, size, scores, intervals and severities of the eight
         conditions, primary condition, code and sentence where it was refused, model and version, durations. Read it all with
         pyarrow.parquet.read_table(DST) or pandas.read_parquet(DST).

SRC is a folder or s3://bucket/prefix (AWS_ENDPOINT_URL for an S3 that is not Amazon's); settings and artefact are those of the
service (.env.example). Interrupted or killed at any time, it goes on when the same command is given again: a photo that has a row is
not scored again. Without --ray everything happens in this process, with the same rows. Scores are cosmetic estimates.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training import cluster, command
from training.command import BadInput


def main() -> None:
    options = parsed()
    cluster.keep_to_cpus(options)
    try:
        from training.scoring import batch
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise BadInput("pyarrow is not installed; make train-env RAY=1 installs it.") from error
    batch.analyze(options)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SRC", help="a folder of photos, or s3://bucket/prefix")
    parser.add_argument("out", metavar="DST", type=Path, help="folder of the rows")
    parser.add_argument("--limit", type=command.counted, help="most photos of this run, for a quick try")
    cluster.add_options(parser)
    parser.set_defaults(cpus=1)  # photos one by one are fastest with one thread each
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
