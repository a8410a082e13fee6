"""One photo as the bytes that many clients send for it, written out by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import cv2
import numpy as np

CRLF = "\r\n"
FORM = "multipart/form-data; boundary="
JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"
FIELD = 'form-data; name="image"'
FILE = f'{FIELD}; filename="selfie.jpg"'


class Transport(NamedTuple):
    """Body, value of Content-Type (None: the header is absent) and further headers of a request."""

    body: bytes
    content_type: str | None
    headers: Mapping[str, str] = {}


def photo() -> bytes:
    """A JPEG of noise: its base64 has every sign of the alphabet, its bytes have zeros and line breaks."""
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    assert all(sign in data for sign in (b"\0", b"\r", b"\n"))
    assert base64.b64encode(data).count(b"+") > 50
    return data


def part(headers: Mapping[str, str], content: bytes, line: bytes = b"\r\n") -> bytes:
    head = b"".join(f"{name}: {value}".encode() + line for name, value in headers.items())
    return head + line + content + line


def form(
    boundary: str, *parts: bytes, line: bytes = b"\r\n", end: bytes = b"--\r\n", content_type: str = ""
) -> Transport:
    """A multipart request whose type names the boundary as it is, or is `content_type`."""
    marker = b"--" + boundary.encode()
    body = b"".join(marker + line + content for content in parts) + marker + end
    return Transport(body, content_type or FORM + boundary)


def wrapped(text: str, width: int, line: str) -> str:
    return "".join(text[i : i + width] + line for i in range(0, len(text), width))


def in_json(value: Any, **more: Any) -> Transport:
    return Transport(json.dumps({"image": value, **more}).encode(), JSON)


PHOTO = photo()
BASE64 = base64.b64encode(PHOTO).decode()
SAFE = base64.urlsafe_b64encode(PHOTO).decode()
URL = f"data:image/jpeg;base64,{BASE64}"
UNPLUSSED = BASE64.replace("+", " ")
BODY = json.dumps({"image": BASE64})
OCTETS = {"Content-Disposition": FILE, "Content-Type": "application/octet-stream"}
JPEG = {"Content-Disposition": FILE, "Content-Type": "image/jpeg"}
BARE = {"Content-Disposition": FIELD}
WITHOUT_NAME = {**BARE, "Content-Type": "image/jpeg"}
LONG_NAME = quote("Фотография с телефона мамы, лето.jpg" * 7)

FORMS = {
    "Chrome": form("----WebKitFormBoundary7MA4YWxkTrZu0gW", part(JPEG, PHOTO)),
    "Firefox": form("-----------------------------9051914041544843365972754266", part(JPEG, PHOTO)),
    "fetch: FormData with a Blob": form(
        "----formdata-undici-0123", part({**JPEG, "Content-Disposition": f'{FIELD}; filename="blob"'}, PHOTO)
    ),
    "a part without a file name": form("----WebKitFormBoundaryX", part(WITHOUT_NAME, PHOTO)),
    "React Native, {uri, type, name}": form(
        "d4653e4a-9a5d",
        part({"content-disposition": FILE, "Content-Type": "image/jpeg", "Content-Length": str(len(PHOTO))}, PHOTO),
    ),
    "React Native, {uri, type}": form(
        "d4653e4a-9a5d",
        part({"content-disposition": FIELD, "Content-Type": "image/jpeg", "Content-Length": str(len(PHOTO))}, PHOTO),
    ),
    "React Native 0.74, filename*": form(
        "d4653e4a-9a5d", part({"content-disposition": f"{FILE}; filename*=utf-8''selfie.jpg"}, PHOTO)
    ),
    "React Native, type set by hand": form("d4653e4a-9a5d", part(JPEG, PHOTO), content_type="multipart/form-data"),
    "React Native, boundary set by hand": form("d4653e4a-9a5d", part(JPEG, PHOTO), content_type=f"{FORM}6ff46e0b"),
    "React Native on iOS, quoted boundary": form("Fx9", part(JPEG, PHOTO), content_type=f'{FORM}"Fx9"'),
    "react-native-fs, raw in spite of its type": Transport(PHOTO, f"{FORM}----A63774C3-4BB0"),
    "FormData under the type of JSON": form("----WebKitFormBoundaryX", part(JPEG, PHOTO), content_type=JSON),
    "OkHttp": form("5f2b1a", part({**JPEG, "Content-Length": str(len(PHOTO))}, PHOTO)),
    "Retrofit, part of base64 with its quotes": form(
        "5f2b1a", part({**BARE, "Content-Transfer-Encoding": "binary"}, f'"{BASE64}"'.encode())
    ),
    "Alamofire without a file name": form("alamofire.boundary.4c82", part(BARE, PHOTO)),
    "Swift by hand, line feeds, no end": form("Boundary-E1", part(JPEG, PHOTO, b"\n"), line=b"\n", end=b""),
    "Cordova": form("+++++org.apache.cordova.formBoundary", part(JPEG, PHOTO)),
    "Flutter http": form(
        "dart-http-boundary-kq+",
        part({"content-type": "application/octet-stream", "content-disposition": FILE}, PHOTO),
    ),
    "dio": form("--dio-boundary-0123", part({"content-disposition": FILE, "content-type": "image/jpeg"}, PHOTO)),
    "Postman form-data": form("--------------------------604172", part(JPEG, PHOTO)),
    "form-data for Node, Buffer without options": form(
        "--------------------------51589", part({**BARE, "Content-Type": "application/octet-stream"}, PHOTO)
    ),
    "curl -F, PHP CURLFile": form("------------------------d74496d66958873e", part(JPEG, PHOTO)),
    "curl -F 'image=<file'": form("------------------------d74496d66958873e", part(BARE, PHOTO)),
    "Go": form("0a1b2c3d", part(OCTETS, PHOTO)),
    "Ruby Net::HTTP": form("WTzR1", part(OCTETS, PHOTO)),
    "Apache HttpClient": form("xyz", part({**OCTETS, "Content-Transfer-Encoding": "binary"}, PHOTO)),
    ".NET": form(
        "0b33c5c1",
        part({"Content-Disposition": "form-data; name=image; filename=a.jpg; filename*=utf-8''a.jpg"}, PHOTO),
        content_type=f'{FORM}"0b33c5c1"',
    ),
    ".NET StringContent": form(
        "0b33c5c1",
        part({"Content-Type": "text/plain; charset=utf-8", "Content-Disposition": "form-data; name=image"}, BASE64.encode()),
        content_type=f'{FORM}"0b33c5c1"',
    ),
    "aiohttp": form("b1946ac9", part({"Content-Type": "image/jpeg", "Content-Disposition": FILE}, PHOTO)),
    "Django test client": form("BoUnDaRyStRiNg", part(JPEG, PHOTO)),
    "Delphi, quoted-printable base64": form(
        "--------112233",
        part({**BARE, "Content-Transfer-Encoding": "quoted-printable"}, wrapped(BASE64, 75, "=\r\n").encode()),
    ),
    "Python email, base64 part": form(
        "===============1234==", part({**JPEG, "Content-Transfer-Encoding": "base64"}, wrapped(BASE64, 76, "\n").encode())
    ),
    "data URL in a text part": form("x", part(BARE, URL.encode())),
    "file of base64": form("x", part({**JPEG, "Content-Type": "text/plain"}, BASE64.encode())),
    "file name in another encoding": Transport(
        b"--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"\xd4\xee\xf2\xee.jpg\"\r\n\r\n" + PHOTO + b"\r\n--x--",
        f"{FORM}x",
    ),
    "empty image, full image_data": form(
        "x",
        part({**BARE, "Content-Type": "application/octet-stream"}, b""),
        part({"Content-Disposition": 'form-data; name="image_data"'}, PHOTO),
    ),
    "empty file before the photo": form("x", part({"Content-Disposition": f'{FIELD}; filename=""'}, b""), part(JPEG, PHOTO)),
    "words in image, photo in image_data": form(
        "x", part(BARE, b"[object Object]"), part({"Content-Disposition": 'form-data; name="image_data"'}, URL.encode())
    ),
    "the only photo, in the field photo": form(
        "x",
        part({"Content-Disposition": 'form-data; name="title"'}, b"me"),
        part({"Content-Disposition": 'form-data; name="photo"; filename="a.jpg"'}, PHOTO),
    ),
    "GraphQL": form("x", part({"Content-Disposition": 'form-data; name="operations"'}, b'{"query": "mutation"}'),
                    part({"Content-Disposition": 'form-data; name="0"; filename="a.jpg"'}, PHOTO)),
    "attachment, no spaces": form("x", part({"Content-Disposition": 'attachment;filename="a.jpg";name="image"'}, PHOTO)),
    "multipart/related": form("x", part({"Content-Type": "image/jpeg"}, PHOTO), content_type="multipart/related; boundary=x"),
    "text and line breaks before the first boundary": Transport(
        b"This is a multipart message.\r\n\r\n" + form("x", part(JPEG, PHOTO)).body, f"{FORM}x"
    ),
}  # fmt: skip

BODIES = {
    "curl --data-binary": Transport(PHOTO, URLENCODED),
    "wget --post-file": Transport(PHOTO, URLENCODED),
    "requests data=, httpx content=": Transport(PHOTO, None),
    "fetch: Blob, Postman binary": Transport(PHOTO, "image/jpeg"),
    "fetch: ArrayBuffer": Transport(PHOTO, None),
    "jQuery, processData: false": Transport(PHOTO, f"{URLENCODED}; charset=UTF-8"),
    "S3 and others, a type of their own": Transport(PHOTO, "binary/octet-stream"),
    "Content-Encoding that is not true": Transport(PHOTO, "image/jpeg", {"Content-Encoding": "gzip"}),
    "XMLHttpRequest, binary string": Transport(PHOTO.decode("latin-1").encode(), "text/plain;charset=UTF-8"),
    "API gateway, base64 as image/jpeg": Transport(BASE64.encode(), "image/jpeg"),
    "fetch: data URL": Transport(URL.encode(), "text/plain;charset=UTF-8"),
    "curl -d @file.b64": Transport(BASE64.encode(), URLENCODED),
    "curl --data-urlencode @photo.jpg": Transport(quote(PHOTO).encode(), URLENCODED),
    "form without a type": Transport(f"image={quote_plus(BASE64)}".encode(), None),
    "form under the type of JSON": Transport(f"image={quote_plus(BASE64)}".encode(), JSON),
    "base64 as octets": Transport(BASE64.encode(), "application/octet-stream"),
    "FormData under the type of a picture": form(
        "----WebKitFormBoundaryX", part(JPEG, PHOTO), content_type="image/jpeg"
    ),
    "XMLHttpRequest, hexadecimal": Transport(PHOTO.hex().encode(), "text/plain"),
}

URLENCODED_FORMS = {
    "jQuery, requests data={}": f"image={quote_plus(BASE64)}",
    "curl --data-urlencode image=…": f"image={quote(BASE64, safe='')}",
    "curl --data-urlencode image@photo.jpg": f"image={quote(PHOTO, safe='')}",
    "jQuery, data URL": f"include=&image={quote_plus(URL)}",
    "PHP http_build_query, URL-safe": f"image_data={SAFE}&demographics=",
    "jQuery, image=… put together, + not escaped": f"image={BASE64}",
    "line breaks and + not escaped": f"image={wrapped(BASE64, 76, '%0A')}",
    "escaped twice": f"image={quote_plus(quote_plus(URL))}",
    "JSON in another field": f"payload={quote_plus(BODY)}&user=7",
    "Rails, another name": f"photo%5Bimage%5D={quote_plus(BASE64)}",
}

TEXTS = {
    "base64": BASE64,
    "data URL": URL,
    "canvas.toDataURL, FileReader": f"data:image/jpg;base64,{BASE64}",
    "without padding": BASE64.rstrip("="),
    "URL-safe (Android URL_SAFE, NO_PADDING)": SAFE.rstrip("="),
    "iOS lineLength64, CRLF": wrapped(BASE64, 64, "\r\n"),
    "iOS lineLength76, LF": wrapped(BASE64, 76, "\n"),
    "Android Base64.DEFAULT": wrapped(BASE64, 76, "\n"),
    "Android Base64.CRLF": wrapped(BASE64, 76, "\r\n"),
    "shell, lines joined by spaces": wrapped(BASE64, 76, " "),
    "indented lines": wrapped(BASE64, 76, "\n        "),
    "+ became spaces": UNPLUSSED,
    "data URL, + became spaces": f"data:image/jpeg;base64,{UNPLUSSED}",
    "lines, + became spaces": wrapped(UNPLUSSED, 76, "\r\n"),
    "percent-encoded bytes": f"data:image/jpeg,{quote(PHOTO)}",
    "percent-encoded base64": f"data:image/jpeg;base64,{quote(BASE64, safe='')}",
    "percent-encoded data URL": quote(URL, safe=""),
    "react-jsonschema-form, Cyrillic name": f"data:image/jpeg;name={LONG_NAME};base64,{BASE64}",
    "name with a comma, raw": f"data:image/jpeg;name=Ich, im Juli.jpg;base64,{BASE64}",
    "quoted name with commas, percent-encoded bytes": f'data:image/jpeg;name="Ich, \\"Juli\\".jpg",{quote(PHOTO)}',
    "Cyrillic name, raw": f"data:image/jpeg;name=Фото.jpg;base64,{BASE64}",
    "charset": f"data:image/jpeg;charset=utf-8;base64,{BASE64}",
    "capitals": f"DATA:IMAGE/JPEG;BASE64,{BASE64}",
    "two headers": f"data:image/jpeg;base64,{URL}",
    "parameters behind the mark": f"data:image/jpeg;base64;name=a.jpg,{BASE64}",
    "Laravel": f"base64:{BASE64}",
    "certutil -encode": f"-----BEGIN CERTIFICATE-----\r\n{wrapped(BASE64, 64, CRLF)}-----END CERTIFICATE-----\r\n",
    "Uint8Array in a form": ",".join(map(str, PHOTO)),
    "JSON of an object": json.dumps({"uri": URL}),
    "JSON of a list": json.dumps(list(PHOTO)),
    "half a header": f"image/jpeg;base64,{BASE64}",
    "base64 without its mark": f"data:image/jpeg,{BASE64}",
    "base64 of base64": base64.b64encode(BASE64.encode()).decode(),
    "base64 of a data URL": base64.b64encode(URL.encode()).decode(),
    "quotes": f'"{BASE64}"',
    "escaped quotes": f'\\"{URL}\\"',
    "JSON.stringify twice": json.dumps(json.dumps(URL)),
    "escaped slashes": BASE64.replace("/", "\\/"),
    "escaped pluses": BASE64.replace("+", "\\u002B"),
    "Python str(bytes)": str(base64.b64encode(PHOTO)),
    "hexadecimal": PHOTO.hex(),
    "hexadecimal, 0x and capitals": f"0x{PHOTO.hex().upper()}",
    "PostgreSQL bytea": f"\\x{PHOTO.hex()}",
    "xxd -p": wrapped(PHOTO.hex(), 60, "\n"),
    "binary string (readAsBinaryString)": PHOTO.decode("latin-1"),
    "byte order mark": f"\ufeff{BASE64}",
}

VALUES: dict[str, Any] = {
    "Node.js Buffer": {"type": "Buffer", "data": list(PHOTO)},
    "Dart Uint8List": list(PHOTO),
    "Java byte[]": np.frombuffer(PHOTO, np.int8).tolist(),
    "Expo asset": {"uri": URL, "base64": BASE64, "width": 64, "height": 48},
    "data URL in uri": {"uri": URL, "type": "image/jpeg", "name": "selfie.jpg"},
    "list of one": [BASE64],
    "object in an object": {"source": {"data": BASE64}},
}

DOCUMENTS = {
    "requests json=, axios, HttpClient": Transport(BODY.encode(), JSON),
    "curl -d '{…}'": Transport(BODY.encode(), URLENCODED),
    "jQuery.post with JSON.stringify": Transport(BODY.encode(), f"{URLENCODED}; charset=UTF-8"),
    "fetch without a type": Transport(BODY.encode(), "text/plain;charset=UTF-8"),
    "no type": Transport(BODY.encode(), None),
    "type of a form": Transport(BODY.encode(), "multipart/form-data"),
    "application/ld+json": Transport(BODY.encode(), "application/ld+json"),
    "UTF-8 with a byte order mark": Transport(BODY.encode("utf-8-sig"), JSON),
    "PowerShell, UTF-16": Transport(BODY.encode("utf-16"), JSON),
    "UTF-16 without a byte order mark": Transport(BODY.encode("utf-16-le"), JSON),
    "JSON within a string": Transport(json.dumps(BODY).encode(), JSON),
    "the string alone": Transport(json.dumps(URL).encode(), JSON),
    "the bytes as a list alone": Transport(json.dumps(list(PHOTO)).encode(), JSON),
    "curl with $(base64 file), raw line breaks": Transport(
        f'{{"image": "{wrapped(BASE64, 76, chr(10))}"}}'.encode(), JSON
    ),
    "iOS JSONSerialization, escaped slashes": Transport(BODY.replace("/", "\\/").encode(), JSON),
    "Gson, escaped equals signs": Transport(BODY.replace("=", "\\u003d").encode(), JSON),
    "image_data beside an empty image": Transport(json.dumps({"image": "", "image_data": URL}).encode(), JSON),
    "image_data beside null": Transport(json.dumps({"image": None, "image_data": URL}).encode(), JSON),
    "image_data beside an address": Transport(json.dumps({"image": "file:///a.jpg", "image_data": URL}).encode(), JSON),
    "another name": Transport(json.dumps({"photo": URL, "age": 34}).encode(), JSON),
}

TAKEN: dict[str, Transport] = {
    **{f"multipart: {name}": transport for name, transport in FORMS.items()},
    **{f"body: {name}": transport for name, transport in BODIES.items()},
    **{f"form: {name}": Transport(text.encode(), URLENCODED) for name, text in URLENCODED_FORMS.items()},
    **{f"text: {name}": in_json(text) for name, text in TEXTS.items()},
    **{f"text in a part: {name}": form("x", part(BARE, text.encode())) for name, text in TEXTS.items()},
    **{f"value: {name}": in_json(value) for name, value in VALUES.items()},
    **{f"JSON: {name}": transport for name, transport in DOCUMENTS.items()},
}  # fmt: skip
