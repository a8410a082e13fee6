"""Recognition of pictures that a program treated as text on their way: they cannot be read, but the cause can be named."""

from __future__ import annotations

from analyzer.errors import BadPhoto

SAMPLE_BYTES = 1 << 16
MIN_SAMPLE_BYTES = 512  # below, nothing follows from the bytes that are missing
MIN_EXPECTED = 16  # occurrences that chance would give a byte of which there is none; e^-16
MIN_CERTAIN = 64  # the same for whole pictures; e^-64
MANY = 0.2  # share of question marks; chance gives a 256th

_UTF8 = "its bytes were rewritten as UTF-8 text"
_UTF16 = "its bytes were rewritten as UTF-16 text"
_REPLACED = "bytes that are no text were replaced"
_SEVEN_BITS = "the eighth bit of each byte was cut off"
_LINE_ENDS = "its line ends were converted"

_PNG_START = b"\x89PNG\r\n\x1a\n"
_LASTING_STARTS = (b"\xff\xd8\xff", _PNG_START, b"RIFF", b"GIF8")  # that do not show the damage
_DAMAGED_STARTS = (  # of JPEG (FF D8 FF) and PNG
    (b"\xc3\xbf\xc3\x98\xc3\xbf", _UTF8),
    (b"\xc3\x83\xc2\xbf\xc3\x83\xcb\x9c", _UTF8),  # twice
    (b"\xc3\x83\xc2\xbf\xc3\x83\xc2\x98", _UTF8),
    (b"\xc2\x89PNG", _UTF8),
    (b"\xc3\x82\xc2\x89PNG", _UTF8),  # twice
    (b"\xe2\x80\xb0PNG", _UTF8),  # taken for Windows-1252
    (b"\xef\xbf\xbd" * 3, _REPLACED),  # U+FFFD
    (b"\xef\xbf\xbdPNG", _REPLACED),
    (b"????", _REPLACED),
    (b"?PNG", _REPLACED),
    (b"\x7fX\x7f", _SEVEN_BITS),
    (b"\tPNG", _SEVEN_BITS),
    (b"\xff\0\xd8\0\xff\0", _UTF16),
    (b"\xff\xfe\xff\0\xd8\0", _UTF16),
    (b"\xfe\xff\0\xff\0\xd8", _UTF16),
    (b"\xff\xfe\x89\0P\0", _UTF16),
    (b"\xfe\xff\0\x89\0P", _UTF16),
    (b"\x89PNG\n\x1a\n", _LINE_ENDS),
    (b"\x89PNG\r\r\n", _LINE_ENDS),
    (b"\x89PNG\r\x1a", _LINE_ENDS),
    (b"\x89PNG\r\n\n", _LINE_ENDS),
    (b"\x89PNG\n\n\x1a", _LINE_ENDS),
    (b"\x89PNG\r\r\x1a", _LINE_ENDS),
    (b"\x89PNG\r\n\x1a\r\n", _LINE_ENDS),
)
_CONTROLS = (b"\x0b", b"\x0c", b"\x0e", b"\x0f")  # neighbours of the line ends, which no program converts
_ASCII = bytes(range(128))


def refusal(data: bytes) -> BadPhoto | None:
    """Return the refusal of a picture that was damaged as text, None for other data.

    For data that could not be read as a picture: the line ends of a small whole one may look converted by chance.
    """
    cause = _cause(data.removeprefix(b"\xef\xbb\xbf"))
    return _refusal(cause) if cause else None


def concealed_refusal(data: bytes) -> BadPhoto | None:
    """Return the refusal of a picture whose line ends were converted beyond doubt, None for other data.

    For types whose decoders paint over damaged parts without a word.
    """
    return _refusal(_LINE_ENDS) if _has_converted_line_ends(data, MIN_CERTAIN) else None


def _refusal(cause: str) -> BadPhoto:
    return BadPhoto(
        f"This picture was damaged on its way here by a program that treated it as text: {cause}.",
        "Send the original file; a program has to read and send it as bytes (binary mode), not as text.",
    )


def _cause(data: bytes) -> str | None:
    for start, cause in _DAMAGED_STARTS:
        if data.startswith(start):
            return cause
    if not data.startswith(_LASTING_STARTS) and data[4:8] != b"ftyp":
        return None
    return _encoding(data[:SAMPLE_BYTES]) or (_LINE_ENDS if _has_converted_line_ends(data, MIN_EXPECTED) else None)


def _encoding(sample: bytes) -> str | None:
    """Return how a binary file was rewritten, if all its bytes are text."""
    if len(sample) < MIN_SAMPLE_BYTES:
        return None
    if not sample.translate(None, _ASCII):
        return _REPLACED if sample.count(b"?") > len(sample) * MANY else _SEVEN_BITS
    try:
        text = sample.decode("utf-8")
    except UnicodeDecodeError as error:
        text = sample[: error.start].decode("utf-8") if error.start > len(sample) - 4 else ""
    return None if not text else _REPLACED if "\ufffd" in text else _UTF8


def _has_converted_line_ends(data: bytes, least: int) -> bool:
    """Return whether line ends are of one kind only where chance would give `least` of the others."""
    feeds, returns, pairs = data.count(b"\n"), data.count(b"\r"), data.count(b"\r\n")
    if pairs and pairs not in (feeds, returns):
        return False
    expected = sum(data.count(byte) for byte in _CONTROLS) / len(_CONTROLS)
    if min(expected, feeds, returns) >= least / 4 and pairs:
        return True
    return expected >= least and (not feeds or not returns or (not pairs and feeds * returns / len(data) >= least))
