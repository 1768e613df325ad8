# Models as PyTorch users and bsq's files spell them. A model here is what bsq's files hold: tensors by name, and
# metadata whose `form` is one of
#
#   float    <layer>.weight, fc.bias
#   planes   <layer>.pweight, .nweight [..., bit], the most significant first, .scale; fc.pbias, .nbias, .biasscale
#   fixed    <layer>.uweight in [-1, 1], .scale; fc.ubias, .biasscale
#   lsq      <layer>.lsq_weight, .lsq_weight_step; maybe .lsq_weight_channel_steps, .lsq_weight_low; fc.lsq_bias, ..
#
# and `scheme`, {"conv1": [8, 0], ..., "fc": [8, 8]}, the bits of weight and bias. The published code saves
# {"Nbit_dict": that scheme, "state_dict": ..., "epoch", "acc", "best_acc", "optimizer"}; its names differ by `module.`
# in front and in that finetuning's weights are called <layer>.weight beside a <layer>.scale. One number is a list of
# one here, and a number there. Which tensors there are is said by the network (network.py), which is that of the
# metadata, one that is given, or one that the program recognizes (program.py).
from __future__ import annotations

import json
import math
import re
from typing import Callable, Optional

import numpy

from . import lsq, program, weight_sets
from .arrays import check_finite, counter_array, float_array, say_types
from .files import CheckpointError, listed, printable
from .network import MOST_CHARACTERS, Network, Shape, read_network
from .pickle_data import Tensor
from .safetensors import Metadata, Tensors
from .torch_file import size_of
from .weight_sets import EXTRA_KEY, METADATA_KEY, layer_of

# In shapes of stored tensors None stands for the number of bits.
Say = Callable[[str], None]

PROGRESS_KEYS = ("epoch", "acc", "best_acc")  # numbers of the published files that are kept, as metadata
NETWORK_KEY = "network"  # of the metadata
MAX_BITS = 8


# ---- what a model of a network consists of ---------------------------------------------------------------------------
def field(parameter: str, prefix: str) -> str:
    """fc.weight, p -> fc.pweight"""
    layer, _, leaf = parameter.rpartition(".")
    return f"{layer}.{prefix}{leaf}"


def scale_of(parameter: str) -> str:
    layer, _, leaf = parameter.rpartition(".")
    return f"{layer}.biasscale" if leaf == "bias" else f"{layer}.scale"


def form_of(network: Network, shapes: dict[str, Shape]) -> str:
    for form, prefix in (("planes", "p"), ("fixed", "u"), ("lsq", "lsq_")):
        if any(field(name, prefix) in shapes for name in network.quantized):
            return form
    return "float"


def stored_tensors(parameters: dict[str, Shape], form: str) -> dict[str, Shape]:
    if form == "float":
        return parameters
    result: dict[str, Shape] = {}
    for name, shape in parameters.items():
        if form == "lsq":
            result |= {field(name, "lsq_"): shape, f"{field(name, 'lsq_')}_step": (1,)}
            continue
        for prefix in ("p", "n") if form == "planes" else ("u",):
            result[field(name, prefix)] = (*shape, None) if form == "planes" else shape
        result[scale_of(name)] = (1,)
    return result


def lsq_shapes(network: Network) -> dict[str, Shape]:
    return {field(name, "lsq_"): shape for name, shape in network.quantized.items()}


def check_tensors(network: Network, shapes: dict[str, Shape]) -> None:
    """Whether `shapes` are those of a model of this network, which may lack counters, ceilings, scales and ranges."""
    form = form_of(network, shapes)
    expected = network.plain | stored_tensors(network.quantized, form)
    if form == "lsq":
        expected |= {name: shape for name, shape in lsq.options(lsq_shapes(network)).items() if name in shapes}
    numbers = network.ceilings | network.lsq_ceilings | network.act_scales | network.ranges
    missing = [name for name in expected if name not in shapes]
    unexpected = [name for name in shapes if name not in expected | dict.fromkeys(numbers | network.counters)]
    check_names(network, missing, unexpected)
    wrong = [f"{name} is {show(shapes[name])}, expected {show(shape)}" for name, shape in expected.items()
             if not fits(shapes[name], shape)]
    wrong += [f"{name} is {show(shape)}, expected one number" for name, shape in shapes.items()
              if name not in expected | dict.fromkeys(network.ranges)
              and shape != (() if name in network.counters else (1,))]
    wrong += [f"{name} is {show(shapes[name])}, expected two numbers" for name in network.ranges
              if shapes.get(name, (2,)) != (2,)]
    wrong += [f"{field(name, 'n')} has other bits than {field(name, 'p')}" for name in network.quantized
              if field(name, "p") in shapes and shapes[field(name, "p")] != shapes[field(name, "n")]]
    if wrong:
        raise CheckpointError(f"its tensors are not those of {printable(network.name)}: {listed(wrong)}")


def check_names(network: Network, missing: list[str], unexpected: list[str]) -> None:
    if missing and set(missing) == network.of_projections:
        raise CheckpointError("its shortcuts have no parameters (option A of the ResNet paper: strided, and padded "
                              "with zeros where the channels double); the networks of bsq have 1x1 convolutions there "
                              "(option B), so that this model cannot be represented")
    if missing or unexpected:
        lists = [f"{what}: {listed(names)}" for what, names in (
            ("missing", missing), ("unexpected", unexpected)) if names]
        raise CheckpointError(f"its tensors are not those of {printable(network.name)}; {'; '.join(lists)}")


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
        pair = list(bits) if isinstance(bits, (list, tuple)) and len(bits) == 2 else []
        if len(pair) != 2 or not all(type(count) is int and 0 <= count <= MAX_BITS for count in pair):
            raise CheckpointError(f"its {what} gives no bits of weight and bias in 0..{MAX_BITS} for {layer}")
        scheme[layer] = pair
    return scheme


def effective_weights(tensors: Tensors, parameter: str, bits: int) -> numpy.ndarray:
    """METHOD 1 and 5, in the order in which the engine adds planes up."""
    f32 = numpy.float32
    if field(parameter, "lsq_") in tensors:
        return lsq.effective_weights(tensors, field(parameter, "lsq_"), bits)
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


def as_float(network: Network, tensors: Tensors, metadata: Metadata) -> Tensors:
    """Effective weights in the place of planes and fixed-point weights."""
    form = metadata["form"]
    kept = {name: tensor for name, tensor in tensors.items() if name not in of_activations(network)}
    if form == "float":
        return kept
    scheme = json.loads(metadata["scheme"])
    quantized = stored_tensors(network.quantized, form) | lsq.options(lsq_shapes(network))
    result = {name: tensor for name, tensor in kept.items() if name not in quantized}
    for name in network.quantized:
        layer, _, leaf = name.rpartition(".")
        result[name] = effective_weights(tensors, name, scheme[layer][leaf == "bias"])
    return result


# ---- from PyTorch ---------------------------------------------------------------------------------------------------
def split_float_layers(network: Network, state: dict[str, Tensor], say: Say) -> Tensors:
    """Takes planes of layers that the network keeps float out of `state`, such as the quantized shortcuts that the
    first published code had; their effective weights."""
    result: Tensors = {}
    for name in [name for name in state if name.endswith(".pweight")]:
        layer = layer_of(name)
        weight = f"{layer}.weight"
        if weight not in network.plain:
            continue
        parts = [f"{layer}.{part}" for part in ("pweight", "nweight", "scale")]
        if any(part not in state for part in parts):
            raise CheckpointError(f"{printable(layer)} has no nweight or no scale beside its pweight")
        arrays = {part: float_array(part, state.pop(part)) for part in parts}
        shape, expected = arrays[name].shape, (*network.plain[weight], None)
        if not fits(shape, expected) or shape != arrays[f"{layer}.nweight"].shape \
                or arrays[f"{layer}.scale"].size != 1:
            raise CheckpointError(f"{printable(layer)} has planes of shape {show(shape)}, expected two of "
                                  f"{show(expected)}")
        result[weight] = effective_weights(arrays, weight, shape[-1])
        what = "bsq quantizes no shortcuts" if weight in network.of_projections else "its network keeps it float"
        say(f"{printable(layer)}: bit planes -> float effective weights; {what}")
    return result


def finetuned_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weight` beside a `scale` is a weight of finetuning."""
    result = {}
    for name, tensor in state.items():
        is_fixed = name.endswith((".weight", ".bias")) and scale_of(name) in state
        result[field(name, "u") if is_fixed else name] = tensor
    return result


def stored_metadata(around: dict) -> Metadata:
    """What to_torch.py has put beside a state_dict."""
    stored = around.get(METADATA_KEY)
    if isinstance(stored, dict) and all(isinstance(text, str) for pair in stored.items() for text in pair):
        if sum(len(text) for pair in stored.items() for text in pair) > MOST_CHARACTERS:
            raise CheckpointError(f"its {METADATA_KEY} has more than {MOST_CHARACTERS:,} characters")
        return {clean(key): clean(value) for key, value in stored.items()}
    return {}


def recognized(state: dict[str, Tensor]) -> Network:
    """The network that these tensors show."""
    plain = re.compile(r"[\w.-]+", re.ASCII)
    try:
        return read_network(program.recognized_network({name: tensor.shape for name, tensor in state.items()
                                                        if plain.fullmatch(name)}))
    except CheckpointError as error:
        raise CheckpointError(f"{error}. Its tensors are {listed(list(state), limit=6)}; expected are those of a CIFAR "
                              "ResNet, such as conv1.weight, layer1.0.conv1.weight, fc.weight") from None


def from_saved(saved: object, file_bytes: int, say: Say, network_text: Optional[str] = None,
               weights: Optional[str] = None) -> tuple[Tensors, Metadata]:
    """A model out of what read_torch_file gives; `network_text`: JSON of its network, where somebody says it;
    `weights`: which of several sets, as find_weights() names them."""
    stored = stored_metadata(saved) if isinstance(saved, dict) else {}
    if network_text is not None:
        stored[NETWORK_KEY] = network_text
    network = read_network(stored[NETWORK_KEY]) if NETWORK_KEY in stored else None
    found = weight_sets.find_weights(saved, weight_sets.wanted_of(network), weights, say)
    around = {} if found.key is None else saved
    state = {name: tensor for name, tensor in found.tensors.items() if isinstance(tensor, Tensor)}
    if sum(tensor.numel() * size_of(tensor.storage.kind) for tensor in state.values()) > file_bytes:
        raise CheckpointError(
            "its tensors are larger than the file: they share elements, which those of a model do not")
    if network is None:
        network = recognized(state)
    wanted = weight_sets.wanted_of(network)
    weight_sets.leave_out_extras(found, network, wanted, say)
    kept = tuple(key for key in PROGRESS_KEYS if is_number(around.get(key)))
    weight_sets.say_left_out(saved, found, (*kept, "Nbit_dict", EXTRA_KEY, METADATA_KEY), say)
    return tensors_of(network, found.tensors, stored, around, say)


def tensors_of(network: Network, state: dict, stored: Metadata, around: dict, say: Say) -> tuple[Tensors, Metadata]:
    counters = take_counters(network, state, say)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            float_array(name, value)  # which says what it is instead
    say_types(state, say)
    floats = split_float_layers(network, state, say)
    state = finetuned_names(state)
    extra = around.get(EXTRA_KEY)
    if isinstance(extra, dict):
        state |= {name: tensor for name, tensor in extra.items()
                  if isinstance(name, str) and name in of_activations(network) and isinstance(tensor, Tensor)}
    shapes = {name: tensor.shape for name, tensor in state.items()} | \
        {name: array.shape for name, array in (floats | counters).items()}
    numbers = single_numbers(network)
    shapes |= {name: (1,) for name, shape in shapes.items() if shape == () and name in numbers}
    check_tensors(network, shapes)
    metadata = metadata_of(network, stored, around, shapes)
    tensors = {name: float_array(name, tensor).reshape(shapes[name]) for name, tensor in state.items()}
    return tensors | floats | counters, metadata


def take_counters(network: Network, state: dict, say: Say) -> Tensors:
    """Takes the counters of batches out of `state`; those that are no counts are left out: a model may lack them."""
    result: Tensors = {}
    wrong = []
    for name in [name for name in state if name in network.counters]:
        counter = counter_array(state.pop(name))
        if counter is None:
            wrong.append(name)
        else:
            result[name] = counter
    if wrong:
        say(f"left out, for they count nothing: {listed(wrong)}")
    return result


def check_numbers(tensors: Tensors) -> None:
    """Raises CheckpointError for numbers that are none."""
    for name, tensor in tensors.items():
        check_finite(name, tensor)


def is_number(value: object) -> bool:
    return type(value) is int and abs(value) < 1 << 63 or type(value) is float and math.isfinite(value)


def of_activations(network: Network) -> set[str]:
    """What the published code does not know."""
    return network.lsq_ceilings | network.act_scales | network.ranges


def single_numbers(network: Network) -> set[str]:
    return network.ceilings | network.lsq_ceilings | network.act_scales | {scale_of(name) for name in network.quantized}


def metadata_of(network: Network, stored: Metadata, around: dict, shapes: dict[str, Shape]) -> Metadata:
    metadata = dict(stored)
    for key in PROGRESS_KEYS:
        if is_number(around.get(key)) and not metadata.get(key) and METADATA_KEY not in around:
            metadata[key] = repr(around[key])[:40]
    form = form_of(network, shapes)
    metadata |= {"format": "pt", "form": form}
    metadata.pop("scheme", None)
    table = around.get("Nbit_dict")
    scheme: Optional[dict] = None
    if form == "planes":
        scheme = scheme_of_planes(network.quantized, shapes)
        if table is not None and scheme_of_table(network.quantized, table, "Nbit_dict") != scheme:
            raise CheckpointError("its Nbit_dict says other bits than its planes have; the file is corrupt")
    elif form != "float":
        scheme = scheme_of_table(network.quantized, table, "Nbit_dict")
    if scheme is not None:
        metadata["scheme"] = json.dumps(scheme, separators=(",", ":"))
    return metadata


def clean(text: str) -> str:
    """Text that UTF-8 can encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


# ---- to PyTorch -----------------------------------------------------------------------------------------------------
def network_of(tensors: Tensors, metadata: Metadata, network_text: Optional[str]) -> Network:
    """That of a model of bsq: given, in its metadata, or recognized."""
    text = network_text or metadata.get(NETWORK_KEY)
    return read_network(text or program.recognized_network({name: tensor.shape for name, tensor in tensors.items()}))


def check_model(network: Network, tensors: Tensors, metadata: Metadata) -> Metadata:
    """The metadata with the form, and with the scheme where there is one; both fit the tensors."""
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    check_tensors(network, shapes)
    for name, tensor in tensors.items():
        if (tensor.dtype.kind == "i") != (name in network.counters):
            raise CheckpointError(
                f"tensor '{printable(name)}' has elements of type {tensor.dtype}; the file is corrupt")
    form = form_of(network, shapes)
    table_text = metadata.get("scheme", "null")
    metadata = {key: text for key, text in metadata.items() if key != "scheme"} | {"form": form}
    if form == "planes":
        metadata["scheme"] = json.dumps(scheme_of_planes(network.quantized, shapes), separators=(",", ":"))
    elif form != "float":
        try:
            table = json.loads(table_text)
        except (ValueError, RecursionError):
            table = None
        metadata["scheme"] = json.dumps(scheme_of_table(network.quantized, table, "scheme"), separators=(",", ":"))
    return metadata


def published_name(name: str, form: str) -> str:
    if form == "fixed":
        name = re.sub(r"\.u(weight|bias)$", r".\1", name)
    return f"module.{name}"


def to_published(network: Network, tensors: Tensors, metadata: Metadata) -> dict:
    """What the published code saves, with arrays for tensors."""
    form = metadata["form"]
    if form == "lsq":
        raise CheckpointError("it has weights of LSQ, which the published code does not know; use --plain for their "
                              "effective values, or bsq convert for bit planes where its range is symmetric")
    state = {}
    extra = {name: tensor for name, tensor in tensors.items() if name in of_activations(network)}
    numbers = single_numbers(network)
    for name, tensor in tensors.items():
        if name in extra:
            continue
        state[published_name(name, form)] = tensor.reshape(()) if name in numbers else tensor
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
