"""A posted JPEG -> a class and eight scores, the straightforward way: `keras.predict`, scikit-image, a cascade for each request.

Run:     NAIVE_KERAS_FILE=FILE .venv-training/bin/gunicorn -w 2 benchmarks.naive.service:application
Expects: the training environment; `benchmarks.load --naive` starts it. The scores mean nothing to anybody.

What it does is what the service does: find a face, measure skin in it, ask the ensemble. How: the cascade is read from its file for each
request and searches the whole frame in its own size; filters of scikit-image work on the face in float64 (at most 512 px, or they would
take seconds); two workers of gunicorn hold a network each.
"""

from __future__ import annotations

import os
from typing import Any

import cv2
import keras
import numpy as np
from flask import Flask, Response, jsonify, request
from numpy.typing import NDArray
from skimage import color, feature, filters

FACE_PX, NETWORK_PX = 512, 224
REGION_SHARE = 0.02  # of the face that a score of 100 would cover
Rgb = NDArray[np.uint8]

application = Flask(__name__)
network = keras.models.load_model(os.environ["NAIVE_KERAS_FILE"])


@application.get("/ready")
def ready() -> str:
    return "ready"


@application.post("/api/v6/skin/analyze-hare-run")
def analyze() -> Response | tuple[Response, int]:
    picture = cv2.imdecode(np.frombuffer(request.get_data(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    box = face_of(picture)
    if box is None:
        return jsonify(error="no face"), 422
    left, top, width, height = box
    crop = np.ascontiguousarray(picture[top : top + height, left : left + width])
    shares = network.predict(cv2.resize(crop, (NETWORK_PX, NETWORK_PX))[None].astype(np.float32), verbose=0)[0]
    return jsonify(face=[int(number) for number in box], classes=shares.tolist(), scores=scores(crop))


def face_of(picture: Rgb) -> tuple[int, ...] | None:
    """The largest face as left, top, width, height in pixels."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    found = cascade.detectMultiScale(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 1.1, 4)
    return max((tuple(one) for one in found), key=lambda box: box[2] * box[3], default=None)


def scores(crop: Rgb) -> dict[str, Any]:
    """Eight numbers from 0 to 100 of a face."""
    scale = min(1.0, FACE_PX / max(crop.shape[:2]))
    face = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    lab, hsv, gray = color.rgb2lab(face), color.rgb2hsv(face), color.rgb2gray(face)
    patterns = feature.local_binary_pattern(face.mean(axis=2).astype(np.uint8), 8, 1.0, "uniform")
    levels = feature.graycomatrix((gray * 31).astype(np.uint8), [1], [0, np.pi / 2], levels=32, normed=True)
    lightness = lab[..., 0]
    return {
        "acne": share(lab[..., 1] > 20),
        "redness": share((hsv[..., 0] < 0.05) & (hsv[..., 1] > 0.4)),
        "dark_spots": share(lightness < lightness.mean() - 2 * lightness.std()),
        "oiliness": share(hsv[..., 2] > 0.9),
        "wrinkles": share(filters.frangi(gray) > 1e-4),
        "pores": min(100.0, len(feature.blob_log(1 - gray, max_sigma=6, num_sigma=6, threshold=0.1)) / 10),
        "texture": 100 * float(np.histogram(patterns, 10, density=True)[0].std()),
        "under_eye": 100 * float(feature.graycoprops(levels, "homogeneity").mean()),
    }


def share(mask: NDArray[np.bool_]) -> float:
    return min(100.0, 100 * float(mask.mean()) / REGION_SHARE)
