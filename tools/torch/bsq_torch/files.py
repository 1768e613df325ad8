# Errors as bsq reports them, and files that are there whole or not at all (as engine/files/atomic_file.h does it).
from __future__ import annotations

import contextlib
import os
import secrets
import sys
from pathlib import Path
from typing import BinaryIO, Callable, Iterator

MAX_FILE_BYTES = 1 << 30  # far above any network that is trained here; more is another kind of file


class CheckpointError(Exception):
    """A file that cannot be used: exit code 4."""


class CannotWrite(Exception):
    """An output that cannot be written, by its name: exit code 4."""


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
            raise CheckpointError(f"{size_bytes:,} bytes are too many for a checkpoint of what is trained here; save "
                                  "its state_dict alone")
        return file.read()


def refuse_existing(path: Path, force: bool) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give a file name")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; use --force to replace it")


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its name once the block has ended; after any error nothing of it is left."""
    temporary = path.with_name(f"{path.name}.tmp-{secrets.randbits(64)}")
    is_new = False
    try:
        with temporary.open("xb") as file:
            is_new = True
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:  # of a full disk, which says no name, or of the file beside, whose name says nothing
        raise CannotWrite(f"{path}: {error.strerror or error}; nothing is written, give another place") from None
    finally:
        if is_new:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()


def say_error(text: str) -> None:
    """On one line, whatever is in the name of a file."""
    print("error: " + printable(text, limit=20_000), file=sys.stderr)


def say_missing(error: ImportError) -> int:
    """That a package is not there, such as numpy; returns the exit code."""
    say_error(f"{error}, in {sys.executable}; install it (pip install {error.name}) or use another Python")
    return 2


def run(command: Callable[[], None], where: Path) -> int:
    """Runs `command`; returns its exit code. `where`: the file that an error of its content is about."""
    try:
        command()
        return 0
    except UsageError as error:
        say_error(str(error))
        return 2
    except KeyboardInterrupt:
        say_error("interrupted; nothing is written")
        return 130
    except CheckpointError as error:
        say_error(f"{where}: {error}")
    except CannotWrite as error:
        say_error(str(error))
    except OSError as error:
        say_error(f"{error.filename or where}: {error.strerror or error}")
    except MemoryError:
        say_error(f"{where}: too large for the memory of this machine")
    except Exception as error:  # no damage is known that comes here
        say_error(f"{where}: internal: {type(error).__name__}: {printable(error)}; the file is damaged, or please "
                  "report this")
    return 4
