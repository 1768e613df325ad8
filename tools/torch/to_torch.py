#!/usr/bin/env python3
# A model file of bsq as a PyTorch checkpoint. Needs numpy and torch (any
# version that has torch.save with both formats).
"""Writes a model of bsq as a checkpoint of PyTorch.

By default what the published BSQ scripts save and take as --model: {"state_dict", "Nbit_dict", "epoch", "acc",
"best_acc"}, names with module. in front, in the form that IN has: float weights, bit planes, or fixed-point weights as
finetuning saves them (<layer>.weight in [-1, 1] beside <layer>.scale; the published scripts take those up again with
--resume only, while `bsq convert` makes bit planes of them). from_torch.py makes IN of it again, bit for bit. Written
is the format from before PyTorch 1.6, which every version reads."""
from __future__ import annotations

import argparse
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Optional

sys.dont_write_bytecode = True  # nothing is left beside the sources

from bsq_torch import files  # noqa: E402

try:
    from bsq_torch import model, program, safetensors
except ImportError as missing:
    sys.exit(files.say_missing(missing))


def import_torch():
    try:
        import torch
    except ImportError as error:
        raise files.UsageError(f"writing a PyTorch file needs torch, which this Python ({sys.executable}) does not "
                               f"have ({error}); install it (pip install torch) or use another Python") from None
    return torch


def convert(source: Path, target: Path, plain: bool, force: bool, config: Optional[Path]) -> None:
    files.refuse_existing(target, force)
    torch = import_torch()
    tensors, metadata = safetensors.read_safetensors(files.read_bytes(source))
    network = model.network_of(tensors, metadata, program.network_of_config(config) if config else None)
    metadata = model.check_model(network, tensors, metadata)

    def to_tensors(arrays: safetensors.Tensors) -> OrderedDict:
        return OrderedDict((name, torch.from_numpy(array.copy())) for name, array in arrays.items())

    if plain:
        saved: dict = to_tensors(model.as_float(network, tensors, metadata))
        what = "float effective weights"
    else:
        saved = model.to_published(network, tensors, metadata)
        for key in ("state_dict", model.EXTRA_KEY):
            if key in saved:
                saved[key] = to_tensors(saved[key])
        what = f"{metadata['form']} weights in the published layout"
    with files.atomic_file(target) as file:
        torch.save(saved, file, _use_new_zipfile_serialization=False)
    print(f"{target}: {what}, {len(tensors if not plain else saved)} tensors", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="exit codes: 0 done, 2 usage, 4 a file that cannot be used")
    parser.add_argument("source", metavar="IN.safetensors", type=Path, help="model of bsq, in any form")
    parser.add_argument("target", metavar="OUT", type=Path, help="file to write")
    parser.add_argument("--plain", action="store_true",
                        help="write a bare state_dict of effective weights, which any module of these names loads")
    parser.add_argument("--config", metavar="CFG.yaml", type=Path,
                        help="a configuration or a network file: the network of IN, where IN does not say it")
    parser.add_argument("--force", action="store_true", help="replace OUT")
    arguments = parser.parse_args()
    return files.run(lambda: convert(arguments.source, arguments.target,
                     arguments.plain, arguments.force, arguments.config), arguments.source)


if __name__ == "__main__":
    sys.exit(main())
