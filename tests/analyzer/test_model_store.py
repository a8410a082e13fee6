"""S3 over real HTTP: what is offered, what is fetched, every way in which that fails, and where it ends then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analyzer import model_cache, model_card
from analyzer.ensemble import Ensemble
from analyzer.errors import BadModel, ModelUnavailable
from analyzer.model_sources import NAME, ModelSources
from tests.analyzer import artefacts, store_server
from tests.analyzer.store_server import BUCKET, FILES, OWNER, PREFIX, SIZE, Fault, Line, artefact, open_stand_in, upload

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = f"/{BUCKET}/{PREFIX}network.bin"


@pytest.fixture
def published(s3: Any, tmp_path: Path) -> Path:
    """Version 2 in S3; its folder."""
    folder = artefact(tmp_path / "published", "2")
    upload(s3, folder)
    return folder


@pytest.fixture
def servable(s3: Any, tmp_path: Path) -> Path:
    """A small artefact in S3 that passes its trial, its weights as large as those of the others; its folder."""
    folder = tmp_path / "servable"
    artefacts.make(folder, ballast=SIZE // 4)
    upload(s3, folder)
    return folder


@pytest.fixture
def sources(line: Line, tmp_path: Path, s3: Any) -> ModelSources:
    """S3 behind the line, version 1 in the local folder, an empty cache."""
    artefact(tmp_path / "models", "1")
    return ModelSources(store_server.settings(line.url, tmp_path))


def ranges(line: Line) -> list[str]:
    """Ranges of the weights that were asked for."""
    return [
        header.split(": ")[1]
        for head in line.asked(f"GET {WEIGHTS}")
        for header in head.split("\r\n")
        if header.lower().startswith("range:")
    ]


def complete(sources: ModelSources) -> list[str]:
    """Files of all complete versions in the cache."""
    return sorted(path.name for version in sources.cache.versions() for path in version.iterdir())


def test_what_s3_offers_is_fetched_verified_and_without_the_keras_file(
    sources: ModelSources, published: Path, s3: Any
) -> None:
    found = sources.wanted()
    assert found.source == "s3"
    assert found.s3_location == f"s3://{BUCKET}/{PREFIX}"
    assert found.s3_version_id == s3.head_object(Bucket=BUCKET, Key=f"{PREFIX}card.json")["VersionId"]
    assert complete(sources) == [".origin.json", "card.json", "network.bin", "network.xml"]
    for name in ("card.json", *FILES[:2]):
        assert (found.path / name).read_bytes() == (published / name).read_bytes()


def test_what_was_fetched_is_not_fetched_again(sources: ModelSources, published: Path, line: Line) -> None:
    sources.wanted()
    again = ModelSources(sources.settings).wanted()
    assert again.source == "s3"
    assert ranges(line) == ["bytes=0-"]


def test_nothing_is_fetched_when_the_local_artefact_is_what_s3_offers(
    sources: ModelSources, s3: Any, line: Line
) -> None:
    upload(s3, sources.settings.folder / NAME)
    found = sources.wanted()
    assert (found.source, found.note) == ("local", None)
    assert found.s3_version_id
    assert ranges(line) == []


def test_a_damaged_local_artefact_is_fetched_from_s3(sources: ModelSources, s3: Any) -> None:
    folder = sources.settings.folder / NAME
    upload(s3, folder)
    (folder / "network.bin").write_bytes(bytes(SIZE))
    found = sources.wanted()
    assert found.source == "s3"
    assert found.note is not None
    assert "network.bin must have sha256" in found.note


def test_a_damaged_version_in_the_cache_is_fetched_again(sources: ModelSources, published: Path, line: Line) -> None:
    (sources.wanted().path / "network.bin").write_bytes(b"x")
    found = ModelSources(sources.settings).wanted()
    assert (found.path / "network.bin").read_bytes() == (published / "network.bin").read_bytes()
    assert len(ranges(line)) == 2


Change = Callable[[Any, Path, Line], None]


def no_artefact(s3: Any, folder: Path, line: Line) -> None:
    for name in ("card.json", *FILES):
        s3.delete_object(Bucket=BUCKET, Key=PREFIX + name)


def no_weights(s3: Any, folder: Path, line: Line) -> None:
    s3.delete_object(Bucket=BUCKET, Key=f"{PREFIX}network.bin")


def other_weights(s3: Any, folder: Path, line: Line) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}network.bin", Body=bytes(SIZE))


def shorter_weights(s3: Any, folder: Path, line: Line) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}network.bin", Body=b"short")


def no_card(s3: Any, folder: Path, line: Line) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}card.json", Body=b"<html>")


def leading_out(s3: Any, folder: Path, line: Line) -> None:
    text = (folder / "card.json").read_bytes().replace(b"network.bin", b"../../x.bin")
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}card.json", Body=text)


def fault(match: str, **how: Any) -> Change:
    return lambda s3, folder, line: line.faults.append(Fault(match, **how))


def broken(kind: str) -> Change:
    """The weights break off in the middle, and nothing more of them comes."""

    def change(s3: Any, folder: Path, line: Line) -> None:
        line.faults += [Fault(f"GET {WEIGHTS}", kind=kind, after=900_000, times=1), Fault(f"GET {WEIGHTS}", kind=kind)]

    return change


def no_credentials(s3: Any, folder: Path, line: Line) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.pop(name, None)


def line_cut(s3: Any, folder: Path, line: Line) -> None:
    line.close()


FAILURES = {
    "404": (fault("", kind="status 404"), "404"),
    "no artefact": (no_artefact, "The artefact is not in the bucket"),
    "a file is missing": (no_weights, "network.bin, named by the card in S3"),
    "other content": (other_weights, "network.bin in S3 must have sha256"),
    "other size": (shorter_weights, f"network.bin in S3 must have {SIZE} bytes and has 5"),
    "no card": (no_card, "card.json is not JSON"),
    "a name that leads out": (leading_out, "could lead out of the folder"),
    "no credentials": (no_credentials, "no credentials"),
    "403": (fault("card.json", kind="status 403"), "403"),
    "403 for the weights": (fault("network.bin", kind="status 403"), "403"),
    "503": (fault("card.json", kind="status 503"), "503"),
    "nobody there": (line_cut, "The connection to S3 failed"),
    "silent": (fault("card.json", kind="stall"), "The connection to S3 failed"),
    "silent in the middle": (broken("stall"), "The connection to S3 failed"),
    "reset in the middle": (broken("reset"), "The connection to S3 failed"),
    "truncated": (broken("close"), "S3"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_ends_in_the_local_artefact_with_the_reason(
    name: str, sources: ModelSources, published: Path, s3: Any, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, said = FAILURES[name]
    for variable in store_server.CREDENTIALS:
        monkeypatch.setenv(variable, os.environ[variable])  # so that what a change removes comes back
    change(s3, published, line)
    ensemble = Ensemble(sources, open_stand_in)
    ensemble.refresh()
    state = ensemble.state()
    assert (state.available, state.details["source"], state.details["version"]) == (True, "local", "1")
    assert state.fallback_reason is not None
    assert said in state.fallback_reason
    assert complete(sources) == []
    assert list(sources.settings.cache.rglob("network.bin")) == []


def test_a_bucket_that_is_not_there_is_told(sources: ModelSources) -> None:
    with pytest.raises(ModelUnavailable, match="The bucket does not exist"):
        ModelSources(replace(sources.settings, bucket="another-bucket")).wanted()


def test_the_owner_of_the_bucket_is_sent_with_every_request(sources: ModelSources, published: Path, line: Line) -> None:
    line.owner = OWNER
    mine = replace(sources.settings, expected_owner=OWNER)
    assert ModelSources(mine).wanted().source == "s3"
    with pytest.raises(ModelUnavailable, match="another account"):
        ModelSources(replace(mine, expected_owner="999999999999")).wanted()


@pytest.mark.parametrize("kind", ["reset", "close", "stall"])
def test_a_download_that_breaks_goes_on_where_it_broke(
    kind: str, sources: ModelSources, published: Path, line: Line
) -> None:
    line.faults.append(Fault(f"GET {WEIGHTS}", kind=kind, after=700_000, times=1))
    assert sources.wanted().source == "s3"
    first, second = ranges(line)
    assert first == "bytes=0-"
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 700_000
    assert line.body_bytes[WEIGHTS] < SIZE + 700_000


def test_parts_of_two_objects_are_never_joined(sources: ModelSources, published: Path, s3: Any, line: Line) -> None:
    broken("reset")(s3, published, line)
    with pytest.raises(ModelUnavailable):
        sources.wanted()
    assert parts(sources)
    line.faults.clear()
    upload(s3, artefact(published.parent / "newer", "3"))
    found = ModelSources(sources.settings).wanted()
    assert (found.path / "network.bin").read_bytes() == (published.parent / "newer" / NAME / "network.bin").read_bytes()
    assert ranges(line)[-1] == "bytes=0-"


def test_a_trickle_is_given_up_in_time(sources: ModelSources, published: Path, line: Line) -> None:
    line.faults.append(Fault(f"GET {WEIGHTS}", rate=40_000))
    with pytest.raises(ModelUnavailable, match="longer than 1 s"):
        ModelSources(replace(sources.settings, download_timeout_s=1.0)).wanted()
    assert line.body_bytes[WEIGHTS] < SIZE // 2


def test_content_that_is_wrong_is_not_fetched_again_until_it_changes(
    sources: ModelSources, published: Path, s3: Any, line: Line
) -> None:
    other_weights(s3, published, line)
    for _ in range(2):
        with pytest.raises(BadModel, match="must have sha256"):
            sources.wanted()
    assert len(ranges(line)) == 1
    upload(s3, published)
    assert sources.wanted().source == "s3"


def test_more_than_the_ceiling_is_not_fetched(
    sources: ModelSources, published: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analyzer.model_store.MOST_BYTES", SIZE)
    with pytest.raises(BadModel, match="more than"):
        sources.wanted()
    assert ranges(line) == []


def environment(sources: ModelSources, **more: str) -> dict[str, str]:
    """For a process that uses the same S3, cache and local folder."""
    config = sources.settings
    return {
        **os.environ,
        "S3_BUCKET": BUCKET,
        "AWS_ENDPOINT_URL": str(config.endpoint_url),
        "MODEL_DIR": str(config.folder),
        "MODEL_CACHE_DIR": str(config.cache),
        "S3_READ_TIMEOUT_S": "2",
        "MODEL_ALLOW_UNSIGNED": "yes",
        **more,
    }


def fetching(sources: ModelSources, *before: str, **more: str) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-m", "analyzer.model_store", "fetch"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment(sources, **more), stdout=pipe, stderr=pipe, text=True)


def parts(sources: ModelSources) -> list[Path]:
    return [path for path in sources.settings.cache.rglob("network.bin.*.part") if path.stat().st_size > 0]


def test_a_killed_download_goes_on_at_the_next_start(sources: ModelSources, servable: Path, line: Line) -> None:
    line.faults.append(Fault(f"GET {WEIGHTS}", rate=400_000))
    process = fetching(sources)
    while not parts(sources) or parts(sources)[0].stat().st_size < 300_000:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = parts(sources)[0].stat().st_size
    assert sources.cache.versions() == ()
    line.faults.clear()
    again = fetching(sources)
    again.communicate()
    assert again.returncode == 0
    assert ranges(line) == ["bytes=0-", f"bytes={kept}-"]
    assert line.body_bytes[WEIGHTS] < SIZE + 200_000  # some were on the line when the process died
    assert (sources.cache.versions()[0] / "network.bin").read_bytes() == (servable / "network.bin").read_bytes()
    assert list(sources.settings.cache.rglob("*.part")) == []


def test_two_processes_at_once_download_once(sources: ModelSources, servable: Path, line: Line) -> None:
    line.faults.append(Fault(f"GET {WEIGHTS}", rate=2_000_000))
    both = [fetching(sources), fetching(sources)]
    answers = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert len(ranges(line)) == 1
    assert line.body_bytes[WEIGHTS] == (servable / "network.bin").stat().st_size


def test_a_full_disk_leaves_nothing_behind(sources: ModelSources, published: Path) -> None:
    process = fetching(sources, "bash", "-c", 'ulimit -f 512; exec "$@"', "limited")  # 512 KiB in one file
    _, said = process.communicate()
    assert process.returncode == 1
    assert "The disk of the model cache is full" in said
    assert "Traceback" not in said
    assert parts(sources) == []
    assert sources.cache.versions() == ()


def test_a_disk_without_room_is_seen_before_the_download(
    sources: ModelSources, published: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_cache, "MARGIN_BYTES", 1 << 60)
    with pytest.raises(ModelUnavailable, match="is full"):
        sources.wanted()
    assert ranges(line) == []


def test_a_cache_that_cannot_be_written_is_told(sources: ModelSources, published: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ModelUnavailable, match="The model cache cannot be written"):
        ModelSources(replace(sources.settings, cache=tmp_path / "file" / "cache")).wanted()


@pytest.fixture
def bare(s3: Any, tmp_path: Path) -> Path:
    """A Keras file without a card in S3."""
    path = tmp_path / "best_facial_model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))
    s3.put_object(Bucket=BUCKET, Key=PREFIX + path.name, Body=path.read_bytes())
    return path


def test_a_bare_file_needs_its_sha256_or_trust(sources: ModelSources, bare: Path) -> None:
    with pytest.raises(BadModel, match=r"best_facial_model.h5 in S3 has no card"):
        sources.wanted()
    sha256 = model_cache.sha256_of(bare)
    for change in ({"sha256": (sha256,)}, {"sha256": ("0" * 64, sha256)}, {"trust_bare": True}):
        config = replace(sources.settings, cache=bare.parent / str(change), **change)  # type: ignore[arg-type]
        found = ModelSources(config).wanted()
        assert (found.source, found.sha256, found.path.read_bytes()) == ("s3", sha256, bare.read_bytes())
        assert Ensemble(ModelSources(config), open_stand_in).state().available is False


@pytest.mark.parametrize("sums", [("0" * 64,), ("0" * 64, "1" * 64)])
def test_a_bare_file_with_another_sha256_is_refused(sources: ModelSources, bare: Path, sums: tuple[str, ...]) -> None:
    config = replace(sources.settings, sha256=sums, trust_bare=True)
    with pytest.raises(BadModel, match="sha256"):
        ModelSources(config).wanted()


def test_a_card_wins_over_a_bare_file(sources: ModelSources, bare: Path, published: Path) -> None:
    assert model_card.read(sources.wanted().path).version == "2"


def test_the_local_bare_file_follows_the_same_rule(tmp_path: Path) -> None:
    config = replace(store_server.settings("http://127.0.0.1:9", tmp_path), bucket=None)
    config.folder.mkdir()
    file = config.folder / "fixed_model_best.h5"
    file.write_bytes(b"weights")
    with pytest.raises(BadModel, match="has no card"):
        ModelSources(config).wanted()
    with pytest.raises(BadModel, match="does not list"):
        ModelSources(replace(config, sha256=("0" * 64,), trust_bare=True)).wanted()
    found = ModelSources(replace(config, sha256=(model_cache.sha256_of(file),))).wanted()
    assert (found.source, found.path) == ("local", file)


def test_boto3_is_not_loaded_without_s3(tmp_path: Path) -> None:
    program = (
        "import sys; from analyzer.ensemble import Ensemble; from analyzer.model_sources import ModelSources;"
        "from analyzer.settings import StoreSettings; e = Ensemble(ModelSources(StoreSettings())); e.start(watch=False);"
        "e._decided.wait(30); print('boto3' in sys.modules, 'botocore' in sys.modules)"
    )
    env = {**os.environ, "MODEL_DIR": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["False", "False"]
