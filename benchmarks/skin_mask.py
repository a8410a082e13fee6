"""How much of the skin mask is no skin, and how much of the visible skin it covers, on 40 hand-marked faces.

Run:     python -m benchmarks.skin_mask [--landmarks] [--draw DIR]
Cost:    about half a minute.
Expects: impurity of at most 8 % and coverage of at least 75 % for light, medium and dark skin alike.

*Impurity* is the share of the mask's pixels that lie on hair, beard, glasses, background and so on; *coverage* the
share of the marked skin that the mask holds; *unmarked* the share of the mask that the marks say nothing about (ears,
neck, upper lids, stubble). Each is a mean over faces with a bootstrap 95 % interval. The outlines stand in
`marks/skin_marks.json`, which explains its own rules; along each of them a thin band counts neither way, since nobody
draws a hairline to the pixel. With --landmarks the teacher's landmarks take the place of the service's own detector,
which tells the mask's faults from the detector's; since the marks of eyes, brows and lips started from the same
landmarks (corrected by eye), only the other kinds are an independent measure then.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import face, roi
from analyzer.roi import Roi
from analyzer.values import Mask
from benchmarks import dataset

MARKS = Path(__file__).with_name("marks") / "skin_marks.json"
TARGETS = {"impurity": 0.08, "coverage": 0.75}
FACE_PX = 400  # longer side of the face box on the raster where mask and marks are compared
MARGIN = 1.0  # raster beyond the face box on each side, in longer sides: the whole working crop fits
SKIN_BAND = 0.010  # of the longer side of the face box, taken off the marked skin along its borders
NOT_SKIN_BAND = 0.005  # likewise off what is marked as no skin; smaller, so that nostrils and frames remain
BEARDED = {"beard", "moustache"}


@dataclass(frozen=True, eq=False)
class Marks:
    """The marks of one face as masks on the raster, all (S, S) bool.

    Attributes:
        skin: surely visible facial skin.
        not_skin: kind → surely that; kinds may overlap.
        to_raster: (2, 3) affine from original px to raster px.
    """

    skin: Mask
    not_skin: Mapping[str, Mask]
    to_raster: NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--landmarks", action="store_true", help="take the teacher's landmarks instead of the detector")
    parser.add_argument("--draw", type=Path, metavar="DIR", help="write one overlay per face to this folder")
    options = parser.parse_args()
    if not dataset.data_root().is_dir():
        parser.error(f"the marked pictures are not here: {dataset.data_root()} (set SKIN_DATA)")
    cv2.setNumThreads(1)
    rows = [row(entry, teacher=options.landmarks, draw=options.draw) for entry in entries()]
    table = summarise(rows)
    print_table(table)
    name = "skin_mask_landmarks" if options.landmarks else "skin_mask"
    print(f"written to {dataset.write(name, {'targets': TARGETS, 'groups': table, 'faces': rows})}")


def entries() -> list[dict[str, Any]]:
    """The marked faces as they stand in the file."""
    return json.loads(MARKS.read_text(encoding="utf-8"))["faces"]


def row(entry: Mapping[str, Any], *, teacher: bool = False, draw: Path | None = None) -> dict[str, Any]:
    """Figures of one face; impurity and coverage are None where its face was not found."""
    found = _roi(entry, teacher=teacher)
    known = {name: entry[name] for name in ("path", "source", "tone", "view", "attributes")}
    if found is None:
        return {**known, "found": False, "impurity": None, "coverage": None, "unmarked": None, "kinds": {}}
    marks = rasterise(entry)
    mask = on_raster(found, marks)
    if draw is not None:
        _draw(draw, entry, marks, mask)
    return {**known, "found": True, **compare(mask, marks)}


def rasterise(entry: Mapping[str, Any]) -> Marks:
    """Marks of one face on a raster where the longer side of its box is FACE_PX pixels."""
    x, y, width, height = entry["face_box"]
    longer = max(width, height)
    scale, margin = FACE_PX / longer, MARGIN * longer
    to_raster = np.array([[scale, 0, (margin - x) * scale], [0, scale, (margin - y) * scale]])
    side = int(np.ceil((1 + 2 * MARGIN) * FACE_PX))

    def filled(polygons: Sequence[Any]) -> Mask:
        canvas = np.zeros((side, side), np.uint8)
        for polygon in polygons:
            cv2.fillPoly(canvas, [np.rint(cv2.transform(np.float64([polygon]), to_raster)).astype(np.int32)], 1)
        return canvas.astype(bool)

    kinds = sorted({part["kind"] for part in entry["not_skin"]})
    drawn = {kind: filled([p["points"] for p in entry["not_skin"] if p["kind"] == kind]) for kind in kinds}
    skin = filled(entry["skin"]) & ~np.any([filled(entry["unmarked"]), *drawn.values()], axis=0)
    thinner = {kind: _eroded(mask, NOT_SKIN_BAND * FACE_PX) for kind, mask in drawn.items()}
    return Marks(_eroded(skin, SKIN_BAND * FACE_PX), thinner, to_raster)


def on_raster(found: Roi, marks: Marks) -> Mask:
    """The service's skin mask on the raster of the marks."""
    to_raster = marks.to_raster @ np.vstack([found.to_original, [0, 0, 1]])
    mask = cv2.warpAffine(found.skin.astype(np.uint8), to_raster, marks.skin.shape[::-1], flags=cv2.INTER_NEAREST)
    return mask.astype(bool)


def compare(mask: Mask, marks: Marks) -> dict[str, Any]:
    """Impurity, coverage, unmarked share (0..1), and the share of the mask that lies on each kind."""
    size = max(int(mask.sum()), 1)
    not_skin = np.any(list(marks.not_skin.values()), axis=0)
    return {
        "impurity": float((mask & not_skin).sum() / size),
        "coverage": float((mask & marks.skin).sum() / marks.skin.sum()),
        "unmarked": float((mask & ~marks.skin & ~not_skin).sum() / size),
        "kinds": {kind: float((mask & area).sum() / size) for kind, area in marks.not_skin.items()},
    }


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Group name → counts, means with intervals, and mean share of each kind."""
    groups = {"all": list(rows)}
    for column in ("tone", "source", "view"):
        for value in dict.fromkeys(r[column] for r in rows):
            groups[f"{column}: {value}"] = [r for r in rows if r[column] == value]
    groups["beard or moustache"] = [r for r in rows if BEARDED & set(r["attributes"])]
    groups["glasses"] = [r for r in rows if "glasses" in r["attributes"]]
    groups["hair over the forehead"] = [r for r in rows if "fringe" in r["attributes"]]
    return {name: _summary(members) for name, members in groups.items()}


def print_table(table: Mapping[str, Any]) -> None:
    print(f"{'group':28}{'found':>8}  {'impurity %':20}{'coverage %':20}{'unmarked %':>10}  both targets met")
    for name, group in table.items():
        found = f"{group['found']}/{group['n']}"
        if not group["found"]:
            print(f"{name:28}{found:>8}")
            continue
        cells = [_cell(group["impurity"]), _cell(group["coverage"])]
        print(f"{name:28}{found:>8}  {cells[0]:20}{cells[1]:20}{100 * group['unmarked']['mean']:10.1f}", end="")
        print(f"  {group['within_targets']}/{group['found']}")
    kinds = sorted(table["all"].get("kinds", {}).items(), key=lambda item: -item[1])
    print("impurity by kind, % of the mask:", ", ".join(f"{kind} {100 * share:.2f}" for kind, share in kinds))


def _roi(entry: Mapping[str, Any], *, teacher: bool) -> Roi | None:
    """Roi of the marked face: the best found face whose centre lies in the marked box."""
    path = dataset.data_root() / entry["path"]
    if teacher:
        return dataset.teacher_roi(path)
    picture = dataset.load(path)
    x, y, width, height = (value * picture.scale for value in entry["face_box"])
    for candidate in face.detect(picture.rgb):
        centre_x, centre_y = candidate.box.centre
        if x <= centre_x <= x + width and y <= centre_y <= y + height:
            return roi.extract(picture, candidate)
    return None


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = [r for r in rows if r["found"]]
    summary: dict[str, Any] = {"n": len(rows), "found": len(found)}
    if not found:
        return summary
    for name in ("impurity", "coverage", "unmarked"):
        values = [r[name] for r in found]
        summary[name] = {"mean": float(np.mean(values)), "interval": dataset.interval(np.mean, values)}
    summary["within_targets"] = sum(
        r["impurity"] <= TARGETS["impurity"] and r["coverage"] >= TARGETS["coverage"] for r in found
    )
    kinds = sorted({kind for r in found for kind in r["kinds"]})
    summary["kinds"] = {kind: float(np.mean([r["kinds"].get(kind, 0.0) for r in found])) for kind in kinds}
    return summary


def _cell(figure: Mapping[str, Any]) -> str:
    low, high = figure["interval"]
    return f"{100 * figure['mean']:5.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _eroded(mask: Mask, band_px: float) -> Mask:
    """The mask without the pixels within band_px of its border; the edge of the raster is no border."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) > band_px


def _draw(folder: Path, entry: Mapping[str, Any], marks: Marks, mask: Mask) -> None:
    """Overlay of one face: covered skin green, missed skin blue, mask on what is no skin red, on unmarked yellow."""
    photo = dataset.load(dataset.data_root() / entry["path"])
    to_raster = marks.to_raster.copy()
    to_raster[:, :2] /= photo.scale
    picture = cv2.warpAffine(photo.rgb, to_raster, mask.shape[::-1], flags=cv2.INTER_AREA)[..., ::-1].copy()
    not_skin = np.any(list(marks.not_skin.values()), axis=0)
    for area, colour in (
        (mask & marks.skin, (0, 200, 0)),
        (~mask & marks.skin, (255, 80, 0)),
        (mask & not_skin, (0, 0, 255)),
        (mask & ~marks.skin & ~not_skin, (0, 220, 220)),
    ):
        picture[area] = (0.6 * picture[area] + 0.4 * np.array(colour)).astype(np.uint8)
    edge = int(0.7 * MARGIN * FACE_PX)
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(entry["path"]).with_suffix(".png").as_posix().replace("/", "_")
    cv2.imwrite(str(folder / name), picture[edge:-edge, edge:-edge])


if __name__ == "__main__":
    main()
