# Modules of PyTorch for network_test.py: small ones that have what from_torch.py can take over, what it cannot, and
# networks of torchvision with statistics that make their logits differ.
from __future__ import annotations

from typing import Callable

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 4
IMAGE = 32


def settled(make: Callable[[], nn.Module], channels: int = 3) -> nn.Module:
    """The same one each time, in evaluation, with running statistics of some images."""
    torch.manual_seed(7)
    module = make().train()
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(8, channels, IMAGE, IMAGE))
    return module.eval()


class Block(nn.Module):
    """A residual block that uses one module twice and functions for the rest."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.3)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding="same", groups=2)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.shortcut(x)
        return self.relu(y)


class Everything(nn.Module):
    """Every layer and function that there is, one time at least."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, padding=2)  # read by a pool and a sum as it is
        self.block = Block(8, 16)
        self.deep = nn.Sequential(nn.Conv2d(16, 8, 1), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU6())
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.nothing = nn.Identity()
        self.hard = nn.Hardtanh(0, 6)
        self.linear = nn.Linear(24 * 4 * 4, 12, bias=False)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, CLASSES))

    def forward(self, x):
        x = self.stem(x)
        x = torch.add(F.max_pool2d(x, 3, 1, 1), x)
        x = self.block(x)
        a = F.avg_pool2d(F.hardtanh(self.deep(x), 0.0, 6.0), 2)
        b = F.relu6(self.pool(self.hard(self.nothing(x))))
        x = torch.cat([a, torch.relu(b)], dim=1)
        x = F.dropout(x, 0.1, self.training)
        x = F.adaptive_avg_pool2d(torch.cat([x], 1), 4)
        return self.head(self.linear(x.view(x.size(0), -1)))


def everything() -> nn.Module:
    return settled(Everything)


class Pooled(nn.Module):
    """The ways to average over the whole image, and what may follow."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.again = nn.Conv2d(8, 8, 1)
        self.adaptive = nn.AdaptiveAvgPool2d((1, 1))
        self.window = nn.AvgPool2d(30)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.bn(self.conv(x)).relu()
        if self.way == "mean":
            return self.fc(x.mean([2, 3]))
        if self.way == "negative":
            return self.fc(x.mean((-1, -2)))
        if self.way == "kept":
            return self.fc(torch.mean(x, dim=(2, 3), keepdim=True).reshape(-1, 8))
        if self.way == "window":
            return self.fc(torch.flatten(self.window(x), 1))
        if self.way == "twice":  # a convolution of the average: it stays an image
            return self.fc(torch.flatten(F.relu(self.again(self.adaptive(x))), 1))
        return self.fc(self.adaptive(x).flatten(1))


def pooled(way: str) -> nn.Module:
    return settled(lambda: Pooled(way))


def gray() -> nn.Module:
    """Of images of one channel."""
    return settled(lambda: nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                                         nn.Flatten(), nn.Linear(8, CLASSES)), channels=1)


def torchvision_network(name: str) -> nn.Module:
    import torchvision

    def make() -> nn.Module:
        options = {"googlenet": {"aux_logits": False, "init_weights": False}}.get(name, {})
        module = getattr(torchvision.models, name)(num_classes=CLASSES, **options)
        if name.startswith("vgg"):  # its linear layers of 4096 numbers take half a gigabyte
            module.classifier[0], module.classifier[3] = nn.Linear(512 * 7 * 7, 32), nn.Linear(32, 32)
            module.classifier[6] = nn.Linear(32, CLASSES)
        return module

    return settled(make)


# ---- what is refused ------------------------------------------------------------------------------------------------
class Odd(nn.Module):
    """A convolution, something, and a classifier."""

    def __init__(self, layer: nn.Module = None, function=None, channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.layer = layer or nn.Identity()
        self.function = function
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, x):
        x = self.layer(self.conv(x))
        if self.function is not None:
            x = self.function(self, x)
        return self.fc(x.mean((2, 3)))


ODD = {
    "rectangle": lambda: Odd(nn.Conv2d(4, 4, (1, 3), padding=(0, 1))),
    "dilation": lambda: Odd(nn.Conv2d(4, 4, 3, padding=2, dilation=2)),
    "reflect": lambda: Odd(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")),
    "sigmoid": lambda: Odd(nn.Sigmoid()),
    "hardtanh": lambda: Odd(nn.Hardtanh()),
    "affine": lambda: Odd(nn.BatchNorm2d(4, affine=False)),
    "cumulative": lambda: Odd(nn.BatchNorm2d(4, momentum=None)),
    "overlap": lambda: Odd(nn.AvgPool2d(3, 2)),
    "average_padding": lambda: Odd(nn.AvgPool2d(2, padding=1)),
    "product": lambda: Odd(function=lambda _, x: x * x),
    "constant": lambda: Odd(function=lambda _, x: x + 1),
    "broadcast": lambda: Odd(function=lambda _, x: x + x.mean((2, 3), keepdim=True)),
    "rows": lambda: Odd(function=lambda _, x: torch.cat([x, F.relu(x)], 2)),
    "branch": lambda: Odd(function=lambda _, x: x if x.sum() > 0 else F.relu(x)),
    "shared": lambda: Odd(nn.Conv2d(4, 4, 1), function=lambda module, x: module.layer(F.relu(x))),
    "weights": lambda: Odd(function=lambda module, x: F.conv2d(x, module.kernel)),
    "small": lambda: Odd(nn.Conv2d(4, 4, 40)),
    "unread": lambda: Pair(),
}


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, CLASSES, 3)

    def forward(self, x):
        x = self.conv(x)
        return x.mean((2, 3)), x


def odd(what: str) -> nn.Module:
    module = ODD[what]()
    if what == "weights":
        module.kernel = nn.Parameter(torch.zeros(4, 4, 1, 1))
    return module


def no_module() -> int:
    return 3
