# A PyTorch module as the nodes of a network file: every operation of its forward pass (graph.py) becomes a node or,
# with the reason, an error. Needs torch. The kinds of nodes: engine/network/layer_kinds.h and layer_fusion.h.
from __future__ import annotations

import dataclasses
import json
import re
from typing import Callable, Optional

from torch import fx, nn

from .files import UsageError
from .graph import caller_of, shape_of, traced

IMAGE = "image"


class Refusal(Exception):
    """Why an operation cannot become a node, and what would help."""


@dataclasses.dataclass
class Node:
    name: str
    layer: str
    inputs: list[str]
    options: dict

    def text(self) -> str:
        return json.dumps({"name": self.name, "layer": self.layer, "inputs": self.inputs} | self.options)


def pair(value: object, what: str) -> int:
    """The one number that both axes have."""
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(sizes) == 1:
        sizes *= 2
    if len(sizes) != 2 or sizes[0] != sizes[1] or not isinstance(sizes[0], int):
        raise Refusal(f"{what} {value}: bsq has the same number for height and width")
    return sizes[0]


def want(fits: bool, why: str) -> None:
    if not fits:
        raise Refusal(why)


class Call:
    """One operation of the graph, its arguments by position or name."""

    def __init__(self, node: fx.Node, skipped: int = 1) -> None:
        self.node = node
        self.rest = list(node.args[skipped:])

    def argument(self, place: int, name: str, otherwise: object = None) -> object:
        """`place`: behind the tensors."""
        if name in self.node.kwargs:
            return self.node.kwargs[name]
        return self.rest[place] if place < len(self.rest) else otherwise


class Builder:
    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.modules = dict(graph.named_modules())
        self.nodes: list[Node] = []
        self.names: dict[fx.Node, str] = {}  # of the node that holds a result
        self.taken = {IMAGE}
        self.called: set[str] = set()        # modules with parameters
        self.concats: dict[tuple, str] = {}  # by what they join
        self.pools: dict[str, Node] = {}     # those of one window over the whole image, by name

    def build(self) -> list[Node]:
        for node in self.graph.graph.nodes:
            try:
                self.convert(node)
            except Refusal as refusal:
                raise UsageError(f"node '{node.name}' ({describe(node, self.modules)}): {refusal}") from None
        return self.nodes

    def convert(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            want(len(self.names) == 0, "the network reads one image; write a module of one argument")
            self.names[node] = IMAGE
        elif node.op == "output":
            result = node.args[0]
            want(isinstance(result, fx.Node), "it returns several results; return the logits alone")
            want(self.nodes and self.names.get(result) == self.nodes[-1].name,
                 "what it returns is not its last operation; return the logits")
        elif shape_of(node) is None:
            return  # a size: those of the traced image, and only a flatten asks for them
        elif node.op == "call_module":
            self.convert_module(node, self.modules[str(node.target)])
        elif node.op == "get_attr":
            raise Refusal("parameters are read by layers alone; write nn.Conv2d, nn.Linear or nn.BatchNorm2d in the "
                          "place of functions that take weights")
        else:
            key = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
            found = FUNCTIONS.get(str(key))
            want(found is not None, f"bsq has no such operation; it has {', '.join(sorted(FUNCTIONS))}, and modules: "
                                    f"{', '.join(kind.__name__ for kind in MODULES)}")
            found(self, node, Call(node))

    def convert_module(self, node: fx.Node, module: nn.Module) -> None:
        found = next((make for kind, make in MODULES.items() if type(module) is kind), None)
        want(found is not None, f"bsq has no such layer; it has {', '.join(kind.__name__ for kind in MODULES)}")
        if next(module.parameters(), None) is not None:
            want(str(node.target) not in self.called, "is called twice; layers of bsq have weights of their own")
            self.called.add(str(node.target))
        found(self, node, module)

    # ---- names -------------------------------------------------------------------------------------------------------
    def name_of(self, node: fx.Node, what: str) -> str:
        """PyTorch's name of the module, or of the module that calls the function with `what` behind it."""
        if node.op == "call_module":
            wanted = str(node.target)
        else:
            path = caller_of(node)
            wanted = f"{path}.{what}" if path else what
        wanted = re.sub(r"[^A-Za-z0-9._-]", "_", wanted)
        name, number = wanted, 1
        is_own = node.op == "call_module"
        while name in self.taken or (name in self.modules and not is_own):
            name, is_own = f"{wanted}_{number}", False
            number += 1
        return name

    def add(self, node: fx.Node, layer: str, options: dict, inputs: Optional[list[str]] = None,
            what: str = "") -> Node:
        made = Node(self.name_of(node, what or layer), layer, inputs or [self.input(node)], options)
        self.taken.add(made.name)
        self.nodes.append(made)
        self.names[node] = made.name
        return made

    def input(self, node: fx.Node, place: int = 0) -> str:
        values = list(node.args) + list(node.kwargs.values())
        want(place < len(values) and isinstance(values[place], fx.Node) and values[place] in self.names,
             "reads something that is no result of an operation before it")
        return self.names[values[place]]

    def input_shape(self, node: fx.Node) -> tuple[int, ...]:
        return shape_of(node.args[0] if node.args else next(iter(node.kwargs.values())))

    # ---- layers with weights -----------------------------------------------------------------------------------------
    def conv2d(self, node: fx.Node, module: nn.Conv2d) -> None:
        kernel, stride = pair(module.kernel_size, "kernel_size"), pair(module.stride, "stride")
        want(pair(module.dilation, "dilation") == 1, "dilation: bsq's convolutions have none")
        want(module.padding_mode == "zeros", f"padding_mode {module.padding_mode}: bsq pads with zeros")
        if module.padding == "valid":
            padding = 0
        elif module.padding == "same":
            want(kernel % 2 == 1, "padding same of an even kernel: pads more on one side; give a number")
            padding = kernel // 2
        else:
            padding = pair(module.padding, "padding")
        options: dict = {"out": module.out_channels, "kernel": kernel, "stride": stride, "padding": padding}
        if module.groups != 1:
            options["groups"] = module.groups
        if module.bias is not None:
            options["bias"] = True
        self.add(node, "conv2d", options)

    def batch_norm(self, node: fx.Node, module: nn.BatchNorm2d) -> None:
        want(module.affine and module.track_running_stats,
             "bsq's batch norms have weight, bias and running statistics; leave affine and track_running_stats at True")
        want(module.momentum is not None, "momentum None: bsq has no cumulative average; give a number")
        options = {}
        if module.eps != 1e-5:
            options["epsilon"] = module.eps
        if module.momentum != 0.1:
            options["momentum"] = module.momentum
        self.add(node, "batch_norm", options)

    def linear(self, node: fx.Node, module: nn.Linear) -> None:
        want(len(self.input_shape(node)) == 1, "reads an image; flatten it first")
        self.add(node, "linear", {"out": module.out_features})

    # ---- activations -------------------------------------------------------------------------------------------------
    def activation(self, node: fx.Node, kind: str) -> None:
        self.add(node, "activation", {} if kind == "relu" else {"kind": kind}, what=kind)

    def hardtanh(self, node: fx.Node, low: object, high: object) -> None:
        want((low, high) == (0, 6), f"hardtanh {low} .. {high}: bsq has that of 0 .. 6, which is ReLU6")
        self.activation(node, "relu6")

    # ---- pools -------------------------------------------------------------------------------------------------------
    def max_pool(self, node: fx.Node, kernel: object, stride: object, padding: object, dilation: object, ceil: object,
                 returns_indices: object) -> None:
        size = pair(kernel, "kernel_size")
        want(pair(dilation, "dilation") == 1, "dilation: bsq's pools have none")
        want(not returns_indices, "return_indices: bsq has none")
        options: dict = {"kernel": size}
        step, edge = pair(stride or kernel, "stride"), pair(padding, "padding")
        options |= ({"stride": step} if step != size else {}) | ({"padding": edge} if edge else {})
        self.add(node, "max_pool", options | ({"ceil": True} if ceil else {}))

    def average_pool(self, node: fx.Node, kernel: object, stride: object, padding: object, ceil: object,
                     divisor: object) -> None:
        size = pair(kernel, "kernel_size")
        want(pair(stride or kernel, "stride") == size, "windows that overlap or leave gaps; bsq averages over windows "
             "side by side: stride = kernel_size")
        want(pair(padding, "padding") == 0, "padding: bsq's average pools have none")
        want(divisor is None, "divisor_override: bsq divides by the number of pixels")
        _, *pixels = self.input_shape(node)
        want(not ceil or all(side % size == 0 for side in pixels), "ceil_mode with windows beyond the image")
        self.pool(node, {"kernel": size}, is_global=all(side == size for side in pixels))

    def adaptive_pool(self, node: fx.Node, sizes: object) -> None:
        out = pair(sizes, "output_size")
        self.pool(node, {"out": out}, is_global=out == 1)

    def pool(self, node: fx.Node, options: dict, is_global: bool) -> None:
        made = self.add(node, "average_pool", options, what="avgpool")
        if is_global:
            self.pools[made.name] = made

    def mean(self, node: fx.Node, dims: object, keeps: object) -> None:
        axes = sorted(axis % 4 for axis in dims) if isinstance(dims, (tuple, list)) else []
        want(axes == [2, 3] and len(self.input_shape(node)) == 3, "a mean over other axes than height and width")
        if keeps:
            self.pool(node, {"out": 1}, is_global=True)
        else:
            self.add(node, "average_pool", {}, what="avgpool")

    # ---- shapes ------------------------------------------------------------------------------------------------------
    def same(self, node: fx.Node) -> None:
        self.names[node] = self.input(node)

    def flatten(self, node: fx.Node) -> None:
        before, after = self.input_shape(node), shape_of(node)
        if before == after:
            return self.same(node)
        numel = 1
        for size in before:
            numel *= size
        want(after == (numel,), f"makes {after} of {before}; bsq flattens an image to one row of numbers")
        source = self.input(node)
        pool = self.pools.get(source)
        if pool is not None and len(node.all_input_nodes[0].users) == 1:  # a global pool gives a row of numbers
            pool.options.clear()
            return self.same(node)
        self.add(node, "flatten", {}, [source])

    def sum(self, node: fx.Node, call: Call) -> None:
        want(call.argument(2, "alpha", 1) == 1, "alpha: bsq's sums have no factor")
        parts = [value for value in list(node.args[:2]) + list(node.kwargs.values()) if isinstance(value, fx.Node)]
        want(len(parts) == 2 and all(part in self.names for part in parts), "bsq adds two results of operations")
        want(shape_of(parts[0]) == shape_of(parts[1]), f"adds {shape_of(parts[0])} and {shape_of(parts[1])}; bsq adds "
             "tensors of one shape")
        self.add(node, "add", {}, [self.names[part] for part in parts])

    def concat(self, node: fx.Node, call: Call) -> None:
        parts = node.args[0] if node.args else node.kwargs.get("tensors")
        axis = call.argument(0, "dim", call.argument(0, "axis", 0))
        want(len(shape_of(node)) == 3 and axis in (1, -3), "bsq joins images along their channels: dim=1")
        want(all(part in self.names for part in parts), "reads something that is no result of an operation before it")
        inputs = tuple(self.names[part] for part in parts)
        if len(inputs) == 1:
            self.names[node] = inputs[0]
            return
        # What begins like a concat before it goes on from there: in a dense block nothing is copied twice.
        begin = next((n for n in range(len(inputs) - 1, 1, -1) if inputs[:n] in self.concats), 0)
        joined = [self.concats[inputs[:begin]], *inputs[begin:]] if begin else list(inputs)
        self.concats[inputs] = self.add(node, "concat", {}, joined, what="cat").name

    def dropout(self, node: fx.Node, rate: float) -> None:
        if rate == 0:
            return self.same(node)
        self.add(node, "dropout", {"rate": rate})


MODULES: dict[type, Callable] = {
    nn.Conv2d: Builder.conv2d,
    nn.BatchNorm2d: Builder.batch_norm,
    nn.Linear: Builder.linear,
    nn.ReLU: lambda b, node, _: b.activation(node, "relu"),
    nn.ReLU6: lambda b, node, _: b.activation(node, "relu6"),
    nn.Hardtanh: lambda b, node, m: b.hardtanh(node, m.min_val, m.max_val),
    nn.MaxPool2d: lambda b, node, m: b.max_pool(node, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode,
                                                m.return_indices),
    nn.AvgPool2d: lambda b, node, m: b.average_pool(node, m.kernel_size, m.stride, m.padding, m.ceil_mode,
                                                    m.divisor_override),
    nn.AdaptiveAvgPool2d: lambda b, node, m: b.adaptive_pool(node, m.output_size),
    nn.Dropout: lambda b, node, m: b.dropout(node, m.p),
    nn.Flatten: lambda b, node, _: b.flatten(node),
    nn.Identity: lambda b, node, _: b.same(node),
}


def relu(builder: Builder, node: fx.Node, _: Call) -> None:
    builder.activation(node, "relu")


def flatten(builder: Builder, node: fx.Node, _: Call) -> None:
    builder.flatten(node)


def same(builder: Builder, node: fx.Node, _: Call) -> None:
    builder.same(node)


def average_pool(builder: Builder, node: fx.Node, call: Call) -> None:
    builder.average_pool(node, *(call.argument(place, name, value) for place, name, value in (
        (0, "kernel_size", None), (1, "stride", None), (2, "padding", 0), (3, "ceil_mode", False),
        (5, "divisor_override", None))))


def max_pool(builder: Builder, node: fx.Node, call: Call) -> None:
    builder.max_pool(node, *(call.argument(place, name, value) for place, name, value in (
        (0, "kernel_size", None), (1, "stride", None), (2, "padding", 0), (3, "dilation", 1), (4, "ceil_mode", False),
        (5, "return_indices", False))))


# Functions and methods by name: torch.relu, F.relu and x.relu() are one.
FUNCTIONS: dict[str, Callable[[Builder, fx.Node, Call], None]] = {
    "relu": relu,
    "relu_": relu,
    "relu6": lambda b, node, _: b.activation(node, "relu6"),
    "hardtanh": lambda b, node, call: b.hardtanh(node, call.argument(0, "min_val", -1.0),
                                                 call.argument(1, "max_val", 1.0)),
    "max_pool2d": max_pool,
    "avg_pool2d": average_pool,
    "adaptive_avg_pool2d": lambda b, node, call: b.adaptive_pool(node, call.argument(0, "output_size")),
    "mean": lambda b, node, call: b.mean(node, call.argument(0, "dim"), call.argument(1, "keepdim", False)),
    "dropout": lambda b, node, call: b.dropout(node, call.argument(0, "p", 0.5)),
    "flatten": flatten,
    "view": flatten,
    "reshape": flatten,
    "add": lambda b, node, call: b.sum(node, call),
    "add_": lambda b, node, call: b.sum(node, call),
    "iadd": lambda b, node, call: b.sum(node, call),
    "cat": lambda b, node, call: b.concat(node, call),
    "concat": lambda b, node, call: b.concat(node, call),
    "contiguous": same,
}


def describe(node: fx.Node, modules: dict) -> str:
    """What a person knows it by: the module and its class, or the function and who calls it."""
    if node.op == "call_module":
        return f"{node.target}, {type(modules[str(node.target)]).__name__}"
    caller = caller_of(node)
    return f"{node.op.replace('_', ' ')} {getattr(node.target, '__name__', node.target)}" + \
        (f" in {caller}" if caller else "")


def network_text(nodes: list[Node], name: str, image: tuple[int, int, int]) -> str:
    """A network file in which every layer gets the usual role; JSON is YAML too."""
    lines = [f'name: "{re.sub(r"[^A-Za-z0-9._-]", "_", name)}"', f"image: [{image[0]}, {image[1]}, {image[2]}]",
             "quantize: all", "nodes:", *(f"  - {node.text()}" for node in nodes)]
    return "\n".join(lines) + "\n"


def nodes_of(module: nn.Module, image: tuple[int, int, int]) -> list[Node]:
    return Builder(traced(module, image)).build()
