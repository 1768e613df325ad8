# Times how torchvision reads the JPEGs of a folder in one process, without workers: pytorch_loader.py FOLDER.
#
# PIL and torchvision.io, a random part (RandomResizedCrop) and the centre (Resize, CenterCrop) of 224x224. Prints
# pictures per second of CPU time.
import pathlib
import sys
import time

import torch
from PIL import Image
from torchvision import transforms
from torchvision.io import ImageReadMode, decode_jpeg, read_file

torch.set_num_threads(1)
files = sorted(str(path) for path in pathlib.Path(sys.argv[1]).rglob("*.jpg"))
part = transforms.RandomResizedCrop(224, antialias=True)
centre = transforms.Compose([transforms.Resize(256, antialias=True), transforms.CenterCrop(224)])
to_tensor = transforms.PILToTensor()


def by_pil(path):
    return Image.open(path).convert("RGB")


def by_io(path):
    return decode_jpeg(read_file(path), mode=ImageReadMode.RGB)


for name, read in {
    "PIL, part": lambda path: to_tensor(part(by_pil(path))),
    "PIL, centre": lambda path: to_tensor(centre(by_pil(path))),
    "torchvision.io, part": lambda path: part(by_io(path)),
    "torchvision.io, centre": lambda path: centre(by_io(path)),
}.items():
    for path in files[:20]:
        read(path)
    start = time.process_time()
    for path in files:
        read(path)
    print(f"{name}: {len(files) / (time.process_time() - start):.0f} pictures per second")
