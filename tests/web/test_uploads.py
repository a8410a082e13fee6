"""Whatever way a picture is sent, the pipeline gets the same bytes; whatever else is sent gets its own code."""

from __future__ import annotations

import base64
import io
import random
import re
import tempfile
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pytest
from flask.testing import FlaskClient
from hypothesis import assume, given
from hypothesis import strategies as st
from urllib3.filepost import encode_multipart_formdata
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from analyzer.settings import Settings
from application import create_app
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.records import ANALYZE
from web.bad_uploads import BadUpload
from web.file_signatures import SIGNATURE, without_junk
from web.forms import find_boundary, multipart_fields
from web.picture_texts import decode_picture, percent_decoded

STARTS = (
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"RIFF\x10\x00\x00\x00WEBP",
    b"\x00\x00\x00\x18ftypheic",
)
KINDS = ("jpeg", "png", "gif", "webp", "heic")
PNG = records.picture()


@st.composite
def written(draw: st.DrawFn) -> tuple[bytes, str]:
    """Bytes and one of the ways in which pages write them as base64."""
    data = draw(st.binary(min_size=1, max_size=400))
    text = base64.b64encode(data).decode()
    if draw(st.booleans()):
        text = text.replace("+", "-").replace("/", "_")
    if draw(st.booleans()):
        text = text.rstrip("=")
    every = draw(st.integers(1, 100))
    space = draw(st.sampled_from(["", "\n", "\r\n", " ", "\t"]))
    text = space.join(text[i : i + every] for i in range(0, len(text), every))
    prefix = draw(st.sampled_from(["", "data:image/jpeg;base64,", "data:;base64,", " DATA:image/heic;name=x;base64,"]))
    return data, prefix + text


@given(written())
def test_every_way_of_writing_base64_is_read(case: tuple[bytes, str]) -> None:
    data, text = case
    assert decode_picture(text) == data


@given(
    start=st.sampled_from(STARTS),
    seed=st.integers(0, 2**32),
    width=st.integers(50, 90),
    line=st.sampled_from(["", "\n", "\r\n"]),
)
def test_lost_pluses_are_restored(start: bytes, seed: int, width: int, line: str) -> None:
    data = start + random.Random(seed).randbytes(3000)
    text = base64.b64encode(data).decode()
    assume(text.count("+") > 2)
    lost = "".join(text[i : i + width] + line for i in range(0, len(text), width)).replace("+", " ")
    assert decode_picture(lost) == data


@given(start=st.sampled_from(STARTS), seed=st.integers(0, 2**32), width=st.integers(1, 90))
def test_spaces_that_wrap_lines_are_no_pluses(start: bytes, seed: int, width: int) -> None:
    data = start + random.Random(seed).randbytes(300)
    text = base64.b64encode(data).decode()
    assert decode_picture(" ".join(text[i : i + width] for i in range(0, len(text), width))) == data


@given(st.binary(max_size=200), st.booleans())
def test_percent_encoding_is_decoded_as_by_urllib(data: bytes, all_bytes: bool) -> None:
    written = "".join(f"%{byte:02x}" for byte in data) if all_bytes else quote(data, safe="=!'();:@&=+$,/?#[]* \r\n\t")
    assert percent_decoded(written.encode()) == unquote_to_bytes(written) == data


@pytest.mark.parametrize("text", [b"50%", b"%%%", b"%41%4", b"=%zz"])
def test_a_percent_sign_that_is_no_escape_stays(text: bytes) -> None:
    assert percent_decoded(text) == text


@given(st.lists(st.tuples(st.sampled_from(("image", "x y", "Фото")), st.binary(max_size=300)), max_size=5))
def test_parts_arrive_as_the_bytes_that_a_library_wrote(parts: list[tuple[str, bytes]]) -> None:
    body = encode_multipart_formdata([(name, ("a.bin", data)) for name, data in parts], "b0undary")[0]
    assert find_boundary(body, "b0undary") == b"b0undary"
    assert multipart_fields(body, b"b0undary") == parts


@given(st.text(max_size=200))
def test_other_texts_are_read_or_refused(text: str) -> None:
    try:
        read = decode_picture(text)
    except BadUpload as error:
        read = error.code.encode()
    assert read
    if not set(text.partition(",")[0].lower()) <= set("abcdefghijklmnopqrstuvwxyz0123456789+/-_=:;,. \t\r\n\f\v"):
        assert read in (b"bad_base64", b"missing_image") or text.lstrip().lower().startswith(("data:", "<"))


@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=200), junk=st.binary(max_size=44))
def test_junk_before_a_picture_is_dropped(start: bytes, rest: bytes, junk: bytes) -> None:
    assume(not SIGNATURE.search(junk + start[:-1]))
    assume(not base64.b64encode(junk).startswith(b"dataimage/"))
    cleaned = without_junk(junk + start + rest)
    assert cleaned == start + rest
    assert without_junk(cleaned) == cleaned


@given(kind=st.sampled_from(list(zip(KINDS, STARTS, strict=True))), rest=st.binary(max_size=300))
def test_a_data_url_that_was_decoded_as_a_whole_is_rescued(kind: tuple[str, bytes], rest: bytes) -> None:
    name, start = kind
    url = f"data:image/{name};base64,{base64.b64encode(start + rest).decode()}"
    kept = re.sub("[^A-Za-z0-9+/]", "", url)  # lenient decoders skip what is not in the alphabet
    decoded = base64.b64decode(kept[: len(kept) - (len(kept) % 4 == 1)] + "==")
    rescued = without_junk(decoded)
    assert rescued[:-1] == (start + rest)[: len(rescued) - 1]  # lenient decoders drop up to six bits at the very end
    assert len(start + rest) - len(rescued) in (0, 1)


@given(st.binary(max_size=300))
def test_bytes_without_a_signature_stay_as_they_are(data: bytes) -> None:
    cleaned = without_junk(data)
    assert data.endswith(cleaned) or base64.b64encode(data).startswith(b"dataimage/")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif"])
def test_the_old_page_gets_its_answer(client: FlaskClient, fake: FakePipeline, suffix: str) -> None:
    kind = {".jpg": "jpeg"}.get(suffix, suffix[1:])
    for width in (64, 65, 66):  # three lengths, so that every rest of the division by three comes up
        data = records.picture(width, 48, suffix)
        kept = re.sub("[^A-Za-z0-9+/]", "", f"data:image/{kind};base64,{records.encoded(data)}")
        decoded = base64.b64decode(kept[: len(kept) - (len(kept) % 4 == 1)] + "==")
        answer = client.post("/api/v5/skin/analyze-fixed", data={"image": (io.BytesIO(decoded), "image.jpg")})
        assert (answer.status_code, answer.json.get("error_code")) == (200, None)


def ways(data: bytes) -> dict[str, dict[str, Any]]:
    text = records.encoded(data)
    return {
        "json image": {"json": {"image": text}},
        "json image_data": {"json": {"image_data": f"data:image/png;base64,{text}", "image": ""}},
        "json with unknown fields": {"json": {"image": text, "preprocessing_metadata": {"a": [1]}}},
        "json without its type": {"data": f'{{"image": "{text}"}}', "content_type": ""},
        "json as text": {"data": f'{{"image": "{text}"}}', "content_type": "text/plain;charset=UTF-8"},
        "multipart file": {"data": {"image": (io.BytesIO(data), "selfie.png", "image/png")}},
        "multipart file without a type": {"data": {"image_data": (io.BytesIO(data), "x")}},
        "multipart text": {"data": {"image": text}, "content_type": "multipart/form-data"},
        "raw": {"data": data, "content_type": "image/png"},
        "raw of a wrong type": {"data": data, "content_type": "image/jpeg"},
        "raw as text": {"data": data, "content_type": "text/plain"},
        "raw said to be json": {"data": data, "content_type": "application/json"},
        "raw without a type": {"data": data, "content_type": ""},
        "raw as curl sends it": {"data": data, "content_type": "application/x-www-form-urlencoded"},
        "json with a byte order mark": {
            "data": b"\xef\xbb\xbf" + f'{{"image": "{text}"}}'.encode(),
            "content_type": "application/json",
        },
        "octets": {"data": data, "content_type": "application/octet-stream"},
    }


@pytest.mark.parametrize("way", list(ways(PNG)))
def test_every_way_of_sending_gives_the_same_bytes(client: FlaskClient, fake: FakePipeline, way: str) -> None:
    answer = client.post(ANALYZE, **ways(PNG)[way])
    assert (answer.status_code, answer.json.get("error_code")) == (200, None)
    assert fake.calls[-1][0] == PNG


def test_fields_beside_a_multipart_picture_are_read(client: FlaskClient, fake: FakePipeline) -> None:
    fields = {"image": (io.BytesIO(PNG), "x.png"), "demographics": '{"age": 30}', "include": "lesions, explanation"}
    answer = client.post(ANALYZE, data=fields).json
    assert fake.calls[-1][1]["demographics"].age == 30
    assert {"lesions", "explanation_reason"} <= set(answer)
    listed = {**fields, "image": (io.BytesIO(PNG), "x.png"), "include": '["lesions"]'}
    assert "lesions" in client.post(ANALYZE, data=listed).json


def test_demographics_of_a_form_that_are_no_json_cost_nothing(client: FlaskClient, fake: FakePipeline) -> None:
    fields = {"image": (io.BytesIO(PNG), "x.png"), "demographics": "{"}
    assert client.post(ANALYZE, data=fields).json["result"]["demographics_ignored"] == ["demographics"]


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "empty body": ({"data": b""}, 400, "missing_image"),
    "empty object": ({"json": {}}, 400, "missing_image"),
    "null": ({"json": {"image": None}}, 400, "missing_image"),
    "only white space": ({"json": {"image": " \n"}}, 400, "missing_image"),
    "empty data URL": ({"json": {"image": "data:image/png;base64,"}}, 400, "missing_image"),
    "empty file": ({"data": {"image": (io.BytesIO(b""), "x.png")}}, 400, "missing_image"),
    "no image part": ({"data": {"other": "1"}, "content_type": "multipart/form-data"}, 400, "missing_image"),
    "not JSON": ({"data": "{", "content_type": "application/json"}, 400, "bad_json"),
    "not UTF-8": ({"data": b'{"image": "\xff"}', "content_type": "application/json"}, 400, "bad_json"),
    "NaN": ({"data": b'{"image": NaN}', "content_type": "application/json"}, 400, "bad_json"),
    "deeply nested": ({"data": b"[" * 100_000, "content_type": "application/json"}, 400, "bad_json"),
    "a list": ({"json": ["image"]}, 400, "bad_json"),
    "a number": ({"json": {"image": 7}}, 400, "bad_json"),
    "octets that are no picture": ({"data": b"abc" * 9, "content_type": "application/octet-stream"}, 400, "bad_image"),
    "text without a type": ({"data": b"abc" * 9, "content_type": ""}, 400, "bad_json"),
    "not base64": ({"json": {"image": "§§§§"}}, 400, "bad_base64"),
    "cut base64": ({"json": {"image": "AAAAA"}}, 400, "bad_base64"),
    "padding in the middle": ({"json": {"image": "AA==AAAA"}}, 400, "bad_base64"),
    "a PDF": ({"data": b"%PDF-1.7 " + bytes(100), "content_type": "image/jpeg"}, 415, "unsupported_type"),
    "empty form": ({"data": "image=&a=1", "content_type": "application/x-www-form-urlencoded"}, 400, "missing_image"),
    "XML": ({"data": "<image/>", "content_type": "application/xml"}, 415, "unsupported_type"),
    "a cut picture": ({"data": PNG[: len(PNG) // 2], "content_type": "image/png"}, 400, "truncated_image"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_other_bodies_get_their_own_code(client: FlaskClient, fake: FakePipeline, case: str) -> None:
    options, status, code = REFUSED[case]
    answer = client.post(ANALYZE, **options)
    assert (answer.status_code, answer.json["error_code"]) == (status, code)
    records.check_schema("analysis_refusal", answer.json)
    assert not fake.calls


def test_a_form_without_its_boundary_is_told_where_that_comes_from(client: FlaskClient, fake: FakePipeline) -> None:
    answer = client.post(ANALYZE, data=b"--x\r\n", headers={"Content-Type": "multipart/form-data"})
    assert (answer.status_code, answer.json["error_code"]) == (400, "missing_image")
    assert "boundary" in answer.json["error"]
    assert "Content-Type" in answer.json["guidance"]["suggestions"][0]
    assert not fake.calls


def test_large_parts_stay_in_memory(fake: FakePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a temporary file was opened")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", refuse)
    padded = PNG + bytes(3_000_000)  # trailing bytes are no part of a PNG
    client = create_app(Settings()).test_client()
    for data in ({"image": FileStorage(io.BytesIO(padded), "x.png")}, {"image": records.encoded(padded)}):
        boundary, body = encode_multipart(data)  # the client's own encoder would open a file of its own
        answer = client.post(ANALYZE, data=body, content_type=f"multipart/form-data; boundary={boundary}")
        assert answer.status_code == 200, answer.json
        assert fake.calls[-1][0] == padded
