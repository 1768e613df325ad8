# CIFAR ResNets as PyTorch users and bsq's files spell them. A model here is what bsq's files hold: tensors by name, and
# metadata whose `form` is one of
#
#   float    <layer>.weight, fc.bias
#   planes   <layer>.pweight, .nweight [..., bit], the most significant first, .scale; fc.pbias, .nbias, .biasscale
#   fixed    <layer>.uweight in [-1, 1], .scale; fc.ubias, .biasscale
#
# and `scheme`, {"conv1": [8, 0], ..., "fc": [8, 8]}, the bits of weight and bias. The published code saves
# {"Nbit_dict": that scheme, "state_dict": ..., "epoch", "acc", "best_acc", "optimizer"}; its names differ by `module.`
# in front and in that finetuning's weights are called <layer>.weight beside a <layer>.scale. One number is a list of
# one here, and a number there.
from __future__ import annotations

import json
import re
from typing import Callable, Optional

import numpy

from .files import CheckpointError, listed, printable
from .pickle_data import Tensor
from .safetensors import Metadata, Tensors
from .torch_file import size_of, to_array

Shape = tuple  # of ints; None stands for the number of bits
Say = Callable[[str], None]

STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model", "net")
PROGRESS_KEYS = ("epoch", "acc", "best_acc")  # numbers of the published files that are kept, as metadata
METADATA_KEY = "bsq_metadata"
EXTRA_KEY = "bsq_tensors"  # what the published code has no place for: calibrated activation scales
ALPHA = re.compile(r"layer[123]\.\d+\.relu[12]\.alpha")
ACT_SCALE = re.compile(r"layer[123]\.\d+\.relu[12]\.act_scale")
MAX_BITS = 8


# ---- names ----------------------------------------------------------------------------------------------------------
def normal_name(name: str) -> str:
    name = name.removeprefix("module.").replace(".shortcut.", ".downsample.")
    return "fc." + name.removeprefix("linear.") if name.startswith("linear.") else name


def renamed(state: dict, say: Say) -> dict:
    result: dict = {}
    changes = []
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"its state_dict has {printable(name)}, which is no tensor; give a state_dict of tensors")
        new = normal_name(name)
        if new in result:
            raise CheckpointError(f"two of its tensors would be {printable(new)}; the file is corrupt")
        if new != name.removeprefix("module."):
            changes.append(f"{name} -> {new}")
        result[new] = value
    prefixed = sum(name.startswith("module.") for name in state)
    if prefixed:
        say(f"renamed: module.* -> * ({prefixed} tensors)")
    if changes:
        say(f"renamed: {listed(changes)}")
    return result


# ---- what a network of ours consists of -----------------------------------------------------------------------------
def quantized_parameters(blocks: int, width: int, classes: int) -> dict[str, Shape]:
    """The quantized parameters in the engine's order, with PyTorch's shapes."""
    result = {"conv1.weight": (width, 3, 3, 3)}
    inputs = width
    for group in range(3):
        channels = width << group
        for block in range(blocks):
            name = f"layer{group + 1}.{block}"
            result[f"{name}.conv1.weight"] = (channels, inputs, 3, 3)
            result[f"{name}.conv2.weight"] = (channels, channels, 3, 3)
            inputs = channels
    return result | {"fc.weight": (classes, inputs), "fc.bias": (classes,)}


def plain_tensors(blocks: int, width: int) -> dict[str, Shape]:
    result: dict[str, Shape] = {}

    def add_norm(name: str, channels: int) -> None:
        for field in ("weight", "bias", "running_mean", "running_var"):
            result[f"{name}.{field}"] = (channels,)

    add_norm("bn1", width)
    for group in range(3):
        channels = width << group
        for block in range(blocks):
            add_norm(f"layer{group + 1}.{block}.bn1", channels)
            add_norm(f"layer{group + 1}.{block}.bn2", channels)
        if group > 0:
            shortcut = f"layer{group + 1}.0.downsample"
            result[f"{shortcut}.0.weight"] = (channels, channels // 2, 1, 1)
            add_norm(f"{shortcut}.1", channels)
    return result


def field(parameter: str, prefix: str) -> str:
    """fc.weight, p -> fc.pweight"""
    layer, _, leaf = parameter.rpartition(".")
    return f"{layer}.{prefix}{leaf}"


def scale_of(parameter: str) -> str:
    layer, _, leaf = parameter.rpartition(".")
    return f"{layer}.biasscale" if leaf == "bias" else f"{layer}.scale"


def form_of(shapes: dict[str, Shape]) -> str:
    if "conv1.pweight" in shapes:
        return "planes"
    return "fixed" if "conv1.uweight" in shapes else "float"


def stored_tensors(parameters: dict[str, Shape], form: str) -> dict[str, Shape]:
    if form == "float":
        return parameters
    result: dict[str, Shape] = {}
    for name, shape in parameters.items():
        for prefix in ("p", "n") if form == "planes" else ("u",):
            result[field(name, prefix)] = (*shape, None) if form == "planes" else shape
        result[scale_of(name)] = (1,)
    return result


def check_tensors(shapes: dict[str, Shape]) -> dict[str, Shape]:
    """The quantized parameters, if `shapes` are those of a network of ours, which may lack counters and ceilings."""
    form = form_of(shapes)
    first = {"float": "weight", "planes": "pweight", "fixed": "uweight"}[form]
    stem, classifier = shapes.get(f"conv1.{first}", ()), shapes.get(f"fc.{first}", ())
    blocks = 0
    while f"layer1.{blocks}.conv1.{first}" in shapes:
        blocks += 1
    if len(stem) < 4 or len(classifier) < 2 or blocks == 0:
        raise CheckpointError("no conv1, layer1.0.conv1 and fc in it; not a checkpoint of a CIFAR ResNet")
    if stem[0] > 1 << 16 or classifier[0] > 1 << 16:
        raise CheckpointError("its layers are too large for a CIFAR ResNet")
    parameters = quantized_parameters(blocks, stem[0], classifier[0])
    expected = plain_tensors(blocks, stem[0]) | stored_tensors(parameters, form)
    missing = [name for name in expected if name not in shapes]
    unexpected = [name for name in shapes
                  if name not in expected and not is_optional(name)]
    check_names(shapes, missing, unexpected)
    wrong = [f"{name} is {show(shapes[name])}, expected {show(shape)}" for name, shape in expected.items()
             if not fits(shapes[name], shape)]
    wrong += [f"{name} is {show(shape)}, expected one number" for name, shape in shapes.items()
              if name not in expected and shape != (() if name.endswith(".num_batches_tracked") else (1,))]
    wrong += [f"{field(name, 'n')} has other bits than {field(name, 'p')}" for name in parameters
              if form == "planes" and shapes[field(name, "p")] != shapes[field(name, "n")]]
    if wrong:
        raise CheckpointError(f"not a CIFAR ResNet of {6 * blocks + 2} layers and width {stem[0]}: {listed(wrong)}")
    return parameters


def is_optional(name: str) -> bool:
    return bool(ALPHA.fullmatch(name) or ACT_SCALE.fullmatch(name) or name.endswith(".num_batches_tracked"))


def check_names(shapes: dict[str, Shape], missing: list[str], unexpected: list[str]) -> None:
    if missing and all(".downsample." in name for name in missing) and not any("downsample" in name for name in shapes):
        raise CheckpointError("its shortcuts have no parameters (option A of the ResNet paper: strided, and padded "
                              "with zeros where the channels double); the networks of bsq have 1x1 convolutions there "
                              "(option B), so that this model cannot be represented")
    if missing or unexpected:
        lists = [f"{what}: {listed(names)}" for what, names in (
            ("missing", missing), ("unexpected", unexpected)) if names]
        raise CheckpointError(
            f"not a checkpoint of a CIFAR ResNet with 1x1 convolutions on shortcuts; {'; '.join(lists)}")


def fits(shape: Shape, expected: Shape) -> bool:
    return len(shape) == len(expected) and all(wanted in (size, None) and (wanted is not None or 1 <= size <= MAX_BITS)
                                               for size, wanted in zip(shape, expected))


def show(shape: Shape) -> str:
    return f"({', '.join(f'1..{MAX_BITS}' if size is None else str(size) for size in shape)})"


# ---- bits -----------------------------------------------------------------------------------------------------------
def scheme_of_planes(parameters: dict[str, Shape], shapes: dict[str, Shape]) -> dict[str, list[int]]:
    scheme: dict[str, list[int]] = {}
    for name in parameters:
        layer, _, leaf = name.rpartition(".")
        scheme.setdefault(layer, [0, 0])[leaf == "bias"] = shapes[field(name, "p")][-1]
    return scheme


def scheme_of_table(parameters: dict[str, Shape], table: object, what: str) -> dict[str, list[int]]:
    """The bits that Nbit_dict (or metadata) gives the layers; entries of other layers are not looked at."""
    scheme: dict[str, list[int]] = {}
    for name in parameters:
        layer = name.rpartition(".")[0]
        bits = table.get(layer) if isinstance(table, dict) else None
        pair = list(bits) if isinstance(bits, (list, tuple)) else []
        if len(pair) != 2 or not all(type(count) is int and 0 <= count <= MAX_BITS for count in pair):
            raise CheckpointError(f"its {what} gives no bits of weight and bias in 0..{MAX_BITS} for {layer}")
        scheme[layer] = pair
    return scheme


def effective_weights(tensors: Tensors, parameter: str, bits: int) -> numpy.ndarray:
    """METHOD 1 and 5, in the order in which the engine adds planes up."""
    f32 = numpy.float32
    scale = tensors[scale_of(parameter)].reshape(())
    if field(parameter, "u") in tensors:
        total = tensors[field(parameter, "u")]
    else:
        p, n = tensors[field(parameter, "p")], tensors[field(parameter, "n")]
        total = numpy.zeros(p.shape[:-1], f32)
        for plane in range(8) if bits == 8 else (0, 4, 5, 6, 7, 1, 2, 3):
            if plane < bits:
                total += (p[..., plane] - n[..., plane]) * f32((1 << (bits - 1 - plane)) / ((1 << bits) - 1))
    if bits == 0:
        return numpy.zeros_like(total)
    top = f32((1 << bits) - 1)
    return (numpy.rint(numpy.clip(total, f32(-1), f32(1)) * top) + f32(0)) / top * scale


def as_float(tensors: Tensors, metadata: Metadata) -> Tensors:
    """Effective weights in the place of planes and fixed-point weights."""
    parameters = check_tensors({name: tensor.shape for name, tensor in tensors.items()})
    form = metadata["form"]
    if form == "float":
        return {name: tensor for name, tensor in tensors.items() if not ACT_SCALE.fullmatch(name)}
    scheme = json.loads(metadata["scheme"])
    quantized = stored_tensors(parameters, form)
    result = {name: tensor for name, tensor in tensors.items()
              if name not in quantized and not ACT_SCALE.fullmatch(name)}
    for name in parameters:
        layer, _, leaf = name.rpartition(".")
        result[name] = effective_weights(tensors, name, scheme[layer][leaf == "bias"])
    return result


# ---- from PyTorch ---------------------------------------------------------------------------------------------------
def find_state(saved: object) -> tuple[dict, dict]:
    """The state_dict, and the dict it lies in (empty for a bare one)."""
    if not isinstance(saved, dict):
        raise CheckpointError(f"holds {type(saved).__name__}, not a state_dict or a dict that has one")
    for key in STATE_DICT_KEYS:
        if isinstance(saved.get(key), dict):
            return saved[key], saved
    if not any(isinstance(value, Tensor) for value in saved.values()):
        keys = [str(key) if isinstance(key, str) else type(key).__name__ for key in saved]
        raise CheckpointError(f"no state_dict in it (looked for {', '.join(STATE_DICT_KEYS)}, and for tensors); "
                              f"it has: {listed(keys)}")
    return saved, {}


def array_of(name: str, tensor: Tensor, say: Say) -> numpy.ndarray:
    array = to_array(tensor)
    if name.endswith(".num_batches_tracked"):
        if array.dtype.kind not in "iu":
            raise CheckpointError(f"{printable(name)} is no integer; the file is corrupt")
        return array.astype("<i8").reshape(array.shape)
    if array.dtype.kind != "f":
        raise CheckpointError(f"{printable(name)} has elements of type {tensor.storage.kind}, expected floats")
    if array.dtype.itemsize > 4:
        say(f"{printable(name)}: {tensor.storage.kind} rounded to float32")
    return array.astype("<f4")


def split_shortcuts(state: dict[str, Tensor], say: Say) -> Tensors:
    """Takes the quantized shortcuts of the first published code out of `state`; returns their effective weights."""
    result: Tensors = {}
    for name in [name for name in state if name.endswith(".downsample.0.pweight")]:
        layer = name.removesuffix(".pweight")
        parts = [f"{layer}.{part}" for part in ("pweight", "nweight", "scale")]
        if any(part not in state for part in parts):
            raise CheckpointError(f"{printable(layer)} has no nweight or no scale beside its pweight")
        arrays = {part: array_of(part, state.pop(part), say) for part in parts}
        shape = arrays[name].shape
        if not fits(shape, (*shape[:1], *shape[1:2], 1, 1, None)) or shape != arrays[f"{layer}.nweight"].shape \
                or arrays[f"{layer}.scale"].size != 1:
            raise CheckpointError(
                f"{printable(layer)} has planes of shape {show(shape)}, expected two such of a 1x1 convolution")
        result[f"{layer}.weight"] = effective_weights(arrays, f"{layer}.weight", shape[-1])
        say(f"{printable(layer)}: bit planes -> float effective weights; bsq quantizes no shortcuts")
    return result


def finetuned_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weight` beside a `scale` is a weight of finetuning."""
    result = {}
    for name, tensor in state.items():
        is_fixed = name.endswith((".weight", ".bias")) and scale_of(name) in state
        result[field(name, "u") if is_fixed else name] = tensor
    return result


def from_saved(saved: object, file_bytes: int, say: Say) -> tuple[Tensors, Metadata]:
    """Makes a model of what read_torch_file returns."""
    state, around = find_state(saved)
    state = renamed(state, say)
    if sum(tensor.numel() * size_of(tensor.storage.kind) for tensor in state.values()) > file_bytes:
        raise CheckpointError(
            "its tensors are larger than the file: they share elements, which those of a model do not")
    shortcuts = split_shortcuts(state, say)
    state = finetuned_names(state)
    extra = around.get(EXTRA_KEY)
    if isinstance(extra, dict):
        state |= {name: tensor for name, tensor in extra.items()
                  if isinstance(name, str) and ACT_SCALE.fullmatch(name) and isinstance(tensor, Tensor)}
    shapes = {name: tensor.shape for name, tensor in state.items()} | {name: a.shape for name, a in shortcuts.items()}
    shapes |= {
    name: (
        1,) for name in shapes if shapes[name] == () and (
            name.endswith("scale") or ALPHA.fullmatch(name))}
    parameters = check_tensors(shapes)
    metadata = metadata_of(around, shapes, parameters)
    tensors = {name: array_of(name, tensor, say).reshape(shapes[name]) for name, tensor in state.items()}
    return tensors | shortcuts, metadata


def metadata_of(around: dict, shapes: dict[str, Shape], parameters: dict[str, Shape]) -> Metadata:
    stored = around.get(METADATA_KEY)
    metadata: Metadata = {}
    if isinstance(stored, dict) and all(isinstance(text, str) for pair in stored.items() for text in pair):
        metadata = {clean(key): clean(value) for key, value in stored.items()}
    for key in PROGRESS_KEYS:
        if type(around.get(key)) in (int, float) and not metadata.get(key) and METADATA_KEY not in around:
            metadata[key] = repr(around[key])[:40]
    form = form_of(shapes)
    metadata |= {"format": "pt", "form": form}
    metadata.pop("scheme", None)
    table = around.get("Nbit_dict")
    scheme: Optional[dict] = None
    if form == "planes":
        scheme = scheme_of_planes(parameters, shapes)
        if table is not None and scheme_of_table(parameters, table, "Nbit_dict") != scheme:
            raise CheckpointError("its Nbit_dict says other bits than its planes have; the file is corrupt")
    elif form == "fixed":
        scheme = scheme_of_table(parameters, table, "Nbit_dict")
    if scheme is not None:
        metadata["scheme"] = json.dumps(scheme, separators=(",", ":"))
    return metadata


def clean(text: str) -> str:
    """Text that UTF-8 can encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


# ---- to PyTorch -----------------------------------------------------------------------------------------------------
def check_model(tensors: Tensors, metadata: Metadata) -> Metadata:
    """The metadata with the form and, if there is one, the scheme; both fit the tensors."""
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    parameters = check_tensors(shapes)
    for name, tensor in tensors.items():
        if (tensor.dtype.kind == "i") != name.endswith(".num_batches_tracked"):
            raise CheckpointError(
                f"tensor '{printable(name)}' has elements of type {tensor.dtype}; the file is corrupt")
    form = form_of(shapes)
    table_text = metadata.get("scheme", "null")
    metadata = {key: text for key, text in metadata.items() if key != "scheme"} | {"form": form}
    if form == "planes":
        metadata["scheme"] = json.dumps(scheme_of_planes(parameters, shapes), separators=(",", ":"))
    elif form == "fixed":
        try:
            table = json.loads(table_text)
        except (ValueError, RecursionError):
            table = None
        metadata["scheme"] = json.dumps(scheme_of_table(parameters, table, "scheme"), separators=(",", ":"))
    return metadata


def published_name(name: str, form: str) -> str:
    if form == "fixed":
        name = re.sub(r"\.u(weight|bias)$", r".\1", name)
    return f"module.{name}"


def to_published(tensors: Tensors, metadata: Metadata) -> dict:
    """What the published code saves, with arrays for tensors."""
    form = metadata["form"]
    state = {}
    extra = {name: tensor for name, tensor in tensors.items() if ACT_SCALE.fullmatch(name)}
    for name, tensor in tensors.items():
        if name in extra:
            continue
        is_number = name.endswith("scale") or ALPHA.fullmatch(name)
        state[published_name(name, form)] = tensor.reshape(()) if is_number else tensor
    result: dict = {}
    if "scheme" in metadata:
        result["Nbit_dict"] = json.loads(metadata["scheme"])
    for key in PROGRESS_KEYS:
        result[key] = number(metadata.get(key, "0"))
    if extra:
        result[EXTRA_KEY] = extra
    return result | {"state_dict": state, METADATA_KEY: metadata}


def number(text: str) -> float:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return 0
