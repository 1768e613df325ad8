# Both scripts against PyTorch itself: the published layout, round trips bit for bit, and the same logits. Needs torch.
from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from collections import OrderedDict
from pathlib import Path

import fixtures

try:
    import torch
    from torch.nn import functional as F
except ImportError:
    torch = None

CLASSES = 4
PUBLISHED = Path(os.environ.get("BSQ_PUBLISHED_DIR", fixtures.SOURCE.parent / "shared/data")) / \
    "resnet20-cifar10-fp32.safetensors"


def state_dict() -> OrderedDict:
    """resnet8 as tensors, with a stem strong enough for every layer to matter."""
    kinds = {"Float": "f", "Long": "q"}
    state = OrderedDict()
    for name, array in fixtures.resnet8(classes=CLASSES).items():
        values = struct.unpack(f"<{array.numel()}{kinds[array.kind]}", array.data)
        state[name] = torch.tensor(values, dtype=torch.int64 if array.kind ==
                                   "Long" else torch.float32).reshape(array.shape)
    return state


def published(state: OrderedDict, planes: bool) -> dict:
    """What the published BSQ scripts save after training (planes) or within finetuning: 2..5 bits, planes in [0, 2]."""
    torch.manual_seed(5)
    result = OrderedDict((name, tensor) for name, tensor in state.items() if name not in fixtures.QUANTIZED)
    table: dict = {}
    for index, name in enumerate(fixtures.QUANTIZED):
        layer, _, leaf = name.rpartition(".")
        bits = 2 + index % 4
        table.setdefault(layer, [0, 0])[leaf == "bias"] = bits
        shape = state[name].shape
        if planes:
            result[f"{layer}.p{leaf}"], result[f"{layer}.n{leaf}"] = (
                2 * torch.rand(*shape, bits) ** 2 for _ in range(2))
        else:
            result[name] = 2 * torch.rand(shape) - 1
        result[f"{layer}.{'biasscale' if leaf == 'bias' else 'scale'}"] = torch.tensor(0.25 + index / 8)
    parameters = [torch.nn.Parameter(tensor.clone()) for tensor in result.values() if tensor.dtype == torch.float32]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-4)
    sum((parameter ** 2).sum() for parameter in parameters).backward()
    optimizer.step()
    named = OrderedDict((f"module.{name}", tensor) for name, tensor in result.items())
    return {"Nbit_dict": table, "epoch": 350, "state_dict": named, "acc": 91.25, "best_acc": 91.5,
            "optimizer": optimizer.state_dict()}


# ---- a forward pass that shares nothing with the scripts -------------------------------------------------------------
def effective(state: dict, name: str, bits: int):
    """kernels/METHOD.md 1, and 5 for finetuning's weights, in float64 up to the rounding to a level."""
    layer, _, leaf = name.rpartition(".")
    scale = state[f"{layer}.{'biasscale' if leaf == 'bias' else 'scale'}"]
    if bits == 0:
        return torch.zeros_like(state[name])
    levels = 2**bits - 1
    if name in state:
        u = state[name].double()
    else:
        coefficients = 2.0 ** torch.arange(bits - 1, -1, -1, dtype=torch.float64) / levels
        u = (state[f"{layer}.p{leaf}"].double() - state[f"{layer}.n{leaf}"].double()) @ coefficients
    return scale * (u.clamp(-1, 1) * levels).round().float() / levels


def effective_state(saved: dict) -> tuple[dict, dict]:
    """The state_dict without module., and the effective weights."""
    state = {name.removeprefix("module."): tensor for name, tensor in saved["state_dict"].items()}
    weights = {}
    for name in fixtures.QUANTIZED:
        layer, _, leaf = name.rpartition(".")
        weights[name] = effective(state, name, saved["Nbit_dict"][layer][leaf == "bias"])
    return state, weights


def forward(state: dict, weights: dict, x):
    def norm(x, name):
        return F.batch_norm(x, *(state[f"{name}.{field}"]
                            for field in ("running_mean", "running_var", "weight", "bias")))

    x = F.relu(norm(F.conv2d(x, weights["conv1.weight"], padding=1), "bn1"))
    for group in (1, 2, 3):
        name, stride = f"layer{group}.0", 1 if group == 1 else 2
        y = F.relu6(norm(F.conv2d(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1), f"{name}.bn1"))
        y = norm(F.conv2d(y, weights[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
        if group > 1:
            x = norm(F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride), f"{name}.downsample.1")
        x = F.relu6(y + x)
    return F.linear(x.mean((2, 3)), weights["fc.weight"], weights["fc.bias"])


def write_png(path: Path, pixels) -> None:
    """uint8 [height, width, 3]"""
    height, width, _ = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(row.flatten().tolist()) for row in pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class TorchTest(fixtures.ScriptTest):
    def save(self, name: str, saved: object, zipped: bool = True) -> Path:
        path = self.folder / name
        torch.save(saved, path, _use_new_zipfile_serialization=zipped)
        return path

    def check_same_state(self, found: dict, expected: dict) -> None:
        self.assertEqual(set(found), set(expected))
        for name, tensor in expected.items():
            self.assertEqual((found[name].dtype, found[name].shape), (tensor.dtype, tensor.shape), name)
            self.assertTrue(torch.equal(found[name], tensor), name)

    def losses_of_bsq(self, model: Path, pixels, activation: str = "relu6") -> list:
        """log softmax of the logits that bsq computes of one image: what its mean loss becomes as the image is put
        under one class more often than under the others."""
        data, losses = self.folder / "data", []
        for favourite in (None, *range(CLASSES)):
            for split in ("train", "test"):
                for label in range(CLASSES):
                    for copy in range(1 + 3 * (label == favourite)):
                        write_png(data / f"{favourite}" / split / f"class{label}" / f"{copy}.png", pixels)
            outcome = self.must("bsq", "eval", model, "--json", "data.kind=image_folder", "quant.act_bits=0",
                                f"data.root={data}/{favourite}", f"quant.activation={activation}", "device=cpu",
                                "threads=1")
            losses.append(json.loads(outcome.out)["loss"])
        return [(CLASSES * losses[0] - (CLASSES + 3) * loss) / 3 for loss in losses[1:]]


class RoundTrips(TorchTest):
    def test_published_to_bsq_and_back(self):
        for planes in (True, False):
            for zipped in (False, True):
                with self.subTest(planes=planes, zipped=zipped):
                    saved = published(state_dict(), planes)
                    saved["state_dict"]["module.layer1.0.relu1.alpha"] = torch.tensor(9.5)  # of PACT
                    middle = self.folder / "m.safetensors"
                    self.must("from_torch.py", self.save("in.pth.tar", saved, zipped), middle, "--force")
                    self.must("to_torch.py", middle, self.folder / "out.pth.tar", "--force")
                    back = torch.load(self.folder / "out.pth.tar")
                    self.check_same_state(back["state_dict"], saved["state_dict"])
                    for key in ("Nbit_dict", "epoch", "acc", "best_acc"):
                        self.assertEqual(back[key], saved[key])

    def test_bsq_to_torch_and_back_is_the_same_file(self):
        for form, state, around in (("float", state_dict(), None), ("planes", * \
                                    self.split(True)), ("fixed", *self.split(False))):
            with self.subTest(form=form):
                first, second = self.folder / f"{form}1.safetensors", self.folder / f"{form}2.safetensors"
                saved = state if around is None else around | {"state_dict": state}
                self.must("from_torch.py", self.save("in.pth", saved), first)
                if form != "fixed":  # as the engine writes it, with all its metadata
                    self.must("bsq", "convert", first, self.folder / f"{form}.safetensors", "--to", form, *(
                        ("--bits", "3") if form == "planes" else ()))
                    first = self.folder / f"{form}.safetensors"
                self.must("to_torch.py", first, self.folder / "t.pth", "--force")
                self.must("from_torch.py", self.folder / "t.pth", second)
                self.assertEqual(first.read_bytes(), second.read_bytes())

    @staticmethod
    def split(planes: bool) -> tuple:
        saved = published(state_dict(), planes)
        return saved.pop("state_dict"), saved

    def test_calibrated_activation_scales_survive_beside_what_the_published_code_loads(self):
        state, saved = self.split(True)
        scales = {"layer1.0.relu1.act_scale": torch.tensor([2.5]), "layer3.0.relu2.act_scale": torch.tensor([-1.0]),
                  "bn1.range": torch.tensor([0.0, 3.5]), "layer1.0.bn2.term.range": torch.tensor([-1.5, 2.0])}
        first, second = self.folder / "1.safetensors", self.folder / "2.safetensors"
        self.must("from_torch.py", self.save("in.pth", saved | {"state_dict": state, "bsq_tensors": scales}), first)
        self.assertLess(set(scales), set(fixtures.read_safetensors(first)[0]))
        self.must("to_torch.py", first, self.folder / "t.pth")
        self.assertEqual(set(torch.load(self.folder / "t.pth")["state_dict"]), set(state))
        self.must("from_torch.py", self.folder / "t.pth", second)
        self.assertEqual(first.read_bytes(), second.read_bytes())
        self.must("to_torch.py", first, self.folder / "plain.pth", "--plain")
        self.assertEqual(set(torch.load(self.folder / "plain.pth")), set(state_dict()))

    def test_plain_is_what_the_program_writes_as_float(self):
        for planes in (True, False):
            model, plain, own = (self.folder / f"{planes}.{end}" for end in ("safetensors", "pth", "float.safetensors"))
            saved = published(state_dict(), planes)
            saved["Nbit_dict"]["layer2.0.conv2"][0] *= planes  # finetuning may have pruned a layer
            self.must("from_torch.py", self.save("in.pth", saved), model)
            self.must("to_torch.py", model, plain, "--plain")
            self.must("bsq", "convert", model, own, "--to", "float")
            tensors, _ = fixtures.read_safetensors(own)
            state = torch.load(plain)
            self.assertEqual(set(state), set(tensors))
            self.assertEqual(set(state), set(state_dict()))
            for name, (_, shape, data) in tensors.items():
                self.assertEqual((tuple(state[name].shape), state[name].numpy().tobytes()), (shape, data), name)

    def test_weights_of_lsq_become_their_effective_values(self):
        config = self.folder / "lsq.yaml"
        config.write_text("name: lsq\nthreads: 1\nmodel: {depth: 8, width: 4}\nstages: [pretrain, lsq]\n"
                          "data: {kind: synthetic, synthetic_train: 32, synthetic_test: 8, batch_size: 16}\n"
                          "pretrain: {epochs: 1, milestones: []}\nlsq: {epochs: 1, range: asymmetric, steps: channel}\n"
                          "quant: {weight_bits: 1}\n")
        self.must("bsq", "train", config, "--run-dir", self.folder / "run", "-q")
        model, plain = self.folder / "run/checkpoints/lsq/model.safetensors", self.folder / "plain.pth"
        own = self.folder / "own.safetensors"
        self.must("to_torch.py", model, plain, "--plain")
        self.must("bsq", "convert", model, own, "--to", "float")
        tensors, _ = fixtures.read_safetensors(own)
        state = torch.load(plain)
        self.assertEqual(set(state), set(tensors))
        for name, (_, shape, data) in tensors.items():
            self.assertEqual((tuple(state[name].shape), state[name].numpy().tobytes()), (shape, data), name)
        self.assertEqual(max(len(set(tensor.flatten().tolist())) for name, tensor in state.items()
                             if "conv" in name), 4)
        outcome = fixtures.run("to_torch.py", model, self.folder / "refused.pth")
        self.assertEqual(outcome.exit_code, 4, outcome.err)
        self.assertIn("has weights of LSQ, which the published code does not know", outcome.err)

    def test_a_damaged_model_of_bsq_is_refused(self):
        good = self.folder / "good.safetensors"
        self.must("from_torch.py", self.save("in.pth", state_dict()), good)
        content = good.read_bytes()
        bad = self.folder / "bad.safetensors"
        for change, part in ((content[:-4], "truncated or corrupt"),
                             (content[:100], "not a safetensors file or truncated"),
                             (b"", "not a safetensors file or truncated"), (b"\xff" * \
                              64, "not a safetensors file or truncated"),
                             (content + b"\0" * 4, "belong to none"),
                             (content.replace(b'"F32"', b'"F16"', 1), "dtype F16"),
                             (content.replace(b"fc.bias", b"fc.bi_s"), "missing: fc.bias; unexpected: fc.bi_s"),
                             (content.replace(b'"bn1.bias"', b'"fc.weight"'.ljust(10)[:10], 1), "error: "),
                             (content.replace(b'"shape":[', b'"shape":{', 1), "is not JSON")):
            bad.write_bytes(change)
            outcome = fixtures.run("to_torch.py", bad, self.folder / "refused.pth")
            self.assertEqual(outcome.exit_code, 4, outcome.err)
            self.assertTrue(outcome.err.startswith(f"error: {bad}: ") and part in outcome.err, outcome.err)
        self.assertEqual([path for path in self.folder.iterdir() if "refused" in path.name], [])


class Logits(TorchTest):
    def check_logits(self, saved: dict, state: dict, weights: dict) -> None:
        model = self.folder / "m.safetensors"
        self.must("from_torch.py", self.save("in.pth.tar", saved, zipped=False), model)
        torch.manual_seed(3)
        pixels = torch.randint(0, 256, (16, 16, 3), dtype=torch.uint8)
        mean, std = torch.tensor((0.4914, 0.4822, 0.4465)), torch.tensor((0.2023, 0.1994, 0.2010))
        image = ((pixels / 255 - mean) / std).permute(2, 0, 1)[None]
        expected = F.log_softmax(forward(state, weights, image), dim=1)[0]
        self.assertGreater(float(expected.max() - expected.min()), 0.1)  # the network has an opinion
        for found, wanted in zip(self.losses_of_bsq(model, pixels), expected.tolist()):
            self.assertAlmostEqual(found, wanted, delta=2e-5 * max(1.0, abs(wanted)))

    def test_bit_planes_of_the_published_code(self):
        saved = published(state_dict(), planes=True)
        self.check_logits(saved, *effective_state(saved))

    def test_weights_of_finetuning(self):
        saved = published(state_dict(), planes=False)
        saved["Nbit_dict"]["layer1.0.conv2"][0] = 0
        self.check_logits(saved, *effective_state(saved))

    def test_float_weights(self):
        state = state_dict()
        self.check_logits({"net": state, "acc": 90.0, "epoch": 3}, state, {
                          name: state[name] for name in fixtures.QUANTIZED})


class PublishedFile(TorchTest):
    def test_the_published_float_checkpoint(self):
        source = PUBLISHED.with_suffix(".pth.tar")
        self.must("from_torch.py", source, self.folder / "m.safetensors")
        tensors, metadata = fixtures.read_safetensors(self.folder / "m.safetensors")
        expected, _ = fixtures.read_safetensors(PUBLISHED)
        self.assertEqual({name: tensor for name, tensor in tensors.items() if "num_batches" not in name}, expected)
        self.assertEqual((metadata["best_acc"], metadata["form"]), ("92.55", "float"))
        self.must("to_torch.py", self.folder / "m.safetensors", self.folder / "back.pth.tar")
        self.check_same_state(torch.load(self.folder / "back.pth.tar")["state_dict"],
                              torch.load(source, map_location="cpu")["state_dict"])


if __name__ == "__main__":
    if torch is None:
        fixtures.skip("this Python has no torch (Debian: python3-torch)")
    if "PublishedFile" in sys.argv and not (PUBLISHED.exists() and PUBLISHED.with_suffix(".pth.tar").exists()):
        fixtures.skip(f"{PUBLISHED} and the .pth.tar of that name are not here (BSQ_PUBLISHED_DIR)")
    torch.set_num_threads(1)
    fixtures.main()
