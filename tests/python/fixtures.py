# What the tests of the PyTorch scripts share: pickles and containers of torch.save written by hand (with the standard
# library alone), a small ResNet in the published names, and running the scripts as a person does.
from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import zipfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("BSQ_PROGRAM", str(SOURCE / "build/bin/bsq"))
MAGIC = 0x1950A86A20F9469CFC6C
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "tools" / "torch"))


# ---- a pickle assembler, protocol 2 ---------------------------------------------------------------------------------
@dataclasses.dataclass
class Global:
    name: str  # module.name


@dataclasses.dataclass
class Call:
    function: Global
    arguments: tuple


@dataclasses.dataclass
class Persistent:
    identity: object


@dataclasses.dataclass
class Raw:
    opcodes: bytes


def integer(value: int) -> bytes:
    if -2**31 <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def opcodes(value: object) -> bytes:
    if value is None or value is True or value is False:
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return b"X" + struct.pack("<I", len(data)) + data
    if isinstance(value, tuple):
        return b"(" + b"".join(map(opcodes, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(opcodes, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(opcodes(key) + opcodes(item) for key, item in value.items()) + b"u"
    if isinstance(value, Global):
        module, _, name = value.name.rpartition(".")
        return f"c{module}\n{name}\n".encode()
    if isinstance(value, Call):
        return opcodes(value.function) + opcodes(value.arguments) + b"R"
    if isinstance(value, Persistent):
        return opcodes(value.identity) + b"Q"
    assert isinstance(value, Raw)
    return value.opcodes


def pickled(value: object) -> bytes:
    return b"\x80\x02" + opcodes(value) + b"."


# ---- tensors and containers -----------------------------------------------------------------------------------------
@dataclasses.dataclass
class Array:
    """The bytes of a tensor of `kind` (Float, Long, ...), C-contiguous."""
    shape: tuple
    data: bytes
    kind: str = "Float"

    def numel(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count


def floats(shape: tuple, values: list) -> Array:
    return Array(shape, struct.pack(f"<{len(values)}f", *values))


def strides(shape: tuple) -> tuple:
    result: list = []
    step = 1
    for size in reversed(shape):
        result.insert(0, step)
        step *= size
    return tuple(result)


def tensor(array: Array, key: str, zipped: bool, **changes) -> Call:
    """The call that torch.save writes for a tensor; `changes` to its parts make it hostile."""
    parts = {"numel": array.numel(), "offset": 0, "shape": array.shape, "stride": strides(array.shape)} | changes
    identity = ("storage", Global(f"torch.{array.kind}Storage"), key,
                "cpu", parts["numel"]) + (() if zipped else (None,))
    hooks = Call(Global("collections.OrderedDict"), ())
    return Call(Global("torch._utils._rebuild_tensor_v2"),
                (Persistent(identity), parts["offset"], parts["shape"], parts["stride"], False, hooks))


def ordered(state: dict) -> Raw:
    """As torch writes a state_dict: an OrderedDict with the attribute _metadata."""
    return Raw(opcodes(Call(Global("collections.OrderedDict"), ())) + b"(" +
               b"".join(opcodes(key) + opcodes(item) for key, item in state.items()) + b"u" +
               opcodes({"_metadata": {"": {"version": 1}}}) + b"b")


def as_saved(state: dict, zipped: bool, around: dict | None) -> object:
    """A state_dict of Arrays, bare or inside `around`."""
    pickled_state = ordered({name: tensor(array, str(i), zipped) for i, (name, array) in enumerate(state.items())})
    return pickled_state if around is None else around | {"state_dict": pickled_state}


def legacy(saved: object, storages: list) -> bytes:
    keys = [str(i) for i in range(len(storages))]
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [pickled(part) for part in (MAGIC, 1001, system, saved, keys)]
    return b"".join(parts) + b"".join(struct.pack("<q", array.numel()) + array.data for array in storages)


def zip_file(saved: object, storages: list, compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(saved))
        archive.writestr("archive/byteorder", "little")
        for i, array in enumerate(storages):
            archive.writestr(f"archive/data/{i}", array.data)
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


def saved_file(state: dict, zipped: bool, around: dict | None = None) -> bytes:
    return (zip_file if zipped else legacy)(as_saved(state, zipped, around), list(state.values()))


def saved_structure(structure: object, zipped: bool = True) -> bytes:
    """A file of any dicts, lists and opcodes, in which Arrays are tensors."""
    storages: list = []

    def saved(part: object) -> object:
        if isinstance(part, Array):
            storages.append(part)
            return tensor(part, str(len(storages) - 1), zipped)
        if isinstance(part, dict):
            return {key: saved(value) for key, value in part.items()}
        return [saved(value) for value in part] if isinstance(part, list) else part

    return (zip_file if zipped else legacy)(saved(structure), storages)


# ---- a network ------------------------------------------------------------------------------------------------------
def resnet8(width: int = 2, classes: int = 3) -> dict:
    """Float state_dict of the smallest ResNet; no two values are the same."""
    state: dict = {}
    count = 0

    def add(name: str, *shape: int) -> None:
        nonlocal count
        numel = Array(shape, b"").numel()
        state[name] = floats(shape, [((count + i) * 2654435761 % 2**32) / 2**32 - 0.5 for i in range(numel)])
        count += numel

    def add_norm(name: str, channels: int) -> None:
        for field in ("weight", "bias", "running_mean"):
            add(f"{name}.{field}", channels)
        state[f"{name}.running_var"] = floats((channels,), [0.5 + i / 8 for i in range(channels)])
        state[f"{name}.num_batches_tracked"] = Array((), struct.pack("<q", 7), "Long")

    add("conv1.weight", width, 3, 3, 3)
    add_norm("bn1", width)
    inputs = width
    for group, channels in enumerate((width, 2 * width, 4 * width), 1):
        block = f"layer{group}.0"
        add(f"{block}.conv1.weight", channels, inputs, 3, 3)
        add_norm(f"{block}.bn1", channels)
        add(f"{block}.conv2.weight", channels, channels, 3, 3)
        add_norm(f"{block}.bn2", channels)
        if inputs != channels:
            add(f"{block}.downsample.0.weight", channels, inputs, 1, 1)
            add_norm(f"{block}.downsample.1", channels)
        inputs = channels
    add("fc.weight", classes, inputs)
    add("fc.bias", classes)
    return state


QUANTIZED = ("conv1.weight", *(f"layer{g}.0.conv{c}.weight" for g in (1, 2, 3) for c in (1, 2)), "fc.weight", "fc.bias")


def quantized(state: dict, planes: bool) -> tuple[dict, dict]:
    """A state_dict of the published BSQ code (planes) or of its finetuning, of 1..4 bits, and its Nbit_dict."""
    result = {name: array for name, array in state.items() if name not in QUANTIZED}
    table: dict = {}
    for index, name in enumerate(QUANTIZED):
        layer, _, leaf = name.rpartition(".")
        bits = 1 + index % 4
        table.setdefault(layer, [0, 0])[leaf == "bias"] = bits
        array = state[name]
        if planes:
            values = [((index + 3 * i) % 5) / 4 for i in range(array.numel() * bits)]
            result[f"{layer}.p{leaf}"] = floats((*array.shape, bits), values)
            result[f"{layer}.n{leaf}"] = floats((*array.shape, bits), values[::-1])
        else:
            result[name] = array
        result[f"{layer}.{'biasscale' if leaf == 'bias' else 'scale'}"] = floats((), [0.25 + index])
    return result, table


def with_module(state: dict) -> dict:
    return {f"module.{name}": array for name, array in state.items()}


# ---- safetensors and the scripts ------------------------------------------------------------------------------------
def read_safetensors(path: Path) -> tuple[dict, dict]:
    """(name -> (dtype, shape, bytes), metadata), believing every word of the file."""
    content = path.read_bytes()
    start = 8 + struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8:start])
    metadata = header.pop("__metadata__", {})
    tensors = {name: (entry["dtype"], tuple(entry["shape"]), content[start + entry["data_offsets"][0]:
                                                                     start + entry["data_offsets"][1]])
               for name, entry in header.items()}
    return tensors, metadata


@dataclasses.dataclass
class Outcome:
    exit_code: int
    out: str
    err: str


def run(*words: object, environment: dict | None = None) -> Outcome:
    """A script of tools/torch/, by its name, or the program (`bsq`)."""
    command = [PROGRAM] if words[0] == "bsq" else [sys.executable, str(SOURCE / "tools" / "torch" / str(words[0]))]
    result = subprocess.run(command + [str(word) for word in words[1:]], capture_output=True, text=True, timeout=240,
                            stdin=subprocess.DEVNULL, check=False, env=os.environ | (environment or {}))
    return Outcome(result.returncode, result.stdout, result.stderr)


def run_here(*words: object) -> Outcome:
    """from_torch.py in this process, which is faster; an exception that leaves it fails the test."""
    import from_torch
    out, err = io.StringIO(), io.StringIO()
    with unittest.mock.patch("sys.argv", ["from_torch.py", *map(str, words)]), contextlib.redirect_stdout(out), \
            contextlib.redirect_stderr(err):
        try:
            code = from_torch.main()
        except SystemExit as error:  # of the command line
            code = error.code
    return Outcome(code, out.getvalue(), err.getvalue())


class TimeIsUp(BaseException):
    """Of one file; passes whatever catches exceptions."""


@contextlib.contextmanager
def within(seconds: int):
    """Raises TimeIsUp where the block takes longer, in the main thread."""
    def is_up(*_) -> None:
        raise TimeIsUp
    before = signal.signal(signal.SIGALRM, is_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class ScriptTest(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="bsq-python-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def put(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def limit_memory(self, size_bytes: int) -> None:
        """Of the addresses of this process until the test ends, not of bsq: one that AddressSanitizer watches takes
        more."""
        unlimited = self.folder / "unlimited"
        unlimited.write_text(f'#!/bin/sh\nulimit -S -v "$(ulimit -H -v)"\nexec "{PROGRAM}" "$@"\n')
        unlimited.chmod(0o755)
        variables = unittest.mock.patch.dict(os.environ, {"BSQ_PROGRAM": str(unlimited)})
        variables.start()
        self.addCleanup(variables.stop)
        limits = resource.getrlimit(resource.RLIMIT_AS)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_AS, limits)
        resource.setrlimit(resource.RLIMIT_AS, (size_bytes, limits[1]))

    def must(self, *words: object) -> Outcome:
        outcome = run(*words)
        self.assertEqual(outcome.exit_code, 0, outcome.err)
        return outcome

    def check_refused(self, source: Path, *parts: str) -> None:
        """Exit code 4, one line that names the file and has all of `parts`, and nothing written."""
        target = self.folder / "refused.safetensors"
        outcome = run_here(source, target)
        errors = [line for line in outcome.err.splitlines() if not line.startswith(f"{source}: ")]
        self.assertEqual((outcome.exit_code, outcome.out, len(errors)), (4, "", 1), outcome.err)
        self.assertTrue(errors[0].startswith(f"error: {source}: "), outcome.err)
        for part in parts:
            self.assertIn(part, errors[0])
        self.assertEqual([path.name for path in self.folder.iterdir() if "refused" in path.name], [])


def skip(why: str) -> None:
    print(f"SKIPPED: {why}")
    sys.exit(77)  # SKIP_RETURN_CODE in CMakeLists.txt


def go_on_as_peer() -> None:
    """Starts this test again in the Python that has packages of others, unless it is this one or there is none."""
    peer = os.environ.get("BSQ_ONNXRUNTIME_PYTHON", str(SOURCE / "build/peers/bin/python"))
    if os.path.exists(peer) and os.path.abspath(peer) != os.path.abspath(sys.executable):
        os.execv(peer, [peer, "-B", *sys.argv])


def main() -> None:
    try:
        import numpy  # noqa: F401
    except ImportError:
        skip(f"{sys.executable} has no numpy")
    unittest.main(verbosity=2)
