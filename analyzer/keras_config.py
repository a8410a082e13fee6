"""The network that a Keras file describes: layers and their calls, as one tree for the dialects of Keras 2 and Keras 3."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from analyzer.keras_checks import SAVE_ANEW, quoted, refuse
from analyzer.keras_parts import PACKAGES

NETWORKS = ("Functional", "Model", "Sequential")  # Keras 2 before TensorFlow 2.3 calls a functional network Model
INPUT = "InputLayer"
MOST_LETTERS = 100  # of the name of a class
MOST_NESTED = 12  # networks inside each other
INPUT_SHAPES = ("batch_shape", "batch_input_shape")  # of Keras 3, of Keras 2
FUNCTIONAL = "Build the network with keras.Model(inputs, outputs) or keras.Sequential, and save it anew."
Parser = Callable[[Any], "Call"]


class Reference(NamedTuple):
    """A tensor by where it comes from. Attributes: `layer`, its name; `call`, which of its calls; `output`, place in the answer."""

    layer: str
    call: int
    output: int


class Call(NamedTuple):
    """Arguments of one use of a layer; references and constants, also nested in lists."""

    arguments: list[Any]
    keywords: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer, an operation on tensors, or a network inside a network.

    Attributes:
        name: as the person gave it or Keras made it.
        kind: name of its class.
        settings: its configuration, as it stands in the file.
        calls: its uses, in order; none of an input.
        network: what is inside, where it is a network.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    calls: tuple[Call, ...]
    network: Network | None = None

    @property
    def title(self) -> str:
        """Its name and class, for a sentence."""
        return f"the layer {quoted(self.name)} ({self.kind})"

    @property
    def trainable(self) -> bool:
        """Whether it was to learn when the file was saved; the order of weights in `.h5` depends on it."""
        return bool(self.settings.get("trainable", True))


@dataclass(frozen=True, eq=False)
class Network:
    """Layers, the inputs, and the outputs."""

    layers: tuple[Layer, ...]
    inputs: tuple[Reference, ...]
    outputs: tuple[Reference, ...]

    def walk(self) -> Iterator[Layer]:
        """Yield all layers, those of inner networks after their network."""
        for layer in self.layers:
            yield layer
            if layer.network is not None:
                yield from layer.network.walk()


def parse(config: Mapping[str, Any]) -> Network:
    """Return the network of a whole configuration (`config.json`, or the attribute `model_config`).

    Raises:
        BadModel: it describes something else, or is damaged.
    """
    kind = config.get("class_name")
    if kind not in NETWORKS:
        refuse(
            f"The file holds {quoted(kind)}, a network of a class of its own, whose code is not in the file.",
            FUNCTIONAL,
        )
    try:
        return _network(str(kind), config["config"], 0)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        refuse(f"The configuration of the network is damaged: {type(error).__name__} ({error!s:.200}).", SAVE_ANEW)


def constant(value: Any) -> Any:
    """Return a value of the configuration: slices, ellipses and arrays as such, all else as JSON has it."""
    if isinstance(value, list):
        return [constant(part) for part in value]
    if not isinstance(value, dict):
        return value
    kind, inner = value.get("class_name"), value.get("config", value)
    if kind in ("__tensor__", "__numpy__"):
        return inner["value"]
    if kind == "__ellipsis__":
        return ...
    if kind == "__tuple__":
        return [constant(part) for part in value["items"]]
    if kind == "__keras_tensor__":
        return Reference(*inner["keras_history"])
    return slice(inner["start"], inner["stop"], inner["step"]) if {"start", "stop", "step"} <= inner.keys() else value


def references(value: Any) -> Iterator[Reference]:
    """Yield the references inside arguments, in order."""
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from references(part)
    elif isinstance(value, dict):
        yield from references(list(value.values()))


def input_shape(layer: Layer) -> list[int | None] | None:
    """Return the shape that a layer names for its input, with the batch; None where it names none."""
    shape: list[int | None] | None = next((layer.settings[key] for key in INPUT_SHAPES if key in layer.settings), None)
    if shape is None and layer.network is not None and layer.network.layers:
        return input_shape(layer.network.layers[0])
    return shape


def _network(kind: str, config: Any, depth: int) -> Network:
    if depth > MOST_NESTED:
        refuse("The networks lie too deep inside each other.", FUNCTIONAL)
    return _sequential(config, depth) if kind == "Sequential" else _functional(config, depth)


def _functional(config: Mapping[str, Any], depth: int) -> Network:
    layers = [_layer(entry, depth) for entry in config["layers"]]
    inputs, outputs = (tuple(_ends(config[name])) for name in ("input_layers", "output_layers"))
    return _renumbered(Network(tuple(layers), inputs, outputs))


def _sequential(config: Any, depth: int) -> Network:
    """Return a chain; Keras 2 before 2.2.3 has a bare list, and files without an input name its shape elsewhere."""
    entries = config if isinstance(config, list) else config["layers"]
    layers = [_layer(entry, depth) for entry in entries]
    if layers[0].kind != INPUT:
        saved = None if isinstance(config, list) else config.get("build_input_shape")
        shape = saved or input_shape(layers[0])
        layers.insert(0, Layer("input of the sequence", INPUT, {"batch_shape": shape}, ()))
    chain = [layers[0]]
    for layer in layers[1:]:
        chain.append(replace(layer, calls=(Call([Reference(chain[-1].name, 0, 0)], {}),)))
    return Network(tuple(chain), (Reference(layers[0].name, 0, 0),), (Reference(layers[-1].name, 0, 0),))


def _layer(entry: Mapping[str, Any], depth: int) -> Layer:
    kind, settings = str(entry["class_name"]), entry["config"]
    name = entry.get("name") or (settings["name"] if isinstance(settings, dict) else kind)
    package = str(entry.get("module") or "keras").split(".")[0]
    whole = str(entry.get("registered_name") or kind)
    if package not in PACKAGES or whole != kind or not kind.isidentifier() or len(kind) > MOST_LETTERS:
        title = f"the layer {quoted(name)} ({whole:.{MOST_LETTERS}} of {package:.{MOST_LETTERS}})"
        refuse(f"The network uses {title}, whose code is not in the file.", f"Use Keras' own layers. {SAVE_ANEW}")
    calls = tuple(_call(node) for node in entry.get("inbound_nodes", ()))
    inner = _network(kind, settings, depth + 1) if kind in NETWORKS else None
    return Layer(str(name), kind, settings if isinstance(settings, dict) else {}, calls, inner)


def _call(node: Any) -> Call:
    """Return one use of a layer: a mapping in Keras 3, a list in Keras 2."""
    if isinstance(node, dict):
        keywords = {key: constant(value) for key, value in node["kwargs"].items()}
        return Call([constant(argument) for argument in node["args"]], keywords)
    entries = [node] if isinstance(node[0], str) else node
    tensors = [constant(entry[2]) if entry[0] == "_CONSTANT_VALUE" else Reference(*entry[:3]) for entry in entries]
    further = entries[0][3] if len(entries[0]) > 3 else {}
    keywords = {key: _keyword(value) for key, value in further.items()}
    return Call(tensors if len(tensors) == 1 else [tensors], keywords)


def _keyword(value: Any) -> Any:
    """Return a keyword argument of Keras 2, which writes a tensor as [layer, call, output]."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return Reference(*value)
    return constant(value)


def _ends(value: Any) -> Iterator[Reference]:
    """Yield inputs or outputs, which stand alone, in a list or in a mapping."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        yield Reference(*value[:3])
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _ends(part)


def _renumbered(network: Network) -> Network:
    """Count the calls of inner networks from 0: Keras counts the call that built them, too, and does not save it."""
    highest: dict[str, int] = defaultdict(int)
    for reference in references([call for layer in network.layers for call in layer.calls] + [network.outputs]):
        highest[reference.layer] = max(highest[reference.layer], reference.call)
    counts = {layer.name: max(1, len(layer.calls)) for layer in network.layers}
    unsaved = {name: max(0, last + 1 - counts.get(name, last + 1)) for name, last in highest.items()}

    def moved(value: Any) -> Any:
        if isinstance(value, Reference):
            return value._replace(call=value.call - unsaved.get(value.layer, 0))
        if isinstance(value, list):
            return [moved(part) for part in value]
        return {key: moved(part) for key, part in value.items()} if isinstance(value, dict) else value

    layers = [
        replace(layer, calls=tuple(Call(moved(call.arguments), moved(call.keywords)) for call in layer.calls))
        for layer in network.layers
    ]
    outputs = tuple(moved(reference) for reference in network.outputs)
    return Network(tuple(layers), network.inputs, outputs)
