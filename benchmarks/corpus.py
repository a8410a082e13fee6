"""Answers of the service to every file of a folder: which statuses and error codes, and how long the slowest took.

Run:     python -m benchmarks.corpus [FOLDER ...] [--packages] [--resume] [--connections 2] [--port PORT]
Cost:    0.1 to 0.3 s a file on two cores; 29,000 files take about an hour. Ctrl-C keeps what is done for --resume.
Expects: no answer 500 and none over 10 s; exits 1 otherwise, or when a file got no answer.

Every file is posted as its own type, whatever it holds, to the analysis and to the face detection. --packages adds the pictures that the
installed Pillow, OpenCV and scikit-image ship. --port asks a service that already runs instead of starting one.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib.util
import itertools
import json
import mimetypes
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import clients, dataset, load

ROUTES = (clients.ROUTE, "/api/v4/face/detect")
PACKAGES = ("PIL", "cv2", "skimage")
LONGEST_ANSWER_S = 10.0
GIVEN_UP_S = 120.0  # a connection without an answer
TRIES = 20  # after 503, which asks to come again
JOURNAL = dataset.RESULTS / "corpus.jsonl"


@dataclass(frozen=True)
class Answer:
    """The answer to one file. `status` is 0 where none came; `code` is the error code, "" for a report."""

    file: str
    route: str
    status: int
    code: str
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    files = sorted(set(folder_files(options.folders)) | set(package_pictures() if options.packages else ()))
    if not files:
        raise SystemExit("There is no file to post: name a folder, or --packages.")
    kept = read_journal(options.journal) if options.resume else []
    remaining = without_answer(files, kept)
    print(f"{len(files)} files, {len(remaining)} requests to go", flush=True)
    with contextlib.nullcontext(options.port) if options.port else started_service() as port:
        answers = journalled(remaining, kept, port, options)
    table = summary(answers)
    print_table(table)
    print(f"written to {dataset.write('corpus', table)}")
    return 0 if table["passed"] else 1


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="folders, with all folders below them")
    parser.add_argument("--packages", action="store_true", help="add the pictures of installed packages")
    parser.add_argument("--resume", action="store_true", help="keep the answers of the last run, post the other files")
    parser.add_argument("--connections", type=int, default=2, help="files at the same time (default 2)")
    parser.add_argument("--port", type=int, help="port of a running service on this machine")
    parser.add_argument("--journal", type=Path, default=JOURNAL, help="where the answers are kept for --resume")
    options = parser.parse_args(arguments)
    for folder in options.folders:
        if not folder.is_dir():
            parser.error(f"{folder} is no folder")
    return options


def folder_files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from (path.resolve() for path in folder.rglob("*") if path.is_file())


def package_pictures() -> Iterator[Path]:
    """Yield the pictures in the folders of the installed `PACKAGES`."""
    for name in PACKAGES:
        specification = importlib.util.find_spec(name)
        places = specification.submodule_search_locations if specification else None
        yield from (path for path in folder_files(map(Path, places or ())) if media_type(path).startswith("image/"))


def media_type(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def without_answer(files: Sequence[Path], answers: Sequence[Answer]) -> list[tuple[Path, str]]:
    """Pair every file with the routes that have not answered to it yet."""
    done = {(answer.file, answer.route) for answer in answers}
    return [pair for pair in itertools.product(files, ROUTES) if (str(pair[0]), pair[1]) not in done]


@contextlib.contextmanager
def started_service() -> Iterator[int]:
    with load.running(load.SERVICE, dataset.ROOT) as (_, port):
        yield port


def journalled(
    requests: Sequence[tuple[Path, str]], kept: Sequence[Answer], port: int, options: argparse.Namespace
) -> list[Answer]:
    """Post all requests; write the kept answers and each new one to the journal as it comes, and show progress."""
    answers: list[Answer] = []
    options.journal.parent.mkdir(parents=True, exist_ok=True)
    with options.journal.open("w", 1, encoding="utf-8") as journal, ThreadPoolExecutor(options.connections) as pool:
        posted = pool.map(lambda request: post(port, *request), requests)
        try:
            for answer in itertools.chain(kept, dataset.counted(posted, "posted", len(requests))):
                journal.write(json.dumps(asdict(answer)) + "\n")
                answers.append(answer)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise SystemExit("\nstopped; --resume goes on") from None
    return answers


def read_journal(path: Path) -> list[Answer]:
    """Read the answers of the last run; a last line that an interruption cut is left out."""
    answers = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError, TypeError):
            answers.append(Answer(**json.loads(line)))
    return answers


def post(port: int, file: Path, route: str) -> Answer:
    """Post one file; 503 is asked again after as long as the service says. A lost connection has the status 0."""
    data, begun = file.read_bytes(), time.monotonic()
    for _ in range(TRIES):
        begun = time.monotonic()
        try:
            status, wait_s, code = exchange(port, route, media_type(file), data)
        except (OSError, http.client.HTTPException) as error:
            status, wait_s, code = 0, 0.0, type(error).__name__
        if status != 503:
            break
        time.sleep(wait_s)
    return Answer(str(file), route, status, code, round(time.monotonic() - begun, 3))


def exchange(port: int, route: str, kind: str, data: bytes) -> tuple[int, float, str]:
    """Send one request; return status, seconds of Retry-After, and the error code ("" without)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVEN_UP_S)
    with contextlib.closing(connection):
        connection.request("POST", route, data, {"Content-Type": kind})
        response = connection.getresponse()
        body = json.loads(response.read())
        return response.status, float(response.headers.get("Retry-After", 0)), str(body.get("error_code") or "")


def summary(answers: Sequence[Answer]) -> dict[str, Any]:
    """Count the answers by route, type, status and code; name the files that must not be."""
    groups = Counter((answer.route, media_type(Path(answer.file)), answer.status, answer.code) for answer in answers)
    faults = [answer for answer in answers if answer.status in (0, 500)]
    slow = [answer for answer in answers if answer.seconds > LONGEST_ANSWER_S]
    return {
        "answers": len(answers),
        "groups": [[*group, count] for group, count in sorted(groups.items())],
        "slowest_s": max((answer.seconds for answer in answers), default=0.0),
        "faults": [asdict(answer) for answer in faults],
        "slow": [asdict(answer) for answer in slow],
        "passed": bool(answers) and not faults and not slow,
    }


def print_table(table: dict[str, Any]) -> None:
    for route, kind, status, code, count in table["groups"]:
        print(f"{route:<34} {kind:<26} {status:>3} {code or '-':<18} {count:>6}")
    print(f"{table['answers']} answers, the slowest after {table['slowest_s']} s")
    for title, key in (("500 or no answer", "faults"), (f"over {LONGEST_ANSWER_S:.0f} s", "slow")):
        print(f"{len(table[key])} {title}")
        for answer in table[key]:
            print(f"  {answer['status']} {answer['code']} {answer['seconds']} s {answer['route']} {answer['file']}")


if __name__ == "__main__":
    sys.exit(main())
