"""The options of batch_analyze -> an archive scored: photos listed, those without a row scored, rows kept as they come, a summary."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence

from training import cluster, command
from training.cluster import OnRay
from training.command import BadInput
from training.scoring import archive, parts, photo_rows, scoring_on_ray
from training.scoring.archive import Photo
from training.scoring.photo_rows import Row
from training.scoring.scorer import Job, Scorer

HOPELESS = 8  # photos that cannot be read before the first that can: nothing will be


def analyze(options: argparse.Namespace) -> None:
    """All of it, in order.

    Raises:
        BadInput: photos could not be read; all others have their row.
    """
    where = archive.located(options.source, os.environ)
    options.out.mkdir(parents=True, exist_ok=True)
    with command.alone(options.out):
        here = Scorer(where)
        job = Job(where, here.version)
        print(f"model: {here.version or f'none, {here.model.reason}'}", flush=True)
        kept = parts.kept(options.out, where, job.version)
        every = archive.photos(where)
        missing = [one for one in every if one.path not in kept.paths]
        left = missing[: options.limit]
        print(
            f"{len(every)} photos, {len(every) - len(missing)} of them need nothing; to be scored: {len(left)}",
            flush=True,
        )
        told = Counter[str]()
        unread: list[Row] = []
        with parts.Parts(options.out, where, kept.count) as written:
            for row in command.progress(scored(job, left, options, here), len(left), "photos"):
                if row["error_code"] == photo_rows.UNREADABLE:
                    unread.append(row)
                    if where.is_s3 or options.ray_address:
                        stop_if_hopeless(unread, told)
                else:
                    written.add(row)
                    told[row["error_code"] or "analysed"] += 1
    print(summary(told), flush=True)
    if unread:
        raise BadInput(
            f"{len(unread)} photos have no row, they {could_not(unread)}; run the same command again to try them."
        )


def scored(job: Job, photos: Sequence[Photo], options: argparse.Namespace, here: Scorer) -> Iterator[Row]:
    """Rows as they are ready: from Ray's workers, or one after the other from this process."""
    if not photos:
        return
    with cluster.opened(options) as pool:
        yield from scoring_on_ray.rows(job, photos, pool) if isinstance(pool, OnRay) else map(here, photos)


def stop_if_hopeless(unread: Sequence[Row], told: Counter[str]) -> None:
    if len(unread) >= HOPELESS and not told:
        raise BadInput(
            f"the first {len(unread)} photos {could_not(unread)}; a folder must lie at the same place on every machine of a cluster, "
            "s3:// must be allowed to each."
        )


def could_not(unread: Sequence[Row]) -> str:
    return f"could not be read, such as {unread[0]['path']} ({unread[0]['message']})"


def summary(told: Counter[str]) -> str:
    """How many photos came to what, the most frequent first."""
    return "\n".join(f"{count:8} {name}" for name, count in told.most_common()) or "nothing was left to be done"
