# bsq's files (engine/files/safetensors.h): u64 length of the header, the header in JSON, the tensors without gaps.
# Written as the engine writes, byte for byte: the widest elements first, then by name, the header padded to 8 bytes.
from __future__ import annotations

import json
import math
import struct
from typing import BinaryIO

import numpy

from .files import CheckpointError, printable

MAX_HEADER_BYTES = 100_000_000  # the cap of the format
MAX_HIDDEN = 1 << 40            # product of the sizes beside a zero
METADATA = "__metadata__"
DTYPES = {"F32": "<f4", "I64": "<i8"}  # of the models that bsq writes
NAMES = {numpy.dtype(dtype): name for name, dtype in DTYPES.items()}

Tensors = dict[str, numpy.ndarray]
Metadata = dict[str, str]


def unique_pairs(pairs: list) -> dict:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise CheckpointError("its header has a key twice; the file is corrupt")
    return result


def read_header(content: bytes) -> tuple[dict, int]:
    """The header and where the data begins."""
    length = struct.unpack_from("<Q", content)[0] if len(content) >= 8 else 0
    if length > min(MAX_HEADER_BYTES, len(content) - 8) or content[8:9] != b"{":
        raise CheckpointError(f"its first bytes are no header of {length:,} bytes; not a safetensors file or truncated")
    try:
        header = json.loads(content[8:8 + length].decode("utf-8"), object_pairs_hook=unique_pairs)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"its header is not JSON ({printable(error)}); not a safetensors file or corrupt") from None
    return header, 8 + length


def read_tensor(name: str, entry: object, data: memoryview) -> tuple[int, numpy.ndarray]:
    """Where the tensor begins, and the tensor."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(
            f"tensor '{printable(name)}': expected dtype, shape and data_offsets; the file is corrupt")
    kind = entry["dtype"] if isinstance(entry["dtype"], str) else type(entry["dtype"]).__name__
    if kind not in DTYPES:
        raise CheckpointError(f"tensor '{printable(name)}': dtype {printable(kind)}, but a model of bsq has F32 and "
                              "I64 only")
    shape, offsets = entry["shape"], entry["data_offsets"]
    are_lists = isinstance(shape, list) and isinstance(offsets, list) and len(shape) <= 8 and len(offsets) == 2
    if not are_lists or not all(type(number) is int and 0 <= number < 1 << 62 for number in (*shape, *offsets)):
        raise CheckpointError(f"tensor '{printable(name)}': sizes that are no counts; the file is corrupt")
    dtype = numpy.dtype(DTYPES[kind])
    size_bytes = dtype.itemsize * math.prod(shape)
    begin, end = offsets
    hides = math.prod(size for size in shape if size) >= MAX_HIDDEN  # what numpy does not take, though nothing is there
    if end - begin != size_bytes or end > len(data) or hides:
        raise CheckpointError(
            f"tensor '{printable(name)}': its place in the file does not fit its shape; truncated or corrupt")
    return begin, numpy.frombuffer(data[begin:end], dtype).reshape(shape)


def read_safetensors(content: bytes) -> tuple[Tensors, Metadata]:
    header, start = read_header(content)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{METADATA} is not a map of texts; the file is corrupt")
    data = memoryview(content)[start:]
    tensors: Tensors = {}
    places = []
    for name, entry in header.items():
        begin, tensors[name] = read_tensor(name, entry, data)
        places.append((begin, begin + tensors[name].nbytes))
    end = 0
    for begin, next_end in sorted(places):
        if begin != end:
            raise CheckpointError("its tensors overlap or leave gaps; the file is corrupt")
        end = next_end
    if end != len(data):
        raise CheckpointError("bytes after the last tensor belong to none; the file is corrupt")
    return tensors, metadata


def write_safetensors(file: BinaryIO, tensors: Tensors, metadata: Metadata) -> None:
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header: dict = {METADATA: metadata} if metadata else {}
    position = 0
    for name in order:
        tensor = tensors[name]
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [position, position + tensor.nbytes]}
        position += tensor.nbytes
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)))
    file.write(text)
    for name in order:
        file.write(tensors[name].tobytes())
