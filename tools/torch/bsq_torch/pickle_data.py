# The data in a pickle, without executing it: an interpreter of the opcodes that torch.save writes, over the standard
# library's disassembler. Globals become entries of one table; nothing is imported, looked up or called. Protocols 0..5.
#
# Results: dict, list, tuple, str, bytes, numbers, None, Tensor. Keys are texts and integers only: hashing a tuple
# that a pickle has made may take for ever.
from __future__ import annotations

import dataclasses
import pickletools
from typing import Any, BinaryIO, Callable, Optional

from .files import CheckpointError, printable

MAX_OPCODES = 5_000_000  # a ResNet-110 with its optimizer has 40,000
MAX_DIMENSIONS = 8
STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")


@dataclasses.dataclass
class Storage:
    """A flat array; its bytes come from elsewhere in the file."""
    kind: str  # one of STORAGES
    key: str
    numel: int
    data: Optional[bytes] = None


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view of a storage, in elements."""
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def numel(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclasses.dataclass(frozen=True)
class Global:
    name: str


def malformed(what: str = "") -> CheckpointError:
    return CheckpointError(f"the pickle in it is malformed{what and ': ' + what}; the file is corrupt")


def is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def rebuild_tensor(arguments: tuple) -> Tensor:
    """_rebuild_tensor(storage, offset, size, stride), and _v2 with three more arguments that do not concern data."""
    if len(arguments) < 4 or not isinstance(arguments[0], Storage):
        raise malformed("a tensor without a storage")
    storage, offset, shape, stride = arguments[:4]
    if not (isinstance(shape, tuple) and isinstance(stride, tuple) and len(shape) == len(stride) <= MAX_DIMENSIONS):
        raise malformed("a tensor without sizes and strides")
    if not all(is_count(number) for number in (offset, *shape, *stride)):
        raise malformed("a tensor with sizes that are no counts")
    tensor = Tensor(storage, offset, shape, stride)
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride))
    if tensor.numel() > storage.numel or (tensor.numel() and last >= storage.numel):
        raise malformed("a tensor larger than its storage")
    return tensor


def rebuild_parameter(arguments: tuple) -> Tensor:
    if not arguments or not isinstance(arguments[0], Tensor):
        raise malformed("a parameter without a tensor")
    return arguments[0]


def make_dict(arguments: tuple) -> dict:
    result: dict = {}
    for pair in arguments[0] if arguments and isinstance(arguments[0], (list, tuple)) else ():
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise malformed("an OrderedDict of what are no pairs")
        set_items(result, list(pair))
    return result


def make_size(arguments: tuple) -> tuple:
    if len(arguments) != 1 or not isinstance(arguments[0], (list, tuple)):
        raise malformed("a Size without numbers")
    return tuple(arguments[0])


CALLS: dict[str, Callable[[tuple], object]] = {
    "collections.OrderedDict": make_dict,
    "torch.Size": make_size,
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": rebuild_parameter,
}
KNOWN = {*CALLS, *(f"torch.{kind}Storage" for kind in STORAGES)}


def find_global(module: object, name: object) -> Global:
    full = f"{module}.{name}"
    if full not in KNOWN:
        raise CheckpointError(f"the pickle in it asks for {printable(full)}, which is no part of a state_dict and "
                              "is not executed here; load the file where you trust it and save its state_dict alone")
    return Global(full)


def set_items(target: object, items: list) -> None:
    if not isinstance(target, dict) or len(items) % 2:
        raise malformed()
    for key, value in zip(items[::2], items[1::2]):
        if type(key) not in (str, int):
            raise malformed("a key that is neither text nor number")
        target[key] = value


MARK = object()
PUSHED = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
          "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": MARK}


class Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, load_persistent: Callable[[object], object]) -> None:
        self.stack: list = []
        self.memo: dict[int, object] = {}
        self.load_persistent = load_persistent

    def pop(self) -> object:
        value = self.stack.pop()
        if value is MARK:
            raise malformed()
        return value

    def pop_to_mark(self) -> list:
        items: list = []
        while (value := self.stack.pop()) is not MARK:
            items.append(value)
        return items[::-1]

    def step(self, name: str, argument: Any) -> None:
        """Runs one opcode. Raises IndexError or KeyError if nothing is on the stack or in the memo."""
        if name in PUSHED:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            self.stack.append({} if name == "EMPTY_DICT" else [])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else int(argument)] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[int(argument)])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            items = [self.pop() for _ in range(int(name[-1]))]
            self.stack.append(tuple(items[::-1]))
        elif name in ("TUPLE", "LIST"):
            items = self.pop_to_mark()
            self.stack.append(tuple(items) if name == "TUPLE" else items)
        elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "DICT"):
            self.fill(name)
        else:
            self.step_object(name, argument)

    def fill(self, name: str) -> None:
        if name in ("APPENDS", "SETITEMS", "DICT"):
            items = self.pop_to_mark()
        else:
            items = [self.pop() for _ in range(1 if name == "APPEND" else 2)][::-1]
        if name == "DICT":
            self.stack.append({})
        if not name.startswith("APPEND"):
            set_items(self.stack[-1], items)
        elif isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)
        else:
            raise malformed()

    def step_object(self, name: str, argument: Any) -> None:
        if name in ("GLOBAL", "INST"):
            module, _, full = str(argument).partition(" ")
            self.stack.append(find_global(module, full))
        elif name == "STACK_GLOBAL":
            name_in_module, module_name = self.pop(), self.pop()
            self.stack.append(find_global(module_name, name_in_module))
        elif name == "REDUCE":
            arguments, function = self.pop(), self.pop()
            if not isinstance(function, Global) or function.name not in CALLS or not isinstance(arguments, tuple):
                raise malformed()
            self.stack.append(CALLS[function.name](arguments))
        elif name == "BUILD":  # the `_metadata` of a state_dict
            self.pop()
            if not isinstance(self.stack[-1], dict):
                raise malformed()
        elif name == "BINPERSID":
            self.stack.append(self.load_persistent(self.pop()))
        elif name not in ("PROTO", "FRAME"):
            raise malformed(f"{name} in it is not used by torch.save")


def load(stream: BinaryIO, load_persistent: Callable[[object], object]) -> object:
    """The object of the pickle at the stream's position, which then stands behind it. `load_persistent` makes an object
    of a persistent id."""
    machine = Machine(load_persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if opcode.name == "STOP":
                return machine.pop()
            if count > MAX_OPCODES:
                raise CheckpointError("the pickle in it has too many parts for a checkpoint")
            machine.step(opcode.name, argument)
    except (IndexError, KeyError):
        raise malformed() from None
    except (ValueError, OverflowError) as error:  # of the disassembler
        raise CheckpointError(f"the pickle in it cannot be read ({printable(error)}); truncated, or no PyTorch file"
                              ) from None
    raise malformed()
