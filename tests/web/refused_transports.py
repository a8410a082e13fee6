"""Requests whose photo cannot be taken, each with the status, the code and words of the answer that names the cause."""

from __future__ import annotations

import base64
import gzip
import re

from tests.web.transports import (
    BARE,
    BASE64,
    BODY,
    FORM,
    JPEG,
    JSON,
    PHOTO,
    UNPLUSSED,
    URLENCODED,
    Transport,
    form,
    in_json,
    part,
)

STRIPPED = re.sub(rb"[\r\n\0]", b"", PHOTO)  # what curl -d leaves of a file
MIXED = UNPLUSSED[:2000] + "§" + UNPLUSSED[2000:]
REFUSED: dict[str, tuple[Transport, int, str, str]] = {
    "curl -d @photo.jpg": (Transport(STRIPPED, URLENCODED), 400, "bad_image", "curl -d"),
    "gzip": (Transport(gzip.compress(BODY.encode()), JSON, {"Content-Encoding": "gzip"}), 415, "unsupported_type", "compressed"),
    "gzip without its header": (Transport(gzip.compress(BODY.encode()), JSON), 415, "unsupported_type", "compressed"),
    "brotli": (Transport(b"\x0b\x02\x80", JSON, {"Content-Encoding": "br"}), 415, "unsupported_type", "compressed"),
    "read as text": (in_json(PHOTO.decode(errors="replace")), 400, "bad_image", "read as text"),
    "file read as text": (form("x", part(JPEG, PHOTO.decode(errors="replace").encode())), 400, "bad_image", "read as text"),
    "lost pluses and more": (in_json(MIXED), 400, "bad_base64", "spaces where plus signs belong"),
    "cut": (in_json(BASE64[: len(BASE64) // 4 * 4 - 7]), 400, "bad_base64", "end is missing"),
    "encoded piece by piece": (in_json("/9j/4A==/9j/4A=="), 400, "bad_base64", "behind its padding"),
    "other characters": (in_json(BASE64[:400] + "…"), 400, "bad_base64", "characters that base64 does not use"),
    "a phone's address": (in_json("file:///storage/emulated/0/a.jpg"), 400, "bad_base64", "address of a file"),
    "a browser's address": (in_json("blob:https://x.org/1-2-3"), 400, "bad_base64", "address of a file"),
    "a file's name": (in_json("selfie.jpg"), 400, "bad_base64", "name or address"),
    "PHP 5's @file": (Transport(b"image=%40%2Ftmp%2Fa.jpg", URLENCODED), 400, "bad_base64", "name or address"),
    "Windows' fake path": (in_json("C:\\fakepath\\new.jpg"), 400, "bad_base64", "name or address"),
    "undefined": (in_json("undefined"), 400, "missing_image", "a word that a program writes"),
    "[object File]": (form("x", part(BARE, b"[object File]")), 400, "missing_image", "a word that a program writes"),
    "empty data URL of a canvas": (in_json("data:,"), 400, "missing_image", "No photo arrived"),
    "a file in JSON": (in_json({}, image_data={"uri": "file:///a.jpg"}), 400, "bad_json", "holds no photo"),
    "Uint8Array in JSON": (in_json(dict(enumerate(PHOTO))), 400, "bad_json", "holds no photo"),
    "pixels": (in_json([[[1, 2, 3]]]), 400, "bad_json", "holds no photo"),
    "two photos under other names": (
        form("x", part({}, PHOTO), part({}, PHOTO + b"\0")), 400, "missing_image", "Several photos",
    ),
    "JSON cut off": (Transport(BODY[:-1].encode(), JSON), 400, "bad_json", f"at character {len(BODY)}"),
    "Python's dict": (Transport(str({"image": BASE64}).encode(), JSON), 400, "bad_json", "at character 2"),
    "form without parts": (Transport(b"--y--\r\n", f"{FORM}x"), 400, "missing_image", "boundary"),
    "part without a blank line": (
        Transport(b'--x\r\nContent-Disposition: form-data; name="image"\r\n--x--', f"{FORM}x"), 400, "missing_image", "no content",
    ),
    "101 parts": (form("x", *[part(BARE, b"")] * 101), 413, "too_large", "100 parts"),
    "101 fields": (Transport(b"a=1&" * 101, URLENCODED), 413, "too_large", "100 fields"),
    "9 KiB of headers": (form("x", part({**JPEG, "X-A": "a" * 9000}, PHOTO)), 413, "too_large", "8 KiB"),
    "SVG": (in_json("data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg'/>"), 415, "unsupported_type", "SVG"),
    "PDF as base64": (in_json(base64.b64encode(b"%PDF-1.7 " + bytes(99)).decode()), 415, "unsupported_type", "PDF"),
}  # fmt: skip
