# tools/torch/from_torch.py on what people's checkpoints have around and beside their weights: wrappers' names, several
# sets of weights, objects of any class, counters, and what a state_dict does not say. Without torch.
from __future__ import annotations

import os
import struct

import fixtures
from fixtures import Array, Call, Global, Persistent, Raw, floats, opcodes, read_safetensors, resnet8, saved_structure


def renamed(state: dict, front: str) -> dict:
    return {f"{front}{name}": array for name, array in state.items()}


def other_values(state: dict, factor: float = 0.5) -> dict:
    """The same tensors with other numbers, as an average has them."""
    def scaled(array: Array) -> Array:
        values = struct.unpack(f"<{array.numel()}f", array.data)
        return floats(array.shape, [factor * value for value in values])
    return {name: array if array.kind == "Long" else scaled(array) for name, array in state.items()}


class WeightsTest(fixtures.ScriptTest):
    def convert(self, structure: object, *words: object, zipped: bool = True):
        """(tensors, metadata, what was said)"""
        source = self.put("in.pt", saved_structure(structure, zipped))
        self.target = self.folder / "out.safetensors"
        outcome = fixtures.run_here(source, *words, self.target, "--force")
        self.assertEqual((outcome.exit_code, outcome.out), (0, ""), outcome.err)
        return *read_safetensors(self.target), outcome.err

    def check_same(self, tensors: dict, state: dict) -> None:
        self.assertEqual({name: data for name, (_, _, data) in tensors.items()},
                         {name: array.data for name, array in state.items()})

    def refuse(self, structure: object, *parts: str) -> None:
        for zipped in (True, False):
            self.check_refused(self.put("in.pt", saved_structure(structure, zipped)), *parts)


class Prefixes(WeightsTest):
    def test_what_wrappers_put_in_front_goes(self):
        state = resnet8()
        for front in ("module.", "_orig_mod.", "model.", "net.", "module._orig_mod.", "_orig_mod.module.",
                      "model._orig_mod.", "module.model.", "model.module._orig_mod.backbone.",
                      "_forward_module.model.", "_fsdp_wrapped_module."):
            for structure in (renamed(state, front), {"state_dict": renamed(state, front)}):
                with self.subTest(front=front):
                    tensors, _, said = self.convert(structure)
                    self.check_same(tensors, state)
                    self.assertIn(f": renamed: {front}* -> * ({len(state)} tensors)\n", said)

    def test_what_wrappers_put_in_between_goes(self):
        state = resnet8()
        wrapped = {name.replace("layer1.", "layer1._orig_mod.").replace("layer2.0.", "layer2.0.module."): array
                   for name, array in state.items()}
        tensors, _, said = self.convert(wrapped)
        self.check_same(tensors, state)
        self.assertIn("renamed: layer1._orig_mod.0.conv1.weight -> layer1.0.conv1.weight, ", said)

    def test_other_spellings_are_found_under_a_prefix(self):
        state = resnet8()
        foreign = {name.replace("downsample", "shortcut").replace("fc.", "linear."): a for name, a in state.items()}
        tensors, _, said = self.convert(renamed(foreign, "model."))
        self.check_same(tensors, state)
        self.assertIn("linear.weight -> fc.weight", said)

    def test_an_averaged_model_has_a_counter(self):
        state = resnet8()
        counter = {"n_averaged": Array((), struct.pack("<q", 5), "Long")}
        tensors, _, said = self.convert(counter | renamed(state, "module."))
        self.check_same(tensors, state)
        self.assertIn("left out, for the network has no such tensors: n_averaged\n", said)

    def test_what_lies_beside_a_prefix_is_left_out(self):
        state = resnet8()
        tensors, _, said = self.convert(renamed(state, "model.") | {"criterion.weight": floats((3,), [1.0] * 3)})
        self.check_same(tensors, state)
        self.assertIn("left out, nothing of it executed: criterion.weight\n", said)

    def test_a_network_may_have_layers_of_these_names(self):
        net = self.put("net.yaml", b"""
image: [8, 8, 3]
nodes:
  - {name: module.model, layer: conv2d, out: 2, quantized: true}
  - {name: flat, layer: flatten}
  - {name: model.fc, layer: linear, out: 3}
""")
        state = {"module.model.weight": floats((2, 3, 3, 3), [0.5] * 54), "model.fc.bias": floats((3,), [1, 2, 3]),
                 "model.fc.weight": floats((3, 128), [0.25] * 384)}
        for front in ("", "module.", "model."):
            tensors, _, _ = self.convert(renamed(state, front), "--config", net)
            self.check_same(tensors, state)

    def test_names_that_stay_unknown_are_shown_with_what_is_expected(self):
        self.refuse({"stages.0.weight": floats((1,), [1.0]), "head.weight": floats((1,), [1.0])},
                    "Its tensors are stages.0.weight, head.weight; ",
                    "expected are those of a CIFAR ResNet, such as conv1.weight")
        state = resnet8()
        state["layer1.0.se.weight"] = state["fc.bias"]
        self.refuse(state, "unexpected: layer1.0.se.weight")

    def test_extras_are_named_and_left_out(self):
        state = resnet8()
        one = floats((1,), [1.0])
        extras = {"mean": floats((1, 3, 1, 1), [0.5] * 3), "loss.weight": floats((3,), [1.0] * 3), "total_ops": one,
                  "ema_updates": Array((), bytes(8), "Long"), "fc.total_params": one, "_extra_state": None,
                  "layer1.0.mask": Array((2,), b"\1\0", "Bool")}
        tensors, _, said = self.convert(state | extras)
        self.check_same(tensors, state)
        self.assertIn(f"left out, for the network has no such tensors: {', '.join(extras)}\n", said)
        del state["fc.bias"]
        self.refuse(state | extras, "missing: fc.bias; unexpected: mean, loss.weight")


class Sets(WeightsTest):
    def test_two_sets_are_said_and_either_can_be_taken(self):
        state = resnet8()
        average = other_values(state)
        for first, second in (("state_dict", "state_dict_ema"), ("model", "model_ema"), ("net", "ema"),
                              ("model", "ema_state_dict"), ("model_state_dict", "averaged_model"),
                              ("weights", "swa_weights")):
            for structure in ({first: state, second: renamed(average, "module.")},
                              {second: renamed(average, "module."), first: state}):
                tensors, _, said = self.convert(structure)
                self.check_same(tensors, state)
                self.assertIn(f"has 2 sets of weights: {first} is taken, not {second}; --weights {second} takes the "
                              "other\n", said)
                tensors, _, said = self.convert(structure, "--weights", second)
                self.check_same(tensors, average)
                self.assertIn(f"{second} is taken, not {first}; --weights {first} takes the other\n", said)

    def test_sets_deeper_in_the_file_and_under_prefixes(self):
        state, average = resnet8(), other_values(resnet8())
        for structure, name in (({"model": state, "ema": {"module": average, "updates": 3}}, "ema.module"),
                                ({"state_dict": renamed(state, "net.") | renamed(average, "ema_net.")}, "ema_net"),
                                (renamed(state, "student.") | renamed(average, "teacher."), "teacher"),
                                (state | renamed(average, "ema."), "ema")):
            with self.subTest(name=name):
                tensors, _, said = self.convert(structure)
                self.check_same(tensors, state)
                self.assertIn("has 2 sets of weights", said)
                tensors, _, _ = self.convert(structure, "--weights", name)
                self.check_same(tensors, average)
        _, _, said = self.convert(structure, "--weights", "ema")
        self.assertIn("ema is taken, not its own; --weights '' takes the other\n", said)
        tensors, _, _ = self.convert(structure, "--weights", "")
        self.check_same(tensors, state)

    def test_an_average_of_parameters_has_the_statistics_of_the_model(self):
        state = resnet8()
        names = [name for name in state if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
        average = {name: other_values(state)[name] for name in names}
        for shadow, name in (({"shadow": average, "decay": 0.99}, "shadow"),
                             ({"shadow_params": list(average.values()), "num_updates": 3}, "ema.shadow_params")):
            tensors, _, said = self.convert({"model": renamed(state, "module."), "ema": shadow}, "--weights", name)
            self.check_same(tensors, state | average)
            self.assertIn(f"{'ema.' * (name == 'shadow')}{name} has no statistics of batch norms: those of model are "
                          "taken\n", said)

    def test_a_key_that_is_none_of_them(self):
        state = resnet8()
        source = self.put("in.pt", saved_structure({"model": state, "ema": state}))
        for key in ("mdl", ""):
            outcome = fixtures.run_here(source, self.folder / "o.safetensors", "--weights", key)
            self.assertEqual(outcome.exit_code, 2, outcome.err)
            self.assertIn(f"--weights {key}: is none of the weights in the file, which are model, ema\n", outcome.err)

    def test_what_an_optimizer_keeps_by_the_same_names_is_not_taken(self):
        momenta = {name: array for name, array in other_values(resnet8()).items() if not name.endswith("tracked")}
        tensors, _, said = self.convert({"momentum": momenta, "weights": resnet8()})
        self.check_same(tensors, resnet8())
        self.assertIn("weights is taken, not momentum", said)

    def test_a_single_average_is_said(self):
        tensors, _, said = self.convert({"ema_state_dict": resnet8(), "step": 3})
        self.check_same(tensors, resnet8())
        self.assertIn("takes the weights of ema_state_dict\n", said)


class Beside(WeightsTest):
    def test_objects_of_any_class_are_named_and_left_out(self):
        state = resnet8()
        namespace = Raw(opcodes(Global("argparse.Namespace")) + b")\x81" + opcodes({"lr": 0.1}) + b"b")
        keyed = b"}(" + opcodes((1, 2)) + b"NNNG" + struct.pack(">d", 1.5) + b"N" + opcodes(10**30) + b"Nu"
        beside = {"args": namespace, "date": Call(Global("datetime.datetime"), ("\7\xe8",)),
                  "path": Call(Global("pathlib.PosixPath"), ("a", "b")),
                  "acc": Call(Global("numpy.core.multiarray.scalar"), (Global("numpy.float64"), "x")),
                  "scheduler": {"milestones": Call(Global("collections.Counter"), ({3: 1},))},
                  "config": Raw(opcodes(Call(Global("collections.defaultdict"), (Global("builtins.list"),))) +
                                opcodes("lr") + opcodes([1]) + b"s"),
                  "queue": Raw(opcodes(Call(Global("collections.deque"), ())) + opcodes(1) + b"a"),
                  "old": Call(Global("copy_reg._reconstructor"), (Global("net.Options"), Global("a.b"), None)),
                  "set": Raw(b"\x8f(K\x01K\x02\x90"), "frozen": Raw(b"(K\x01\x91"), "extension": Raw(b"\x82\x07"),
                  "keywords": Raw(opcodes(Global("net.Wrapped")) + b")" + opcodes({"a": 1}) + b"\x92"),
                  "keys": Raw(keyed), "bytes": Raw(b"\x96" + struct.pack("<Q", 2) + b"ab"),
                  "tuple": Raw(b"]q\x63(h\x63t0(h\x631"),
                  "float8": Call(Global("torch._utils._rebuild_tensor_v3"), (1, 2)),
                  "module": Persistent(("module", Global("net.Net"), "net.py", "class Net: pass"))}
        for zipped in (True, False):
            tensors, _, said = self.convert({"state_dict": state} | beside, zipped=zipped)
            self.check_same(tensors, state)
            self.assertIn("left out, nothing of it executed: args (argparse.Namespace), date (datetime.datetime), "
                          "path (pathlib.PosixPath), acc (numpy.core.multiarray.scalar), scheduler "
                          "(collections.Counter), config (collections.defaultdict), queue (collections.deque), old "
                          "(net.Options), set (builtins.set), frozen (builtins.set), extension (copyreg extension 7), "
                          "keywords (net.Wrapped), keys, bytes, tuple, float8 (torch._utils._rebuild_tensor_v3), "
                          "module (net.Net)\n", said)

    def test_weights_in_a_dict_of_a_class_of_its_own(self):
        state = resnet8()
        for zipped in (True, False):
            calls = {name: fixtures.tensor(array, str(i), zipped) for i, (name, array) in enumerate(state.items())}
            own = Raw(opcodes(Global("easydict.EasyDict")) + b")\x81" + opcodes(calls)[1:])
            content = (fixtures.zip_file if zipped else fixtures.legacy)({"state_dict": own}, list(state.values()))
            outcome = fixtures.run_here(self.put("in.pt", content), self.folder / "o.safetensors", "--force")
            self.assertEqual(outcome.exit_code, 0, outcome.err)
            self.check_same(read_safetensors(self.folder / "o.safetensors")[0], state)

    def test_an_object_in_the_place_of_weights_is_an_error(self):
        module = Raw(opcodes(Global("net.Net")) + b")\x81" + opcodes({"training": True}) + b"b")
        self.refuse(module, "holds an object, not a state_dict", "asks for net.Net, which is not executed here")
        self.refuse({"model": module, "epoch": 1}, "no state_dict in it", "asks for net.Net, which is not executed")
        self.refuse(resnet8() | {"fc.bias": Call(Global("torch._utils._rebuild_tensor_v3"), (1,))},
                    "fc.bias is an object of torch._utils._rebuild_tensor_v3, which is not executed here")
        self.refuse(resnet8() | {"fc.bias": 3}, "fc.bias is int, which is no tensor")

    def test_tensors_with_attributes(self):
        state = resnet8()
        calls = {name: fixtures.tensor(array, str(i), True) for i, (name, array) in enumerate(state.items())}
        plain = calls["fc.bias"]
        for kind, code in (("torch.nn.parameter.Parameter", 0), ("net.Strange", 4)):
            typed = Call(Global("torch._tensor._rebuild_from_type_v2"),
                         (plain.function, Global(kind), plain.arguments, {"tag": 1}))
            source = self.put("in.pt", fixtures.zip_file(calls | {"fc.bias": typed}, list(state.values())))
            outcome = fixtures.run_here(source, self.folder / "o.safetensors", "--force")
            self.assertEqual(outcome.exit_code, code, outcome.err)
        self.assertIn("fc.bias is an object of net.Strange", outcome.err)
        stated = Call(Global("torch._utils._rebuild_parameter_with_state"), (plain, True, {}, {"tag": 1}))
        source = self.put("in.pt", fixtures.zip_file(calls | {"fc.bias": stated}, list(state.values())))
        self.assertEqual(fixtures.run_here(source, self.folder / "o.safetensors", "--force").exit_code, 0)


class Numbers(WeightsTest):
    NAME = "bn1.num_batches_tracked"

    def test_counters_of_any_type(self):
        state = resnet8()
        for kind, data, shape in (("Float", struct.pack("<f", 7.0), ()), ("Double", struct.pack("<d", 7.5), ()),
                                  ("Half", struct.pack("<e", 7.0), (1,)), ("Int", struct.pack("<i", 7), ()),
                                  ("BFloat16", struct.pack("<f", 7.0)[2:], ()), ("Byte", b"\7", (1, 1))):
            with self.subTest(kind=kind):
                tensors, _, _ = self.convert(state | {self.NAME: Array(shape, data, kind)})
                self.assertEqual(tensors[self.NAME], ("I64", (), struct.pack("<q", 7)))

    def test_counters_that_count_nothing_are_left_out(self):
        for array in (floats((), [float("nan")]), floats((), [-1.0]), floats((), [1e30]), floats((2,), [1.0, 2.0]),
                      Array((), bytes(8), "ComplexFloat"), None):
            tensors, _, said = self.convert(resnet8() | {self.NAME: array})
            self.assertNotIn(self.NAME, tensors)
            self.assertIn(f"left out, for they count nothing: {self.NAME}\n", said)

    def test_other_float_types_are_said(self):
        state = resnet8()
        halves = {name: Array(a.shape, b"\0\x3c" * a.numel(), "Half") if a.kind == "Float" else a
                  for name, a in state.items()}
        tensors, _, said = self.convert(halves)
        self.assertEqual(tensors["fc.bias"], ("F32", (3,), struct.pack("<3f", 1, 1, 1)))
        self.assertIn("conv1.weight, bn1.weight, bn1.bias and 44 more: Half made float32\n", said)

    def test_numbers_that_are_none_are_refused_by_name(self):
        for kind, data in (("Float", struct.pack("<3f", 0, float("nan"), 1)),
                           ("Float", struct.pack("<3f", 0, float("-inf"), float("inf"))),
                           ("Half", struct.pack("<3e", 0, float("inf"), 1)), ("BFloat16", b"\0\0\xc0\x7f\0\0")):
            self.refuse(resnet8() | {"fc.bias": Array((3,), data, kind)}, "fc.bias has ",
                        "of 3 numbers that are NaN or infinite (the first at 1)")
        self.refuse(resnet8() | {"fc.bias": Array((3,), struct.pack("<3d", 0, 1e300, 0), "Double")},
                    "fc.bias has a number too large for float32")
        self.refuse(resnet8() | {"bn1.running_var": floats((2,), [1.0, -0.5])},
                    "bn1.running_var has a negative variance (-0.5)")

    def test_strides_of_one_number_mean_nothing(self):
        state = resnet8(classes=1)
        for stride in (2**62 - 1, 2**40, 0):
            calls = {name: fixtures.tensor(array, str(i), True) for i, (name, array) in enumerate(state.items())}
            place = list(state).index("fc.bias")
            calls["fc.bias"] = fixtures.tensor(state["fc.bias"], str(place), True, stride=(stride,))
            calls["fc.weight"] = fixtures.tensor(state["fc.weight"], str(list(state).index("fc.weight")), True,
                                                 stride=(stride, 1))
            source = self.put("in.pt", fixtures.zip_file(calls, list(state.values())))
            outcome = fixtures.run_here(source, self.folder / "o.safetensors", "--force")
            self.assertEqual(outcome.exit_code, 0, outcome.err)
            self.check_same(read_safetensors(self.folder / "o.safetensors")[0], state)


class Activations(WeightsTest):
    def test_what_is_not_said_is_said_to_be_assumed(self):
        _, metadata, said = self.convert(resnet8())
        self.assertNotIn("activation", metadata)
        self.assertIn("does not say its activation: relu6 is assumed (pact at 1 to 3 bits); if it is another, convert "
                      "with --activation relu, or give bsq quant.activation=relu\n", said)
        self.assertIn("does not say the bits of its activations (quant.act_bits) and mean and deviation of its images "
                      "(data.mean, data.std): those of the configuration are assumed\n", said)

    def test_an_activation_that_is_given(self):
        _, metadata, said = self.convert(resnet8(), "--activation", "relu")
        self.assertEqual(metadata["activation"], "relu")
        self.assertNotIn("is assumed (", said)
        stored = {"state_dict": resnet8(), "bsq_metadata": {"activation": "relu6", "act_bits": "4"}}
        _, metadata, said = self.convert(stored)
        self.assertEqual((metadata["activation"], metadata["act_bits"]), ("relu6", "4"))
        self.assertNotIn("activation", said)
        _, metadata, said = self.convert(stored, "--activation", "pact")
        self.assertEqual(metadata["activation"], "pact")
        self.assertIn("activation pact, as --activation says, in place of relu6\n", said)

    def test_ceilings_show_pact(self):
        _, metadata, said = self.convert(resnet8() | {"layer1.0.relu1.alpha": floats((), [9.5])})
        self.assertEqual(metadata["activation"], "pact")
        self.assertIn("activation pact, for it has their ceilings (alpha)\n", said)

    def test_a_network_that_says_all_its_activations(self):
        net = self.put("net.yaml", b"""
image: [4, 4, 3]
nodes:
  - {name: conv, layer: conv2d, out: 2}
  - {name: act, layer: activation}
  - {name: flat, layer: flatten}
  - {name: fc, layer: linear, out: 3, quantized: true}
""")
        state = {"conv.weight": floats((2, 3, 3, 3), [0.5] * 54), "fc.weight": floats((3, 32), [0.5] * 96),
                 "fc.bias": floats((3,), [0.5] * 3)}
        _, _, said = self.convert(state, "--config", net)
        self.assertNotIn("activation", said)
        outcome = fixtures.run_here(self.folder / "in.pt", self.folder / "n.safetensors", "--config", net,
                                    "--activation", "relu")
        self.assertEqual((outcome.exit_code, outcome.err[:7]), (2, "error: "), outcome.err)
        self.assertIn("every activation is said by the network itself", outcome.err)

    def test_the_program_evaluates_with_the_activation(self):
        self.convert(resnet8(), "--activation", "relu")
        self.assertIn('"relu"', self.must("bsq", "convert", self.target, self.folder / "p.safetensors").err +
                      repr(read_safetensors(self.folder / "p.safetensors")[1]).replace("'", '"'))


class Output(WeightsTest):
    def test_names_of_files_with_anything_in_them(self):
        content = saved_structure(resnet8())
        for name in ("a b", "lr=0.1", "caf\udce9", "line\nend", "--x"):
            source, target = self.folder / f"{name}.pt", self.folder / f"{name}.safetensors"
            source.write_bytes(content)
            outcome = fixtures.run("from_torch.py", source, target)
            self.assertEqual(outcome.exit_code, 0, outcome.err)
            self.assertEqual(len(read_safetensors(target)[0]), len(resnet8()))
            source.write_bytes(content[:100])
            outcome = fixtures.run("from_torch.py", source, target, "--force")
            self.assertEqual((outcome.exit_code, len(outcome.err.splitlines())), (4, 1), outcome.err)

    def test_places_that_cannot_be_written(self):
        source = self.put("in.pt", saved_structure(resnet8()))
        before = sorted(self.folder.iterdir())
        for target, part in ((self.folder / "none" / "o.safetensors", "No such file or directory"),
                             (source / "o.safetensors", "Not a directory"),
                             (self.folder / ("x" * 250 + ".safetensors"), "File name too long")):
            outcome = fixtures.run_here(source, target)
            self.assertEqual(outcome.exit_code, 4, outcome.err)
            self.assertTrue(outcome.err.splitlines()[-1].startswith(f"error: {target}: {part}"), outcome.err)
        self.assertEqual(sorted(self.folder.iterdir()), before)

    def test_a_full_disk_leaves_nothing_and_names_the_output(self):
        source, target = self.put("in.pt", saved_structure(resnet8())), self.put("out.safetensors", b"mine")
        full = OSError(28, "No space left on device")
        with fixtures.unittest.mock.patch("os.fsync", side_effect=full):
            outcome = fixtures.run_here(source, target, "--force")
        self.assertEqual(outcome.exit_code, 4)
        self.assertIn(f"error: {target}: No space left on device; nothing is written", outcome.err)
        self.assertEqual((target.read_bytes(), len(os.listdir(self.folder))), (b"mine", 2))

    def test_other_kinds_of_files_are_told_what_to_do(self):
        self.convert(resnet8())
        self.check_refused(self.target, "is a safetensors file, which bsq takes as it is")

    def test_a_python_without_numpy(self):
        self.put("numpy.py", b"raise ImportError('blocked', name='numpy')\n")
        for script in ("from_torch.py", "to_torch.py"):
            outcome = fixtures.run(script, "a", "b", environment={"PYTHONPATH": str(self.folder)})
            self.assertEqual((outcome.exit_code, len(outcome.err.splitlines())), (2, 1), outcome.err)
            self.assertIn("install it (pip install numpy)", outcome.err)


if __name__ == "__main__":
    fixtures.main()
