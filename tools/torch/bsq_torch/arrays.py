# Tensors of a PyTorch file as the arrays of a model: float32, and int64 for the counters of batches.
from __future__ import annotations

from typing import Callable, Optional

import numpy

from .files import CheckpointError, listed, printable
from .pickle_data import Tensor, Unknown
from .torch_file import DTYPES

Say = Callable[[str], None]

FLOATS = ("Float", "Double", "Half", "BFloat16")
WIDENED = ("Half", "BFloat16")  # which float32 holds without loss


def to_array(tensor: Tensor) -> numpy.ndarray:
    """A contiguous array; bfloat16, which numpy does not have, becomes float32. The tensor lies inside its storage."""
    flat = numpy.frombuffer(tensor.storage.data or b"", DTYPES[tensor.storage.kind])
    if tensor.numel() == 0:
        view = numpy.zeros(tensor.shape, flat.dtype)
    else:  # the stride of a dimension of one means nothing, and may be any number
        steps = tuple(step * flat.itemsize if size > 1 else 0 for size, step in zip(tensor.shape, tensor.stride))
        view = numpy.lib.stride_tricks.as_strided(flat[tensor.offset:], tensor.shape, steps, writeable=False)
    array = numpy.ascontiguousarray(view)  # which makes a number a list of one
    if tensor.storage.kind == "BFloat16":
        array = (array.astype("<u4") << numpy.uint32(16)).view("<f4")
    return array.reshape(tensor.shape)


def float_array(name: str, value: object) -> numpy.ndarray:
    """float32, of the tensor's shape. Raises CheckpointError where it has no floats, or one that is no finite number
    in float32."""
    if isinstance(value, Unknown):
        raise CheckpointError(f"{printable(name)} is an object of {printable(value.name)}, which is not executed here; "
                              "load the file where you trust it and save a state_dict of plain tensors")
    if not isinstance(value, Tensor):
        raise CheckpointError(f"{printable(name)} is {type(value).__name__}, which is no tensor; give a state_dict of "
                              "tensors")
    if value.storage.kind not in FLOATS:
        raise CheckpointError(f"{printable(name)} has elements of type {value.storage.kind}, expected floats")
    array = to_array(value)
    check_finite(name, array)
    with numpy.errstate(over="ignore"):
        rounded = array.astype("<f4")
    if not numpy.isfinite(rounded).all():
        raise CheckpointError(f"{printable(name)} has a number too large for float32; it is of no use here")
    return rounded


def check_finite(name: str, array: numpy.ndarray) -> None:
    """Raises CheckpointError where a number is NaN or infinite, or a variance negative."""
    wrong = numpy.flatnonzero(~numpy.isfinite(array))
    if wrong.size:
        raise CheckpointError(f"{printable(name)} has {wrong.size:,} of {array.size:,} numbers that are NaN or "
                              f"infinite (the first at {wrong[0]:,}); take a checkpoint from before the training "
                              "diverged")
    if name.endswith(".running_var") and array.size and array.min() < 0:
        raise CheckpointError(f"{printable(name)} has a negative variance ({float(array.min()):g}); the file is "
                              "damaged, or the average of weights that cannot be averaged")


def counter_array(value: object) -> Optional[numpy.ndarray]:
    """How many batches a batch norm has seen, as an integer without dimensions; averaging leaves floats. None where it
    is no such number."""
    if not isinstance(value, Tensor) or value.numel() != 1 or value.storage.kind.startswith("Complex"):
        return None
    number = to_array(value).reshape(())
    if not numpy.isfinite(number) or not 0 <= number < 2**63:
        return None
    return numpy.array(int(number), "<i8")


def say_types(tensors: dict[str, Tensor], say: Say) -> None:
    """Which of the tensors, that become float32, were something else."""
    for kind in FLOATS[1:]:
        names = [name for name, tensor in tensors.items() if tensor.storage.kind == kind]
        if names:
            say(f"{listed(names, limit=3)}: {kind} {'made' if kind in WIDENED else 'rounded to'} float32")
