# from_torch.py --network: modules of PyTorch become networks of bsq that compute the same logits. Needs torch, and for
# some classes torchvision.
from __future__ import annotations

import importlib.util
import json
import os
import sys
import unittest.mock
from pathlib import Path

import fixtures

try:
    import own_networks
    import torch
    import torch_test
    from torch.nn import functional as F
except ImportError:
    torch = None

TOLERANCE = 1e-4
Base = fixtures.ScriptTest if torch is None else torch_test.TorchTest


class ModuleTest(Base):
    def take_over(self, factory: str, *words: object, name: str = "m") -> tuple[Path, str]:
        """The model file, and what was said."""
        target = self.folder / f"{name}.safetensors"
        outcome = fixtures.run_here("--network", f"own_networks:{factory}", *words, target, "--force")
        self.assertEqual(outcome.exit_code, 0, outcome.err)
        return target, outcome.err

    def check_logits(self, model: Path, module) -> None:
        image = own_networks.IMAGE
        torch.manual_seed(3)
        pixels = torch.randint(0, 256, (image, image, 3), dtype=torch.uint8)
        mean, std = torch.tensor((0.4914, 0.4822, 0.4465)), torch.tensor((0.2023, 0.1994, 0.2010))
        with torch.no_grad():
            logits = module(((pixels / 255 - mean) / std).permute(2, 0, 1)[None])
        expected = F.log_softmax(logits, dim=1)[0]
        self.assertGreater(float(expected.max() - expected.min()), 0.01)  # the network has an opinion
        for found, wanted in zip(self.losses_of_bsq(model, pixels, "relu"), expected.tolist()):
            self.assertAlmostEqual(found, wanted, delta=TOLERANCE * max(1.0, abs(wanted)))

    def nodes(self, model: Path) -> dict:
        network = json.loads(fixtures.read_safetensors(model)[1]["network"])
        return {node["name"]: node for node in network["nodes"]}


class Modules(ModuleTest):
    def test_every_layer_and_function(self):
        model, said = self.take_over("everything")
        module = own_networks.everything()
        self.check_logits(model, module)
        self.assertIn("linear.bias: zeros, for the layer has no bias and bsq's has one\n", said)
        tensors, metadata = fixtures.read_safetensors(model)
        self.assertEqual(set(tensors), set(module.state_dict()) | {"linear.bias"})
        for name, tensor in module.state_dict().items():
            self.assertEqual(tensors[name][2], tensor.numpy().tobytes(), name)
        self.assertEqual({key: text for key, text in metadata.items() if key != "network"},
                         {"format": "pt", "form": "float", "num_classes": "4", "activation": "relu", "act_bits": "0"})

    def test_nodes_have_the_names_and_roles_of_their_modules(self):
        nodes = self.nodes(self.take_over("everything")[0])
        self.assertEqual(nodes["block.bn1"] | {"inputs": 0},
                         {"name": "block.bn1", "layer": "norm_act", "inputs": 0, "epsilon": 0.001, "momentum": 0.3,
                          "activation": "relu", "activation_name": "block.relu"})  # the first activation stays float
        self.assertEqual(nodes["block.bn2"]["inputs"], ["block.conv2", "block.shortcut.1"])
        self.assertTrue(nodes["block.bn2"]["quantized"])
        self.assertEqual(nodes["block.bn2"]["activation_name"], "block.relu_1")
        self.assertTrue(nodes["block.shortcut.0"]["projection"])
        self.assertNotIn("quantized", nodes["block.shortcut.0"])
        self.assertTrue(nodes["stem"]["quantized"])
        self.assertEqual((nodes["block.conv2"]["groups"], nodes["block.conv2"]["bias_quantized"]), (2, False))
        self.assertEqual(nodes["deep.0.out"]["layer"], "bias_act")

    def test_an_average_over_the_whole_image(self):
        for way in ("adaptive", "mean", "negative", "kept", "window", "twice"):
            with self.subTest(way=way):
                model, _ = self.take_over("pooled", "--network-args", json.dumps([way]), name=way)
                pools = [node for node in self.nodes(model).values() if node["layer"] == "average_pool"]
                self.assertEqual([len(set(pool) - {"name", "layer", "inputs"}) for pool in pools], [way == "twice"])
                if way in ("kept", "twice"):
                    self.check_logits(model, own_networks.pooled(way))

    def test_the_network_file_trains_from_the_model_file(self):
        net, model = self.folder / "net.yaml", self.folder / "m.safetensors"
        self.take_over("everything", "--network-file", net)
        self.assertIn("name: everything\n", net.read_text())
        self.assertEqual(self.must("bsq", "inspect", "--network", model).out, net.read_text())
        for split in ("train", "test"):
            for label in range(own_networks.CLASSES):
                pixels = torch.full((own_networks.IMAGE, own_networks.IMAGE, 3), 40 * label, dtype=torch.uint8)
                for copy in range(4):
                    torch_test.write_png(self.folder / "data" / split / f"class{label}" / f"{copy}.png", pixels)
        config = self.put("c.yaml", f"""
stages: [convert, bsq, finetune]
device: cpu
model: {{network: "{net}", init: "{model}"}}
data: {{kind: image_folder, root: "{self.folder}/data", batch_size: 8}}
quant: {{act_bits: 4}}
bsq: {{epochs: 1}}
finetune: {{epochs: 1}}
""".encode())
        self.must("bsq", "train", config, "--run-dir", self.folder / "run")
        self.assertIn('"loss"', self.must("bsq", "eval", self.folder / "run", "--json").out)

    def test_a_network_of_gray_images(self):
        model, _ = self.take_over("gray", "--image", f"{own_networks.IMAGE},{own_networks.IMAGE},1")
        network = json.loads(fixtures.read_safetensors(model)[1]["network"])
        self.assertEqual(network["image"], [own_networks.IMAGE, own_networks.IMAGE, 1])
        module, mean, std = own_networks.gray(), 0.4, 0.25
        shades = [40 * label for label in range(own_networks.CLASSES)]
        for label, shade in enumerate(shades):
            pixels = torch.full((own_networks.IMAGE, own_networks.IMAGE, 3), shade, dtype=torch.uint8)
            for split in ("train", "test"):
                torch_test.write_png(self.folder / "data" / split / f"class{label}" / "0.png", pixels)
        with torch.no_grad():
            images = torch.stack([torch.full((1, own_networks.IMAGE, own_networks.IMAGE), (shade / 255 - mean) / std)
                                  for shade in shades])
            expected = float(F.cross_entropy(module(images), torch.arange(own_networks.CLASSES)))
        words = ("eval", model, "data.kind=image_folder", f"data.root={self.folder}/data", "device=cpu", "--json")
        found = json.loads(self.must("bsq", *words, f"data.mean=[{mean}]", f"data.std=[{std}]", "data.channels=1").out)
        self.assertAlmostEqual(found["loss"], expected, delta=TOLERANCE * max(1.0, expected))

    def test_weights_of_a_checkpoint(self):
        module = own_networks.pooled("mean")
        torch.manual_seed(9)
        state = {name: torch.rand_like(tensor) if tensor.is_floating_point() else tensor
                 for name, tensor in module.state_dict().items() if not name.startswith("again")}
        source = self.save("in.pth", {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}})
        target = self.folder / "out.safetensors"
        outcome = fixtures.run_here("--network", "own_networks:pooled", "--network-args", '["mean"]', source, target)
        self.assertEqual(outcome.exit_code, 0, outcome.err)
        tensors, metadata = fixtures.read_safetensors(target)
        self.assertEqual(set(tensors), set(state))
        self.assertEqual(tensors["fc.weight"][2], state["fc.weight"].numpy().tobytes())
        self.assertEqual(metadata["activation"], "relu")
        # And back: the file says its network.
        self.must("to_torch.py", target, self.folder / "back.pth", "--plain")
        self.check_same_state(torch.load(self.folder / "back.pth"), state)

    def test_a_model_file_that_says_no_network(self):
        net, model = self.folder / "net.yaml", self.folder / "m.safetensors"
        self.take_over("pooled", "--network-args", '["kept"]', "--network-file", net)
        content = model.read_bytes()
        self.assertEqual(content.count(b'"network":'), 1)
        model.write_bytes(content.replace(b'"network":', b'"netwirk":'))
        outcome = fixtures.run("to_torch.py", model, self.folder / "t.pth")
        self.assertEqual(outcome.exit_code, 4, outcome.err)
        self.assertIn("say what it is: --config CFG.yaml", outcome.err)
        self.must("to_torch.py", model, self.folder / "t.pth", "--plain", "--config", net)
        expected = {name: tensor for name, tensor in own_networks.pooled("kept").state_dict().items()
                    if not name.startswith("again")}
        self.check_same_state(torch.load(self.folder / "t.pth"), expected)

    def test_planes_of_an_own_network_go_to_torch_and_back(self):
        model, _ = self.take_over("everything")
        self.must("bsq", "convert", model, self.folder / "planes.safetensors", "--to", "planes", "--bits", "4")
        self.must("to_torch.py", self.folder / "planes.safetensors", self.folder / "t.pth")
        saved = torch.load(self.folder / "t.pth")
        self.assertEqual(saved["Nbit_dict"]["block.conv1"], [4, 0])
        self.assertEqual(saved["Nbit_dict"]["head.2"], [4, 4])
        self.must("from_torch.py", self.folder / "t.pth", self.folder / "back.safetensors")
        self.assertEqual((self.folder / "back.safetensors").read_bytes(),
                         (self.folder / "planes.safetensors").read_bytes())
        self.must("to_torch.py", self.folder / "planes.safetensors", self.folder / "plain.pth", "--plain")
        own_networks.everything().load_state_dict(torch.load(self.folder / "plain.pth"), strict=False)


class Refusals(ModuleTest):
    def refuse(self, factory: str, arguments: object, *parts: str, words: tuple = ()) -> None:
        outcome = fixtures.run_here("--network", f"own_networks:{factory}", "--network-args", json.dumps(arguments),
                                    *words, self.folder / "refused.safetensors")
        self.assertEqual((outcome.exit_code, outcome.out), (2, ""), outcome.err)
        self.assertEqual(len(outcome.err.splitlines()), 1, outcome.err)
        for part in parts:
            self.assertIn(part, outcome.err)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_what_cannot_be_taken_over_is_named_with_what_would_help(self):
        for what, *parts in (
                ("rectangle", "node 'layer' (layer, Conv2d): kernel_size (1, 3): bsq has the same number for height"),
                ("dilation", "dilation: bsq's convolutions have none"),
                ("reflect", "padding_mode reflect: bsq pads with zeros"),
                ("sigmoid", "node 'layer' (layer, Sigmoid): bsq has no such layer; it has Conv2d, BatchNorm2d, Linear"),
                ("hardtanh", "hardtanh -1.0 .. 1.0: bsq has that of 0 .. 6, which is ReLU6"),
                ("affine", "leave affine and track_running_stats at True"),
                ("cumulative", "momentum None: bsq has no cumulative average; give a number"),
                ("overlap", "(layer, AvgPool2d): windows that overlap", "stride = kernel_size"),
                ("average_padding", "padding: bsq's average pools have none"),
                ("product", "node 'mul' (call function mul): bsq has no such operation; it has adaptive_avg_pool2d, add"),
                ("constant", "bsq adds two results of operations"),
                ("broadcast", "bsq adds tensors of one shape"),
                ("rows", "bsq joins images along their channels: dim=1"),
                ("branch", "torch.fx cannot follow its forward pass", "branches that depend on tensors"),
                ("shared", "is called twice; layers of bsq have weights of their own"),
                ("weights", "write nn.Conv2d, nn.Linear or nn.BatchNorm2d in the place of functions"),
                ("small", "it does not run on images of 32x32", "give --image H,W"),
                ("unread", "it returns several results; return the logits alone")):
            with self.subTest(what=what):
                self.refuse("odd", [what], *parts)

    def test_words_that_cannot_be_followed(self):
        self.refuse("gone", [], "--network own_networks:gone: AttributeError: module 'own_networks' has no attribute")
        self.refuse("no_module", [], "returns int, which is no torch.nn.Module")
        self.refuse("pooled", {"wy": "mean"}, "--network own_networks:pooled: TypeError: ")
        self.refuse("pooled", 3, "--network-args 3: give a map of arguments by name, or a list of them")
        self.refuse("pooled", ["mean"], "--image 32x32: give height and width, such as 224,224",
                    words=("--image", "32x32"))
        for words, part in ((("--network", "own_networks"), "give MODULE:FACTORY"),
                            (("--network", "a:b", "--network-args", "{"), "--network-args {: is no JSON"),
                            (("--network", "a:b", "--config", "c.yaml"), "--network and --config: give one of them")):
            outcome = fixtures.run_here(*words, self.folder / "o.safetensors")
            self.assertEqual(outcome.exit_code, 2, outcome.err)
            self.assertIn(part, outcome.err)

    def test_what_bsq_refuses_is_said_with_its_words(self):
        with unittest.mock.patch.dict(os.environ, {"BSQ_PROGRAM": "/bin/false"}):
            outcome = fixtures.run_here("--network", "own_networks:everything", self.folder / "o.safetensors")
        self.assertEqual(outcome.exit_code, 2)
        self.assertIn("bsq cannot run this network: exit code 1 of /bin/false", outcome.err)


class TorchvisionTest(ModuleTest):
    def check(self, name: str) -> dict:
        """The nodes of a network that computes the same logits."""
        model, _ = self.take_over("torchvision_network", "--network-args", json.dumps([name]))
        self.check_logits(model, own_networks.torchvision_network(name))
        return self.nodes(model)


class Torchvision(TorchvisionTest):
    def test_resnet18(self):
        nodes = self.check("resnet18")
        projections = [name for name, node in nodes.items() if node.get("projection")]
        self.assertEqual(projections, [f"layer{stage}.0.downsample.0" for stage in (2, 3, 4)])
        self.assertEqual(nodes["bn1"]["activation"], "relu")

    def test_mobilenet_v2(self):
        nodes = self.check("mobilenet_v2")
        self.assertFalse(any(node.get("projection") for node in nodes.values()))
        self.assertEqual(nodes["features.3.conv.3"]["inputs"], ["features.3.conv.2", "features.2.conv.3"])

    def test_squeezenet1_1(self):
        self.check("squeezenet1_1")


class TorchvisionConcat(TorchvisionTest):
    def test_googlenet(self):
        self.check("googlenet")

    def test_densenet121(self):
        nodes = self.check("densenet121")
        joined = [len(node["inputs"]) for node in nodes.values() if node["layer"] == "concat"]
        self.assertEqual(joined, [2] * 58)  # each goes on from the one before it

    def test_vgg11_bn(self):
        nodes = self.check("vgg11_bn")
        self.assertEqual(nodes["avgpool"]["out"], 7)


if __name__ == "__main__":
    if torch is None:
        fixtures.skip("this Python has no torch (Debian: python3-torch)")
    if any(word.startswith("Torchvision") for word in sys.argv) and importlib.util.find_spec("torchvision") is None:
        fixtures.skip("this Python has no torchvision")
    torch.set_num_threads(1)
    fixtures.main()
