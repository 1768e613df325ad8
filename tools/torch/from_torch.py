#!/usr/bin/env python3
# A PyTorch checkpoint, or a PyTorch module, as a model file of bsq. Needs numpy, and torch for modules alone: the
# pickle in a checkpoint is read, not executed.
"""Writes a checkpoint of PyTorch (the formats of torch.save, old and new) as safetensors for bsq, or a module of your
own as the network and its weights.

A checkpoint: IN OUT.safetensors. Of which network it is, is said by itself (those of to_torch.py), by --config, or by
its tensors: bsq recognizes published BSQ checkpoints (float, bit planes, finetuning) and other state_dicts of CIFAR
ResNets with 1x1 convolutions on their shortcuts. Names become those of bsq: what wrappers have put in front or
between (module., _orig_mod., model. and others) goes, and in ResNets shortcut.N becomes downsample.N, linear fc. What
is renamed is listed, and so is what is missing or unexpected, which is an error; losses and counters are left out. Of
several sets of weights, such as a model and its moving average, --weights takes one.

Whatever lies beside the weights (optimizer, scheduler, options, objects of any class) is named and left out: nothing in
the file is imported or executed. Half, bfloat16 and double become float32; NaN, infinity and negative variances are
errors. Files of up to 1 GiB are read. A state_dict does not say its activations, their bits, or mean and deviation of
its images: what is assumed is said, and --activation says otherwise.

A module: --network MODULE:FACTORY [IN] OUT.safetensors. Python imports MODULE (also from the working folder) and calls
FACTORY, which returns a torch.nn.Module; torch.fx follows its forward pass for images of --image. Weights are those of
the module, or of the checkpoint IN. --network-file OUT.yaml writes the network for model.network."""
from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Callable, Optional

sys.dont_write_bytecode = True  # nothing is left beside the sources

from bsq_torch import files  # noqa: E402

try:
    from bsq_torch import assumed, model, network, program, safetensors, torch_file
except ImportError as missing:
    sys.exit(files.say_missing(missing))

Say = Callable[[str], None]


def import_trace():
    try:
        from bsq_torch import trace
    except ImportError as error:
        raise files.UsageError(f"--network needs torch, which this Python ({sys.executable}) does not have ({error}); "
                               "install it (pip install torch) or use another Python") from None
    return trace


def made_module(words: str, arguments_text: str):
    """What FACTORY returns; its code is executed."""
    module_name, colon, factory_name = words.partition(":")
    if not (module_name and colon and factory_name):
        raise files.UsageError(f"--network {words}: give MODULE:FACTORY, such as torchvision.models:resnet18")
    try:
        arguments = json.loads(arguments_text)
    except ValueError as error:
        raise files.UsageError(f"--network-args {arguments_text}: is no JSON ({error})") from None
    if not isinstance(arguments, (dict, list)):
        raise files.UsageError(f"--network-args {arguments_text}: give a map of arguments by name, or a list of them")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the working folder
    try:
        factory = importlib.import_module(module_name)
        for part in factory_name.split("."):
            factory = getattr(factory, part)
        made = factory(**arguments) if isinstance(arguments, dict) else factory(*arguments)
    except Exception as error:  # whatever the code of the module raises
        raise files.UsageError(f"--network {words}: {type(error).__name__}: {files.printable(error, 400)}") from None
    import torch
    if not isinstance(made, torch.nn.Module):
        raise files.UsageError(f"--network {words}: returns {type(made).__name__}, which is no torch.nn.Module")
    return made


def image_size(text: str) -> tuple[int, int, int]:
    """Height, width and channels."""
    numbers = [int(word) if word.isdecimal() else 0 for word in text.split(",")]
    if len(numbers) not in (2, 3) or min(numbers) < 1 or (len(numbers) == 3 and numbers[2] not in (1, 3)):
        raise files.UsageError(f"--image {text}: give height and width, such as 224,224, or 28,28,1 for gray images")
    return numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else 3


def weights_of(module, of: network.Network, say: Say) -> safetensors.Tensors:
    """The tensors of the network; what the module has beside them is listed."""
    import torch
    wanted = of.plain | of.quantized
    state = module.state_dict()
    left = [name for name in state if name not in wanted and name not in of.counters]
    if left:
        say(f"left out, for evaluation does not read them: {files.listed(left)}")
    tensors = {}
    for name in state:
        if name in wanted or name in of.counters:
            dtype = torch.int64 if name in of.counters else torch.float32
            tensors[name] = state[name].detach().to("cpu", dtype).numpy()
    for name in [name for name in wanted if name not in tensors and name.endswith(".bias")]:
        tensors[name] = torch.zeros(wanted[name]).numpy()
        say(f"{name}: zeros, for the layer has no bias and bsq's has one")
    return tensors


def metadata_of_module(json_text: str, of: network.Network) -> safetensors.Metadata:
    """As the engine says it of a float model; its activations are PyTorch's, not quantized."""
    return {"format": "pt", "form": "float", "network": json_text, "num_classes": str(of.classes), "activation": "relu",
            "act_bits": "0"}


def convert_module(arguments: argparse.Namespace, source: Optional[Path], target: Optional[Path]) -> None:
    def say(text: str) -> None:
        print(f"{arguments.network}: {text}", file=sys.stderr)

    trace = import_trace()
    module = made_module(arguments.network, arguments.network_args)
    image = image_size(arguments.image)
    name = arguments.network.rpartition(":")[2]
    json_text, yaml_text = program.network_of_nodes(trace.network_text(trace.nodes_of(module, image), name, image))
    if target is not None:
        of = network.read_network(json_text)
        metadata = metadata_of_module(json_text, of)
        if source is None:
            tensors = weights_of(module, of, say)
            model.check_model(of, tensors, metadata)
        else:
            tensors, found = read_checkpoint(source, json_text, arguments.weights, say)
            metadata = (metadata if found["form"] == "float" else {}) | found
        assumed.settle(of, tensors, metadata, arguments.activation, say)
        write_model(target, tensors, metadata)
    write_network(arguments.network_file, yaml_text)


def read_checkpoint(source: Path, network_text: Optional[str], weights: Optional[str], say: Say) -> tuple[
        safetensors.Tensors, safetensors.Metadata]:
    content = files.read_bytes(source)
    return model.from_saved(torch_file.read_torch_file(content), len(content), say, network_text, weights)


def convert_checkpoint(arguments: argparse.Namespace, source: Path, target: Path) -> None:
    def say(text: str) -> None:
        print(f"{source}: {text}", file=sys.stderr)

    network_text = program.network_of_config(arguments.config) if arguments.config else None
    tensors, metadata = read_checkpoint(source, network_text, arguments.weights, say)
    assumed.settle(model.network_of(tensors, metadata, None), tensors, metadata, arguments.activation, say)
    write_model(target, tensors, metadata)
    if arguments.network_file is not None:
        write_network(arguments.network_file, program.inspect_network(target, as_json=False))


def write_model(target: Path, tensors: safetensors.Tensors, metadata: safetensors.Metadata) -> None:
    model.check_numbers(tensors)
    with files.atomic_file(target) as file:
        safetensors.write_safetensors(file, tensors, metadata)
    print(f"{target}: {metadata['form']} weights, {len(tensors)} tensors", file=sys.stderr)


def write_network(target: Optional[Path], text: str) -> None:
    if target is None:
        return
    with files.atomic_file(target) as file:
        file.write(text.encode())
    print(f"{target}: a network for model.network", file=sys.stderr)


def convert(arguments: argparse.Namespace, source: Optional[Path], target: Optional[Path]) -> None:
    if target is not None and target.suffix != ".safetensors":
        raise files.UsageError(f"{target}: name the output *.safetensors")
    for path in (target, arguments.network_file):
        if path is not None:
            files.refuse_existing(path, arguments.force)
    if arguments.network is not None:
        convert_module(arguments, source, target)
    else:
        convert_checkpoint(arguments, source, target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="exit codes: 0 done, 2 usage, 4 a file that cannot be used")
    parser.add_argument("files", metavar="[IN] [OUT.safetensors]", type=Path, nargs="*",
                        help="file of torch.save, and file to write")
    parser.add_argument("--config", metavar="CFG.yaml", type=Path,
                        help="a configuration or a network file: the network that IN is of")
    parser.add_argument("--weights", metavar="KEY",
                        help="which weights, where the file has several sets: the key of their dict, or their prefix")
    parser.add_argument("--activation", choices=assumed.ACTIVATIONS,
                        help="the activation that the network was trained with, where the file does not say it")
    parser.add_argument("--network", metavar="MODULE:FACTORY", help="take over a module of PyTorch; runs its code")
    parser.add_argument("--network-args", metavar="JSON", default="{}",
                        help='arguments of FACTORY, such as \'{"num_classes": 10}\'')
    parser.add_argument("--image", metavar="H,W[,1]", default="32,32", help="size of images (32,32); 1: gray")
    parser.add_argument("--network-file", metavar="OUT.yaml", type=Path, help="write the network as a file, too")
    parser.add_argument("--force", action="store_true", help="replace what is there")
    arguments = parser.parse_intermixed_args()  # options may stand between the files
    most = 2
    least = 2 if arguments.network is None else 1 if arguments.network_file is None else 0
    if not least <= len(arguments.files) <= most:
        parser.error("give IN and OUT.safetensors; with --network OUT.safetensors, --network-file, or both")
    if arguments.network is not None and arguments.config is not None:
        parser.error("--network and --config: give one of them")
    if arguments.weights is not None and len(arguments.files) < 2:
        parser.error("--weights: give IN, a file of torch.save")
    target = arguments.files[-1] if arguments.files else None
    source = arguments.files[0] if len(arguments.files) == 2 else None
    return files.run(lambda: convert(arguments, source, target), source or Path(str(arguments.network)))


if __name__ == "__main__":
    sys.exit(main())
