# Which tensors of what was saved are the weights. A file may hold several sets of them, such as a model's and their
# moving average, in dicts of their own (state_dict, state_dict_ema) or in one dict under prefixes (model., ema_model.).
# Wrappers put names in front or in between (module., _orig_mod.). What fits the layers of the network is found under
# any prefix; without a network, a ResNet's is looked for, which is the family that is recognized by its tensors.
from __future__ import annotations

import dataclasses
import re
from typing import Callable, Iterator, Optional

from .files import CheckpointError, UsageError, listed, printable
from .network import Network
from .pickle_data import Tensor, Unknown

Say = Callable[[str], None]

STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model", "net")
METADATA_KEY = "bsq_metadata"
EXTRA_KEY = "bsq_tensors"  # what the published code has no place for: calibrated activation scales
# DataParallel and DistributedDataParallel, torch.compile, FSDP, activation checkpointing, Lightning's Fabric.
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
# Not taken where there is another set: averages, and what an optimizer keeps by the same names.
SECOND = re.compile(r"(^|[._])(ema|swa|avg|averaged?|shadow|teacher|polyak|momentum|velocity|grads?|optim\w*)([._]|$)")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
PARAMETERS = ("weight", "bias")
# Beside the parameters: thop's counts, and counters of averages.
BOOKKEEPING = ("total_ops", "total_params", "n_averaged", "num_updates", "decay", *STATISTICS[2:])
LOSSES = re.compile(r"(\w*_)?(loss|losses|criterion|criteria|metrics?)(_\w*)?")

MAX_DEPTH = 4           # of dicts in dicts
MAX_PLACES = 1 << 12    # of dicts, over all places where a pickle puts them
MAX_TENSORS = 1 << 17   # of a file: far above any network, its averages and its optimizer
MAX_OF_NETWORK = 1 << 14
MAX_NAME = 512
MAX_PARTS = 16          # of a name


# ---- names ----------------------------------------------------------------------------------------------------------
def layer_of(name: str) -> str:
    return name.rpartition(".")[0]


def normal_name(name: str) -> str:
    """As bsq's own ResNets have it."""
    name = name.replace(".shortcut.", ".downsample.")
    return "fc." + name.removeprefix("linear.") if name.startswith("linear.") else name


@dataclasses.dataclass
class Wanted:
    """What names of weights are looked for."""
    names: set[str]
    layers: set[str]
    is_network: bool  # False: only what a ResNet that will be recognized must have

    def name_of(self, name: str) -> str:
        """As the network has it: other ResNets spell some layers differently."""
        normal = normal_name(name)
        is_other = not self.is_network or (layer_of(name) not in self.layers and layer_of(normal) in self.layers)
        return normal if is_other else name


def forms_of(name: str) -> set[str]:
    """The tensors in which a parameter is stored, in any form, without its scale."""
    layer, _, leaf = name.rpartition(".")
    return {name, *(f"{layer}.{prefix}{leaf}" for prefix in "pnu")}


def wanted_of(network: Optional[Network]) -> Wanted:
    if network is None:
        parameters = {"conv1.weight", "layer1.0.conv1.weight", "fc.weight"}
    else:
        parameters = {*network.plain, *network.quantized}
    names = set().union(*(forms_of(name) for name in parameters))
    names |= {f"{layer_of(name)}.{'biasscale' if name.endswith('.bias') else 'scale'}" for name in parameters}
    if network is not None:
        names |= network.counters | network.ceilings | network.lsq_ceilings | network.act_scales | network.ranges
    return Wanted(names, {layer_of(name) for name in parameters}, network is not None)


# ---- sets of weights ------------------------------------------------------------------------------------------------
@dataclasses.dataclass
class WeightSet:
    name: str                  # the keys of the dict and the prefix, as --weights takes it; empty: a bare state_dict
    state: dict                # the dict that it lies in
    prefix: str                # of its names there, once wrappers are gone
    covered: int               # layers of the network
    key: Optional[str] = None  # of the file, where the dict lies; None: it is all that was saved
    tensors: dict = dataclasses.field(default_factory=dict)  # new name -> what stands there
    others: list = dataclasses.field(default_factory=list)   # names of the dict that are not of this set


def dicts_of_tensors(saved: dict) -> Iterator[tuple[tuple, dict]]:
    """The keys that lead to each dict that holds tensors, the outermost dicts first."""
    entered: dict[int, int] = {}  # the tensors of each: a pickle may put a dict in many places, also in itself
    level: list[tuple[tuple, dict]] = [((), saved)]
    total, places = 0, 0
    for _ in range(MAX_DEPTH):
        below: list[tuple[tuple, dict]] = []
        for keys, state in level:
            if id(state) not in entered:
                entered[id(state)] = sum(isinstance(value, Tensor) for value in state.values())
                below += [((*keys, key), value) for key, value in state.items() if isinstance(value, dict) and
                          isinstance(key, str) and len(key) <= MAX_NAME and (*keys, key) != (EXTRA_KEY,)]
            total += entered[id(state)]
            places += entered[id(state)] > 0
            if total > MAX_TENSORS or places > MAX_PLACES:
                raise CheckpointError(f"has more than {MAX_TENSORS:,} tensors or {MAX_PLACES:,} dicts of them, which "
                                      "no checkpoint of a network has")
            if entered[id(state)]:
                yield keys, state
        level = below


def without_wrappers(name: str, wrappers: set[str]) -> str:
    """conv1.weight of module._orig_mod.conv1.weight"""
    *parts, leaf = name.split(".")
    return ".".join([*(part for part in parts if part not in wrappers), leaf])


def prefixes_of(state: dict, wanted: Wanted, wrappers: set[str]) -> dict[str, set[str]]:
    """Each prefix under which names of the network are found, with the layers that they are of."""
    found: dict[str, set[str]] = {}
    for name, value in state.items():
        if not isinstance(name, str) or len(name) > MAX_NAME or not isinstance(value, Tensor):
            continue
        bare = without_wrappers(name, wrappers)
        start = 0
        for _ in range(MAX_PARTS):
            new = wanted.name_of(bare[start:])
            if new in wanted.names:
                found.setdefault(bare[:start], set()).add(layer_of(new))
            start = bare.find(".", start) + 1
            if start == 0:
                break
    return found


def wrappers_beside(wanted: Wanted) -> set[str]:
    """A network may have a layer of such a name."""
    return WRAPPERS - {part for name in wanted.names for part in name.split(".")}


def candidates(saved: dict, wanted: Wanted) -> list[WeightSet]:
    """Sets of weights that may be those of the network: they have half of its layers. The best first: with all
    layers, no average, under a usual key."""
    wrappers = wrappers_beside(wanted)
    result = []
    for keys, state in dicts_of_tensors(saved):
        for prefix, layers in prefixes_of(state, wanted, wrappers).items():
            if 2 * len(layers) >= len(wanted.layers):
                name = ".".join([*keys, prefix.removesuffix(".")]).strip(".")
                result.append(WeightSet(name, state, prefix, len(layers), keys[0] if keys else None))

    def rank(found: WeightSet) -> tuple:
        key = found.name.partition(".")[0]
        usual = STATE_DICT_KEYS.index(key) if key in STATE_DICT_KEYS else len(STATE_DICT_KEYS)
        return -found.covered, SECOND.search(found.name.lower()) is not None, usual

    result.sort(key=rank)
    return result + [found for best in result[:1] for found in without_names(saved, best, wrappers)]


def without_names(saved: dict, best: WeightSet, wrappers: set[str]) -> Iterator[WeightSet]:
    """Averages that are lists of tensors, as some libraries save them: in the order of the parameters, of which they
    have the number and the shapes."""
    own = {name: value for name, value in best.state.items() if isinstance(name, str) and isinstance(value, Tensor) and
           name.rpartition(".")[2] not in STATISTICS and without_wrappers(name, wrappers).startswith(best.prefix)}
    for key, value in saved.items():
        inner = value.items() if isinstance(value, dict) and value is not best.state else ()
        for keys, part in ((key,), value), *(((key, other), part) for other, part in inner):
            if isinstance(part, list) and len(part) == len(own) and all(isinstance(name, str) for name in keys) and \
                    all(isinstance(a, Tensor) and a.shape == b.shape for a, b in zip(part, own.values())):
                yield WeightSet(".".join(keys), dict(zip(own, part)), best.prefix, best.covered, keys[0])


def any_state(saved: dict) -> WeightSet:
    """A dict of tensors, where none has the names of the network."""
    states = dict(dicts_of_tensors(saved))
    keys = [(key,) for key in STATE_DICT_KEYS if isinstance(saved.get(key), dict)]
    for key in [*keys, *states]:
        if key in states:
            return WeightSet(".".join(key), states[key], "", 0, key[0] if key else None)
    for key in keys:
        for name in saved[key[0]]:
            raise CheckpointError(f"its {key[0]} has {printable(name)}, which is no tensor; give a state_dict of "
                                  "tensors")
    raise no_weights(saved)


def no_weights(saved: object) -> CheckpointError:
    classes = classes_in(saved)
    if any(unknown.of_module for unknown in classes):
        return CheckpointError(f"a whole module was saved, with its code ({class_names(classes)}); load it where you "
                               "trust it and save its state_dict")
    if isinstance(saved, dict) and not isinstance(saved, Unknown):
        keys = [str(key) if isinstance(key, str) else type(key).__name__ for key in saved]
        what = f"no state_dict in it (looked for {', '.join(STATE_DICT_KEYS)}, and for tensors); it has: {listed(keys)}"
    else:
        kind = "an object" if isinstance(saved, Unknown) else type(saved).__name__
        what = f"holds {kind}, not a state_dict or a dict that has one"
    if classes:
        what += f"; it asks for {class_names(classes)}, which is not executed here: load it where you trust it and " \
                "save its state_dict"
    return CheckpointError(what)


def find_weights(saved: object, wanted: Wanted, chosen: Optional[str], say: Say) -> WeightSet:
    """The weights to take: those that `chosen` names, or the best. Raises CheckpointError where there are none,
    UsageError where `chosen` names none."""
    if not isinstance(saved, dict):
        raise no_weights(saved)
    sets = candidates(saved, wanted)
    taken = sets[0] if sets else any_state(saved)
    if chosen is not None:
        taken = named(sets or [taken], chosen)
    if len(sets) > 1:
        rest = [found for found in sets if found is not taken]
        key = printable(rest[0].name) or "''"
        other = f"--weights {key} takes the other" if len(rest) == 1 else "--weights KEY takes another"
        names = listed([show(found) for found in rest])
        say(f"has {len(sets)} sets of weights: {show(taken)} is taken, not {names}; {other}")
    elif taken.key is not None and taken.key not in STATE_DICT_KEYS:
        say(f"takes the weights of {show(taken)}")
    fill(taken, wanted, say)
    if sets and taken is not sets[0]:
        take_statistics(taken, sets[0], wanted, say)
    return taken


def show(found: WeightSet) -> str:
    return printable(found.name) or "its own"


def named(sets: list[WeightSet], chosen: str) -> WeightSet:
    fits = [found for found in sets if found.name == chosen] or \
        [found for found in sets if f".{found.name}.".find(f".{chosen}.") >= 0]
    if len(fits) != 1:
        raise UsageError(f"--weights {chosen}: {'names several of the' if fits else 'is none of the'} weights in the "
                         f"file, which are {listed([show(found) for found in sets])}")
    return fits[0]


def fill(taken: WeightSet, wanted: Wanted, say: Say) -> None:
    """Gives the set its tensors by their new names, and says what is renamed."""
    wrappers = wrappers_beside(wanted)
    cut: dict[str, int] = {}
    changes, between = [], []
    for old, value in taken.state.items():
        bare = without_wrappers(old, wrappers) if isinstance(old, str) and len(old) <= MAX_NAME else None
        if bare is None or not bare.startswith(taken.prefix):
            taken.others.append(str(old) if isinstance(old, str) else type(old).__name__)
            continue
        rest = bare.removeprefix(taken.prefix)
        new = wanted.name_of(rest)
        if new in taken.tensors:
            raise CheckpointError(f"two of its tensors would be {printable(new)}; the file is corrupt")
        taken.tensors[new] = value
        if len(taken.tensors) > MAX_OF_NETWORK:
            raise CheckpointError(f"has more than {MAX_OF_NETWORK:,} tensors in one dict, which no network here has")
        front = old.removesuffix(rest)
        if front == old:  # a wrapper in between
            between.append(f"{old} -> {new}")
            continue
        if front:
            cut[front] = cut.get(front, 0) + 1
        if new != rest:
            changes.append(f"{rest} -> {new}")
    for front, count in list(cut.items())[:8]:
        say(f"renamed: {printable(front)}* -> * ({count} tensors)")
    if between:
        say(f"renamed: {listed(between, limit=3)}")
    if changes:
        say(f"renamed: {listed(changes)}")


def take_statistics(taken: WeightSet, best: WeightSet, wanted: Wanted, say: Say) -> None:
    """Averages of parameters alone are evaluated with the statistics of the model itself."""
    if any(name.endswith(f".{STATISTICS[0]}") for name in taken.tensors):
        return
    fill(best, wanted, lambda text: None)
    found = {name: value for name, value in best.tensors.items() if name.rpartition(".")[2] in STATISTICS}
    if found:
        say(f"{show(taken)} has no statistics of batch norms: those of {show(best)} are taken")
        taken.tensors |= found


# ---- what is left out -----------------------------------------------------------------------------------------------
def leave_out_extras(taken: WeightSet, network: Network, wanted: Wanted, say: Say) -> None:
    """Takes out of the set what says nothing of the network: losses, counters, what is no tensor. A further parameter
    stays, and with it the file is that of another network; so does every tensor where a parameter is missing."""
    is_whole = not any(forms_of(name).isdisjoint(taken.tensors) for name in network.plain | network.quantized)
    inside = {".".join(layer.split(".")[:depth]) for layer in wanted.layers for depth in range(1, layer.count(".") + 2)}
    others = prefixes_of(taken.tensors, wanted, set())
    extras = [name for name, value in taken.tensors.items() if name not in wanted.names and (
        not isinstance(value, Tensor) or (is_whole and is_beside(name, value, inside, network, others)))]
    for name in extras:
        del taken.tensors[name]
    if extras:
        say(f"left out, for the network has no such tensors: "
            f"{listed(summed(extras, lambda name: '*.' + name.rpartition('.')[2]))}")


def is_beside(name: str, value: Tensor, inside: set[str], network: Network, others: dict[str, set[str]]) -> bool:
    parent, _, leaf = name.rpartition(".")
    if leaf in BOOKKEEPING or LOSSES.fullmatch(name.partition(".")[0]):
        return True
    if value.storage.kind in ("Long", "Int", "Short", "Char", "Byte", "Bool"):
        return True
    layers = len({layer_of(other) for other in network.plain | network.quantized})
    if any(prefix and name.startswith(prefix) and 2 * len(found) >= layers for prefix, found in others.items()):
        return True  # of another set of weights
    return leaf not in (*PARAMETERS, *STATISTICS) and parent not in inside


def summed(names: list[str], group: Callable[[str], str]) -> list[str]:
    """Names of which more than three are of one group as that."""
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(group(name), []).append(name)
    return [text for found, of_group in members.items()
            for text in ([f"{found} ({len(of_group)} entries)"] if len(of_group) > 3 else of_group)]


def say_left_out(saved: dict, taken: WeightSet, used: tuple, say: Say) -> None:
    """What lies beside the weights, with the classes that it asks for."""
    left = []
    for key, value in saved.items() if taken.key is not None else ():
        if key != taken.key and key not in used:
            classes = classes_in(value)
            left.append(f"{key} ({class_names(classes)})" if classes else str(key))
    left += summed(taken.others, lambda name: name.partition(".")[0] + ".*")
    if left:
        say(f"left out, nothing of it executed: {listed(left, limit=20)}")


def classes_in(value: object, limit: int = 200_000) -> list[Unknown]:
    """The stand-ins in a structure, one for each name; what comes after `limit` parts is not looked at."""
    found: dict[str, Unknown] = {}
    seen = set()
    ahead = [value]
    while ahead and len(seen) < limit:
        part = ahead.pop()
        if not isinstance(part, (dict, list, tuple)) or id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Unknown):
            found.setdefault(part.name, part)
        ahead.extend(part.values() if isinstance(part, dict) else part)
    return list(found.values())


def class_names(classes: list[Unknown]) -> str:
    return listed(sorted(unknown.name for unknown in classes), limit=5)
