# The data in a pickle, without executing it: an interpreter of the opcodes that torch.save writes, over the standard
# library's disassembler. Globals become entries of one table, or stand-ins; nothing is imported, looked up or called.
# Protocols 0..5.
#
# Results: dict, list, tuple, str, bytes, numbers, None, Tensor, and Unknown for an object of any other class. Entries
# of a dict whose keys are neither texts nor small integers are left out: no weight has such a key, and hashing a tuple,
# or many integers that were chosen for it, may take for ever. For the same reason nothing here turns into text, copies
# or compares what may be a structure: tuples of doubled tuples are small in a file and endless in print.
from __future__ import annotations

import dataclasses
import math
import pickletools
import warnings
from typing import Any, BinaryIO, Callable, Optional

from .files import CheckpointError, printable

MAX_OPCODES = 1_000_000  # a ResNet-110 with its optimizer has 40,000
MAX_COPIED = 1_000_000   # items that calls copy, which a pickle can ask for again and again
MAX_DIMENSIONS = 8
MAX_NAME = 1000          # of a class
MAX_SIZE = 1 << 31       # product of sizes, which that of an empty tensor hides
MAX_INDEX = 1 << 32      # of the memo
MAX_KEY = 1 << 60        # smaller integers do not share their hashes
STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool", "ComplexFloat",
            "ComplexDouble", "QInt8", "QUInt8", "QInt32", "Untyped")


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


class Unknown(dict):
    """Stands for a class or function that is not known here, or for what it would make: a name, and no code. A dict of
    a class of its own keeps its entries."""
    __slots__ = ("name", "of_module")

    def __init__(self, name: str, of_module: bool = False) -> None:
        super().__init__()
        self.name = name
        self.of_module = of_module  # saved with its source, as PyTorch's first format had it


def malformed(what: str = "") -> CheckpointError:
    return CheckpointError(f"the pickle in it is malformed{what and ': ' + what}; the file is corrupt")


def is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def rebuild_tensor(arguments: tuple) -> object:
    """_rebuild_tensor(storage, offset, size, stride), and _v2 with more arguments, of which only the last concerns
    data: it is there for views that conj() and imag have made, which are not read here."""
    if len(arguments) > 6 and arguments[6]:
        return Unknown("torch.Tensor, a conjugate or negative view")
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
    if math.prod(size for size in shape if size) >= MAX_SIZE:
        raise malformed("a tensor of no elements with sizes that are no counts")
    return tensor


def rebuild_parameter(arguments: tuple) -> object:
    if not arguments or not isinstance(arguments[0], (Tensor, Unknown)):
        raise malformed("a parameter without a tensor")
    return arguments[0]


def rebuild_from_type(arguments: tuple) -> object:
    """_rebuild_from_type_v2(function, type, arguments, state): a tensor with attributes of its own."""
    if len(arguments) != 4 or not isinstance(arguments[2], tuple):
        raise malformed("a tensor of another type without its parts")
    function, kind, parts, _ = arguments
    is_plain = isinstance(function, Global) and CALLS.get(function.name) is rebuild_tensor
    if not is_plain or not isinstance(kind, Unknown) or kind.name not in PLAIN_TYPES:
        return Unknown(kind.name if isinstance(kind, Unknown) else "torch.Tensor")
    return rebuild_tensor(parts)


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
    "torch._utils._rebuild_parameter_with_state": rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": rebuild_from_type,
}
KNOWN = {*CALLS, *(f"torch.{kind}Storage" for kind in STORAGES), "torch.storage.UntypedStorage"}
PLAIN_TYPES = ("torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")
MAKERS = ("copyreg", "copy_reg")  # their functions make an object of the class that is their first argument


def find_global(module: object, name: object) -> object:
    if not isinstance(module, str) or not isinstance(name, str):
        raise malformed("a class whose name is no text")
    if len(module) + len(name) > MAX_NAME:
        raise malformed("a class whose name is longer than any")
    full = f"{module}.{name}"
    return Global(full) if full in KNOWN else Unknown(full)


def call(function: object, arguments: object) -> object:
    """What a function of the file gives. One that is not known is not called: a stand-in for its result."""
    if isinstance(function, Unknown):
        is_maker = function.name.partition(".")[0] in MAKERS and isinstance(arguments, tuple) and arguments
        made_of = arguments[0] if is_maker and isinstance(arguments[0], (Unknown, Global)) else function
        return Unknown(made_of.name)
    if not isinstance(function, Global) or function.name not in CALLS or not isinstance(arguments, tuple):
        raise malformed()
    if arguments and isinstance(arguments[0], Unknown):  # such as a storage of a kind that is not known
        return Unknown(arguments[0].name)
    return CALLS[function.name](arguments)


def instance(kind: object, arguments: object) -> object:
    """What a class of the file makes of arguments, which only an OrderedDict is asked for here."""
    if isinstance(kind, Global) and CALLS.get(kind.name) is not make_dict:
        return Unknown(kind.name)
    return call(kind, arguments)


def set_items(target: object, items: list) -> None:
    if not isinstance(target, dict) or len(items) % 2:
        raise malformed()
    for key, value in zip(items[::2], items[1::2]):
        if type(key) is str or (type(key) is int and abs(key) < MAX_KEY):
            target[key] = value


MARK = object()
PUSHED = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
          "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
          "BINBYTES8", "BYTEARRAY8"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": MARK}


class Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, load_persistent: Callable[[object], object]) -> None:
        self.stack: list = []
        self.memo: dict[int, object] = {}
        self.load_persistent = load_persistent
        self.copied = 0

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
            index = len(self.memo) if name == "MEMOIZE" else int(argument)
            if not 0 <= index < MAX_INDEX:
                raise malformed()
            self.memo[index] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[int(argument)])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            items = [self.pop() for _ in range(int(name[-1]))]
            self.stack.append(tuple(items[::-1]))
        elif name in ("TUPLE", "LIST"):
            items = self.pop_to_mark()
            self.stack.append(tuple(items) if name == "TUPLE" else items)
        elif name in ("POP", "POP_MARK"):  # what pickle writes for tuples that hold themselves
            self.stack.pop() if name == "POP" else self.pop_to_mark()
        elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "DICT"):
            self.fill(name)
        elif name in ("EMPTY_SET", "ADDITEMS", "FROZENSET"):
            self.step_set(name)
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
        elif not isinstance(self.stack[-1], Unknown):
            raise malformed()

    def step_set(self, name: str) -> None:
        """A set holds no weights; to make one is to hash what is in it."""
        if name != "EMPTY_SET":
            self.pop_to_mark()
        if name != "ADDITEMS":
            self.stack.append(Unknown("builtins.set"))
        elif not isinstance(self.stack[-1], Unknown):
            raise malformed()

    def step_object(self, name: str, argument: Any) -> None:
        if name == "GLOBAL":
            module, _, full = str(argument).partition(" ")
            self.stack.append(find_global(module, full))
        elif name == "STACK_GLOBAL":
            name_in_module, module_name = self.pop(), self.pop()
            self.stack.append(find_global(module_name, name_in_module))
        elif name in ("EXT1", "EXT2", "EXT4"):
            self.stack.append(Unknown(f"copyreg extension {argument}"))
        elif name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "INST", "OBJ"):
            self.make(name, argument)
        elif name == "BUILD":  # attributes, such as the `_metadata` of a state_dict
            self.pop()
            self.stack[-1]  # IndexError if there is no object
        elif name in ("BINPERSID", "PERSID"):
            self.stack.append(self.load_persistent(self.pop() if name == "BINPERSID" else argument))
        elif name not in ("PROTO", "FRAME"):
            raise malformed(f"{name} in it is not used by torch.save")

    def make(self, name: str, argument: Any) -> None:
        if name == "INST":
            module, _, full = str(argument).partition(" ")
            kind, arguments = find_global(module, full), tuple(self.pop_to_mark())
        elif name == "OBJ":
            kind, *rest = self.pop_to_mark()
            arguments = tuple(rest)
        else:
            if name == "NEWOBJ_EX":
                self.pop()  # arguments by name
            arguments, kind = self.pop(), self.pop()
        self.pay_for(arguments)
        self.stack.append(call(kind, arguments) if name == "REDUCE" else instance(kind, arguments))

    def pay_for(self, arguments: object) -> None:
        if not isinstance(arguments, tuple):
            return
        parts = (arguments, *arguments[:4])
        self.copied += sum(len(part) for part in parts if isinstance(part, (tuple, list)))
        if self.copied > MAX_COPIED:
            raise CheckpointError("the pickle in it copies more than a checkpoint does")


def load(stream: BinaryIO, load_persistent: Callable[[object], object], most: int = MAX_OPCODES) -> object:
    """The object of the pickle at the stream's position, which then stands behind it. `load_persistent` makes an object
    of a persistent id; `most`: opcodes that it may have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the disassembler, about escapes in a damaged text
        return run(stream, Machine(load_persistent), most)


def run(stream: BinaryIO, machine: Machine, most: int) -> object:
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if opcode.name == "STOP":
                return machine.pop()
            if count > most:
                raise CheckpointError("the pickle in it has too many parts for a checkpoint")
            machine.step(opcode.name, argument)
    except (IndexError, KeyError):
        raise malformed() from None
    except (ValueError, OverflowError) as error:  # of the disassembler
        raise CheckpointError(f"the pickle in it cannot be read ({printable(error)}); truncated, or no PyTorch file"
                              ) from None
    raise malformed()
