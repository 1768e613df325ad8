# Times a float training step of a network of CIFAR-10's size in PyTorch: pytorch_step.py NETWORK STEPS.
#
# densenet: DenseNet-BC 22/12; wrn: WRN-16-4; mobilenet: torchvision's MobileNetV2. Batch 128, channels_last, 2 threads.
# Prints the median in ms, without the first two steps, and the number of parameters.
import statistics
import sys
import time

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

BATCH = 128


def conv(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def classifier(channels):
    return [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


class DenseLayer(nn.Module):
    def __init__(self, channels, growth):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), conv(channels, 4 * growth, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), conv(4 * growth, growth, 3)

    def forward(self, x):
        return torch.cat((x, self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))), 1)


class Transition(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(inputs), conv(inputs, outputs, 1)

    def forward(self, x):
        return F.avg_pool2d(self.conv(F.relu(self.bn(x))), 2)


def densenet(depth=22, growth=12):
    channels = 2 * growth
    layers = [conv(3, channels, 3)]
    for stage in range(3):
        for _ in range((depth - 4) // 6):
            layers.append(DenseLayer(channels, growth))
            channels += growth
        if stage < 2:
            layers.append(Transition(channels, channels // 2))
            channels //= 2
    return nn.Sequential(*layers, *classifier(channels))


class WideBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, outputs, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), conv(outputs, outputs, 3)
        self.shortcut = conv(inputs, outputs, 1, stride) if inputs != outputs else None

    def forward(self, x):
        h = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(h))))
        return y + (x if self.shortcut is None else self.shortcut(h))


def wrn(depth=16, factor=4):
    channels = 16
    layers = [conv(3, channels, 3)]
    for outputs, stride in ((16 * factor, 1), (32 * factor, 2), (64 * factor, 2)):
        for block in range((depth - 4) // 6):
            layers.append(WideBlock(channels, outputs, stride if block == 0 else 1))
            channels = outputs
    return nn.Sequential(*layers, *classifier(channels))


def mobilenet():
    return torchvision.models.mobilenet_v2(num_classes=10, dropout=0.0)


def main():
    torch.set_num_threads(2)
    model = {"densenet": densenet, "wrn": wrn, "mobilenet": mobilenet}[sys.argv[1]]()
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    images = torch.randn(BATCH, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (BATCH,))
    seconds = []
    for _ in range(int(sys.argv[2])):
        start = time.perf_counter()
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    print(f"{1000 * statistics.median(seconds[2:]):.1f} ms, {sum(p.numel() for p in model.parameters())} parameters")


main()
