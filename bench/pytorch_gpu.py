#!/usr/bin/python3
"""Training steps of a CIFAR ResNet in PyTorch 2 on one GPU: the peers of bsq there, from the published way to the best one we can write.

  pytorch_gpu.py [--variants V,V] [--batches 128,512] [--precisions fp32,tf32,bf16]   one line of JSON a measurement
  pytorch_gpu.py --self-test      on the CPU: the fast BSQ against plain autograd (weights, gradients, steps); exits 7 if they differ

Variants; a BSQ step has 8-bit planes and 4-bit activations, a float step neither:
  bsq-eager      as published: planes as parameters, autograd through each, a penalty a tensor; NCHW, op by op
  bsq-compile    the same under torch.compile(mode="reduce-overhead"), channels_last, foreach optimizer
  bsq-graph      closed-form gradients on one arena of planes, channels_last, fused optimizer, the whole step one CUDA graph
  bsq-best       bsq-graph with every part compiled first (max-autotune)
  float-eager, float-compile, float-graph, float-best    likewise without planes

Every step begins with uint8 images on the device: a random crop and flip of each image, normalised there; no loader. cudnn.benchmark is
on, so PyTorch may take kernels that do not give the same bits twice; bsq never does. Without a GPU: exit 5.
"""
import argparse
import gc
import json
import math
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

import pytorch_bsq as peer

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
CROP_PADDING = 4
LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-4
DATA_IMAGES = 50_000
VARIANTS = [f"{mode}-{how}" for mode in ("bsq", "float") for how in ("eager", "compile", "graph", "best")]


# ---- images -------------------------------------------------------------------------------------------------------
def crop_flip(padded, samples, top, left, flip, mean, std):
    """padded [N, H + 8, W + 8, 3] uint8 -> normalised float images [batch, 3, H, W], channels innermost in memory."""
    size = padded.shape[1] - 2 * CROP_PADDING
    pixels = torch.arange(size, device=padded.device)
    rows = top[:, None] + pixels
    columns = left[:, None] + torch.where(flip[:, None], size - 1 - pixels, pixels)
    images = padded[samples[:, None, None], rows[:, :, None], columns[:, None, :]]
    return ((images.to(mean.dtype) / 255 - mean) / std).permute(0, 3, 1, 2)


class Images:
    """A resident data set: random uint8 pictures and labels, visited in a fixed order by a counter on the device."""

    def __init__(self, count, batch, device, dtype=torch.float32, layout=torch.channels_last):
        generator = torch.Generator().manual_seed(1)
        images = torch.randint(256, (count, 32, 32, 3), generator=generator, dtype=torch.uint8)
        self.padded = F.pad(images, (0, 0) + 4 * (CROP_PADDING,)).to(device)
        self.labels = torch.randint(10, (count,), generator=generator).to(device)
        self.order = torch.randperm(count, generator=generator).to(device)
        self.first = torch.zeros((), dtype=torch.int64, device=device)
        self.places = torch.arange(batch, device=device)
        self.mean, self.std = (torch.tensor(values, dtype=dtype, device=device) for values in (MEAN, STD))
        self.layout, self.crop_flip = layout, crop_flip

    def next(self):
        batch, device = len(self.places), self.padded.device
        samples = self.order[(self.first + self.places) % len(self.order)]
        self.first += batch
        top, left = torch.randint(2 * CROP_PADDING + 1, (2, batch), device=device)
        flip = torch.rand(batch, device=device) < 0.5
        images = self.crop_flip(self.padded, samples, top, left, flip, self.mean, self.std)
        return images.contiguous(memory_format=self.layout), self.labels[samples]


# ---- BSQ with closed-form gradients ----------------------------------------------------------------------------------
# The gradient of every plane is a multiple of one dense gradient, so autograd stops at the effective weights. All tensors lie in one
# arena [chunks, CHUNK], each padded to whole chunks with zeros (which stay zeros): a sum over a tensor is a sum over its chunks.
CHUNK = 256


def effective_weights(planes, scales, coefficients, tensor_of_chunk, membership, weighting):
    """planes [2, bits, chunks, CHUNK] -> q, weights [chunks, CHUNK], norms [bits, tensors], penalty."""
    levels = 2 ** planes.shape[1] - 1
    u = ((planes[0] - planes[1]) * coefficients[:, None, None]).sum(0)
    q = u.clamp(-1, 1).mul(levels).round().div(levels)
    squares = planes.square().sum((0, 3))
    norms = (1e-8 + squares @ membership).sqrt()
    return q, scales[tensor_of_chunk][:, None] * q, norms, (weighting * norms.sum(0)).sum()


def step_planes(planes, velocity, scales, scale_velocity, q, norms, gradients, coefficients, tensor_of_chunk, membership,
                weighting, alpha):
    """SGD with momentum and weight decay on planes and scales, from the dense gradient; planes stay in [0, 2]."""
    d_weight = torch.cat(gradients).view_as(q)
    d_u = scales[tensor_of_chunk][:, None] * d_weight
    pull = (alpha * weighting / norms)[:, tensor_of_chunk] + WEIGHT_DECAY
    slope = coefficients[:, None, None] * d_u
    new_velocity = MOMENTUM * velocity + torch.stack((slope, -slope)) + pull[None, :, :, None] * planes
    d_scale = (q * d_weight).sum(1) @ membership
    new_scale_velocity = MOMENTUM * scale_velocity + d_scale + WEIGHT_DECAY * scales
    planes.copy_((planes - LR * new_velocity).clamp(0, 2))
    velocity.copy_(new_velocity)
    scales.sub_(LR * new_scale_velocity)
    scale_velocity.copy_(new_scale_velocity)


def quantizable(model):
    """Names of the parameters that get planes, as peer.quantize chooses them."""
    return [f"{name}.{kind}" for name, module in model.named_modules()
            if isinstance(module, (nn.Conv2d, nn.Linear)) and "downsample" not in name
            for kind, parameter in module.named_parameters(recurse=False)]


class PlaneArena:
    """All planes of a float model, whose parameters become views of the effective weights."""

    def __init__(self, model, bits, alpha):
        self.alpha = alpha
        self.parameters = [model.get_parameter(name) for name in quantizable(model)]
        device, dtype = self.parameters[0].device, self.parameters[0].dtype
        sizes = [parameter.numel() for parameter in self.parameters]
        chunks = [math.ceil(size / CHUNK) for size in sizes]
        self.padding = [torch.zeros(count * CHUNK - size, device=device, dtype=dtype) for count, size in zip(chunks, sizes)]
        self.planes = torch.zeros(2, bits, sum(chunks), CHUNK, device=device, dtype=dtype)
        self.velocity = torch.zeros_like(self.planes)
        self.scales = torch.zeros(len(sizes), device=device, dtype=dtype)
        self.scale_velocity = torch.zeros_like(self.scales)
        self.weights = torch.zeros(sum(chunks), CHUNK, device=device, dtype=dtype)
        owners = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(chunks)).to(device)
        self.constants = ((2.0 ** torch.arange(bits - 1, -1, -1, device=device, dtype=dtype) / (2**bits - 1)), owners,
                          F.one_hot(owners, len(sizes)).to(dtype),
                          torch.tensor([size * bits / sum(sizes) for size in sizes], device=device, dtype=dtype))
        self.places = []  # first element of each tensor
        first = 0
        for index, (parameter, count) in enumerate(zip(self.parameters, chunks)):
            self.places.append(first)
            start = peer.BitPlanes(parameter, bits)
            for sign, values in enumerate((start.p, start.n)):
                for bit in range(bits):
                    self.view(self.planes[sign, bit], index).copy_(values.detach()[..., bit])
            self.scales[index] = start.scale.detach()[0]
            first += count * CHUNK
        for index, parameter in enumerate(self.parameters):
            parameter.data = self.view(self.weights, index)
        self.effective_weights, self.step_planes = effective_weights, step_planes

    def view(self, arena, index):
        """A tensor inside an arena, in PyTorch's shape, filters with channels innermost in memory."""
        shape = self.parameters[index].shape
        flat = arena.view(-1)[self.places[index]:self.places[index] + shape.numel()]
        if len(shape) < 4:
            return flat.view(shape)
        return flat.view(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2)

    @torch.no_grad()
    def materialize(self):
        self.q, weights, self.norms, penalty = self.effective_weights(self.planes, self.scales, *self.constants)
        self.weights.copy_(weights)
        return penalty

    @torch.no_grad()
    def step(self):
        pieces = []
        for parameter, padding in zip(self.parameters, self.padding):
            gradient = parameter.grad.permute(0, 2, 3, 1) if parameter.dim() == 4 else parameter.grad
            pieces += [gradient.reshape(-1), padding]
        self.step_planes(self.planes, self.velocity, self.scales, self.scale_velocity, self.q, self.norms, pieces,
                         *self.constants, self.alpha)


# ---- trainers: step() enqueues one step and returns its loss ------------------------------------------------------------
def sgd(parameters, **how):
    return torch.optim.SGD(parameters, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, **how)


class PublishedTrainer:
    """Planes as parameters (or a float model); compiled: forward, loss and penalty in one graph."""

    def __init__(self, args, mode, images, precision, device, compiled):
        self.images, self.autocast, self.compiled = images, precision == "bf16", compiled
        self.alpha, self.device = args.alpha, device
        model = peer.ResNet(args.depth, args.act_bits if mode == "bsq" else 0)
        self.tensors = peer.quantize(model, args.bits) if mode == "bsq" else []
        # A module with parameters of five axes has no layout of its own: only its images say which.
        self.model = model.to(device).train() if self.tensors else model.to(device, memory_format=images.layout).train()
        self.optimizer = sgd(self.model.parameters(), **({"foreach": True} if compiled else {}))
        self.planes = [plane for tensor in self.tensors for plane in (tensor.p, tensor.n)]
        if compiled:
            self.loss = torch.compile(self.loss, mode="reduce-overhead")

    def loss(self, images, labels):
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            logits = self.model(images)
        loss = F.cross_entropy(logits.to(images.dtype), labels)
        return loss + self.alpha * peer.group_penalty(self.tensors) if self.tensors else loss

    def step(self):
        images, labels = self.images.next()
        if not self.compiled:
            return peer.train_step(self.model, self.tensors, self.optimizer, images, labels, self.alpha, self.autocast)[0].detach()
        torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(images, labels)
        loss.backward()
        self.optimizer.step()
        if self.planes:
            with torch.no_grad():
                torch._foreach_clamp_min_(self.planes, 0)
                torch._foreach_clamp_max_(self.planes, 2)
        return loss.detach()


class FastTrainer:
    """Closed-form planes (or a float model), to be captured as one graph; compiled: every part through the compiler first."""

    def __init__(self, args, mode, images, precision, device, compiled=False, dtype=torch.float32):
        self.images, self.autocast, self.device, self.alpha = images, precision == "bf16", device, args.alpha
        self.model = peer.ResNet(args.depth, args.act_bits if mode == "bsq" else 0)
        self.model.to(device, dtype, memory_format=torch.channels_last).train()
        self.arena = PlaneArena(self.model, args.bits, args.alpha) if mode == "bsq" else None
        ids = {id(parameter) for parameter in self.arena.parameters} if self.arena else set()
        how = {"fused": True} if device.type == "cuda" else {}
        self.optimizer = sgd([parameter for parameter in self.model.parameters() if id(parameter) not in ids], **how)
        if not compiled:
            return
        compile_ = lambda part: torch.compile(part, mode="max-autotune-no-cudagraphs")  # noqa: E731
        self.loss, self.images.crop_flip = compile_(self.loss), compile_(self.images.crop_flip)
        if self.arena:
            self.arena.effective_weights = compile_(self.arena.effective_weights)
            self.arena.step_planes = compile_(self.arena.step_planes)

    def loss(self, images, labels):
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            logits = self.model(images)
        return F.cross_entropy(logits.to(images.dtype), labels)

    def train_on(self, images, labels):
        penalty = self.arena.materialize() if self.arena else 0
        self.model.zero_grad(set_to_none=True)
        loss = self.loss(images, labels)
        loss.backward()
        if self.arena:
            self.arena.step()
        self.optimizer.step()
        return loss.detach() + self.alpha * penalty

    def step(self):
        return self.train_on(*self.images.next())


class Captured:
    """A trainer's step as one CUDA graph."""

    def __init__(self, trainer, warmup):
        stream = torch.cuda.Stream()  # capture wants the first steps, which allocate and tune, on a side stream
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(warmup):
                trainer.step()
        torch.cuda.current_stream().wait_stream(stream)
        self.trainer, self.graph = trainer, torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.last_loss = trainer.step()

    def step(self):
        self.graph.replay()
        return self.last_loss


# ---- measuring ------------------------------------------------------------------------------------------------------------
def make_trainer(args, variant, batch, precision, device):
    mode, how = variant.split("-")
    torch.manual_seed(1)
    layout = torch.contiguous_format if how == "eager" else torch.channels_last
    images = Images(DATA_IMAGES, batch, device, layout=layout)
    if how in ("eager", "compile"):
        return PublishedTrainer(args, mode, images, precision, device, compiled=how == "compile")
    return Captured(FastTrainer(args, mode, images, precision, device, compiled=how == "best"), args.warmup)


def measure(args, variant, batch, precision, device):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "fp32"
    torch.backends.cudnn.benchmark = True
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    trainer = make_trainer(args, variant, batch, precision, device)
    for _ in range(args.warmup):
        trainer.step()
    torch.cuda.synchronize()
    prepare_s = time.perf_counter() - start
    times = []  # per step, each from a block of steps: nothing waits in between
    for _ in range(args.blocks):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(args.steps):
            loss = trainer.step()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / args.steps)
    loss = loss.item()
    if not math.isfinite(loss):
        raise RuntimeError(f"the loss is {loss}")
    median = statistics.median(times)
    return {"engine": "pytorch", "variant": variant, "mode": variant.split("-")[0], "depth": args.depth, "batch": batch,
            "precision": precision, "act_bits": args.act_bits if variant.startswith("bsq") else 0,
            "ms_per_step": round(median, 4), "min_ms": round(min(times), 4), "max_ms": round(max(times), 4),
            "blocks": args.blocks, "steps_a_block": args.steps, "images_per_s": round(1e3 * batch / median, 1),
            "peak_mib": round(torch.cuda.max_memory_allocated() / 2**20, 1),
            "peak_reserved_mib": round(torch.cuda.max_memory_reserved() / 2**20, 1),
            "data_mib": round(DATA_IMAGES * 40 * 40 * 3 / 2**20, 1), "prepare_s": round(prepare_s, 1),
            "last_loss": round(loss, 5), "augmentation": "on the device", "torch": torch.__version__,
            "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "gpu": torch.cuda.get_device_name()}


def release():
    torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()


def measure_all(args):
    """A variant that fails gives a line with its error; the others still run. Returns the exit code."""
    device, failed = torch.device("cuda"), False
    for batch in args.batches:
        for precision in args.precisions:
            for variant in args.variants:
                try:
                    line = measure(args, variant, batch, precision, device)
                except Exception as error:  # whatever the compiler, cuDNN or the allocator throws
                    failed = True
                    line = {"engine": "pytorch", "variant": variant, "batch": batch, "precision": precision,
                            "error": f"{type(error).__name__}: {str(error)[:500]}"}
                print(json.dumps(line), flush=True)
                release()
    return 1 if failed else 0


def words_of(choices):
    def parse(text):
        words = text.split(",")
        for word in words:
            if word not in choices:
                raise argparse.ArgumentTypeError(f"'{word}' is none of {', '.join(choices)}")
        return words
    return parse


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true", help="compare the fast formulation with the plain one, on the CPU")
    parser.add_argument("--variants", type=words_of(VARIANTS), default=VARIANTS)
    parser.add_argument("--batches", type=lambda text: [int(word) for word in text.split(",")], default=[128, 512])
    parser.add_argument("--precisions", "--precision", type=words_of(("fp32", "tf32", "bf16")), default=["fp32", "tf32", "bf16"])
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--act-bits", type=int, default=4)
    parser.add_argument("--alpha", type=float, default=5e-3)
    parser.add_argument("--warmup", type=int, default=11)
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20, help="steps per block")
    args = parser.parse_args()
    if args.self_test:
        import pytorch_gpu_checks
        sys.exit(pytorch_gpu_checks.run(args))
    if not torch.cuda.is_available():
        print(f"error: torch {torch.__version__} sees no CUDA device; --self-test runs without one", file=sys.stderr)
        sys.exit(5)
    if not hasattr(torch, "compile"):
        print(f"error: torch {torch.__version__} is too old: torch.compile needs 2.0", file=sys.stderr)
        sys.exit(5)
    sys.exit(measure_all(args))


if __name__ == "__main__":
    main()
