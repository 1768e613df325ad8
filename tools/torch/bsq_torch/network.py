# A network as bsq's files describe it (`network` in their metadata, engine/network/network_spec.h): which tensors a
# model of it has, and of which shapes. Which options a layer has: engine/network/layer_kinds.h.
from __future__ import annotations

import dataclasses
import json
from typing import Callable

from .files import CheckpointError, printable

Shape = tuple  # of ints; images are (height, width, channels), vectors (numbers,)

IMAGE = "image"
MOST_CHARACTERS = 1 << 24  # of its JSON; a DenseNet-121 has 60,000
MOST_NODES = 1 << 16
MOST_NUMBERS = 1 << 20  # on each axis of a tensor: far above any layer
MOST_OUTPUTS = 1 << 40  # of a node


@dataclasses.dataclass
class Network:
    """Names in the order of the engine; shapes as in PyTorch."""
    name: str
    quantized: dict[str, Shape]    # parameters that may have bits
    plain: dict[str, Shape]        # all other parameters and statistics
    counters: set[str]             # of batches; a file may lack them
    ceilings: set[str]             # of PACT; a file may lack them
    lsq_ceilings: set[str]         # of LSQ, and steps and offsets of LSQ+; a file may lack them
    act_scales: set[str]           # calibrated ones; a file may lack them
    ranges: set[str]               # of training with quant.deployed; a file may lack them
    of_projections: set[str]       # the plain tensors of a shortcut's convolution and norm
    classes: int                   # numbers that the last node gives
    is_configured: bool = False    # some activation is that of the configuration
    has_act_bits: bool = False     # some activation is quantized


def read_network(text: str) -> Network:
    """Of the JSON that files carry."""
    try:
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"more than {MOST_CHARACTERS:,} characters")
        spec = json.loads(text)
        return Builder(spec["image"]).build(spec["name"], spec["nodes"])
    except (ValueError, RecursionError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(f"its network cannot be read ({printable(repr(error))}); the file is damaged") from None


class Builder:
    def __init__(self, image: list) -> None:
        self.shapes: dict[str, Shape] = {IMAGE: (size(image[0]), size(image[1]), size(image[2]))}
        self.network = Network("", {}, {}, set(), set(), set(), set(), set(), set(), 0)
        self.projections: set[str] = set()  # nodes

    def build(self, name: str, nodes: list) -> Network:
        if len(nodes) > MOST_NODES:
            raise ValueError("too many nodes")
        before = IMAGE
        for node in nodes:
            kind = KINDS.get(node["layer"])
            if kind is None:
                raise CheckpointError(f"its network has a layer '{printable(node['layer'])}', which is not known here; "
                                      f"known are {', '.join(KINDS)}")
            inputs = node.get("inputs", [before])
            before = node["name"]
            shape = kind(self, node, inputs)
            if not all(type(number) is int and 1 <= number <= MOST_OUTPUTS for number in shape):
                raise ValueError("a node of impossible size")
            self.shapes[before] = shape
        self.network.name = str(name)
        self.network.classes = self.shapes[before][0]
        return self.network

    def add_parameter(self, name: str, shape: Shape, quantized: bool) -> None:
        (self.network.quantized if quantized else self.network.plain)[name] = shape

    # ---- layers: each returns the shape of its output ----------------------------------------------------------------
    def conv2d(self, node: dict, inputs: list) -> Shape:
        height, width, channels = self.shapes[inputs[0]]
        out, kernel = size(node["out"]), size(node.get("kernel", 3))
        stride, groups = size(node.get("stride", 1)), size(node.get("groups", 1))
        padding = node.get("padding", kernel // 2)
        quantized = node.get("quantized", False)
        name = node["name"]
        self.add_parameter(f"{name}.weight", (out, channels // groups, kernel, kernel), quantized)
        if node.get("bias", False):
            self.add_parameter(f"{name}.bias", (out,), node.get("bias_quantized", quantized))
        if node.get("projection", False):
            self.projections.add(name)
            self.network.of_projections |= {f"{name}.weight"} - set(self.network.quantized)
        return (windows(height, kernel, stride, padding), windows(width, kernel, stride, padding), out)

    def norm_act(self, node: dict, inputs: list) -> Shape:
        name, shape = node["name"], self.shapes[inputs[0]]
        fields = [f"{name}.{field}" for field in ("weight", "bias", "running_mean", "running_var")]
        for field in fields:
            self.add_parameter(field, (shape[2],), quantized=False)
        self.network.counters.add(f"{name}.num_batches_tracked")
        if inputs[0] in self.projections:
            self.network.of_projections |= set(fields)
        return self.bias_act(node, inputs)

    def bias_act(self, node: dict, inputs: list) -> Shape:
        usual = "configured" if node.get("quantized", False) else "none" if node["layer"] == "add" else "relu"
        activation = node.get("activation", usual)
        self.network.ranges |= {f"{node['name']}{part}.range" for part in ("", ".term", ".shortcut")}
        self.network.has_act_bits |= node.get("quantized", False) is True
        self.network.is_configured |= activation in ("configured", "configured_relu6")
        if activation != "none":
            name = node.get("activation_name", f"{node['name']}.act")
            self.network.ceilings.add(f"{name}.alpha")
            self.network.lsq_ceilings.add(f"{name}.ceiling")
            self.network.act_scales.add(f"{name}.act_scale")
        return self.shapes[inputs[0]]

    def max_pool(self, node: dict, inputs: list) -> Shape:
        height, width, channels = self.shapes[inputs[0]]
        kernel = size(node["kernel"])
        rule = (kernel, size(node.get("stride", kernel)), node.get("padding", 0), node.get("ceil", False))
        return (windows(height, *rule), windows(width, *rule), channels)

    def average_pool(self, node: dict, inputs: list) -> Shape:
        height, width, channels = self.shapes[inputs[0]]
        if "out" in node:
            return (size(node["out"]), size(node["out"]), channels)
        if "kernel" in node:
            kernel = size(node["kernel"])
            return (windows(height, kernel, kernel, 0), windows(width, kernel, kernel, 0), channels)
        return (channels,)

    def flatten(self, _: dict, inputs: list) -> Shape:
        height, width, channels = self.shapes[inputs[0]]
        return (height * width * channels,)

    def concat(self, _: dict, inputs: list) -> Shape:
        shapes = [self.shapes[name] for name in inputs]
        return (*shapes[0][:2], sum(shape[2] for shape in shapes))

    def dropout(self, _: dict, inputs: list) -> Shape:
        return self.shapes[inputs[0]]

    def quantize(self, node: dict, inputs: list) -> Shape:
        self.network.lsq_ceilings |= {f"{node['name']}.step", f"{node['name']}.offset"}
        return self.shapes[inputs[0]]

    def linear(self, node: dict, inputs: list) -> Shape:
        out, quantized = size(node["out"]), node.get("quantized", False)
        self.add_parameter(f"{node['name']}.weight", (out, *self.shapes[inputs[0]]), quantized)
        self.add_parameter(f"{node['name']}.bias", (out,), quantized)
        return (out,)


KINDS: dict[str, Callable[[Builder, dict, list], Shape]] = {
    "conv2d": Builder.conv2d, "norm_act": Builder.norm_act, "bias_act": Builder.bias_act, "add": Builder.bias_act,
    "max_pool": Builder.max_pool, "average_pool": Builder.average_pool, "flatten": Builder.flatten,
    "concat": Builder.concat, "dropout": Builder.dropout, "linear": Builder.linear,
    "quantize": Builder.quantize}


def size(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MOST_NUMBERS:
        raise ValueError(f"{printable(value)} is no size")
    return value


def windows(pixels: int, kernel: int, stride: int, padding: int, ceil: bool = False) -> int:
    """How many windows lie in a row of pixels; rounded up, the last one still begins in the image or left of it."""
    span = pixels + 2 * padding - kernel
    if span < 0:
        raise ValueError(f"a window of {kernel} on {pixels} pixels")
    count = (span + (stride - 1 if ceil else 0)) // stride + 1
    return count - 1 if ceil and (count - 1) * stride >= pixels + padding else count
