"""Requests that two servers may read differently, so that the second one finds a further request in the first one's body."""

from __future__ import annotations

from tests.web.records import DETECT

SMUGGLED = "smuggled"
INNER = f"GET /health?{SMUGGLED} HTTP/1.1\r\nHost: x\r\nX-Request-ID: {SMUGGLED}\r\n\r\n".encode()
TYPE = b"Host: x\r\nContent-Type: image/jpeg\r\n"
POST = b"POST " + DETECT.encode() + b" HTTP/1.1\r\n" + TYPE
CHUNKED = b"0\r\n\r\n" + INNER  # the body ends at once for who reads chunks
LENGTH = b"Content-Length: %d\r\n"


def _post(*headers: bytes, body: bytes) -> bytes:
    return POST + b"".join(headers) + b"\r\n" + body


BOTH = LENGTH % len(CHUNKED)
CODING = b"Transfer-Encoding: chunked\r\n"
ATTEMPTS = {
    "CL.TE": _post(BOTH, CODING, body=CHUNKED),
    "TE.CL": _post(CODING, LENGTH % 4, body=b"%x\r\n" % len(INNER) + INNER + b"\r\n0\r\n\r\n"),
    "TE.TE, capitals and tabs": _post(BOTH, b"Transfer-Encoding:\tchunked\r\n", body=CHUNKED),
    "TE with a vertical tab": _post(BOTH, b"Transfer-Encoding: \x0bchunked\r\n", body=CHUNKED),
    "TE twice": _post(BOTH, CODING, b"Transfer-Encoding: identity\r\n", body=CHUNKED),
    "TE in quotes": _post(BOTH, b'Transfer-Encoding: "chunked"\r\n', body=CHUNKED),
    "TE with a space before the colon": _post(BOTH, b"Transfer-Encoding : chunked\r\n", body=CHUNKED),
    "TE in a folded header": _post(BOTH, b"X-A: b\r\n Transfer-Encoding: chunked\r\n", body=CHUNKED),
    "TE with an underscore": _post(BOTH, b"Transfer_Encoding: chunked\r\n", body=CHUNKED),
    "CL twice": _post(LENGTH % 0, LENGTH % len(INNER), body=INNER),
    "CL as a list": _post(b"Content-Length: 0, %d\r\n" % len(INNER), body=INNER),
    "CL with a plus": _post(b"Content-Length: +0\r\n", body=INNER),
    "CL in octal": _post(b"Content-Length: 0o0\r\n", body=INNER),
    "bare LF between headers": _post(b"X-A: b\n", BOTH, CODING, body=CHUNKED),
    "bare LF ends the head": POST + LENGTH % len(INNER) + b"\n" + INNER,
    "bare CR": _post(b"X-A: b\rTransfer-Encoding: chunked\r\n", BOTH, body=CHUNKED),
    "a chunk size with more in it": _post(CODING, body=b"0;\n\r\n\r\n" + INNER),
    "a chunk that ends in LF": _post(CODING, body=b"1\r\na\n0\r\n\r\n" + INNER),
}
