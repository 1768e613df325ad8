#!/usr/bin/python3
"""BSQ training of a CIFAR ResNet in plain PyTorch: the peer that bsq's speed is measured against.

What kernels/METHOD.md says, as a PyTorch user would write it: bit planes are parameters [..., bit] (bit 0 the
most significant), autograd goes through their weighted sum, torch.optim.SGD steps them. Needs torch alone (Debian: python3-torch).

  pytorch_bsq.py --mode bsq --threads 2                 times training steps, prints one line of JSON
  pytorch_bsq.py --check TRACE.safetensors [CHECKPOINT]  compares with a stored trace of the published code, exits 7 if it differs;
                                                         with --float64: how far float32 drifts from exact arithmetic

A timed step is zero_grad, forward, loss, backward, SGD and the clamp of the planes, on normalised float images that already
lie in memory: no loading, no augmentation. Images and labels are random numbers of a fixed seed.
"""
import argparse
import json
import os
import resource
import statistics
import struct
import sys
import time

import torch
from torch import nn
from torch.autograd import Function
from torch.nn import functional as F


# ---- quantizers, straight through in backward -------------------------------------------------------------------
class RoundUnit(Function):
    """clamp(u, -1, 1) on the grid of multiples of 1 / (2^bits - 1)."""

    @staticmethod
    def forward(ctx, u, bits):
        levels = 2**bits - 1
        return u.clamp(-1, 1).mul_(levels).round_().div_(levels)

    @staticmethod
    def backward(ctx, grad):
        return grad, None


class RoundActivation(Function):
    """y >= 0 on 2^bits levels between 0 and the maximum of the whole tensor."""

    @staticmethod
    def forward(ctx, y, bits):
        levels = 2**bits - 1
        scale = y.max().clamp_min(torch.finfo(y.dtype).tiny)  # all zeros stay zeros; a test for them would make a GPU wait
        return (y * levels).div_(scale).round_().mul_(scale).div_(levels)

    @staticmethod
    def backward(ctx, grad):
        return grad, None


class BlockActivation(nn.Module):
    """ReLU6, or PACT with a learned ceiling, then the quantizer if act_bits > 0."""

    def __init__(self, act_bits, pact):
        super().__init__()
        self.act_bits = act_bits
        self.alpha = nn.Parameter(torch.full((1,), 10.0)) if pact else None

    def forward(self, x):
        if self.alpha is not None:
            y = torch.minimum(F.relu(x), self.alpha)
        elif x.dtype == torch.float32:
            y = F.relu6(x)
        else:
            y = x.clamp(0, 6)  # 1.13 has no backward of relu6 in bfloat16
        return RoundActivation.apply(y, self.act_bits) if self.act_bits else y


# ---- weights as bit planes --------------------------------------------------------------------------------------
class BitPlanes(nn.Module):
    """A tensor as planes p, n [..., bits] and a scale; calling it gives the effective weights."""

    def __init__(self, weight, bits):
        super().__init__()
        weight = weight.detach()
        self.bits = bits
        scale = weight.abs().max()
        integers = (weight.abs() * ((2**bits - 1) / scale)).round().to(torch.int64)
        planes = torch.stack([(integers >> (bits - 1 - b)) & 1 for b in range(bits)], dim=-1).to(weight.dtype)
        positive = (weight > 0).to(weight.dtype).unsqueeze(-1)
        self.p = nn.Parameter(planes * positive)
        self.n = nn.Parameter(planes * (1 - positive))
        self.scale = nn.Parameter(scale.reshape(1))
        self.register_buffer("coefficients", 2.0 ** torch.arange(bits - 1, -1, -1) / (2**bits - 1), persistent=False)

    def forward(self):
        with torch.autocast(self.p.device.type, enabled=False):  # bf16 does not tell 8-bit weights apart
            return self.scale * RoundUnit.apply((self.p - self.n) @ self.coefficients, self.bits)

    def numel(self):
        return self.p.numel() // self.bits

    def penalty(self):
        """Sum over the planes of their Euclidean norms."""
        p, n = self.p.reshape(-1, self.bits), self.n.reshape(-1, self.bits)
        return (1e-8 + (p.square() + n.square()).sum(0)).sqrt().sum()

    @torch.no_grad()
    def clamp_(self):
        self.p.clamp_(0, 2)
        self.n.clamp_(0, 2)


class BitConv2d(nn.Module):
    def __init__(self, conv, bits):
        super().__init__()
        self.weight = BitPlanes(conv.weight, bits)
        self.stride, self.padding = conv.stride, conv.padding

    def forward(self, x):
        return F.conv2d(x, self.weight(), stride=self.stride, padding=self.padding)


class BitLinear(nn.Module):
    def __init__(self, linear, bits):
        super().__init__()
        self.weight = BitPlanes(linear.weight, bits)
        self.bias = BitPlanes(linear.bias, bits)

    def forward(self, x):
        return F.linear(x, self.weight(), self.bias())


def quantize(model, bits):
    """Replaces every convolution (except the 1x1 ones on shortcuts) and the classifier; returns their BitPlanes."""
    for name, module in list(model.named_modules()):
        if isinstance(module, (nn.Conv2d, nn.Linear)) and "downsample" not in name:
            parent, _, child = name.rpartition(".")
            bit_module = (BitConv2d if isinstance(module, nn.Conv2d) else BitLinear)(module, bits)
            setattr(model.get_submodule(parent), child, bit_module)
    return [module for module in model.modules() if isinstance(module, BitPlanes)]


def group_penalty(tensors):
    total = sum(tensor.numel() for tensor in tensors)
    return sum((tensor.numel() * tensor.bits / total) * tensor.penalty() for tensor in tensors)


# ---- the network ------------------------------------------------------------------------------------------------
def conv3x3(in_channels, out_channels, stride=1):
    conv = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
    nn.init.normal_(conv.weight, std=(2 / (9 * out_channels)) ** 0.5)
    return conv


class Block(nn.Module):
    def __init__(self, in_channels, channels, stride, act_bits, pact):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(in_channels, channels, stride), nn.BatchNorm2d(channels)
        self.relu1 = BlockActivation(act_bits, pact)
        self.conv2, self.bn2 = conv3x3(channels, channels), nn.BatchNorm2d(channels)
        self.relu2 = BlockActivation(act_bits, pact)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False),
                                            nn.BatchNorm2d(channels))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(y)) + shortcut)


class ResNet(nn.Module):
    """Depth 6n + 2, widths 16, 32, 64."""

    def __init__(self, depth, act_bits, pact=False, classes=10):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(3, 16), nn.BatchNorm2d(16)
        blocks = (depth - 2) // 6

        def stage(in_channels, channels, stride):
            return nn.Sequential(Block(in_channels, channels, stride, act_bits, pact),
                                 *(Block(channels, channels, 1, act_bits, pact) for _ in range(blocks - 1)))

        self.layer1, self.layer2, self.layer3 = stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2)
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(F.avg_pool2d(x, x.shape[-1]).flatten(1))


# ---- the timed step ---------------------------------------------------------------------------------------------
def train_step(model, tensors, optimizer, images, labels, alpha, autocast=False):
    """One step; `tensors` (the BitPlanes) is empty for float training. Returns loss, cross entropy, penalty, logits."""
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=autocast):
        logits = model(images)
    cross_entropy = F.cross_entropy(logits.to(images.dtype), labels)
    penalty = group_penalty(tensors) if tensors else torch.zeros(())
    loss = cross_entropy + alpha * penalty
    loss.backward()
    optimizer.step()
    for tensor in tensors:
        tensor.clamp_()
    return loss, cross_entropy, penalty, logits


def cpu_name():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")


def measure(args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    layout = torch.channels_last if args.layout == "nhwc" else torch.contiguous_format
    model = ResNet(args.depth, args.act_bits)
    tensors = quantize(model, args.bits) if args.mode == "bsq" else []
    model.train().to(memory_format=layout) if args.mode == "float" else model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    batches = [(torch.randn(args.batch, 3, 32, 32).contiguous(memory_format=layout),
                torch.randint(10, (args.batch,))) for _ in range(4)]
    seconds, cpu_seconds = [], []  # CPU time of all threads: what another program on the machine disturbs least
    for step in range(args.warmup + args.steps):
        images, labels = batches[step % len(batches)]
        start, cpu_start = time.perf_counter(), time.process_time()
        loss = train_step(model, tensors, optimizer, images, labels, args.alpha, args.precision == "bf16")[0]
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
    seconds, cpu_seconds = seconds[args.warmup:], cpu_seconds[args.warmup:]
    median = statistics.median(seconds)
    print(json.dumps({
        "engine": "pytorch", "mode": args.mode, "depth": args.depth, "batch": args.batch, "precision": args.precision,
        "act_bits": args.act_bits, "layout": args.layout, "threads": torch.get_num_threads(), "steps": args.steps,
        "median_s": round(median, 5), "min_s": round(min(seconds), 5), "max_s": round(max(seconds), 5),
        "median_cpu_s": round(statistics.median(cpu_seconds), 5), "images_per_s": round(args.batch / median, 1), "last_loss": round(loss.item(), 5),
        "peak_resident_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "torch": torch.__version__, "cpu": cpu_name(), "load_1min": os.getloadavg()[0]}))


# ---- the check against a trace of the published code ----------------------------------------------------------------
def read_safetensors(path):
    dtypes = {"F32": torch.float32, "F64": torch.float64, "U8": torch.uint8, "I32": torch.int32, "I64": torch.int64}
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        values = torch.frombuffer(data[start:end], dtype=dtypes[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return metadata, tensors


def relative_difference(value, expected):
    return ((value.double() - expected.double()).norm() / expected.double().norm().clamp_min(1e-300)).item()


def trace_name(name):
    """conv1.weight.p -> conv1.pweight, fc.bias.scale -> fc.biasscale: the names of the published code."""
    for kind, scale in (("weight", "scale"), ("bias", "biasscale")):
        for part in "pn":
            name = name.replace(f".{kind}.{part}", f".{part}{kind}")
        name = name.replace(f".{kind}.scale", f".{scale}")
    return name


def check(paths, dtype):
    metadata, trace = read_safetensors(paths[0])
    number = {key: float(metadata[key]) for key in ("lr", "momentum", "weight_decay", "alpha")}
    depth, batch, bits, act_bits = (int(metadata[key]) for key in ("depth", "batch", "nbits", "act_bits"))
    if act_bits:
        sys.exit(f"{paths[0]}: act_bits is {act_bits}; a trace with quantized activations can only be compared statistically")
    initial = {name[len("init."):]: value for name, value in trace.items() if name.startswith("init.")}
    if not initial and len(paths) < 2:
        sys.exit(f"{paths[0]}: starts from {metadata['init']}; name that file as the second argument")
    model = ResNet(depth, act_bits, pact=metadata["activation"] == "pact").train()
    missing, unexpected = model.load_state_dict(initial or read_safetensors(paths[1])[1], strict=False)
    assert not unexpected and all("num_batches_tracked" in name or "alpha" in name for name in missing), (missing, unexpected)
    tensors = quantize(model, bits)
    model.to(dtype)
    effective = {}

    def keep(name):
        def hook(module, inputs, output):
            output.retain_grad()
            effective[name] = output
        return hook

    for name, module in model.named_modules():
        if isinstance(module, BitPlanes):
            module.register_forward_hook(keep(name))
    optimizer = torch.optim.SGD(model.parameters(), lr=number["lr"], momentum=number["momentum"],
                                weight_decay=number["weight_decay"])
    images = trace["images_u8"].permute(0, 3, 1, 2).to(dtype) / 255
    mean, std = torch.tensor(((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)), dtype=dtype).view(2, 1, 3, 1, 1)
    images = (images - mean) / std
    results = []  # (what, difference, tolerance)

    last_conv = [name for name, module in model.named_modules() if isinstance(module, BitConv2d)][-1]
    for step in range(int(metadata["steps"])):
        rows = slice(step * batch, (step + 1) * batch)
        _, cross_entropy, penalty, logits = train_step(model, tensors, optimizer, images[rows].contiguous(),
                                                       trace["labels"][rows].long(), number["alpha"])
        for what, value, key, tolerance in (
                ("ce_loss", cross_entropy, "ce_loss", (1e-4, 2e-3)[step] if step < 2 else 5e-2),
                ("penalty", penalty, "reg_over_params", 1e-5)):
            results.append((f"step {step} {what}", relative_difference(value, trace[key][step]), tolerance))
        if step > 0:
            continue
        results.append(("step 0 logits", relative_difference(logits, trace["step0.logits"]), 2e-4))
        for name, expected in trace.items():
            if name.startswith("step0.weight_grad."):
                layer = name[len("step0.weight_grad."):]
                tolerance = {"fc": 1e-3, last_conv: 5e-3}.get(layer, 3e-2)  # values at a kink of the activation may flip
                results.append((name, relative_difference(effective[layer + ".weight"].grad, expected), tolerance))
        for name, value in model.state_dict().items():
            key = "after1." + trace_name(name)
            if key in trace:  # batch norm's bias may start at 0 and then differs as its gradient does
                results.append((key, relative_difference(value, trace[key]), 3e-2 if "bn" in key or "downsample" in key else 1e-3))
    if bits == 8:  # as wide as planes get: re-quantization then leaves every effective weight as it is
        expected = trace["eval.logits_after_requant"]
        logits = model.eval()(images[:len(expected)]).detach()
        results.append(("logits in evaluation after the last step", relative_difference(logits, expected), 1.8e-1))
    wrong = [result for result in results if not result[1] <= result[2]]
    for what, difference, tolerance in results:
        if not what.startswith(("step0.weight_grad", "after1")) or not difference <= tolerance:
            print(f"{'ok  ' if difference <= tolerance else 'FAIL'} {what}: {difference:.2e} (tolerance {tolerance:.0e})")
    print(f"{len(results)} comparisons, {len(wrong)} outside their tolerance; largest difference / tolerance "
          f"{max(difference / tolerance for _, difference, tolerance in results):.2f}")
    return 7 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", nargs="+", metavar="FILE", help="a trace, then the float checkpoint it starts from")
    parser.add_argument("--float64", action="store_true", help="with --check: in double precision")
    parser.add_argument("--mode", choices=("float", "bsq"), default="bsq")
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--bits", type=int, default=8, help="weight bits at the start")
    parser.add_argument("--act-bits", type=int, default=4, help="0: activations are not quantized")
    parser.add_argument("--alpha", type=float, default=5e-3, help="strength of the group penalty")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="bf16: torch.autocast")
    parser.add_argument("--layout", choices=("nchw", "nhwc"), default="nchw", help="nhwc: torch.channels_last")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    args = parser.parse_args()
    if args.check:
        sys.exit(check(args.check, torch.float64 if args.float64 else torch.float32))
    measure(args)


if __name__ == "__main__":
    main()
