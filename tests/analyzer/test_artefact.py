"""An artefact answers as its card says, or is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analyzer import artefact, model_card
from analyzer.errors import BadModel, ModelUnavailable
from analyzer.model_card import Calibration, TrainingSource
from analyzer.preprocessing import DEMOGRAPHICS_WIDTH
from analyzer.values import Demographics
from analyzer.wording import SEE_A_PROFESSIONAL
from tests.analyzer import artefacts

NOBODY = Demographics()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "tiny"
    artefacts.make(made)
    return made


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    made = tmp_path / "tiny"
    artefacts.make(made)
    return made


def rewritten(folder: Path, **arrays: np.ndarray) -> None:
    """One of the folder's array files with other arrays, and the card that fits it."""
    name = arrays.pop("name")
    np.savez(folder / str(name), **arrays)
    card = model_card.read(folder)
    model_card.write(card, folder, list(card.files))


def picture(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (artefacts.SIDE_PX, artefacts.SIDE_PX, 3)).astype(np.uint8)


def test_answers_one_probability_for_each_class(folder: Path) -> None:
    answer = artefact.open_folder(folder).predict(picture(), NOBODY)
    assert tuple(answer.probabilities) == artefacts.CLASSES
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.wordings == {"acne": None, "eczema": SEE_A_PROFESSIONAL, "healthy": None}
    assert (answer.version, answer.threshold, answer.distance_limit) == ("1.0.0", 0.4, 3.0)


def test_a_higher_temperature_makes_answers_less_sure(folder: Path, copy: Path) -> None:
    artefacts.make(copy, calibration=Calibration(4.0, 0.1))
    sure, unsure = (artefact.open_folder(one).predict(picture(), NOBODY) for one in (folder, copy))
    assert sure.top == unsure.top
    assert unsure.probabilities[unsure.top] < sure.probabilities[sure.top]


def test_a_picture_unlike_the_training_classes_is_farther_away(folder: Path) -> None:
    opened = artefact.open_folder(folder)
    with np.load(folder / artefact.GOLDEN) as golden:
        familiar = opened.predict(golden["pictures"][0], NOBODY)
    strange = opened.predict(np.full_like(picture(), 255), NOBODY)
    assert familiar.distance is not None
    assert strange.distance is not None
    assert familiar.distance < 3.0 < strange.distance
    assert strange.abstention == "unfamiliar"
    assert familiar.abstention != "unfamiliar"


def test_explanation_has_the_shape_of_the_maps_and_grows_with_the_evidence(folder: Path) -> None:
    answer = artefact.open_folder(folder).predict(picture(), NOBODY)
    shown = answer.activation(answer.top)
    assert shown.shape == (8, 8)
    assert shown.min() >= 0
    assert shown.max() in (0.0, 1.0)


def test_demographics_change_answers_only_where_the_artefact_takes_them(folder: Path, copy: Path) -> None:
    artefacts.make(copy, demographics=DEMOGRAPHICS_WIDTH)
    said = Demographics(age=60, gender="female", ethnicity="Black", fitzpatrick="VI")
    with_input, without = artefact.open_folder(copy), artefact.open_folder(folder)
    assert with_input.predict(picture(), said).probabilities != with_input.predict(picture(), NOBODY).probabilities
    assert without.predict(picture(), said).probabilities == without.predict(picture(), NOBODY).probabilities


@pytest.mark.parametrize(
    ("earned", "baseline", "speaks"),
    [((0.60, 0.70), (0.40, 0.50), True), ((0.45, 0.70), (0.40, 0.50), False), ((0.3, 0.4), (0.4, 0.5), False)],
)
def test_a_model_speaks_only_when_it_beats_picture_statistics_with_intervals_apart(
    copy: Path, earned: tuple[float, float], baseline: tuple[float, float], speaks: bool
) -> None:
    artefacts.make(copy, **artefacts.measured(earned, baseline))
    opened = artefact.open_folder(copy)
    answer = opened.predict(picture(), NOBODY)
    assert answer.speaks is speaks
    assert (answer.silence_reason is None) is speaks
    assert f"{earned[0]:.2f} to {earned[1]:.2f}" in opened.describe()["accuracy"]


def test_a_model_that_was_not_measured_is_silent_and_has_no_accuracy(folder: Path) -> None:
    opened = artefact.open_folder(folder)
    assert opened.predict(picture(), NOBODY).speaks is False
    assert opened.describe()["accuracy"] is None


def test_description_comes_from_the_card(folder: Path) -> None:
    told = artefact.open_folder(folder, precision="f32").describe()
    card = model_card.read(folder)
    assert told["labels"] == list(artefacts.CLASSES)
    assert told["sha256"] == card.files["network.bin"].sha256
    assert told["precision"] == "f32"
    assert told["self_test"] == "passed"
    assert told["self_test_detail"].startswith("3 golden pictures")


def test_faster_arithmetic_is_left_alone_when_its_answers_differ_too_much(copy: Path) -> None:
    artefacts.make(copy, thresholds={"parity_probability": 1e-5})
    assert artefact.open_folder(copy).precision == "f32"


@pytest.mark.parametrize("name", ["network.bin", "network.xml", "head.npz", "distribution.npz", "golden.npz"])
def test_a_changed_byte_in_any_file_refuses_the_artefact(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(BadModel, match="must have sha256"):
        artefact.open_folder(copy)


def test_golden_pictures_that_are_answered_otherwise_refuse_the_artefact(copy: Path) -> None:
    with np.load(copy / artefact.GOLDEN) as golden:
        pictures, logits = golden["pictures"], golden["logits"]
    rewritten(copy, name=artefact.GOLDEN, pictures=pictures, logits=np.roll(logits, 1, axis=1))
    with pytest.raises(BadModel, match="failed its self-test: 3 golden pictures"):
        artefact.open_folder(copy)


def test_another_number_of_classes_than_the_card_names_is_refused(copy: Path) -> None:
    card = model_card.read(copy)
    model_card.write(replace(card, classes=card.classes[:2]), copy, list(card.files))
    with pytest.raises(BadModel, match="answers 3 classes and 2 are named"):
        artefact.open_folder(copy)


def test_a_head_that_takes_another_number_of_features_is_refused(copy: Path) -> None:
    rng = np.random.default_rng(0)
    rewritten(copy, name=artefact.HEAD, kernel_0=rng.normal(size=(40, 3)), bias_0=np.zeros(3))
    with pytest.raises(BadModel, match="40"):
        artefact.open_folder(copy)


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        (artefact.HEAD, lambda arrays: {"kernel_0": arrays["kernel_0"]}, "has no bias_0"),
        (artefact.HEAD, lambda arrays: {}, "no dense layers"),
        (artefact.HEAD, lambda arrays: arrays | {"bias_1": np.full(3, np.nan)}, "not finite"),
        (artefact.HEAD, lambda arrays: arrays | {"kernel_1": arrays["kernel_1"][1:]}, "do not fit each other"),
        (artefact.GOLDEN, lambda arrays: {"pictures": arrays["pictures"]}, "pictures and their logits"),
        (artefact.GOLDEN, lambda arrays: arrays | {"logits": arrays["logits"][:, :2]}, "pictures and their logits"),
        (artefact.DISTRIBUTION, lambda arrays: arrays | {"rest": np.float32(0)}, "does not describe 12 features"),
        (artefact.DISTRIBUTION, lambda arrays: {"scale": arrays["scale"]}, "does not hold scale, means"),
    ],
)
def test_array_files_of_another_content_are_refused(
    copy: Path, name: str, spoil: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]], told: str
) -> None:
    with np.load(copy / name) as stored:
        arrays = {key: stored[key] for key in stored.files}
    rewritten(copy, name=name, **spoil(arrays))
    with pytest.raises(BadModel, match=told):
        artefact.open_folder(copy)


def test_arrays_that_would_have_to_be_unpickled_are_refused(copy: Path) -> None:
    np.savez(copy / artefact.HEAD, kernel_0=np.array([{"a": 1}], object), bias_0=np.zeros(3))
    card = model_card.read(copy)
    model_card.write(card, copy, list(card.files))
    with pytest.raises(BadModel, match="plain arrays"):
        artefact.open_folder(copy)


def test_a_folder_without_a_card_is_no_artefact(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="no artefact"):
        artefact.open_folder(tmp_path)


@pytest.mark.parametrize("logits_of_each", [3, 4])
def test_a_graded_artefact_answers_presence_and_severity_of_each_condition(tmp_path: Path, logits_of_each: int) -> None:
    artefacts.make_graded(tmp_path / "graded", logits_of_each=logits_of_each)
    opened = artefact.open_folder(tmp_path / "graded")
    answer = opened.predict(picture(), NOBODY)
    assert tuple(answer.grades or {}) == tuple(answer.probabilities) == artefacts.GRADED
    assert answer.probabilities == {name: grade.probability for name, grade in (answer.grades or {}).items()}
    assert (answer.threshold, answer.abstention) in [(None, None), (None, "unfamiliar")]
    thresholds = [grade.threshold for grade in (answer.grades or {}).values()]
    assert thresholds == [0.3, *[0.5] * 6]
    shown = answer.activation("redness")
    assert (shown.shape, shown.max() in (0.0, 1.0)) == ((8, 8), True)
    assert opened.describe()["classes"] == 7


def test_golden_severities_are_part_of_the_self_test(tmp_path: Path) -> None:
    artefacts.make_graded(tmp_path / "graded")
    with np.load(tmp_path / "graded" / artefact.GOLDEN) as golden:
        pictures, logits = golden["pictures"], golden["logits"].copy()
    logits[:, 7:] += 1
    rewritten(tmp_path / "graded", name=artefact.GOLDEN, pictures=pictures, logits=logits)
    with pytest.raises(BadModel, match="failed its self-test"):
        artefact.open_folder(tmp_path / "graded")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"outputs": 27}, "27 outputs, which are not those of 7 graded classes"),
        ({"output_kind": "one_class"}, "answers 28 classes and 7 are named"),
        ({"classes": ("one", "two", "three"), "outputs": 12}, "None of the graded classes is a condition"),
        ({"output_kind": "faces"}, "is no ensemble: its output kind is faces"),
    ],
)
def test_a_head_of_another_kind_than_its_card_says_is_refused(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    usual = {"classes": artefacts.GRADED, "outputs": 28, "output_kind": "multilabel_severity"}
    artefacts.make(tmp_path / "graded", **(usual | changes))  # type: ignore[arg-type]
    with pytest.raises(BadModel, match=told):
        artefact.open_folder(tmp_path / "graded")


@pytest.mark.parametrize(("flags", "speaks"), [(("generated pictures",), False), ((), True)])
def test_what_learned_from_generated_pictures_alone_is_silent_whatever_its_figures(
    copy: Path, flags: tuple[str, ...], speaks: bool
) -> None:
    sources = (TrainingSource("painted", 100, "our own", flags),)
    artefacts.make(copy, training_data=sources, **artefacts.measured((0.8, 0.9), (0.4, 0.5)))
    opened = artefact.open_folder(copy)
    answer = opened.predict(picture(), NOBODY)
    assert (answer.speaks, answer.silence_reason is None) == (speaks, speaks)
    assert ("held-out generated pictures" in opened.describe()["accuracy"]) is not speaks
