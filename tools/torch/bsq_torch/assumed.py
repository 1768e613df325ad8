# What a state_dict does not say of its model: the activations, their bits, and how its images were normalized. What is
# not known is not written into the model file; bsq then takes what the configuration says.
from __future__ import annotations

from typing import Callable, Optional

from .files import UsageError
from .network import Network
from .safetensors import Metadata, Tensors

Say = Callable[[str], None]

ACTIVATIONS = ("relu", "relu6", "pact", "lsq")


def settle(network: Network, tensors: Tensors, metadata: Metadata, given: Optional[str], say: Say) -> None:
    """Puts the activation that is given, or that ceilings show, into the metadata, and says what stays unknown. Raises
    UsageError where the network leaves nothing to be given."""
    if given is not None:
        if not network.is_configured:
            raise UsageError(f"--activation {given}: every activation is said by the network itself")
        said = metadata.get("activation")
        if said not in (None, given):
            say(f"activation {given}, as --activation says, in place of {said}")
        metadata["activation"] = given
    elif network.is_configured and "activation" not in metadata and any(name in tensors for name in network.ceilings):
        say("activation pact, for it has their ceilings (alpha)")
        metadata["activation"] = "pact"
    elif network.is_configured and "activation" not in metadata and any(name in tensors for name in network.lsq_ceilings):
        say("activation lsq, for it has their ceilings (ceiling)")
        metadata["activation"] = "lsq"
    if network.is_configured and "activation" not in metadata:
        say("does not say its activation: relu6 is assumed (pact at 1 to 3 bits); if it is another, convert with "
            "--activation relu, or give bsq quant.activation=relu")
    unknown = []
    if network.has_act_bits and "act_bits" not in metadata:
        unknown.append("the bits of its activations (quant.act_bits)")
    if "mean" not in metadata or "std" not in metadata:
        unknown.append("mean and deviation of its images (data.mean, data.std)")
    if unknown:
        say(f"does not say {' and '.join(unknown)}: those of the configuration are assumed")
