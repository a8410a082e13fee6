"""Keras files without a card on their way to an answer: out of S3, and out of the local folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import preprocessing
from analyzer.ensemble import Ensemble
from analyzer.model_sources import BARE_FILES, ModelSources
from analyzer.roi import Roi
from analyzer.settings import StoreSettings
from tests import keras_two
from tests.analyzer import store_server
from tests.analyzer.store_server import BUCKET, Line
from tests.keras_kinds import augmented
from tests.keras_networks import keras, saved
from tests.keras_parts import of_picture, pictures, stir

CLASSES = ("acne", "eczema", "redness", "healthy")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own


@pytest.fixture(scope="module")
def network() -> Any:
    """Return a network as people bring them: augmentation, preprocessing and a network inside."""
    return stir(of_picture(augmented)(keras))


@pytest.fixture
def face(monkeypatch: pytest.MonkeyPatch) -> NDArray[np.uint8]:
    """Return the picture that every face shows in these tests."""
    picture = pictures(1)[0]
    monkeypatch.setattr(preprocessing, "inner_square", lambda roi: picture)
    return picture


def answer(settings: StoreSettings) -> tuple[Ensemble, dict[str, float]]:
    served = Ensemble(ModelSources(settings))
    served.refresh()
    assert served.state().available, served.state().fallback_reason
    return served, dict(served.predict(cast(Roi, None)).probabilities)


def own_answer(network: Any, picture: NDArray[np.uint8]) -> dict[str, float]:
    shares = network.predict(picture[None].astype(np.float32), verbose=0)[0]
    return dict(zip(CLASSES, map(float, shares), strict=True))


def test_a_file_of_keras_2_in_s3(network: Any, face: NDArray[np.uint8], line: Line, s3: Any, tmp_path: Path) -> None:
    network.save(tmp_path / "theirs.h5")
    settings = store_server.settings(line.url, tmp_path, trust_bare=True, read_timeout_s=5.0, classes=CLASSES)
    s3.put_object(Bucket=BUCKET, Key=settings.key, Body=keras_two.rewrite(tmp_path / "theirs.h5"))
    served, shares = answer(settings)
    assert (served.state().details["source"], served.state().fallback_reason) == ("s3", None)
    assert shares == pytest.approx(own_answer(network, face), abs=1e-3)


@pytest.mark.parametrize("name", BARE_FILES)
def test_a_file_in_the_local_folder(name: str, network: Any, face: NDArray[np.uint8], tmp_path: Path) -> None:
    settings = store_server.settings("http://127.0.0.1:9", tmp_path, trust_bare=True, classes=CLASSES, bucket=None)
    (settings.folder / name).parent.mkdir(parents=True)
    network.save(settings.folder / name)
    served, shares = answer(settings)
    assert served.state().details["source"] == "local"
    assert shares == pytest.approx(own_answer(network, face), abs=1e-3)


def test_the_status_says_why_a_file_is_refused_and_what_to_do(tmp_path: Path) -> None:
    settings = store_server.settings("http://127.0.0.1:9", tmp_path, trust_bare=True, classes=CLASSES, bucket=None)
    settings.folder.mkdir()
    network = of_picture(
        lambda k, image: k.layers.GlobalAveragePooling2D()(k.layers.UpSampling2D(name="larger")(image))
    )
    saved(network(keras), settings.folder / "fixed_model_best.h5")
    served = Ensemble(ModelSources(settings))
    served.refresh()
    reason = str(served.state().fallback_reason)
    assert "the layer 'larger' (UpSampling2D), a class that is not taken." in reason
    assert "Rebuild the network without it, from the layers that docs/keras-files.md lists" in reason
