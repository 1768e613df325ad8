# Files that are damaged, or made to do harm, get a sentence and exit code 4: nothing in them is executed, and no size
# in them is believed.
from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import zipfile

import fixtures
from fixtures import (Array, Call, Global, Persistent, Raw, floats, legacy, opcodes, pickled, quantized, resnet8,
                      saved_file)

ONE = floats((1,), [1.0])


def one_tensor(zipped: bool, **changes) -> object:
    return {"w": fixtures.tensor(ONE, "0", zipped, **changes)}


class Pickles(fixtures.ScriptTest):
    def refuse(self, saved: object, *parts: str, storages: tuple = (ONE,)) -> None:
        for make in (legacy, fixtures.zip_file):
            self.check_refused(self.put("hostile.pth", make(saved, list(storages))), *parts)

    def test_nothing_is_executed(self):
        """Neither beside the weights, where it is named and left out, nor in the place of a weight."""
        marker = self.folder / "executed"
        command = f"touch {marker}"
        real = pickle.dumps(ExecutesOnLoad(str(marker)), 2)[2:-1]
        system = f"{os.system.__module__}.system"
        ways = [(Call(Global(name), (command,)), name) for name in (
            "os.system", "posix.system", "builtins.eval", "torch.load", "torch.storage._load_from_bytes",
            "argparse.Namespace")]
        ways += [(Raw(real), system), (Raw(b"(" + opcodes(command) + b"ios\nsystem\n"), "os.system"),
                 (Raw(b"(" + opcodes(Global("os.system")) + opcodes(command) + b"o"), "os.system"),
                 (Raw(opcodes("os") + opcodes("system") + b"\x93" + opcodes((command,)) + b"R"), "os.system"),
                 (Raw(opcodes(Global("os.system")) + opcodes((command,)) + b"\x81"), "os.system")]
        state = resnet8()
        storages = list(state.values())
        for way, name in ways:
            for make, zipped in ((legacy, False), (fixtures.zip_file, True)):
                calls = {key: fixtures.tensor(array, str(i), zipped)
                         for i, (key, array) in enumerate(state.items())}
                source = self.put("hostile.pth", make({"state_dict": calls, "args": way}, storages))
                outcome = fixtures.run_here(source, self.folder / "out.safetensors", "--force")
                self.assertEqual(outcome.exit_code, 0, outcome.err)
                self.assertIn(f"left out, nothing of it executed: args ({name})\n", outcome.err)
                del calls["fc.bias"]
                source = self.put("hostile.pth", make({"state_dict": calls | {"fc.bias": way}}, storages[:-1]))
                self.check_refused(source, f"fc.bias is an object of {name}, which is not executed here")
                self.check_refused(self.put("hostile.pth", make({"model": way}, [])), f"asks for {name}, which is not")
        self.assertFalse(marker.exists())

    def test_a_whole_module_is_refused(self):
        identity = ("module", Global("torch.FloatStorage"), "model.py", "source")
        self.refuse({"m": Persistent(identity)}, "a whole module was saved, with its code", storages=())

    def test_sizes_that_are_none(self):
        huge = 2**80
        for changes, part in ((dict(shape=(2,), stride=(1,)), "a tensor larger than its storage"),
                              (dict(offset=1), "a tensor larger than its storage"),
                              (dict(shape=(1,) * 9, stride=(1,) * 9), "without sizes and strides"),
                              (dict(shape=(2**40,), stride=(0,)), "a tensor larger than its storage"),
                              (dict(shape=(huge,), stride=(0,)), "sizes that are no counts"),
                              (dict(shape=(1,), stride=(-1,)), "sizes that are no counts"),
                              (dict(offset=-1), "sizes that are no counts"),
                              (dict(shape=("a",)), "sizes that are no counts"),
                              (dict(shape=(True,)), "sizes that are no counts"),
                              (dict(shape=1), "without sizes and strides"),
                              (dict(numel=-1), "a storage without a key or a size"),
                              (dict(numel=huge), "a storage without a key or a size")):
            with self.subTest(**changes):
                for make, zipped in ((legacy, False), (fixtures.zip_file, True)):
                    self.check_refused(self.put("h.pth", make(one_tensor(zipped, **changes), [ONE])), part)

    def test_storages_larger_than_the_file(self):
        saved = one_tensor(False, numel=2**40)
        content = legacy(saved, [ONE])
        self.check_refused(self.put("l.pth", content), "storage 0 ends at byte 4,398,046,", "truncated")
        content = legacy(one_tensor(False, numel=1), [floats((1,), [1.0])])[:-12] + struct.pack("<qf", 2, 1.0)
        self.check_refused(self.put("l.pth", content), "storage 0 has another size than its tensors say")
        self.check_refused(self.put("z.pth", fixtures.zip_file(one_tensor(True, numel=2**40), [ONE])),
                           "storage 0 has another size than its tensors say")

    def test_tensors_that_share_their_elements_do_not_become_a_large_file(self):
        shared = floats((4096,), [0.0] * 4096)
        calls = {f"t{i}": fixtures.tensor(shared, "0", False) for i in range(100)}
        self.check_refused(self.put("s.pth", legacy(calls, [shared])), "tensors are larger than the file")

    def test_structures_that_would_take_for_ever(self):
        deep = 100_000
        self.refuse(Raw(b")" + b"\x85" * deep), "holds tuple, not a state_dict", storages=())
        self.refuse(Raw(b"]" * deep + b"a" * (deep - 1)), "holds list", storages=())
        self.refuse(Raw(b")2\x86"), "DUP in it is not used by torch.save", storages=())
        doubled = b")" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(64))
        self.refuse(Raw(b"}" + doubled + b"Ns"), "no state_dict in it", storages=())  # a key that is not looked at
        self.refuse(Raw(doubled + opcodes("x") + b"\x93"), "a class whose name is no text", storages=())
        self.refuse(Raw(doubled + b"2"), "DUP in it is not used by torch.save", storages=())
        self.refuse({"x": Raw(doubled)}, "no state_dict in it", "it has: x", storages=())
        self.refuse(Raw(b"}q\x00(X\x01\x00\x00\x00ah\x00u"), "no state_dict in it", storages=())  # holds itself

    def test_opcodes_that_claim_much(self):
        for claim, part in ((b"X\xff\xff\xff\xff", "cannot be read"), (b"\x8d" + b"\xff" * 8, "cannot be read"),
                            (b"\x8b\xff\xff\xff\x7f", "cannot be read"), (b"B\xff\xff\xff\x7f", "cannot be read"),
                            (b"Nr\xff\xff\xff\xff", "holds NoneType"), (b"I" + b"9" * 5000 + b"\n", "cannot be read")):
            with self.subTest(claim=claim[:8]):
                content = b"".join([pickled(part) for part in (fixtures.MAGIC, 1001, {"little_endian": True})])
                rest = pickled([]) if part.startswith("holds") else b""
                self.check_refused(self.put("c.pth", content + b"\x80\x02" + claim + b"." + rest), part)

    def test_malformed_pickles(self):
        for code in (b"", b"R", b"NN", b"h\x05", b"0", b"(t(", b"u", b"Nb", b"NNs", b"Na", b"NQ", b")Q", b"]N}s",
                     b"(NNNd",
                     b"NNR", b"N" + opcodes(Global("torch.FloatStorage")) + b")R",
                     opcodes(Call(Global("collections.OrderedDict"), ([1],))), opcodes(Call(Global("torch.Size"), ())),
                     opcodes(Call(Global("torch._utils._rebuild_tensor"), ())),
                     opcodes(Call(Global("torch._utils._rebuild_parameter"), (1,)))):
            with self.subTest(code=code):
                self.refuse(Raw(code), "error: ", storages=())


class Bombs(fixtures.ScriptTest):
    """Small files that ask for much time or memory: refused, or read, in a moment."""

    def setUp(self) -> None:
        super().setUp()
        self.limit_memory(4 << 30)
        limit = fixtures.within(60)  # of a few seconds, on a machine that is busy
        limit.__enter__()
        self.addCleanup(limit.__exit__, None, None, None)

    def refuse(self, code: bytes, *parts: str, storages: tuple = ()) -> None:
        self.check_refused(self.put("bomb.pth", legacy(Raw(code), list(storages))), *parts)

    def test_many_opcodes(self):
        for code in (b"N", b"}", b"\x82\1", b"\x8f"):
            self.refuse(b"(" + code * 1_000_001 + b"t", "has too many parts for a checkpoint")
        content = pickled(Raw(b"N0" * 1000 + opcodes(fixtures.MAGIC)))
        self.check_refused(self.put("bomb.pth", content), "has too many parts for a checkpoint")

    def test_what_is_copied_again_and_again(self):
        large = b"(" + b"N" * 100_000
        for code in (large + b"tq\0" + opcodes(Global("torch.Size")) + b"q\1(" + b"h\1h\0\x85R0" * 100_000 + b"t",
                     large + b"tq\0" + opcodes(Global("a.b")) + b"q\1(" + b"h\1h\0R0" * 100_000 + b"t",
                     b"](" + b"K\1K\2\x86" * 50_000 + b"eq\0" + opcodes(Global("collections.OrderedDict")) + b"q\1(" +
                     b"h\1h\0\x85R0" * 100_000 + b"t"):
            self.refuse(code, "copies more than a checkpoint does")
        self.refuse(large + b"tq\0(" + b"h\0Q0" * 100_000 + b"t", "a persistent id that names no storage")
        text = opcodes("a" * 1_000_000) + b"q\0"
        self.refuse(text + b"(" + b"h\0h\0\x93" * 100_000 + b"t", "a class whose name is longer than any")
        keys = b"".join(opcodes(str(i)) + b"h\0" for i in range(100_000))
        self.refuse(text + b"}(" + opcodes("bsq_metadata") + b"}(" + keys + b"uu", "its bsq_metadata has more than")
        weights = b"".join(opcodes(f"{i}.{name}") + b"h\1" for i in range(1000)
                           for name in ("conv1.weight", "layer1.0.conv1.weight", "fc.weight"))
        self.refuse(text + opcodes(one_tensor(False)["w"]) + b"q\1" + b"}(h\0}(h\0}(h\0}(" + weights + b"uuuu",
                    "no state_dict in it", storages=(ONE,))

    def test_numbers_that_share_their_hash(self):
        def long(value: int) -> bytes:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(data)]) + data

        prime = 2**61 - 1
        self.refuse(b"}(" + b"".join(long(prime * i) + b"N" for i in range(1, 150_000)) + b"u", "no state_dict in it")
        self.refuse(b"N" + b"".join(b"p%d\n" % (prime * i) for i in range(1, 150_000)), "is malformed")

    def test_dicts_in_many_places(self):
        weight = opcodes(one_tensor(False)["w"])
        keys = b"".join(opcodes(f"k{i}") + b"h\0" for i in range(100_000))
        self.refuse(b"}q\0(" + keys + b"u", "no state_dict in it")
        self.refuse(b"}(" + opcodes("w") + weight + b"uq\0}(" + keys + b"u", "which no checkpoint of a network has",
                    storages=(ONE,))

    def test_many_names(self):
        weight = opcodes(one_tensor(False)["w"])
        for name, count in (("a." * 200, 20_000), ("a.b.c.d.e.f.g.h.i.", 130_000), ("", 200_000)):
            names = b"".join(opcodes(f"{name}{i}") + b"h\0" for i in range(count))
            self.refuse(weight + b"q\x000}(" + names + b"u", "tensors", "no ", storages=(ONE,))

    def test_a_network_of_impossible_sizes(self):
        doubled = [{"name": f"n{i}", "layer": "concat", "inputs": [f"n{i - 1}" if i else "image"] * 2}
                   for i in range(60_000)]
        nodes = [[{"name": "a", "layer": "conv2d", "out": 4, "padding": padding}] for padding in (10**4000, 1e300, "1")]
        for text in (*(json.dumps({"image": [8, 8, 3], "name": "n", "nodes": list_}) for list_ in (doubled, *nodes)),
                     json.dumps({"image": [8, 8, 3], "name": "n", "nodes": nodes[2]}).replace('"1"', "1e999")):
            content = fixtures.saved_structure({"state_dict": resnet8(), "bsq_metadata": {"network": text}})
            self.check_refused(self.put("bomb.pth", content), "its network cannot be read")

    def test_sizes_of_tensors_without_elements(self):
        for shape in ((0, 2**30, 2**30), (2**31, 0)):
            empty = fixtures.tensor(Array((0,), b""), "0", False, shape=shape, stride=(1,) * len(shape))
            self.check_refused(self.put("e.pth", legacy({"w": empty}, [Array((0,), b"")])),
                               "a tensor of no elements with sizes that are no counts")

    def test_a_model_of_bsq_with_sizes_beside_a_zero(self):
        from bsq_torch import files, safetensors
        for dtype, shape in (("F32", [0, 2**61]), ([["F32"]], [0])):
            header = json.dumps({"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}}).encode()
            with self.assertRaises(files.CheckpointError):
                safetensors.read_safetensors(struct.pack("<Q", len(header)) + header)

    def test_an_archive_of_many_members(self):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("a/data.pkl", pickled({}))
        content = stream.getvalue().replace(b"PK\5\6", b"PK\1\2" * 100_001 + b"PK\5\6")
        self.check_refused(self.put("z.pth", content), "has more than 100,000 members")

    def test_members_that_lie_in_one_place(self):
        ones = floats((50_000,), [1.0] * 50_000)
        calls = {f"t{i}": fixtures.tensor(ones, str(i), True) for i in range(100)}
        for name, part in (("archive/data/0", "storages are not in it: 1, 2, "), (None, "are larger than the file")):
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w") as archive:
                archive.writestr("archive/data.pkl", pickled(calls))
                archive.writestr("archive/data/0", ones.data)
                first = archive.filelist[-1]
                for i in range(1, 100):
                    info = zipfile.ZipInfo(name or f"archive/data/{i}")
                    info.header_offset, info.CRC = first.header_offset, first.CRC
                    info.file_size = info.compress_size = first.file_size
                    archive.filelist.append(info)
            self.check_refused(self.put("z.pth", stream.getvalue()), part)

    def test_numbers_and_texts_that_are_too_long_to_be_shown(self):
        tower = Raw(b")q\0" + b"h\0h\0\x86q\0" * 64)
        for epoch in (10**600, tower, float("nan")):
            content = fixtures.saved_structure({"state_dict": resnet8(), "epoch": epoch, "Nbit_dict": tower})
            outcome = fixtures.run_here(self.put("in.pth", content), self.folder / "o.safetensors", "--force")
            self.assertEqual(outcome.exit_code, 0, outcome.err)
            self.assertIn("left out, nothing of it executed: epoch\n", outcome.err)
        self.check_refused(self.put("in.pth", fixtures.saved_structure(resnet8() | {"fc.bias": tower})),
                           "fc.bias is tuple, which is no tensor")


class ExecutesOnLoad:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Containers(fixtures.ScriptTest):
    def test_other_files(self):
        for content, part in ((b"", "is no file of torch.save"), (b"hello world", "is no file of torch.save"),
                              (b"\x1f\x8b\x08", "is compressed with gzip; unpack it first"),
                              (b"\0" * 257 + b"ustar" + b"\0" * 250, "is a tar archive"),
                              (pickled({"a": 1}), "is no file of torch.save"),
                              (pickled(fixtures.MAGIC) + pickled(1000), "version of PyTorch's format"),
                              (pickled(fixtures.MAGIC) + pickled(1001) + pickled({"little_endian": False}),
                               "big-endian")):
            self.check_refused(self.put("other.pth", content), part)

    def test_zip_archives(self):
        good = fixtures.as_saved({"w": ONE}, True, None)
        compressed = fixtures.zip_file(good, [floats((100000,), [0.0] * 100000)], zipfile.ZIP_DEFLATED)
        self.check_refused(self.put("c.pth", compressed), "in it is compressed or larger than the file")
        for members, part in (({"a.txt": b""}, "is no file of torch.save"),
                              ({"a/data.pkl": b"", "b/data.pkl": b""}, "is no file of torch.save"),
                              ({"a/data.pkl": b"", "a/constants.pkl": b""}, "is a TorchScript archive"),
                              ({"a/data.pkl": pickled(good)}, "storages are not in it: 0; the file is corrupt"),
                              ({"a/data.pkl": pickled(good), "a/byteorder": b"big"}, "big-endian")):
            path = self.folder / "z.pth"
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in members.items():
                    archive.writestr(name, data)
            self.check_refused(path, part)

    def test_a_file_too_large_for_a_checkpoint_is_not_read(self):
        path = self.put("sparse.pth", b"\x80")
        os.truncate(path, 2 << 30)
        self.check_refused(path, "2,147,483,648 bytes are too many for a checkpoint")

    def test_no_damage_passes_unnoticed_or_ends_in_a_traceback(self):
        """Both formats, cut at many places and with bytes changed: refused, or read with the sizes of a network."""
        from bsq_torch import files, model, torch_file
        self.limit_memory(4 << 30)
        planes, table = quantized(resnet8(), planes=True)
        chance = random.Random(11)  # the seed is arbitrary, but the same on every day
        for zipped in (False, True):
            content = saved_file(planes, zipped, {"Nbit_dict": table})
            model.from_saved(torch_file.read_torch_file(content), len(content), lambda text: None)
            refused = 0
            for trial in range(600):
                damaged = bytearray(content)
                if trial % 3 == 0:
                    del damaged[chance.randrange(len(content)):]
                else:
                    for _ in range(1 + trial % 4):
                        damaged[chance.randrange(len(content))] = chance.randrange(256)
                try:
                    model.from_saved(torch_file.read_torch_file(bytes(damaged)), len(damaged), lambda text: None)
                    self.assertNotEqual(trial % 3, 0, "a part of a file was taken for the whole")
                except files.CheckpointError as error:
                    self.assertTrue(str(error).isprintable() and len(str(error)) < 5000, str(error))
                    refused += 1
            self.assertGreater(refused, 200)


class States(fixtures.ScriptTest):
    def refuse(self, state: dict, *parts: str, around: dict | None = None) -> None:
        self.check_refused(self.put("state.pth", saved_file(state, True, around)), *parts)

    def test_missing_and_unexpected_tensors_are_listed(self):
        state = resnet8()
        for name in ("bn1.bias", "layer2.0.bn2.weight"):
            del state[name]
        self.refuse(state | {"layer5.0.conv1.weight": ONE, "odd\x1b[2J": ONE},
                    "missing: bn1.bias, layer2.0.bn2.weight; ",
                    "unexpected: layer5.0.conv1.weight, odd?[2J")

    def test_shortcuts_without_parameters_are_named_for_what_they_are(self):
        state = {name.replace("fc.", "linear."): a for name, a in resnet8().items() if "downsample" not in name}
        self.refuse(fixtures.with_module(state), "its shortcuts have no parameters (option A of the ResNet paper",
                    "cannot be represented")

    def test_shapes_of_another_network(self):
        self.refuse(resnet8() | {"layer3.0.conv2.weight": floats((8, 8, 1, 1), [0.0] * 64)},
                    "its tensors are not those of resnet8: layer3.0.conv2.weight is (8, 8, 1, 1), expected "
                    "(8, 8, 3, 3)")
        self.refuse(resnet8() | {"layer1.0.relu1.alpha": floats((2,), [1.0, 2.0])},
                    "layer1.0.relu1.alpha is (2), expected one number")

    def test_what_is_no_state_dict(self):
        self.check_refused(self.put("a.pth", legacy([1], [])), "holds list, not a state_dict")
        self.check_refused(self.put("a.pth", legacy({"weights": 1, "epoch": 3}, [])), "it has: weights, epoch")
        self.check_refused(self.put("a.pth", legacy(
            {"state_dict": {"conv1.weight": 3}}, [])), "conv1.weight, which is no tensor")
        self.refuse({"conv1.weight": ONE}, "says no network, and its tensors are those of no family that can be told",
                    "say what it is: --config CFG.yaml")

    def test_names_that_become_one(self):
        self.refuse(resnet8() | {"module.fc.bias": ONE}, "two of its tensors would be fc.bias")

    def test_elements_of_the_wrong_type(self):
        self.refuse(resnet8() | {"fc.bias": Array((3,), bytes(24), "Long")},
                    "fc.bias has elements of type Long, expected floats")
        self.refuse(resnet8() | {"fc.bias": Array((3,), bytes(24), "ComplexFloat")},
                    "fc.bias has elements of type ComplexFloat, expected floats")

    def test_bits_that_do_not_fit(self):
        planes, table = quantized(resnet8(), planes=True)
        self.refuse(
    planes,
    "its Nbit_dict says other bits than its planes have",
    around={
        "Nbit_dict": table | {
            "fc": [
                3,
                 3]}})
        self.refuse(planes, "its Nbit_dict gives no bits of weight and bias in 0..8 for fc",
                    around={"Nbit_dict": table | {"fc": [9, 1]}})
        self.refuse(planes | {"fc.nweight": floats((3, 8, 1), [0.0] * 24)}, "fc.nweight has other bits than fc.pweight")
        self.refuse(planes | {"conv1.pweight": floats((2, 3, 3, 3, 9), [0.0] * 486)},
                    "conv1.pweight is (2, 3, 3, 3, 9), expected (2, 3, 3, 3, 1..8)")
        fixed, _ = quantized(resnet8(), planes=False)
        self.refuse(fixed, "its Nbit_dict gives no bits of weight and bias in 0..8 for conv1")


if __name__ == "__main__":
    fixtures.main()
