#!/usr/bin/env python3
"""Times operations of PyTorch beside those of `bsq bench ops --peers`: one line of JSON per row.

  pytorch_ops.py ROWS.json [--device cpu|cuda] [--threads N] [--seconds S]

ROWS.json: [{"name", "operation", "type", and what describes its shape}, ...]. Activations are channels_last. A norm_act is what its
layers are in pytorch_bsq.py: batch norm, the shortcut, the activation, its quantizer; backward is autograd's for all of them. Warm,
median of at least 7 calls; on a GPU of calls that are enqueued 20 at a time. Operations that PyTorch does not have are left out.
"""
import argparse
import json
import statistics
import time

import torch
from torch.nn import functional as F

import pytorch_bsq as peer

CALLS_ON_GPU = 20


def convolution(row, dtype, device, direction):
    shape = (row["batch"], row["in_channels"], row["height"], row["width"])
    x = torch.rand(shape, dtype=dtype, device=device).contiguous(memory_format=torch.channels_last)
    weight = torch.rand(row["out_channels"], row["in_channels"] // row["groups"], row["kernel"], row["kernel"], dtype=dtype, device=device)
    weight = weight.contiguous(memory_format=torch.channels_last)
    how = {"stride": [row["stride"]] * 2, "padding": [row["padding"]] * 2, "dilation": [1, 1], "groups": row["groups"]}
    if direction == "forward":
        return lambda: F.conv2d(x, weight, **how)
    d_y = torch.rand_like(F.conv2d(x, weight, **how))
    mask = [direction == "data", direction == "weight", False]
    return lambda: torch.ops.aten.convolution_backward(d_y, x, weight, None, how["stride"], how["padding"], [1, 1], False,
                                                       [0, 0], row["groups"], mask)


def norm_act(row, dtype, device, backward):
    shape = (row["rows"], row["channels"], 1, 1)  # which is channels_last, too
    inputs = [torch.rand(shape, dtype=dtype, device=device, requires_grad=backward) for _ in range(1 + row["shortcut"])]
    norm = torch.nn.BatchNorm2d(row["channels"], device=device)  # float32, as under autocast
    activation = {"none": lambda y: y, "relu": torch.relu}.get(row["activation"])
    if activation is None:
        activation = peer.BlockActivation(row["act_bits"], row["activation"] == "pact").to(device)

    def forward():
        y = norm(inputs[0])
        return activation(y + inputs[1] if row["shortcut"] else y)

    if not backward:
        def without_graph():
            with torch.no_grad():
                forward()
        return without_graph
    y = forward()
    d_y = torch.rand_like(y)
    wanted = inputs + list(norm.parameters())
    return lambda: torch.autograd.grad(y, wanted, d_y, retain_graph=True)


def pool(row, dtype, device):
    x = torch.rand(row["batch"], row["channels"], row["pixels"], 1, dtype=dtype, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    return lambda: x.mean((2, 3))


def dropout(row, dtype, device):
    x = torch.rand(row["batch"], row["features"], dtype=dtype, device=device)
    return lambda: F.dropout(x, row["rate"], training=True)


def window_pool(row, dtype, device, backward):
    x = torch.rand(row["batch"], row["channels"], row["height"], row["width"], dtype=dtype, device=device)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_(backward)

    def forward():
        if "kernel" in row:
            return F.max_pool2d(x, row["kernel"], row["stride"], row["padding"])
        return F.adaptive_avg_pool2d(x, (row["windows_high"], row["windows_wide"]))

    if not backward:
        return forward
    y = forward()
    d_y = torch.rand_like(y)
    return lambda: torch.autograd.grad(y, [x], d_y, retain_graph=True)


def linear(row, dtype, device):
    x = torch.rand(row["batch"], row["in_features"], device=device)
    weight = torch.rand(row["out_features"], row["in_features"], device=device)
    bias = torch.rand(row["out_features"], device=device)
    return lambda: F.linear(x, weight, bias)


def loss(row, dtype, device):
    logits = torch.rand(row["batch"], row["classes"], device=device)
    labels = torch.randint(row["classes"], (row["batch"],), device=device)
    return lambda: F.cross_entropy(logits, labels)


OPERATIONS = {
    "conv2d_forward": lambda *row: convolution(*row, "forward"),
    "conv2d_backward_data": lambda *row: convolution(*row, "data"),
    "conv2d_backward_weight": lambda *row: convolution(*row, "weight"),
    "norm_act_forward": lambda *row: norm_act(*row, False),
    "norm_act_backward": lambda *row: norm_act(*row, True),
    "max_pool_forward": lambda *row: window_pool(*row, False),
    "max_pool_backward": lambda *row: window_pool(*row, True),
    "window_average_forward": lambda *row: window_pool(*row, False),
    "window_average_backward": lambda *row: window_pool(*row, True),
    "dropout_forward": dropout, "average_pool_forward": pool, "linear_forward": linear, "softmax_cross_entropy": loss,
}


def seconds_of(call, device):
    if device == "cpu":
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(CALLS_ON_GPU):
        call()
    end.record()
    end.synchronize()
    return 1e-3 * begin.elapsed_time(end) / CALLS_ON_GPU


def median_seconds(call, device, seconds):
    for _ in range(3):
        call()
    samples, start = [], time.perf_counter()
    while len(samples) < (7 if seconds else 2) or (time.perf_counter() - start < seconds and len(samples) < 1000):
        samples.append(seconds_of(call, device))
    return statistics.median(samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch takes")
    parser.add_argument("--seconds", type=float, default=0.2)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    with open(args.rows) as file:
        rows = json.load(file)
    for row in rows:
        if row["operation"] not in OPERATIONS:
            continue
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = row["type"] == "tf32"
        dtype = torch.bfloat16 if row["type"] == "bf16" else torch.float32
        try:
            call = OPERATIONS[row["operation"]](row, dtype, args.device)
            line = {"name": row["name"], "median_s": median_seconds(call, args.device, args.seconds)}
        except RuntimeError as error:  # what this build of PyTorch cannot do
            line = {"name": row["name"], "error": str(error)[:300]}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
