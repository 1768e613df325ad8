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
from .pickle_data import Storage, Unknown, malformed

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
NOT_TORCH = "is no file of torch.save; expected the zip format, or the one before it"
DTYPES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": "<u2", "Long": "<i8", "Int": "<i4",
          "Short": "<i2", "Char": "i1", "Byte": "u1", "Bool": "?", "ComplexFloat": "<c8", "ComplexDouble": "<c16",
          "QInt8": "i1", "QUInt8": "u1", "QInt32": "<i4", "Untyped": "u1"}
FEW = 1000             # opcodes of the pickles before that of the object
MAX_MEMBERS = 100_000  # of an archive: one for each tensor and a few more
MEMBER = b"PK\x01\x02"  # begins each entry of an archive's directory


def size_of(kind: str) -> int:
    return numpy.dtype(DTYPES[kind]).itemsize


class StorageTable:
    """The storages that persistent ids have named so far."""

    def __init__(self) -> None:
        self.by_key: dict[str, Storage] = {}

    def load_persistent(self, identity: object) -> object:
        """A storage, or a stand-in for one of a type that is not known, and for the class of a module."""
        if isinstance(identity, tuple) and 2 <= len(identity) <= 4 and identity[0] == "module":
            return Unknown(getattr(identity[1], "name", "a module"), of_module=True)
        if not isinstance(identity, tuple) or not 5 <= len(identity) <= 6 or identity[0] != "storage":
            raise malformed("a persistent id that names no storage")
        kind, key, _, numel = identity[1:5]
        if isinstance(kind, Unknown):
            return Unknown(kind.name)
        if not isinstance(kind, pickle_data.Global) or not kind.name.endswith("Storage"):
            raise malformed("a storage of no type")
        if not isinstance(key, str) or not pickle_data.is_count(numel):
            raise malformed("a storage without a key or a size")
        if identity[5:] not in ((), (None,)):
            raise CheckpointError("its storages are views of others, as PyTorch before 0.4 wrote them; load it with "
                                  "that and save it again")
        storage = Storage(kind.name.rpartition(".")[2].removesuffix("Storage"), key, numel)
        known = self.by_key.setdefault(key, storage)
        if (known.kind, known.numel) != (storage.kind, storage.numel):
            raise malformed(f"storage {printable(key)} is described twice, and differently")
        return known


def read_legacy(content: bytes) -> object:
    stream = io.BytesIO(content)
    table = StorageTable()
    if pickle_data.load(stream, table.load_persistent, FEW) != MAGIC:
        raise CheckpointError(NOT_TORCH)
    version = pickle_data.load(stream, table.load_persistent, FEW)
    if version != VERSION:
        raise CheckpointError(
            "is of a version of PyTorch's format that is not known here; save it again with a newer one")
    system = pickle_data.load(stream, table.load_persistent, FEW)
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
    if content.count(MEMBER) > MAX_MEMBERS:
        raise CheckpointError(f"has more than {MAX_MEMBERS:,} members, which is no file of torch.save")
    try:
        return read_archive(zipfile.ZipFile(io.BytesIO(content)), len(content))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError, LookupError,
            struct.error) as error:
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
    """What was saved: dict, list, tuple, text, numbers, None, a Tensor for every tensor, and Unknown for objects of any
    other class."""
    if content[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return read_zip(content)
    for start, what in ((b"\x1f\x8b", "gzip"), (b"\xfd7zXZ", "xz"), (b"BZh", "bzip2")):
        if content.startswith(start):
            raise CheckpointError(f"is compressed with {what}; unpack it first")
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= len(content) - 8:
        raise CheckpointError("is a safetensors file, which bsq takes as it is: bsq eval, bsq convert, model.init")
    if content[257:262] == b"ustar":
        raise CheckpointError("is a tar archive; unpack it, or save it again with PyTorch 0.4 or newer")
    if not content.startswith(b"\x80"):
        raise CheckpointError(NOT_TORCH)
    return read_legacy(content)
