#!/usr/bin/env python3
# A PyTorch checkpoint as a model file of bsq. Needs numpy, and no torch: the pickle in the file is read, not executed.
"""Writes a checkpoint of PyTorch (the formats of torch.save, old and new) as safetensors for bsq.

Read are the published BSQ checkpoints (float, bit planes, finetuning) and other state_dicts of CIFAR ResNets with 1x1
convolutions on their shortcuts. Names become those of bsq (module.* -> *, shortcut.N -> downsample.N, linear -> fc);
what is renamed is listed, and so is what is missing or unexpected, which is an error. The optimizer's state is left
out."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # nothing is left beside the sources

from bsq_torch import files, model, safetensors, torch_file  # noqa: E402


def convert(source: Path, target: Path, force: bool) -> None:
    def say(text: str) -> None:
        print(f"{source}: {text}", file=sys.stderr)

    if target.suffix != ".safetensors":
        raise files.UsageError(f"{target}: name the output *.safetensors")
    files.refuse_existing(target, force)
    content = files.read_bytes(source)
    tensors, metadata = model.from_saved(torch_file.read_torch_file(content), len(content), say)
    with files.atomic_file(target) as file:
        safetensors.write_safetensors(file, tensors, metadata)
    print(f"{target}: {metadata['form']} weights, {len(tensors)} tensors", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="exit codes: 0 done, 2 usage, 4 a file that cannot be used")
    parser.add_argument("source", metavar="IN", type=Path, help="file of torch.save")
    parser.add_argument("target", metavar="OUT.safetensors", type=Path, help="file to write")
    parser.add_argument("--force", action="store_true", help="replace OUT")
    arguments = parser.parse_args()
    return files.run(lambda: convert(arguments.source, arguments.target, arguments.force), arguments.source)


if __name__ == "__main__":
    sys.exit(main())
