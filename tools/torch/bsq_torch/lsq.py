# Weights of LSQ (METHOD 13) in the files of bsq: <name> (w) and <name>_step, <name> being fc.lsq_weight.
from __future__ import annotations

import numpy

from .network import Shape
from .safetensors import Tensors


def options(weights: dict[str, Shape]) -> dict[str, Shape]:
    """What they may have besides: a step per output channel of a filter; the least level, if there is one more below."""
    result: dict[str, Shape] = {f"{name}_low": (1,) for name in weights}
    return result | {f"{name}_channel_steps": shape[:1] for name, shape in weights.items()}


def effective_weights(tensors: Tensors, name: str, bits: int) -> numpy.ndarray:
    w, step = tensors[name], tensors[f"{name}_step"].reshape(())
    steps = tensors.get(f"{name}_channel_steps", step)
    high = (1 << bits) - 1
    low = float(tensors[f"{name}_low"].reshape(())) if f"{name}_low" in tensors else -high
    quotients = w / (steps.reshape(-1, *[1] * (w.ndim - 1)) if steps.ndim else steps)
    return numpy.rint(numpy.clip(quotients, numpy.float32(low), numpy.float32(high))) * step + numpy.float32(0)
