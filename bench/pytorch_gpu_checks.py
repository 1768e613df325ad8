# What `pytorch_gpu.py --self-test` compares, in float64 on the CPU: the fast formulation of BSQ against plain autograd.
#
# In float64 nothing lies so near to a rounding threshold that the two would fall on different sides. torch.compile and CUDA graphs
# need a GPU and are not tested here; they run the very functions that are.
import torch

import pytorch_bsq as peer
import pytorch_gpu as gpu

CPU = torch.device("cpu")
TOLERANCE = 1e-11
BATCH = 8


class Results:
    def __init__(self):
        self.failures = 0

    def equal(self, what, value, expected, tolerance=TOLERANCE):
        difference = peer.relative_difference(value, expected)
        self.check(f"{what}: {difference:.1e} (tolerance {tolerance:.0e})", difference <= tolerance)

    def check(self, what, holds):
        self.failures += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {what}")


def make_images():
    return gpu.Images(3 * BATCH, BATCH, CPU, dtype=torch.float64)


def make_pair(args, mode):
    """A plain trainer and a fast one from the same start; planes are moved off 0 and 1, so that every term of a step shows."""
    torch.manual_seed(1)
    plain = gpu.PublishedTrainer(args, mode, make_images(), "fp32", CPU, compiled=False)
    plain.model.double()
    torch.manual_seed(1)
    fast = gpu.FastTrainer(args, mode, make_images(), "fp32", CPU, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for index, tensor in enumerate(plain.tensors):
            tensor.coefficients.copy_(fast.arena.constants[0])  # these were rounded to float32
            for sign, values in enumerate((tensor.p, tensor.n)):
                noise = 0.4 * torch.randn(values.shape, generator=generator, dtype=values.dtype)
                values.copy_((values + noise).clamp(0, 2))
                for bit in range(args.bits):
                    fast.arena.view(fast.arena.planes[sign, bit], index).copy_(values[..., bit])
    return plain, fast


def planes_of(arena, values, index):
    """values [2, bits, chunks, CHUNK] -> those of one tensor as the plain form has them: p, n [..., bits]."""
    return [torch.stack([arena.view(plane, index) for plane in sign], dim=-1) for sign in values]


def check_images(results):
    images = make_images()
    batch = torch.arange(5)
    top, left, flip = torch.tensor([0, 8, 4, 3, 7]), torch.tensor([8, 0, 4, 6, 1]), torch.tensor([0, 1, 0, 1, 1]).bool()
    found = gpu.crop_flip(images.padded, batch, top, left, flip, images.mean, images.std)
    for i in range(5):
        crop = images.padded[i, top[i]:top[i] + 32, left[i]:left[i] + 32].double() / 255
        expected = (crop.flip(1) if flip[i] else crop).permute(2, 0, 1)
        expected = (expected - images.mean[:, None, None]) / images.std[:, None, None]
        results.equal(f"image {i}, cropped at {top[i].item()}, {left[i].item()}, flipped: {flip[i].item()}", found[i], expected)
    seen = [images.next() for _ in range(4)]
    results.check("three batches are an epoch, the fourth one begins the next",
                  torch.equal(seen[0][1], seen[3][1]) and not torch.equal(seen[0][1], seen[1][1]))
    results.check("two passes over the same images differ by their draws", not torch.equal(seen[0][0], seen[3][0]))


def check_weights(results, args):
    plain, fast = make_pair(args, "bsq")
    penalty = fast.arena.materialize()
    for index, tensor in enumerate(plain.tensors):
        results.equal(f"effective weights of tensor {index}", fast.arena.parameters[index], tensor().detach())
    results.equal("penalty", penalty, peer.group_penalty(plain.tensors).detach())
    quantized = sum(tensor.numel() for tensor in plain.tensors)
    results.check(f"{quantized} weights have planes", quantized == sum(p.numel() for p in fast.arena.parameters))


def check_gradients(results, args):
    """After the first step the velocity is gradient + decay: that of every plane and scale against autograd's."""
    plain, fast = make_pair(args, "bsq")
    images, labels = make_images().next()
    before = fast.arena.planes.clone()
    scales_before = fast.arena.scales.clone()
    expected_loss = peer.train_step(plain.model, plain.tensors, plain.optimizer, images, labels, args.alpha)[0]
    loss = fast.train_on(images, labels)
    results.equal("loss with penalty", loss, expected_loss.detach())
    gradients = fast.arena.velocity - gpu.WEIGHT_DECAY * before
    for index, tensor in enumerate(plain.tensors):
        p, n = planes_of(fast.arena, gradients, index)
        results.equal(f"gradient of the planes p of tensor {index}", p, tensor.p.grad)
        results.equal(f"gradient of the planes n of tensor {index}", n, tensor.n.grad)
    # A convolution before a batch norm does not feel its scale: that gradient is rounding noise, compared as one vector with the others.
    expected = torch.cat([tensor.scale.grad for tensor in plain.tensors])
    results.equal("gradients of the scales", fast.arena.scale_velocity - gpu.WEIGHT_DECAY * scales_before, expected)


def compare_models(results, plain, fast, what, tolerance=TOLERANCE):
    for index, tensor in enumerate(plain.tensors):
        p, n = planes_of(fast.arena, fast.arena.planes, index)
        results.equal(f"{what}: planes of tensor {index}", torch.stack((p, n)), torch.stack((tensor.p, tensor.n)).detach(),
                      tolerance)
    if plain.tensors:
        results.equal(f"{what}: scales", fast.arena.scales, torch.cat([tensor.scale for tensor in plain.tensors]).detach(),
                      tolerance)
        # Behind the end of every tensor, the rest of its last chunk must still be zero.
        used = torch.zeros_like(fast.arena.weights)
        for index in range(len(plain.tensors)):
            fast.arena.view(used, index).fill_(1)
        results.check(f"{what}: padding is still zero", not (fast.arena.planes * (1 - used)).any())
    expected = plain.model.state_dict()
    quantized = set(gpu.quantizable(fast.model)) if plain.tensors else set()
    rest = {name: value for name, value in fast.model.state_dict().items() if name not in quantized}
    for name, value in rest.items():
        if value.dtype.is_floating_point:
            results.equal(f"{what}: {name}", value, expected[name], tolerance)
    results.check(f"{what}: {len(rest)} other tensors compared", len(rest) > 10)


def check_steps(results, args, mode, steps=3):
    plain, fast = make_pair(args, mode)
    images = make_images()
    for _ in range(steps):
        batch = images.next()
        peer.train_step(plain.model, plain.tensors, plain.optimizer, *batch, args.alpha)
        fast.train_on(*batch)
    compare_models(results, plain, fast, f"{mode}, {steps} steps")


def check_that_it_can_fail(results, args):
    """A step with 1 % more penalty must show, or the comparisons above say nothing."""
    plain, fast = make_pair(args, "bsq")
    fast.arena.alpha *= 1.01
    images, labels = make_images().next()
    peer.train_step(plain.model, plain.tensors, plain.optimizer, images, labels, args.alpha)
    fast.train_on(images, labels)
    p, n = planes_of(fast.arena, fast.arena.planes, 1)
    difference = peer.relative_difference(torch.stack((p, n)), torch.stack((plain.tensors[1].p, plain.tensors[1].n)).detach())
    results.check(f"1 % more penalty shows: {difference:.1e}", difference > 100 * TOLERANCE)


def run(args):
    torch.set_num_threads(1)
    results = Results()
    check_images(results)
    check_weights(results, args)
    check_gradients(results, args)
    for mode in ("bsq", "float"):
        check_steps(results, args, mode)
    check_that_it_can_fail(results, args)
    print(f"{results.failures} failures" if results.failures else "all equal")
    return 7 if results.failures else 0
