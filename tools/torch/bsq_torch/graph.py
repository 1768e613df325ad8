# The forward pass of a PyTorch module as a graph of operations, which torch.fx follows, with shapes. Needs torch.
from __future__ import annotations

from typing import Optional

import torch
from torch import fx, nn

from .files import UsageError, printable

SHAPE = "bsq_shape"  # the key of a graph node's shape


class Shapes(fx.Interpreter):
    """Notes the shape of every result."""

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        n.meta[SHAPE] = tuple(result.shape[1:]) if isinstance(result, torch.Tensor) else None
        return result


def reason(error: Exception) -> str:
    """Its first line; torch.fx adds others."""
    return printable((str(error).strip() or type(error).__name__).splitlines()[0], 400)


def traced(module: nn.Module, image: tuple[int, int, int]) -> fx.GraphModule:
    """Its graph in evaluation, with the shape of every result for one image."""
    module.eval()
    try:
        graph = fx.symbolic_trace(module)
    except Exception as error:  # whatever the code of the module raises
        raise UsageError(f"torch.fx cannot follow its forward pass: {reason(error)}; branches that depend on tensors "
                         "cannot be in a network of bsq") from None
    graph.graph.eliminate_dead_code()
    parameter = next(module.parameters(), None)
    batch = torch.zeros(1, image[2], image[0], image[1], dtype=None if parameter is None else parameter.dtype)
    try:
        with torch.no_grad():
            Shapes(graph).run(batch)
    except Exception as error:
        raise UsageError(f"it does not run on images of {image[0]}x{image[1]}: {reason(error)}; give --image H,W") \
            from None
    return graph


def shape_of(node: fx.Node) -> Optional[tuple[int, ...]]:
    """Without the batch; None: no tensor."""
    return node.meta.get(SHAPE)


def caller_of(node: fx.Node) -> str:
    """The module whose forward pass has the operation; empty: the outermost one, or a version of torch that does not
    say it."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return stack[-1][0] if stack else ""
