"""--backbone and --weights -> one backbone with its weights, and its compiled form, from which features and artefact are made."""

from __future__ import annotations

import hashlib
import socket
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from analyzer import artefact, runtime
from analyzer.settings import CORES
from training import networks, pretext, weights
from training.command import BadInput
from training.data.prepared import Prepared
from training.features import Backbones
from training.heads import Floats

NAMES = {  # option → name in `networks`
    "EfficientNetB0": "efficientnet",
    "ResNet50": "resnet",
    "ResNet101": "resnet101",
    "ConvNeXtTiny": "convnext",
}
MAPS = {"resnet101": "resnet_maps"}  # of an artefact, where they are not called after the backbone
SUFFIX = ".weights.h5"


@dataclass(frozen=True, eq=False)
class Compiled:
    """OpenVINO's two files of a backbone, f32: `image` uint8 (1, S, S, 3) -> `features` (1, D) and maps (1, H, W, D).

    Attributes:
        digest: of the backbone's weights.
        width: D.
    """

    xml: bytes
    weights: bytes
    digest: str
    width: int

    def opened(self, precision: str = "f32") -> Backbones:
        """What computes features as the service does."""
        network = runtime.load(self.xml, self.weights, threads=CORES, precision=precision)
        return Backbones(network, self.digest, network.precision, self.width)

    def centred(self, usual: Floats) -> Compiled:
        """The same, features and maps as what they differ from (D,) usual features by.

        The features stay the means of the maps. Without it the head's bias holds the usual features, the maps by themselves
        speak against nearly every condition, and Grad-CAM shows nothing: so it was in 62 % of the cases that were tried.
        """
        openvino = runtime.openvino()
        ops = openvino.opset13
        graph = openvino.Core().read_model(model=self.xml, weights=self.weights)
        shifted = []
        for port in graph.outputs:
            names, given = port.get_names(), port.node.input_value(0)
            node = ops.subtract(given, usual.reshape((1,) * (len(port.partial_shape) - 1) + (-1,)))
            given.get_tensor().set_names(set())
            node.output(0).set_names(names)
            shifted.append(ops.result(node))
        digest = hashlib.sha256(self.digest.encode() + usual.tobytes()).hexdigest()
        return Compiled(*_files(openvino.Model(shifted, graph.get_parameters(), "backbone")), digest, self.width)


def check(backbone: str, choice: str) -> None:
    """See that --weights can be used before anything costly is done.

    Raises:
        BadInput: there is no such file, or ImageNet's weights cannot be fetched.
    """
    if choice == weights.IMAGENET:
        _imagenet(backbone)
    elif choice != weights.NONE:
        _file(backbone, choice)


def network(
    backbone: str, choice: str, prepared: Prepared, parts: Sequence[str], work: Path, *, epochs: int | None, seed: int
) -> keras.Model:
    """A backbone with weights: (N, 224, 224, 3) RGB 0..255 -> (N, D) features.

    Args:
        choice: ``"imagenet"``, ``"none"`` (learned from the pictures of the part "train"), a folder, or a `.weights.h5` file.
        prepared, parts: all pictures, and the part of each.
        work: folder for what is learned from nothing.
        epochs: of that, other than usual.

    Raises:
        BadInput: the weights cannot be fetched, or are of another network.
    """
    if choice == weights.IMAGENET:
        return _imagenet(backbone)
    name = NAMES[backbone]
    path = (
        pretext.learn(name, prepared.crops, pretext.kinds_of(prepared.pictures), parts, work, epochs=epochs, seed=seed)
        if choice == weights.NONE
        else _file(backbone, choice)
    )
    answer = networks.backbone(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", UserWarning
            )  # Keras leaves layers untrained for which a file has nothing, and only warns
            answer.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadInput(
            f"--weights {path}: are not those of {backbone} ({first:.200}); name others, or {weights.IMAGENET} or "
            f"{weights.NONE}."
        ) from error
    return answer


def compiled(backbone: keras.Model) -> Compiled:
    """The form of a backbone that is served."""
    openvino = runtime.openvino()
    from openvino.preprocess import PrePostProcessor
    from openvino.tools.ovc import convert_model

    average = backbone.layers[-1]
    graph = convert_model(keras.Model([backbone.input], [average.input, average.output]))
    side_px = backbone.input.shape[1]
    graph.reshape([1, side_px, side_px, 3])
    for port in graph.outputs:
        own_maps = MAPS.get(backbone.name, f"{backbone.name}_maps")
        port.set_names({own_maps if len(port.partial_shape) == 4 else artefact.FEATURES})
    graph.input().set_names({"image"})
    prepared = PrePostProcessor(graph)
    prepared.input().tensor().set_element_type(openvino.Type.u8)
    digest = hashlib.sha256(backbone.name.encode())
    for one in backbone.get_weights():
        digest.update(one.tobytes())
    return Compiled(*_files(prepared.build()), digest.hexdigest(), backbone.output.shape[1])


def _files(graph: Any) -> tuple[bytes, bytes]:
    """OpenVINO's two files of a graph, f32."""
    with tempfile.TemporaryDirectory() as folder:
        xml, numbers = Path(folder) / "network.xml", Path(folder) / "network.bin"
        runtime.openvino().save_model(graph, xml, compress_to_fp16=False)
        return xml.read_bytes(), numbers.read_bytes()


def _imagenet(backbone: str) -> keras.Model:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(weights.TIMEOUT_S)
    try:
        return networks.backbone(NAMES[backbone], weights="imagenet")
    except Exception as error:  # Keras' loader raises a plain Exception when a download fails
        raise BadInput(
            f"the ImageNet weights of {backbone} could not be fetched ({error}); connect to the internet, put the file into "
            f"~/.keras/models, or train without: --weights none, or --weights with a folder that holds "
            f"{NAMES[backbone]}{SUFFIX}."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _file(backbone: str, choice: str) -> Path:
    given = Path(choice)
    path = given / f"{NAMES[backbone]}{SUFFIX}" if given.is_dir() else given
    if not path.is_file() or not path.name.endswith(SUFFIX):
        raise BadInput(
            f"--weights {choice}: expected a {SUFFIX} file of {backbone}, or a folder that holds {NAMES[backbone]}{SUFFIX}; "
            f"name one, or {weights.IMAGENET} or {weights.NONE}."
        )
    return path
