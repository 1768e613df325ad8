# Writes torchvision_operations.inc: hashes of what torchvision makes of PIL pictures, coloured (mode RGB)
# and gray (L).
#
# usage, in this folder: python3 torchvision_operations.py > torchvision_operations.inc
#        (needs torchvision, Pillow and numpy)
import numpy as np
import torchvision.transforms.functional as F
from PIL import Image
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms.autoaugment import _apply_op

SIZES = [(40, 61), (32, 32)]  # height, width
BINS = 31
FACTORS = [0, 0.3, 0.55, 1, 1.4, 1.9, 3]
TURNS = [-0.5, -0.31, -0.1, 0, 0.07, 0.25, 0.5]


def places(height, width):
    return np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")


def pictures():
    """As pictures() of operations_test.cpp: every byte another one, and a faint one whose levels are few."""
    for height, width in SIZES:
        y, x, c = places(height, width)
        yield x * 37 + y * 91 + c * 53 + x * y * 7 + x * x * (c + 1) // 3
        yield 60 + (x * 3 + y * 2 + c * 17) % 97 - (x * y) % 11


class Hash:
    """FNV-1a over all pictures that it is given."""

    def __init__(self):
        self.value = 0xCBF29CE484222325

    def add(self, image):
        for byte in image.tobytes():
            self.value = (self.value ^ byte) * 0x100000001B3 % 2**64


def row(name, variants):
    """A row for all pictures; `variants`: what is done to each, one after the other."""
    values = []
    for mode in ("RGB", "L"):
        digest = Hash()
        for pixels in pictures():
            image = Image.fromarray(pixels.astype(np.uint8), "RGB").convert(mode)
            for change in variants(image):
                digest.add(change)
        values.append(f"0x{digest.value:016x}U")
    print(f'{{"{name}", {", ".join(values)}}},')


def of_rand_augment(name):
    def variants(image):
        space = RandAugment()._augmentation_space(BINS, (image.height, image.width))
        magnitudes, signed = space[name]
        for at in range(BINS):
            magnitude = float(magnitudes[at].item()) if magnitudes.ndim > 0 else 0.0
            for sign in (1, -1) if signed else (1,):
                yield _apply_op(image, name, sign * magnitude, InterpolationMode.NEAREST, None)

    return variants


def main():
    print("// Written by torchvision_operations.py: operation, hash of coloured and of gray pictures.")
    names = {name: "".join("_" * (i > 0 and c.isupper()) + c.lower() for i, c in enumerate(name))
             for name in RandAugment()._augmentation_space(BINS, SIZES[0])}
    for name, ours in names.items():
        row(ours, of_rand_augment(name))
    for name in ("brightness", "contrast", "saturation", "sharpness"):
        change = getattr(F, f"adjust_{name}")
        row(f"adjust_{name}", lambda image: (change(image, factor) for factor in FACTORS))
    row("adjust_hue", lambda image: (F.adjust_hue(image, turn) for turn in TURNS))


main()
