# Errors as bsq reports them, and files that are there whole or not at all (as engine/files/atomic_file.h does it).
from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import BinaryIO, Callable, Iterator

MAX_FILE_BYTES = 1 << 30  # far above any network that is trained here; more is another kind of file


class CheckpointError(Exception):
    """A file that cannot be used: exit code 4."""


class UsageError(Exception):
    """A command line that cannot be followed: exit code 2."""


def printable(text: object, limit: int = 120) -> str:
    """What a file says goes to a terminal: no control characters, and no more than a person reads."""
    shown = str(text)[:limit + 1]
    shown = "".join(c if c.isprintable() else "?" for c in shown)
    return shown if len(shown) <= limit else shown[:limit] + "..."


def listed(names: list[str], limit: int = 40) -> str:
    shown = ", ".join(printable(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def read_bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise CheckpointError("is not a regular file; give a file")
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > MAX_FILE_BYTES:
            raise CheckpointError(f"{size_bytes:,} bytes are too many for a checkpoint of what is trained here")
        return file.read()


def refuse_existing(path: Path, force: bool) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give a file name")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; use --force to replace it")


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its name once the block has ended; after any error nothing of it is left."""
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def run(command: Callable[[], None], where: Path) -> int:
    """Runs `command`; returns its exit code. `where`: the file that an error of its content is about."""
    try:
        command()
        return 0
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except CheckpointError as error:
        print(f"error: {where}: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename or where}: {error.strerror or error}", file=sys.stderr)
    except MemoryError:
        print(f"error: {where}: too large for the memory of this machine", file=sys.stderr)
    return 4
