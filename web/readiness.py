"""Ready = one picture went through the whole analysis in this very process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import cv2
import numpy as np

from web.vocabulary import ReadyState

log = logging.getLogger("web.readiness")

SIDE = 480  # pixels; small enough to be quick, large enough to pass the size checks
SKIN_BGR = (128, 160, 205)
BACKGROUND_BGR = (190, 185, 180)


class Readiness:
    """Runs a warm-up once in the background and knows how it went."""

    def __init__(self, warm_up: Callable[[], object]) -> None:
        self._warm_up = warm_up
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.state = ReadyState.COLD

    @property
    def ready(self) -> bool:
        return self.state == ReadyState.READY

    def start(self) -> None:
        """Begin the warm-up unless it runs or is done; a failed one is begun again."""
        with self._lock:
            if self.state in (ReadyState.WARMING, ReadyState.READY):
                return
            self.state = ReadyState.WARMING
            self._thread = threading.Thread(target=self._run, name="warm-up", daemon=True)
            self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for a begun warm-up; True when the process is ready."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self.ready

    def _run(self) -> None:
        try:
            self._warm_up()
            self.state = ReadyState.READY
            log.info("ready")
        except Exception:
            self.state = ReadyState.FAILED
            log.exception("warm_up_failed")


def generated_portrait() -> bytes:
    """A drawn face as JPEG bytes: eyes, brows, nose and mouth on an oval with a soft light from the left."""
    bgr = np.full((SIDE, SIDE, 3), BACKGROUND_BGR, np.uint8)
    cv2.ellipse(bgr, (240, 250), (135, 180), 0, 0, 360, (40, 45, 60), -1)
    cv2.ellipse(bgr, (240, 265), (118, 158), 0, 0, 360, SKIN_BGR, -1)
    for x in (192, 288):
        cv2.ellipse(bgr, (x, 238), (26, 16), 0, 0, 360, (105, 130, 170), -1)
        cv2.ellipse(bgr, (x, 238), (20, 9), 0, 0, 360, (235, 235, 235), -1)
        cv2.circle(bgr, (x, 238), 9, (40, 50, 60), -1)
        cv2.ellipse(bgr, (x, 210), (30, 6), 0, 180, 360, (45, 55, 70), 7)
    cv2.ellipse(bgr, (240, 305), (20, 10), 0, 0, 180, (95, 120, 165), 5)
    cv2.ellipse(bgr, (240, 352), (42, 12), 0, 0, 360, (95, 95, 170), -1)
    light = np.linspace(1.04, 0.92, SIDE, dtype=np.float32)[None, :, None]
    grain = np.random.default_rng(1).normal(0.0, 3.0, bgr.shape)
    shaded = cv2.GaussianBlur(bgr, (0, 0), 2.0) * light + grain
    encoded, buffer = cv2.imencode(".jpg", np.clip(shaded, 0, 255).astype(np.uint8))
    assert encoded
    return buffer.tobytes()
