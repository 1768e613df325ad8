# The files of torch.save, without torch. Two containers hold one pickle, whose persistent ids name storages:
#
#   legacy   (before 1.6) pickles of a magic number, a version, the sizes of types, the object and the list of storage
#            keys; then for every key the number of elements (i64) and the elements
#   zip      <name>/data.pkl, <name>/data/<key> for each storage, <name>/byteorder; members are stored, not compressed
from __future__ import annotations

import io
import struct
import zipfile

import numpy

from . import pickle_data
from .files import CheckpointError, listed, printable
from .pickle_data import Storage, Tensor, malformed

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
NOT_TORCH = "is no file of torch.save; expected the zip format, or the one before it"
DTYPES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": "<u2", "Long": "<i8", "Int": "<i4",
          "Short": "<i2", "Char": "i1", "Byte": "u1", "Bool": "?"}


def size_of(kind: str) -> int:
    return numpy.dtype(DTYPES[kind]).itemsize


class StorageTable:
    """The storages that persistent ids have named so far."""

    def __init__(self) -> None:
        self.by_key: dict[str, Storage] = {}

    def load_persistent(self, identity: object) -> Storage:
        if isinstance(identity, tuple) and identity[:1] == ("module",):
            raise CheckpointError("a whole module was saved, with its code; load it where you trust it and save its "
                                  "state_dict")
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
            raise malformed("a persistent id that names no storage")
        kind, key, _, numel = identity[1:5]
        if not isinstance(kind, pickle_data.Global) or not kind.name.endswith("Storage"):
            raise malformed("a storage of no type")
        if not isinstance(key, str) or not pickle_data.is_count(numel):
            raise malformed("a storage without a key or a size")
        if identity[5:] not in ((), (None,)):
            raise CheckpointError("its storages are views of others, as PyTorch before 0.4 wrote them; load it with "
                                  "that and save it again")
        storage = Storage(kind.name[len("torch."):-len("Storage")], key, numel)
        known = self.by_key.setdefault(key, storage)
        if (known.kind, known.numel) != (storage.kind, storage.numel):
            raise malformed(f"storage {printable(key)} is described twice, and differently")
        return known


def read_legacy(content: bytes) -> object:
    stream = io.BytesIO(content)
    table = StorageTable()
    if pickle_data.load(stream, table.load_persistent) != MAGIC:
        raise CheckpointError(NOT_TORCH)
    version = pickle_data.load(stream, table.load_persistent)
    if version != VERSION:
        raise CheckpointError(
            "is of a version of PyTorch's format that is not known here; save it again with a newer one")
    system = pickle_data.load(stream, table.load_persistent)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise CheckpointError("was written on a big-endian machine; load it there and save it as numbers of this one")
    result = pickle_data.load(stream, table.load_persistent)
    keys = pickle_data.load(stream, table.load_persistent)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise malformed("no list of storages")
    if set(keys) != set(table.by_key) or len(keys) != len(table.by_key):
        raise malformed("the list of storages is not that of its tensors")
    position = stream.tell()
    for key in keys:
        storage = table.by_key[key]
        size_bytes = storage.numel * size_of(storage.kind)
        if position + 8 + size_bytes > len(content):
            raise CheckpointError(f"storage {printable(key)} ends at byte {position + 8 + size_bytes:,} of "
                                  f"{len(content):,}; truncated")
        if struct.unpack_from("<q", content, position)[0] != storage.numel:
            raise malformed(f"storage {printable(key)} has another size than its tensors say")
        storage.data = content[position + 8:position + 8 + size_bytes]
        position += 8 + size_bytes
    return result


def read_zip(content: bytes) -> object:
    try:
        return read_archive(zipfile.ZipFile(io.BytesIO(content)), len(content))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error) as error:
        raise CheckpointError(f"its zip archive cannot be read ({printable(error)}); truncated or corrupt") from None


def read_archive(archive: zipfile.ZipFile, file_bytes: int) -> object:
    members = {info.filename: info for info in archive.infolist()}

    def read(name: str) -> bytes:
        info = members[name]
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > file_bytes:
            raise CheckpointError(f"{printable(name)} in it is compressed or larger than the file, which torch.save "
                                  "does not write; save it again")
        return archive.read(info)

    roots = [name[:-len("data.pkl")] for name in members if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise CheckpointError(NOT_TORCH)
    root = roots[0]
    if root + "constants.pkl" in members:
        raise CheckpointError("is a TorchScript archive; save the state_dict of its module instead")
    if root + "byteorder" in members and read(root + "byteorder") != b"little":
        raise CheckpointError("was written on a big-endian machine; load it there and save it as numbers of this one")
    table = StorageTable()
    result = pickle_data.load(io.BytesIO(read(root + "data.pkl")), table.load_persistent)
    missing = [key for key in table.by_key if f"{root}data/{key}" not in members]
    if missing:
        raise CheckpointError(f"storages are not in it: {listed(missing)}; the file is corrupt")
    if sum(members[f"{root}data/{key}"].file_size for key in table.by_key) > file_bytes:
        raise malformed("storages are larger than the file")
    for key, storage in table.by_key.items():
        storage.data = read(f"{root}data/{key}")
        if len(storage.data) != storage.numel * size_of(storage.kind):
            raise malformed(f"storage {printable(key)} has another size than its tensors say")
    return result


def read_torch_file(content: bytes) -> object:
    """What was saved: dict, list, tuple, text, numbers, None, and a Tensor for every tensor."""
    if content[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return read_zip(content)
    for start, what in ((b"\x1f\x8b", "gzip"), (b"\xfd7zXZ", "xz"), (b"BZh", "bzip2")):
        if content.startswith(start):
            raise CheckpointError(f"is compressed with {what}; unpack it first")
    if content[257:262] == b"ustar":
        raise CheckpointError("is a tar archive; unpack it, or save it again with PyTorch 0.4 or newer")
    if not content.startswith(b"\x80"):
        raise CheckpointError(NOT_TORCH)
    return read_legacy(content)


def to_array(tensor: Tensor) -> numpy.ndarray:
    """A contiguous array; bfloat16, which numpy does not have, becomes float32. The tensor lies inside its storage."""
    flat = numpy.frombuffer(tensor.storage.data or b"", DTYPES[tensor.storage.kind])
    steps = tuple(step * flat.itemsize for step in tensor.stride)
    view = numpy.lib.stride_tricks.as_strided(flat[tensor.offset:], tensor.shape, steps, writeable=False)
    if tensor.storage.kind == "BFloat16":
        return (view.astype("<u4") << 16).view("<f4")
    return numpy.ascontiguousarray(view).reshape(tensor.shape)  # ascontiguousarray makes a number a list of one
