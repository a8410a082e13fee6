"""The record of a picture file's header, and the limits that every reader of one keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from analyzer.image.colour import ColourSpace

MAX_PIXELS = 50_000_000  # pixels; limit of the wire contract
MAX_PROFILE_BYTES = 4 << 20  # the largest press profiles in use have about 2.5 MB; a phone's has 0.5 kB
MAX_PARTS = 200_000  # parts in one file; 24 MB in GIF blocks of 255 bytes, the smallest in use, are 99 000


@dataclass(frozen=True, slots=True)
class Header:
    """Facts about a picture that are read without decoding it.

    Attributes:
        media_type: e.g. ``"image/jpeg"``.
        stored_size: width and height in pixels, as the decoder delivers them.
        orientation: Exif orientation 1..8 that is still to be applied to the decoded array.
        icc_profile: the embedded profile, unchecked; None when there is none or it exceeds MAX_PROFILE_BYTES.
        colour_space: the colours where no usable profile describes them; None for sRGB.
        components: colour channels of a JPEG (1, 3 or 4); 0 for the other types, whose decoder knows.
        bits: bits of a channel.
        end: offset behind the picture's last byte; what follows (a phone's video, a gain map) is not part of it.
    """

    media_type: str
    stored_size: tuple[int, int]
    end: int
    orientation: int = 1
    icc_profile: bytes | None = field(default=None, repr=False)
    colour_space: ColourSpace | None = field(default=None, repr=False)
    components: int = 0
    bits: int = 8

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture."""
        return self.stored_size[::-1] if self.orientation >= 5 else self.stored_size

    @property
    def width(self) -> int:
        return self.size[0]

    @property
    def height(self) -> int:
        return self.size[1]

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def is_deep(self) -> bool:
        """Whether the file has more bits and its colour space needs them: not where a profile is used, which takes 8 bits."""
        return self.bits > 8 and self.colour_space is not None and self.icc_profile is None


def bounded_profile(profile: bytes | None) -> bytes | None:
    """Return an ICC profile of a size that is in use, else None."""
    return profile if profile and len(profile) <= MAX_PROFILE_BYTES else None
