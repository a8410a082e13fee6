"""Landmarks of a drawn face, and detections at chosen places."""

from __future__ import annotations

import math

import numpy as np

from analyzer import geometry
from analyzer.values import Box, Face, Points

CENTRE = (200.0, 200.0)
EYE_TO_CHIN = 100.0


def landmarks(roll_deg: float = 0.0, centre: tuple[float, float] = CENTRE) -> Points:
    """(142, 2): an oval whose eye line passes through `centre`, with its chin 100 px below, turned clockwise about it."""
    points = np.zeros((142, 2), np.float32)
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    points[:36] = np.stack([80 * np.sin(angle), 20 - 80 * np.cos(angle)], axis=1)  # from the top clockwise, chin at 100
    for name, (x, y, width, height) in {
        "right_eye": (-35, 0, 15, 7),
        "left_eye": (35, 0, 15, 7),
        "right_brow": (-35, -22, 20, 4),
        "left_brow": (35, -22, 20, 4),
        "lips_outer": (0, 65, 30, 12),
        "lips_inner": (0, 65, 22, 5),
        "nose": (0, 30, 12, 20),
    }.items():
        part = geometry.GROUPS[name]
        turn = np.linspace(0, 2 * np.pi, part.stop - part.start, endpoint=False)
        points[part] = np.stack([x + width * np.cos(turn), y + height * np.sin(turn)], axis=1)
    points[140:142] = (-35, 0), (35, 0)
    roll = math.radians(roll_deg)
    turn = np.array([[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]])
    return (points @ turn + centre).astype(np.float32)


def grouped(points: Points) -> dict[str, Points]:
    return {name: points[part] for name, part in geometry.GROUPS.items()}


def face_at(x: float, y: float, side: float, roll_deg: float = 0.0, confidence: float = 0.9) -> Face:
    return Face(Box(x - side / 2, y - side / 2, side, side), confidence, None, roll_deg, "test")
