"""The mean three-dimensional face: recovered from two-dimensional landmarks, and laid over a few marked points.

Recovery: factorisation of the landmarks of many turned faces (Tomasi and Kanade 1992); the metric constraints of scaled
orthography make the factors a rotation and a shape. Axes as in `analyzer.head_pose`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from analyzer import geometry
from analyzer.face_crops import IRISES
from analyzer.head_pose import Shape
from analyzer.values import Points

NOSE_TIP = geometry.GROUPS["nose"].start + 5  # the foremost point of the recovered shape
LIPS = geometry.GROUPS["lips_outer"]
TOP, CHIN = 0, geometry.CHIN_INDEX
PROFILE_YAW_DEG, YAW_DEG = 80.0, 60.0  # what a marked face is expected to have: with the far eye hidden, and seen
ANGLE_WEIGHT = 0.2  # box sides per radian by which the angles are drawn to what is expected
GUESSED = 0.3  # weight of a point that lies outside the picture or can hardly be seen


def recovered(frames: Sequence[NDArray[np.float64]], partner: NDArray[np.intp]) -> Shape:
    """(142, 3) mean shape in box sides from landmarks in upright frames (`faces.upright_frame`) and their mirror images."""
    both = np.concatenate([np.array(frames), np.array(frames)[:, partner] * [-1, 1]])
    both -= both.mean(axis=1, keepdims=True)
    tracks = np.concatenate([both[:, :, 0], both[:, :, 1]])
    _, strength, basis = np.linalg.svd(tracks.T @ tracks)
    shape = basis[:3] * np.sqrt(strength[:3, None] / len(both))
    motion = tracks @ np.linalg.pinv(shape)
    upgrade = _metric(motion[: len(both)], motion[len(both) :])
    return _oriented((np.linalg.inv(upgrade) @ shape).T, partner)


def laid_over(mark: Mapping[str, Any], shape: Shape, box: NDArray[np.float32]) -> Points:
    """(142, 2) landmarks in picture pixels of a profile marked by eye: the shape posed to fit the marked points."""
    towards = 1.0 if mark["facing"] == "right" else -1.0
    marked = {name: np.array(point, float) for name, point in mark["points"].items() if point is not None}
    near = _marked_places(shape, towards, mark["mouth_is"])
    names = [name for name in near if name in marked]
    wanted, places = np.array([marked[name] for name in names]), np.array([near[name] for name in names])
    weights = np.array([GUESSED if name in mark["cut"] else 1.0 for name in names])[:, None] / box[2]
    yaw = towards * math.radians(YAW_DEG if "eye_far" in marked else PROFILE_YAW_DEG)

    def misses(pose: NDArray[np.float64]) -> NDArray[np.float64]:
        angles = ANGLE_WEIGHT * np.array([pose[0] - yaw, pose[1], pose[2] - box[3]])
        return np.append(((_posed(places, pose) - wanted) * weights).ravel(), angles)

    start = [yaw, 0.0, float(box[3]), math.log(box[2]), float(box[0]), float(box[1])]
    limits = np.array([math.pi / 2, *[np.inf] * 5])
    fitted = least_squares(misses, start, bounds=(-limits, limits), x_scale=[1, 1, 1, 1, box[2], box[2]]).x
    return _posed(shape, fitted).astype(np.float32)


def _marked_places(shape: Shape, towards: float, mouth_is: str) -> dict[str, NDArray[np.float64]]:
    """Places on the shape of what is marked; a face that looks right shows its own right side, on the shape's left."""
    near, far = ("right_eye", "left_eye") if towards > 0 else ("left_eye", "right_eye")
    lips = shape[LIPS]
    return {
        "eye": shape[geometry.GROUPS[near]].mean(axis=0),
        "eye_far": shape[geometry.GROUPS[far]].mean(axis=0),
        "nose_tip": shape[NOSE_TIP],
        "mouth": lips.mean(axis=0) if mouth_is == "middle" else lips[np.argmin(lips[:, 0] * towards)],
        "chin": shape[CHIN],
    }


def _posed(places: NDArray[np.float64], pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scaled orthographic picture of (N, 3) places: yaw, pitch, roll in radians, log scale, shift."""
    yaw, pitch, roll, log_scale, x, y = pose
    turned = places @ _turn(0, 2, yaw).T @ _turn(1, 2, pitch).T @ _turn(0, 1, roll).T
    return math.exp(log_scale) * turned[:, :2] + (x, y)


def _turn(first: int, second: int, angle: float) -> NDArray[np.float64]:
    """Rotation in the plane of two axes, from the first to the second."""
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[second, first], matrix[first, second] = math.sin(angle), -math.sin(angle)
    return matrix


def _metric(across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) factor that makes both rows of every motion equally long and square to each other, length 1 on average."""
    equations = np.concatenate([_products(across, across) - _products(down, down), 2 * _products(across, down)])
    unit = (_products(across, across) + _products(down, down)).mean(axis=0) / 2
    square = equations.T @ equations
    system = np.block([[square, unit[:, None]], [unit[None], np.zeros((1, 1))]])
    xx, yy, zz, xy, xz, yz = np.linalg.solve(system, np.append(np.zeros(6), 1.0))[:6]
    return np.linalg.cholesky(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))


def _products(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients of a' Q b for the six numbers of a symmetric Q."""
    mixed = [a[:, i] * b[:, j] + a[:, j] * b[:, i] for i, j in ((0, 1), (0, 2), (1, 2))]
    return np.stack([*(a * b).T, *mixed], axis=1)


def _oriented(shape: Shape, partner: NDArray[np.intp]) -> Shape:
    """The shape with x along the pairs of mirrored points, y from the top to the chin, and the nose towards the viewer."""
    pairs = shape[partner] - shape
    x = np.linalg.eigh(pairs.T @ pairs)[1][:, -1]
    x *= np.sign((shape[IRISES][1] - shape[IRISES][0]) @ x)
    y = shape[CHIN] - shape[TOP]
    y -= (y @ x) * x
    y /= np.linalg.norm(y)
    turned = shape @ np.stack([x, y, np.cross(x, y)]).T
    nose = turned[geometry.GROUPS["nose"], 2].mean()
    return turned * (1, 1, -np.sign(nose) or 1)
