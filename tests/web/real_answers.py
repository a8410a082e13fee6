"""The real answers that the OpenAPI description shows as examples; `make examples` writes them anew."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import cv2
import skimage.data
from flask.testing import FlaskClient

from analyzer import pipeline
from analyzer.settings import Settings
from application import create_app
from tests.web import records
from tests.web.records import ANALYZE, DETECT
from web.openapi import EXAMPLES
from web.schemas import PIXEL

CALLER = {"REMOTE_ADDR": "198.51.100.77"}  # no operator: an operator's answers name files of the machine


def portrait() -> bytes:
    """Return a JPEG of a real face that is always there: the public-domain portrait that scikit-image carries, enlarged."""
    rgb = skimage.data.astronaut()[:400, 60:400]
    enlarged = cv2.resize(rgb, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", enlarged[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def answers() -> dict[str, Any]:
    """Return name → JSON for every example, each as a running application gives it."""
    client = create_app(Settings()).test_client()
    photo, empty = portrait(), records.picture(640, 480)
    _post(client, ANALYZE, photo)  # the first one waits for the networks
    return {
        "report": _post(client, ANALYZE, photo),
        "report_refused": _post(client, ANALYZE, empty),
        "faces": _without_pictures(_post(client, DETECT, photo)),
        "faces_refused": _post(client, DETECT, empty),
        "model_status": client.get("/api/v5/skin/model-status", environ_base=CALLER).json,
        "health": client.get("/api/health", environ_base=CALLER).json,
        "bad_base64": client.post(DETECT, json={"image": "%%%"}).json,
        "too_large": _post(client, DETECT, bytes(Settings().max_body_bytes + 1)),
        "unsupported_type": _post(client, DETECT, b"%PDF-1.7\n" + bytes(100)),
        "forbidden": client.get("/metrics", environ_base=CALLER).json,
        "unauthorized": _post(create_app(Settings(api_keys=("0123456789abcdef",))).test_client(), DETECT, photo),
        "rate_limited": _second_post(create_app(Settings(rate_limit=1)).test_client(), empty),
        "busy": _busy(empty),
        "internal_error": _fault(client, empty),
    }


def write() -> None:
    """Write every example into the folder of the description."""
    EXAMPLES.mkdir(exist_ok=True)
    for name, answer in answers().items():
        (EXAMPLES / f"{name}.json").write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _post(client: FlaskClient, path: str, photo: bytes) -> Any:
    return client.post(path, data=photo, content_type="application/octet-stream").json


def _second_post(client: FlaskClient, photo: bytes) -> Any:
    _post(client, DETECT, photo)
    return _post(client, DETECT, photo)


def _busy(photo: bytes) -> Any:
    app = create_app(Settings(max_analyses=1, max_queue=0))
    with app.extensions["service"].admission.analysis(photo):
        return _post(app.test_client(), DETECT, photo)


def _fault(client: FlaskClient, photo: bytes) -> Any:
    with patch.object(pipeline, "detect_faces", side_effect=ZeroDivisionError):
        return _post(client, DETECT, photo)


def _without_pictures(answer: Any) -> Any:
    """The crop of a face has 100 kB; a pixel takes its place."""
    return answer | {"faces": [face | {"cropped_face_image": PIXEL} for face in answer["faces"]]}


if __name__ == "__main__":
    write()
