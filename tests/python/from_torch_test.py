# tools/torch/from_torch.py on files written by hand, without torch: every container and form, names, options.
from __future__ import annotations

import json
import struct

import fixtures
from fixtures import Array, Call, Global, floats, quantized, read_safetensors, resnet8, run, saved_file, with_module


class FromTorch(fixtures.ScriptTest):
    def convert(self, content: bytes):
        """(tensors, metadata, what was said)"""
        source, target = self.put("in.pth.tar", content), self.folder / "out.safetensors"
        outcome = self.must("from_torch.py", source, target, "--force")
        self.assertEqual(outcome.out, "")
        return *read_safetensors(target), outcome.err

    def check_same(self, tensors: dict, state: dict) -> None:
        self.assertEqual(set(tensors), set(state))
        for name, array in state.items():
            dtype = "I64" if array.kind == "Long" else "F32"
            self.assertEqual(tensors[name], (dtype, array.shape, array.data), name)

    def test_every_container_gives_the_same_file(self):
        state = resnet8()
        for zipped in (False, True):
            for around in (None, {"epoch": 343, "acc": 92.55, "best_acc": 92.55, "optimizer": {"state": {3: 1}}}):
                with self.subTest(zipped=zipped, bare=around is None):
                    tensors, metadata, _ = self.convert(saved_file(with_module(state), zipped, around))
                    self.check_same(tensors, state)
                    kept = {"epoch": "343", "acc": "92.55", "best_acc": "92.55"} if around else {}
                    self.assertEqual(metadata, {"format": "pt", "form": "float"} | kept)

    def test_the_program_takes_what_is_written(self):
        state = resnet8()
        planes, table = quantized(state, planes=True)
        fixed, _ = quantized(state, planes=False)
        for form, content in (("float", saved_file(state, True)),
                              ("planes", saved_file(with_module(planes), False, {"Nbit_dict": table})),
                              ("fixed", saved_file(with_module(fixed), True, {"Nbit_dict": table}))):
            with self.subTest(form=form):
                self.convert(content)
                outcome = self.must("bsq", "convert", self.folder / "out.safetensors", self.folder / "f.safetensors",
                                    "--to", "float", "--force")
                self.assertIn(f"{form} -> float", outcome.err)

    def test_bit_planes_keep_names_values_and_bits(self):
        planes, table = quantized(resnet8(), planes=True)
        for around in ({"Nbit_dict": table}, {}):
            tensors, metadata, _ = self.convert(saved_file(with_module(planes), False, around))
            self.check_same(tensors, {name: Array((1,), a.data) if name.endswith("scale") else a
                                      for name, a in planes.items()})
            self.assertEqual(metadata["form"], "planes")
            self.assertEqual(metadata["scheme"], '{"conv1":[1,0],"layer1.0.conv1":[2,0],"layer1.0.conv2":[3,0],'
                             '"layer2.0.conv1":[4,0],"layer2.0.conv2":[1,0],"layer3.0.conv1":[2,0],'
                             '"layer3.0.conv2":[3,0],"fc":[4,1]}')

    def test_weights_of_finetuning_become_fixed_point_weights(self):
        fixed, table = quantized(resnet8(), planes=False)
        table["layer1.0.conv1"] = [0, 0]  # pruned
        tensors, metadata, _ = self.convert(saved_file(with_module(fixed), False, {"Nbit_dict": table}))
        renamed = {}
        for name, array in fixed.items():
            layer, _, leaf = name.rpartition(".")
            renamed[f"{layer}.u{leaf}" if name in fixtures.QUANTIZED else name] = \
                Array((1,), array.data) if name.endswith("scale") else array
        self.check_same(tensors, renamed)
        self.assertEqual(metadata["form"], "fixed")
        self.assertIn('"layer1.0.conv1":[0,0]', metadata["scheme"])

    def test_other_spellings_are_renamed_and_said(self):
        state = resnet8()
        foreign = {name.replace("downsample", "shortcut").replace("fc.", "linear."): a for name, a in state.items()}
        tensors, _, said = self.convert(saved_file(with_module(foreign), True))
        self.check_same(tensors, state)
        self.assertIn(f"renamed: module.* -> * ({len(state)} tensors)\n", said)
        self.assertIn("layer2.0.shortcut.0.weight -> layer2.0.downsample.0.weight", said)
        self.assertIn("linear.bias -> fc.bias\n", said)

    def test_ceilings_of_pact_become_lists_of_one(self):
        state = resnet8() | {"layer1.0.relu1.alpha": floats((), [9.5])}
        tensors, _, _ = self.convert(saved_file(state, False))
        self.assertEqual(tensors["layer1.0.relu1.alpha"], ("F32", (1,), struct.pack("<f", 9.5)))

    def test_counters_may_be_missing(self):
        state = {name: array for name, array in resnet8().items() if not name.endswith("num_batches_tracked")}
        tensors, _, _ = self.convert(saved_file(state, False))
        self.check_same(tensors, state)

    def test_other_float_types_become_float32(self):
        state = resnet8()
        values = [1.5, -0.25]
        for kind, data, said in (("Half", struct.pack("<2e", *values), ""),
                                 ("Double", struct.pack("<2d", *values), "rounded"),
                                 ("BFloat16", b"".join(struct.pack("<f", v)[2:] for v in values), "")):
            with self.subTest(kind=kind):
                tensors, _, err = self.convert(saved_file(state | {"bn1.weight": Array((2,), data, kind)}, True))
                self.assertEqual(tensors["bn1.weight"], ("F32", (2,), struct.pack("<2f", *values)))
                self.assertEqual("bn1.weight: Double rounded to float32\n" in err, said == "rounded")

    def test_views_are_read_through_offset_and_stride(self):
        state = resnet8()
        keys = {name: str(i) for i, name in enumerate(state)}
        storages = list(state.values())
        storages[int(keys["fc.weight"])] = floats((25,), list(range(25)))
        calls = {name: fixtures.tensor(array, keys[name], False) for name, array in state.items()}
        calls["fc.weight"] = fixtures.tensor(state["fc.weight"], keys["fc.weight"],
                                             False, numel=25, offset=1, stride=(1, 3))
        tensors, _, _ = self.convert(fixtures.legacy(fixtures.ordered(calls), storages))
        transposed = [1 + row + 3 * column for row in range(3) for column in range(8)]
        self.assertEqual(tensors["fc.weight"], ("F32", (3, 8), struct.pack("<24f", *transposed)))

    def test_parameters_are_tensors(self):
        state = resnet8()
        calls = {name: fixtures.tensor(array, str(i), True) for i, (name, array) in enumerate(state.items())}
        parameter = Global("torch._utils._rebuild_parameter")
        hooks = Call(Global("collections.OrderedDict"), ())
        calls = {name: Call(parameter, (call, True, hooks)) for name, call in calls.items()}
        tensors, _, _ = self.convert(fixtures.zip_file(fixtures.ordered(calls), list(state.values())))
        self.check_same(tensors, state)

    def test_quantized_shortcuts_become_effective_weights(self):
        planes, table = quantized(resnet8(), planes=True)
        name = "layer2.0.downsample.0"
        del planes[f"{name}.weight"]
        numel = planes["layer2.0.downsample.1.weight"].numel() * 2
        planes |= {f"{name}.pweight": floats((4, 2, 1, 1, 2), [1, 0] * numel), f"{name}.scale": floats((), [1.5]),
                   f"{name}.nweight": floats((4, 2, 1, 1, 2), [0, 0.75] * numel)}
        tensors, _, said = self.convert(saved_file(with_module(planes), False, {"Nbit_dict": table | {name: [2, 0]}}))
        # u = 2/3 - 0.75/3 = 0.4166; 3 u = 1.25 rounds to 1; W = 1.5 * 1/3
        self.assertEqual(tensors[f"{name}.weight"], ("F32", (4, 2, 1, 1), struct.pack("<f", 0.5) * numel))
        self.assertIn(f"{name}: bit planes -> float effective weights; bsq quantizes no shortcuts\n", said)


# A network of no family, as a file: a bias, groups, a ceiling.
OWN_NETWORK = """
image: [8, 8, 3]
nodes:
  - {name: linear, layer: conv2d, out: 4, quantized: true}
  - {name: shortcut.1, layer: batch_norm}
  - {name: relu, layer: activation, quantized: true}
  - {name: deep, layer: conv2d, out: 6, groups: 2, kernel: 1, bias: true, quantized: true}
  - {name: last, layer: activation}
  - {name: flat, layer: flatten}
  - {name: fc, layer: linear, out: 3, quantized: true}
"""


def own_state() -> dict:
    shapes = {"linear.weight": (4, 3, 3, 3), **{f"shortcut.1.{name}": (4,) for name in (
        "weight", "bias", "running_mean", "running_var")}, "deep.weight": (6, 2, 1, 1), "deep.bias": (6,),
        "fc.weight": (3, 384), "fc.bias": (3,)}
    return {name: floats(shape, [(i % 7) / 7 for i in range(Array(shape, b"").numel())])
            for name, shape in shapes.items()}


class OwnNetworks(fixtures.ScriptTest):
    def setUp(self) -> None:
        super().setUp()
        self.network = self.put("net.yaml", OWN_NETWORK.encode())
        self.target = self.folder / "out.safetensors"

    def convert(self, state: dict, *words: object, around: dict | None = None):
        source = self.put("in.pth", saved_file(state, True, around))
        self.must("from_torch.py", source, self.target, "--force", "--config", self.network, *words)
        return read_safetensors(self.target)

    def test_names_stay_those_of_the_network(self):
        state = own_state()
        tensors, metadata = self.convert(with_module(state))  # linear and shortcut are names of their own here
        self.assertEqual(set(tensors), set(state))
        self.assertEqual([node["name"] for node in json.loads(metadata["network"])["nodes"]],
                         ["linear", "shortcut.1", "deep", "last", "flat", "fc"])
        self.must("bsq", "convert", self.target, self.folder / "p.safetensors", "--to", "planes")

    def test_planes_have_the_bits_of_weights_and_biases(self):
        state = own_state()
        for name in ("linear.weight", "deep.weight", "deep.bias", "fc.weight", "fc.bias"):
            layer, _, leaf = name.rpartition(".")
            array = state.pop(name)
            for sign in "pn":
                state[f"{layer}.{sign}{leaf}"] = floats((*array.shape, 2), [0.5] * array.numel() * 2)
            state[f"{layer}.{'biasscale' if leaf == 'bias' else 'scale'}"] = floats((), [1.0])
        tensors, metadata = self.convert(state | {"relu.alpha": floats((), [6.0])})
        self.assertEqual(metadata["scheme"], '{"linear":[2,0],"deep":[2,2],"fc":[2,2]}')
        self.assertEqual(tensors["relu.alpha"][1], (1,))

    def test_a_step_and_an_offset_of_signed_numbers_are_those_of_a_quantize(self):
        nodes = OWN_NETWORK.replace("  - {name: relu,", "  - {name: q, layer: quantize}\n  - {name: relu,")
        self.network = self.put("signed.yaml", nodes.encode())
        learned = {"q.step": floats((1,), [0.25]), "q.offset": floats((1,), [-1.5])}
        tensors, metadata = self.convert(own_state() | learned)
        self.assertIn("quantize", [node["layer"] for node in json.loads(metadata["network"])["nodes"]])
        self.assertEqual(tensors["q.offset"], ("F32", (1,), struct.pack("<f", -1.5)))
        self.must("bsq", "inspect", self.target)
        self.assertEqual(set(self.convert(own_state())[0]), set(own_state()))  # a file may lack them

    def test_what_does_not_fit_the_network_is_said(self):
        state = own_state()
        for change, part in (({"deep.bias": floats((4,), [0.0] * 4)}, "deep.bias is (4), expected (6)"),
                             ({"relu.alpha": floats((2,), [0.0] * 2)}, "relu.alpha is (2), expected one number"),
                             ({"more.weight": floats((1,), [0.0])}, "not those of net; unexpected: more.weight")):
            outcome = run("from_torch.py", self.put("in.pth", saved_file(state | change, True)), self.target, "--config",
                          self.network)
            self.assertEqual(outcome.exit_code, 4, outcome.err)
            self.assertIn(part, outcome.err)

    def test_a_configuration_says_its_network_and_a_network_file_is_written(self):
        config = self.put("c.yaml", b"data: {kind: synthetic}\nmodel: {depth: 8, width: 2}\n")
        source, net = self.put("in.pth", saved_file(resnet8(classes=10), True)), self.folder / "written.yaml"
        self.must("from_torch.py", source, self.target, "--config", config, "--network-file", net)
        self.assertEqual(json.loads(read_safetensors(self.target)[1]["network"])["name"], "resnet8")
        self.assertEqual(self.must("bsq", "inspect", "--network", self.target).out, net.read_text())
        outcome = run("from_torch.py", source, self.folder / "no.safetensors", "--config", self.folder / "gone.yaml")
        self.assertEqual(outcome.exit_code, 2, outcome.err)
        self.assertIn("gone.yaml", outcome.err)

    def test_a_network_that_is_damaged_is_said(self):
        for network, part in (("{", "cannot be read"), ('{"image": [8, 8, 3], "name": "n", "nodes": 3}', "cannot be read"),
                              ('{"image": [8, 8, 3], "name": "n", "nodes": [{"name": "a", "layer": "gelu"}]}',
                               "a layer 'gelu', which is not known here; known are conv2d"),
                              ('{"image": [8, 8, 3], "name": "n", "nodes": [{"name": "a", "layer": "conv2d", "out": -1}]}',
                               "cannot be read (ValueError('-1 is no size'))"),
                              ("[" * 100000, "cannot be read")):
            content = saved_file(own_state(), True, {"bsq_metadata": {"network": network}})
            self.check_refused(self.put("in.pth", content), "its network ", part)


class CommandLine(fixtures.ScriptTest):
    def test_an_existing_file_is_kept_unless_forced(self):
        source, target = self.put("in.pth", saved_file(resnet8(), True)), self.put("out.safetensors", b"mine")
        outcome = run("from_torch.py", source, target)
        self.assertEqual((outcome.exit_code, outcome.err), (2, f"error: {target} exists; use --force to replace it\n"))
        self.assertEqual(target.read_bytes(), b"mine")
        self.must("from_torch.py", source, target, "--force")
        self.assertEqual(len(read_safetensors(target)[0]), len(resnet8()))
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["in.pth", "out.safetensors"])

    def test_the_output_is_a_safetensors_file(self):
        outcome = run("from_torch.py", self.put("in.pth", b""), self.folder / "out.pth")
        self.assertEqual(outcome.exit_code, 2)
        self.assertIn("name the output *.safetensors", outcome.err)

    def test_a_missing_file_and_a_folder_are_errors(self):
        for source, part in ((self.folder / "none", "No such file or directory"),
                             (self.folder, "is not a regular file")):
            outcome = run("from_torch.py", source, self.folder / "o.safetensors")
            self.assertEqual(outcome.exit_code, 4)
            self.assertTrue(outcome.err.startswith(f"error: {source}: ") and part in outcome.err, outcome.err)

    def test_usage_errors_and_help(self):
        self.assertEqual(run("from_torch.py").exit_code, 2)
        for script in ("from_torch.py", "to_torch.py"):
            self.assertIn("exit codes: 0 done, 2 usage, 4", self.must(script, "--help").out)

    def test_to_torch_says_what_is_missing_where_there_is_no_torch(self):
        self.put("torch.py", b"raise ImportError('blocked')\n")
        outcome = run(
    "to_torch.py",
    "in.safetensors",
    self.folder / "out.pth",
    environment={
        "PYTHONPATH": str(
            self.folder)})
        self.assertEqual(outcome.exit_code, 2, outcome.err)
        self.assertIn("writing a PyTorch file needs torch", outcome.err)
        self.assertIn("(blocked); install it (pip install torch)", outcome.err)


if __name__ == "__main__":
    fixtures.main()
