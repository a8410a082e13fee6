"""Data sets are fetched over real HTTP, resumed where a line broke, verified, unpacked safely; what a person can do is said."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import socket
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("requests", reason="requests is in the training environment only: make train-env")

from tests.training.web_host import Host, hosting
from training import command
from training.command import BadInput
from training.data import acquire, archives, download
from training.data.download import Remote

BODY = np.random.default_rng(1).bytes(3_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting() as host:
        yield host


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    monkeypatch.setattr(download, "CHUNK_BYTES", 50_000)


@pytest.fixture
def remote(host: Host) -> Remote:
    host.files["/a.bin"] = BODY
    return Remote(f"{host.url}/a.bin", "a.bin", page="https://example.org/terms", sha256=SHA256)


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def tarred(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for member, data in members:
            member.size = len(data) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["acquire", *arguments])
    command.run(acquire.main)


def test_a_broken_download_goes_on_where_it_broke(host: Host, remote: Remote, tmp_path: Path) -> None:
    host.breaks_after = [1_000_000, 700_000]
    assert download.fetch(remote, tmp_path).read_bytes() == BODY
    starts = [int(asked["range"].removeprefix("bytes=").rstrip("-")) for asked in host.asked[1:]]
    assert len(host.asked) == 3
    assert 900_000 < starts[0] <= 1_000_000
    assert starts[0] + 600_000 < starts[1] <= starts[0] + 700_000
    assert {asked["if-range"] for asked in host.asked[1:]} == {'"one"'}
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_connection_reset_in_the_middle_is_taken_up_again(host: Host, remote: Remote, tmp_path: Path) -> None:
    host.breaks_after, host.resets = [1_000_000, 1_500_000], True
    assert download.fetch(remote, tmp_path).read_bytes() == BODY
    assert len(host.asked) == 3


def test_a_later_run_goes_on_where_the_first_was_given_up(host: Host, remote: Remote, tmp_path: Path) -> None:
    host.breaks_after = [1_500_000, *[0] * download.ATTEMPTS]
    with pytest.raises(BadInput, match="run the command again to go on"):
        download.fetch(remote, tmp_path)
    host.asked.clear()
    assert download.fetch(remote, tmp_path).read_bytes() == BODY
    assert int(host.asked[0]["range"].removeprefix("bytes=").rstrip("-")) > 1_000_000


def test_a_file_exchanged_meanwhile_is_not_stitched_together(host: Host, remote: Remote, tmp_path: Path) -> None:
    host.breaks_after = [1_500_000, *[0] * download.ATTEMPTS]
    with pytest.raises(BadInput):
        download.fetch(remote, tmp_path)
    other = BODY[::-1]
    host.files["/a.bin"], host.etag = other, '"two"'
    exchanged = Remote(remote.url, remote.name, remote.page, hashlib.sha256(other).hexdigest())
    assert download.fetch(exchanged, tmp_path).read_bytes() == other


def test_a_host_without_ranges_is_asked_for_all_of_it_again(host: Host, remote: Remote, tmp_path: Path) -> None:
    host.ranges = False
    host.breaks_after = [1_000_000]
    assert download.fetch(remote, tmp_path).read_bytes() == BODY


def test_a_part_that_is_whole_already_is_taken(host: Host, remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(BODY)
    (tmp_path / "a.bin.part.json").write_text('{"version": "\\"one\\""}')
    assert download.fetch(remote, tmp_path).read_bytes() == BODY
    assert "range" in host.asked[0]


def test_a_part_with_wrong_bytes_is_fetched_anew_once(host: Host, remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    (tmp_path / "a.bin.part.json").write_text('{"version": "\\"one\\""}')
    assert download.fetch(remote, tmp_path).read_bytes() == BODY
    assert ["range" in asked for asked in host.asked] == [True, False]


def test_a_wrong_sha256_leaves_nothing(host: Host, remote: Remote, tmp_path: Path) -> None:
    host.files["/a.bin"] = BODY[:-1] + b"?"
    with pytest.raises(BadInput, match=f"must have sha256 {SHA256} and has"):
        download.fetch(remote, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_hosts_that_are_busy_are_asked_again(host: Host, remote: Remote, tmp_path: Path) -> None:
    host.statuses = [503, 429]
    waits: list[float] = []
    assert download.fetch(remote, tmp_path, waits.append).read_bytes() == BODY
    assert len(waits) == 2


def test_a_host_that_is_not_there_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    nowhere = Remote(f"http://127.0.0.1:{port}/a.bin", "a.bin", page="https://example.org")
    with pytest.raises(BadInput, match=r"given up after 5 attempts .the host cannot be reached"):
        download.fetch(nowhere, tmp_path)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "asks who you are .401.: open the page in a browser"),
        (403, "accept the terms on this page: https://example.org/terms"),
        (404, "no such file .404.; check the name on https://example.org/terms"),
        (451, "answers 451"),
    ],
)
def test_refusals_say_what_to_do(host: Host, remote: Remote, tmp_path: Path, status: int, told: str) -> None:
    host.statuses = [status]
    with pytest.raises(BadInput, match=told):
        download.fetch(remote, tmp_path)
    assert len(host.asked) == 1


def test_a_page_to_sign_in_is_not_taken_for_the_file(host: Host, remote: Remote, tmp_path: Path) -> None:
    host.kind = "text/html; charset=utf-8"
    with pytest.raises(BadInput, match="gives a web page, not the file"):
        download.fetch(remote, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_what_came(
    host: Host, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = download.shutil._ntuple_diskusage(10**9, 10**9, download.SPARE_BYTES + 1_000_000)  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setattr(download.shutil, "disk_usage", lambda _: free)
        with pytest.raises(BadInput, match=r"3.0 MB are needed and 51.0 MB are free; make room"):
            download.fetch(remote, tmp_path)
    assert download.fetch(remote, tmp_path).read_bytes() == BODY


def test_kaggle_gets_user_and_key_and_its_archive_is_unpacked(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.wanted_login = "Basic YW5uYTpzZWNyZXQ="  # anna:secret
    host.moved["/api/v1/datasets/download/owner/skin"] = f"{host.url}/stored.zip"
    host.files["/stored.zip"] = zipped({"files/acne/0/front.jpg": b"picture", "skin_defects.csv": b"id,type"})
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", host.url)
    monkeypatch.setenv("KAGGLE_USERNAME", "anna")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    out = tmp_path / "out"
    for _ in range(2):
        called(monkeypatch, "kaggle:owner/skin", "--out", str(out))
    assert len(host.asked) == 2  # the move and the file; the second run found it all there
    assert (out / "files" / "acne" / "0" / "front.jpg").read_bytes() == b"picture"
    assert sorted(path.name for path in out.iterdir()) == ["acquired.json", "files", "skin_defects.csv"]
    record = json.loads((out / "acquired.json").read_text())
    assert "secret" not in str(record)
    assert [entry["sha256"] for entry in record.values()] == [hashlib.sha256(host.files["/stored.zip"]).hexdigest()]


@pytest.mark.parametrize(
    ("login", "told"),
    [
        ({}, "kaggle.json, or set KAGGLE_USERNAME and KAGGLE_KEY"),
        ({"KAGGLE_USERNAME": "anna", "KAGGLE_KEY": "wrong"}, "page: https://www.kaggle.com/datasets/owner/skin"),
    ],
)
def test_kaggle_says_where_key_and_terms_are(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: dict[str, str], told: str
) -> None:
    host.wanted_login = "Basic YW5uYTpzZWNyZXQ="
    environment = {"KAGGLE_API_ENDPOINT": host.url, "KAGGLE_CONFIG_DIR": str(tmp_path / "none"), **login}
    with pytest.raises(BadInput) as refused:
        acquire.from_host(acquire.kaggle("owner/skin", None, environment), tmp_path, several=False)
    assert told in str(refused.value)
    assert "wrong" not in str(refused.value)


def test_kaggle_json_is_read_and_a_malformed_one_told(tmp_path: Path) -> None:
    file = tmp_path / "kaggle.json"
    environment = {"KAGGLE_CONFIG_DIR": str(tmp_path)}
    assert acquire.kaggle_login(environment) is None
    file.write_text('{"username": "anna", "key": "secret"}')
    assert acquire.kaggle_login(environment) == ("anna", "secret")
    file.write_text('{"user": "anna"}')
    with pytest.raises(BadInput, match=r"kaggle.json: expected"):
        acquire.kaggle_login(environment)


def test_a_list_of_urls_is_fetched_archives_each_into_a_folder(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.files = {
        "/one.zip": zipped({"a.jpg": b"a"}),
        "/two.tgz": tarred([(tarfile.TarInfo("b.jpg"), b"b")]),
        "/c.jpg": b"c",
    }
    listing = tmp_path / "urls.txt"
    sha256 = hashlib.sha256(b"c").hexdigest().upper()
    listing.write_text(f"# all of it\n{host.url}/one.zip\n\n{host.url}/two.tgz # tar\n{host.url}/c.jpg {sha256}\n")
    called(monkeypatch, str(listing), "--out", str(tmp_path / "out"))
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"one/a.jpg", "two/b.jpg", "c.jpg", "acquired.json"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("https://example.org/a.jpg 123", "sha256 of 64"),
        ("ftp://example.org/a.jpg", "begins with https://"),
        ("https://example.org/", "name of a file"),
        ("https://example.org/.hidden", "name of a file"),
        ("https://example.org/..%2F..%2Fa.jpg/..", "name of a file"),
        ("https://me:pass@example.org/a.jpg", "no user and password"),
        ("https://example.org/other/first.jpg", "listed before"),
    ],
)
def test_a_wrong_line_of_a_list_is_told_with_its_number(tmp_path: Path, line: str, told: str) -> None:
    listing = tmp_path / "urls.txt"
    listing.write_text(f"https://example.org/first.jpg\n{line}\n")
    with pytest.raises(BadInput, match=f"urls.txt:2: .*{told}"):
        acquire.listed(listing)


def test_a_local_archive_is_unpacked_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, out = tmp_path / "a.zip", tmp_path / "out"
    archive.write_bytes(zipped({"acne/a.jpg": b"a" * 100, "acne/b.jpg": b"b", "__MACOSX/acne/._a.jpg": b"x"}))
    called(monkeypatch, str(archive), "--out", str(out), "--sha256", download.sha256_of(archive))
    (out / "acne" / "b.jpg").unlink()
    stamp = (out / "acne" / "a.jpg").stat().st_mtime_ns
    called(monkeypatch, str(archive), "--out", str(out))
    assert "1 of 2 files were there already" in capsys.readouterr().err
    assert (out / "acne" / "b.jpg").read_bytes() == b"b"
    assert (out / "acne" / "a.jpg").stat().st_mtime_ns == stamp
    assert not (out / "__MACOSX").exists()
    assert archive.exists()


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def linked_zip() -> bytes:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "made", "told"),
    [
        ("a.zip", lambda: zipped({"../../evil.jpg": b"x"}), "leads out of the folder"),
        ("a.zip", lambda: zipped({"/evil.jpg": b"x"}), "leads out of the folder"),
        ("a.zip", lambda: zipped({"..\\evil.jpg": b"x"}), "leads out of the folder"),
        ("a.zip", lambda: zipped({"C:\\evil.jpg": b"x"}), "leads out of the folder"),
        ("a.zip", linked_zip, "is a link"),
        ("a.zip", lambda: zipped({"a": b"x", "a/b.jpg": b"x"}), "lies in a folder that is a file"),
        (
            "a.tar.gz",
            lambda: tarred([(tarfile.TarInfo("good.jpg"), b"x"), (tarfile.TarInfo("../evil.jpg"), b"x")]),
            "leads out",
        ),
        ("a.tar.gz", lambda: tarred([(link("home", tarfile.SYMTYPE, "/tmp"), b"")]), "is a link"),
        ("a.tar.gz", lambda: tarred([(link("hard", tarfile.LNKTYPE, "good.jpg"), b"")]), "is a link"),
        ("a.tar.gz", lambda: tarred([(link("fifo", tarfile.FIFOTYPE, ""), b"")]), "or a device"),
        ("a.zip", lambda: b"no archive", "damaged or no archive"),
        ("a.tar.gz", lambda: b"no archive", "damaged or no archive"),
        ("a.tar.gz", lambda: tarred([(tarfile.TarInfo("a.bin"), BODY)])[:-100_000], "damaged or no archive"),
    ],
)
def test_unsafe_and_damaged_archives_write_nothing(
    tmp_path: Path, name: str, made: Callable[[], bytes], told: str
) -> None:
    archive = tmp_path / name
    archive.write_bytes(made())
    with pytest.raises(BadInput, match=told):
        archives.unpack(archive, tmp_path / "inner" / "out")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "ALWAYS_BYTES", 1_000_000)
    (tmp_path / "a.zip").write_bytes(zipped({"a.jpg": bytes(5_000_000)}))
    (tmp_path / "a.tar.gz").write_bytes(tarred([(tarfile.TarInfo("a.jpg"), bytes(5_000_000))]))
    for name in ("a.zip", "a.tar.gz"):
        with pytest.raises(BadInput, match=r"unpacks to more than 1.0 MB"):
            archives.unpack(tmp_path / name, tmp_path / "out")
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    (tmp_path / "b.zip").write_bytes(zipped({f"{number}.jpg": b"" for number in range(3)}))
    with pytest.raises(BadInput, match="2 files"):
        archives.unpack(tmp_path / "b.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_archive_of_a_host_is_fetched_again(host: Host, tmp_path: Path) -> None:
    host.files["/a.zip"] = b"no archive"
    one = Remote(f"{host.url}/a.zip", "a.zip", page="https://example.org")
    with pytest.raises(BadInput, match="damaged"):
        acquire.from_host(one, tmp_path, several=False)
    host.files["/a.zip"] = zipped({"a.jpg": b"a"})
    assert acquire.from_host(one, tmp_path, several=False)["files"] == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing.txt"], "nothing.txt: there is no such file"),
        (["nothing.zip"], "nothing.zip: there is no such file"),
        (["kaggle:owner"], "expected kaggle:owner/name"),
        (["a.zip", "--sha256", "0" * 64], "must have sha256 0{64} and has"),
        (["picture.jpg"], "neither an archive .* nor a list"),
    ],
)
def test_wrong_sources_end_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.zip").write_bytes(zipped({"a.jpg": b"a"}))
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(SystemExit, match=told):
        called(monkeypatch, *arguments, "--out", "out")
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_what_came(host: Host, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host.breaks_after = [2_000_000]

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        download.fetch(remote, tmp_path, interrupted)
    kept = (tmp_path / "a.bin.part").stat().st_size
    host.asked.clear()
    assert download.fetch(remote, tmp_path).read_bytes() == BODY
    assert host.asked[0]["range"] == f"bytes={kept}-"
    assert kept > 1_000_000
