# What only the program knows: which network a configuration or a network file describes, and of which family tensors
# are.
from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy

from . import safetensors
from .files import CheckpointError, UsageError, printable

VARIABLE = "BSQ_PROGRAM"
BUILT = Path(__file__).resolve().parents[3] / "build" / "bin" / "bsq"
TIMEOUT_S = 300  # of a command that takes a second
USAGE, CHECKPOINT = 2, 4  # exit codes


def find_program() -> str:
    found = os.environ.get(VARIABLE) or (str(BUILT) if BUILT.exists() else shutil.which("bsq"))
    if not found:
        raise UsageError(f"bsq itself is asked which network this is, and there is none: neither {BUILT} nor one on "
                         f"the PATH; build it, or say where it is in {VARIABLE}")
    return found


class Refusal(Exception):
    """What bsq said in place of an answer."""

    def __init__(self, exit_code: int, words: str) -> None:
        super().__init__(words)
        self.exit_code = exit_code


def inspect_network(file: Path, as_json: bool) -> str:
    """The network of a configuration, a network file or a model file, as it is run: JSON, or the text of a network
    file."""
    program = find_program()
    command = [program, "inspect", "--network", *(["--json"] if as_json else []), str(file)]
    try:
        result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=TIMEOUT_S,
                                stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{program} cannot be run ({error})") from None
    if result.returncode == 0:
        return result.stdout.strip() if as_json else result.stdout
    errors = [line.removeprefix("error: ") for line in result.stderr.splitlines() if line.startswith("error: ")]
    words = errors[-1] if errors else f"exit code {result.returncode} of {program}"
    raise Refusal(result.returncode, printable(words.replace(f"{file}: ", "").replace(str(file), file.name), limit=600))


def network_of_config(file: Path) -> str:
    """Of a configuration or a network file; JSON."""
    try:
        return inspect_network(file, as_json=True)
    except Refusal as refusal:
        raise UsageError(f"{file}: {refusal}") from None


def network_of_nodes(text: str) -> tuple[str, str]:
    """A network file as it is run: JSON, and the text of such a file."""
    with tempfile.TemporaryDirectory(prefix="bsq-network-") as folder:
        file = Path(folder) / "network.yaml"
        file.write_text(text)
        try:
            return inspect_network(file, as_json=True), inspect_network(file, as_json=False)
        except Refusal as refusal:
            raise UsageError(f"bsq cannot run this network: {refusal}") from None


RECOGNIZED: dict[tuple, object] = {}  # by names and shapes, what bsq said: JSON or a Refusal


def recognized_network(shapes: dict[str, tuple]) -> str:
    """Of tensors of these names and shapes, which come without a network; JSON."""
    key = tuple(sorted(shapes.items()))
    if key not in RECOGNIZED:
        with tempfile.TemporaryDirectory(prefix="bsq-network-") as folder:
            file = Path(folder) / "model.safetensors"
            with file.open("wb") as stream:
                empty = {name: numpy.zeros(shape, "<f4") for name, shape in shapes.items()}
                safetensors.write_safetensors(stream, empty, {})
            try:
                RECOGNIZED[key] = inspect_network(file, as_json=True)
            except Refusal as refusal:
                RECOGNIZED[key] = refusal
    answer = RECOGNIZED[key]
    if isinstance(answer, str):
        return answer
    if answer.exit_code == CHECKPOINT:
        raise CheckpointError(f"{answer}; say what it is: --config CFG.yaml, a configuration or a network file")
    raise UsageError(str(answer))
