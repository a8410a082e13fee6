"""What the quality checks measure on real pictures, and how often they refuse: the ground of docs/quality.md.

Run:     python -m benchmarks.quality [--most 80]
Cost:    about 2 minutes.
Expects: no front view of skin_defects refused, of ACNE04 faces at most 5 %; nearly all that were blurred by 4 px, with noise
         or without, and all that were darkened to 0.03, most that were overexposed six times.

Tables: the spread of each value on the tuning half, which the limits were chosen on; the same on ACNE04 faces
that were made worse in a known way; on the held-out half the share of pictures that each check refuses or warns of;
what turned heads hide; how well closed eyes are told. Faces are found as the service finds them.
UTKFace pictures are 128 px wide, cut tightly around faces that were scanned or enlarged: what `face_too_small` and `blur`
say of them is a matter of the set, so both are left out of its refusals. As all groups are treated alike, the races can
be compared.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from analyzer import face, quality, roi
from analyzer.values import Check, Face, Photo, Rgb
from benchmarks import dataset, quality_views

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
SMALL_SOURCE = "UTKFace"  # its pictures are small and soft as distributed
SMALL_CODES = ("face_too_small", "blur")
LIGHT_AND_FOCUS = (
    *("too_dark", "too_bright", "overexposed", "uneven_light", "low_contrast"),
    *("blur", "eyes_closed", "not_enough_skin", "colour_cast"),
)
DEGRADED = 40  # ACNE04 faces that are made worse


def exposed(factor: float) -> Callable[[Rgb], Rgb]:
    """`factor` times the light: a change in linear light, cut off at white."""
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    brighter = np.clip(linear * factor, 0, 1)
    encoded = np.where(brighter <= 0.0031308, brighter * 12.92, 1.055 * brighter ** (1 / 2.4) - 0.055)
    table = np.round(255 * encoded).astype(np.uint8)
    return lambda rgb: table[rgb]


def blurred(sigma_px: float) -> Callable[[Rgb], Rgb]:
    """Out of focus by a Gaussian whose sigma is `sigma_px` at 640 px."""
    return lambda rgb: np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma_px * max(rgb.shape[:2]) / 640), np.uint8)


def noisy(sigma: float, seed: int = 0) -> Callable[[Rgb], Rgb]:
    """Noise of a sensor: independent in pixels and channels, `sigma` of 255."""

    def change(rgb: Rgb) -> Rgb:
        noise = np.random.default_rng(seed).normal(0, sigma, rgb.shape)
        return np.clip(np.round(rgb + noise), 0, 255).astype(np.uint8)

    return change


def both(first: Callable[[Rgb], Rgb], then: Callable[[Rgb], Rgb]) -> Callable[[Rgb], Rgb]:
    return lambda rgb: then(first(rgb))


def tinted(red: float, blue: float) -> Callable[[Rgb], Rgb]:
    """Coloured light: red and blue times a factor."""
    return lambda rgb: np.clip(rgb * np.float32([red, 1, blue]), 0, 255).astype(np.uint8)


def shaded(rgb: Rgb) -> Rgb:
    """A quarter of the light on the right half, with a soft edge."""
    x = np.arange(rgb.shape[1]) / rgb.shape[1]
    share = 1 / (1 + np.exp(-(x - 0.5) / 0.03))
    dark = exposed(0.25)(rgb)
    return np.round(rgb + share[None, :, None] * (dark.astype(np.float32) - rgb)).astype(np.uint8)


def gray(rgb: Rgb) -> Rgb:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


DEGRADATIONS: Mapping[str, Callable[[Rgb], Rgb]] = {
    "as it is": lambda rgb: rgb,
    "blur 2 px at 640": blurred(2),
    "blur 4 px at 640": blurred(4),
    "blur 6 px at 640": blurred(6),
    "noise 12": noisy(12),
    "blur 4 px, noise 12": both(blurred(4), noisy(12)),
    "light x 0.35, blur 4 px, noise 6": both(both(exposed(0.35), blurred(4)), noisy(6)),
    "light x 0.35": exposed(0.35),
    "light x 0.1": exposed(0.1),
    "light x 0.03": exposed(0.03),
    "light x 2.5": exposed(2.5),
    "light x 6": exposed(6),
    "half in shade": shaded,
    "blue lamp": tinted(0.55, 1.4),
    "black and white": gray,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=80, help="pictures per group and half")
    options = parser.parse_args()
    if not dataset.data_root().is_dir():
        parser.error(f"the pictures are not here: {dataset.data_root()} (set SKIN_DATA)")
    cv2.setNumThreads(1)
    halves = {half: sampled(held_out=half == "held out", most=options.most) for half in ("tuning", "held out")}
    tuning = {name: checked(paths, f"tuning {name}") for name, paths in halves["tuning"].items()}
    held_out = {name: checked(paths, f"held out {name}") for name, paths in halves["held out"].items()}
    degraded = worsened(halves["tuning"]["ACNE04"][:DEGRADED])
    table = {
        "stage": asdict(face.warm_up()),
        "values": {name: spread(rows) for name, rows in tuning.items()},
        "degraded": {name: {**spread(rows), **failures(rows)} for name, rows in degraded.items()},
        "held_out": {name: failures(rows, ignored=ignored(name)) for name, rows in held_out.items()},
        "views": quality_views.by_yaw(path for paths in halves["tuning"].values() for path in paths),
        "eyes": {
            half: quality_views.closed_eyes(quality_views.eye_marks(held_out=half == "held out")) for half in halves
        },
    }
    print(f"faces found by: {table['stage']}")
    print_spread("values on the tuning half", table["values"])
    print_spread("values on worsened ACNE04 faces", table["degraded"], LIGHT_AND_FOCUS)
    print_failures("refused or warned, worsened ACNE04 faces", table["degraded"])
    print_failures("refused or warned, held-out half", table["held_out"])
    quality_views.print_views(table["views"])
    quality_views.print_eyes(table["eyes"])
    print(f"written to {dataset.write('quality', table)}")


def sampled(*, held_out: bool, most: int) -> dict[str, list[Path]]:
    """Group name → pictures of one half, evenly out of the sorted names."""
    utkface = dataset.pictures("utkface/*")
    groups = {f"UTKFace {race}": [p for p in utkface if dataset.race(p) == race] for race in dataset.RACES}
    groups["ACNE04"] = dataset.pictures("acne04/*")
    groups["dermalscan4"] = dataset.pictures("dermalscan4/*/*")
    if held_out:
        groups["skin_defects front"] = dataset.pictures("skin_defects/*/*/front*")
        groups["skin_defects side"] = dataset.pictures("skin_defects/*/*/*_side*")
        groups["phone originals"] = dataset.pictures("phone_originals/*")
    kept = {name: [p for p in paths if dataset.held_out(p) == held_out] for name, paths in groups.items()}
    return {name: paths[:: max(1, -(-len(paths) // most))] for name, paths in kept.items()}


def ignored(group: str) -> tuple[str, ...]:
    return SMALL_CODES if group.startswith(SMALL_SOURCE) else ()


def checked(paths: Sequence[Path], label: str) -> list[tuple[Check, ...]]:
    """All checks of each picture, as if no earlier one had refused."""
    return [check(picture, face.detect(picture.rgb)) for picture in map(dataset.load, dataset.progress(paths, label))]


def check(picture: Photo, faces: Sequence[Face]) -> tuple[Check, ...]:
    checks = quality.check_faces(picture, faces)
    return (*checks, *quality.check_roi(roi.extract(picture, faces[0]))) if faces else checks


def worsened(paths: Sequence[Path]) -> dict[str, list[tuple[Check, ...]]]:
    """Degradation → checks, with the face as it was found in the good picture."""
    rows: dict[str, list[tuple[Check, ...]]] = {name: [] for name in DEGRADATIONS}
    for picture in map(dataset.load, dataset.progress(paths, "worsened")):
        faces = face.detect(picture.rgb)
        for name, change in DEGRADATIONS.items():
            rows[name] += [check(replace(picture, rgb=change(picture.rgb)), faces)] if faces else []
    return rows


def spread(rows: Iterable[Sequence[Check]]) -> dict[str, Any]:
    """Code → percentiles of the value, with n."""
    values: dict[str, list[float]] = {}
    for one in (one for checks in rows if len(checks) > 1 for one in checks if one.value is not None):
        values.setdefault(one.code, []).append(one.value)
    return {
        code: {"n": len(seen), **dict(zip(map(str, PERCENTILES), np.percentile(seen, PERCENTILES), strict=True))}
        for code, seen in values.items()
    }


def failures(rows: Sequence[Sequence[Check]], *, ignored: tuple[str, ...] = ()) -> dict[str, Any]:
    """How many pictures are refused, and by which check first; how many are warned of what."""
    kept = [[one for one in checks if one.code not in ignored] for checks in rows]
    stops = [stop.code for stop in map(quality.refusal, kept) if stop]
    warned = Counter(one.code for checks in kept for one in checks if not one.passed and not one.refuses)
    n_found = sum(checks[0].passed for checks in kept)
    return {
        "n": len(kept),
        "refused": dict(Counter(stops)),
        "warned": dict(warned),
        "refused_of_found": (len(stops) - (len(kept) - n_found)) / max(n_found, 1),
    }


def print_spread(title: str, groups: Mapping[str, Mapping[str, Any]], codes: Iterable[str] = ()) -> None:
    print(f"\n{title}: percentiles {PERCENTILES}")
    codes = codes or dict.fromkeys(code for group in groups.values() for code in group)
    for code in codes:
        print(code)
        for name, group in groups.items():
            if code in group:
                cells = " ".join(f"{group[code][str(p)]:9.3f}" for p in PERCENTILES)
                print(f"  {name:22}{group[code]['n']:5} {cells}")


def print_failures(title: str, groups: Mapping[str, Mapping[str, Any]]) -> None:
    print(f"\n{title}")
    for name, group in groups.items():
        refused = ", ".join(f"{code} {count}" for code, count in group["refused"].items()) or "-"
        warned = ", ".join(f"{code} {count}" for code, count in group["warned"].items()) or "-"
        print(
            f"  {name:22}n {group['n']:4}  refused of found {100 * group['refused_of_found']:5.1f} %  {refused}; warned: {warned}"
        )


if __name__ == "__main__":
    main()
