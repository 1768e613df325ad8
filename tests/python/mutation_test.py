# Files of PyTorch, and models of bsq, with damage of all kinds: bytes changed, cut, doubled, spliced, opcodes put in.
# Whatever comes of it is a model, or exit code 4 with one line, within limits of time and memory. A few seconds;
# BSQ_MUTATION_SECONDS=600 goes on that long with other damage, and BSQ_MUTATION_FIRST=N begins with trial N.
from __future__ import annotations

import collections
import io
import os
import pickletools
import random
import time
import zipfile
from pathlib import Path

import fixtures
from fixtures import Array, Call, Global, Raw, floats, opcodes, pickled, quantized, resnet8, saved_structure

TRIALS = 1500
SECONDS = float(os.environ.get("BSQ_MUTATION_SECONDS", "0"))
FIRST = int(os.environ.get("BSQ_MUTATION_FIRST", "0"))
MEMORY_BYTES = 4 << 30  # addresses, of which numpy and the threads of its libraries take the most
TIME_S = 20             # of one file; a second is usual where the machine is busy

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
SNIPPETS = (b"0", b"1", b"2", b"(", b")", b"]", b"}", b"\x8f", b"N", b"\x88", b"t", b"l", b"d", b"e", b"u", b"s", b"a",
            b"b", b"R", b"\x81", b"\x92", b"\x93", b"o", b"Q", b"\x85", b"\x86", b"\x87", b"\x90", b"\x91", b"\x94",
            b"h\0", b"h\1", b"h\2", b"h\3", b"q\0", b"q\1", b"q\2", b"j\1\0\0\0", b"p1\n", b"g1\n", b"P1\n", b"\x82\1",
            b"h\0h\0\x86q\0" * 8, b")R", b")\x81", b"}b", b"cos\nsystem\n", b"(ios\nsystem\n", b"X\xff\xff\xff\x7f",
            b"\x8a\xff", b"\x8b\xff\xff\xff\x7f", b"I" + b"9" * 400 + b"\n", b"L-1L\n", b"Fnan\n", b"S'a'\n",
            b"V\\ud800\n", b"\x96" + b"\xff" * 8, b"\x95" + b"\xff" * 8, b"X\3\0\0\0\xed\xa0\x80", b"X\1\0\0\0.", b".",
            b"\x80\4")


def seeds() -> list[bytes]:
    """Small files of all kinds that are read."""
    from bsq_torch import program
    state = resnet8(width=1)
    network = program.recognized_network({name: array.shape for name, array in state.items()})
    said = {"bsq_metadata": {"network": network, "activation": "relu"}}
    planes, table = quantized(state, planes=True)
    fixed, _ = quantized(state, planes=False)
    halves = {name: Array(a.shape, b"\0\x3c" * a.numel(), "Half") if a.kind == "Float" else a
              for name, a in state.items()}
    average = [array for name, array in state.items() if not name.endswith(("mean", "var", "tracked"))]
    beside = {"args": Raw(opcodes(Global("argparse.Namespace")) + b")\x81" + opcodes({"lr": 0.1}) + b"b"),
              "scheduler": {"milestones": Call(Global("collections.Counter"), ({3: 1},))}, "epoch": 3, "best_acc": 0.5}
    counters = {name: floats((), [7.0]) if name.endswith("tracked") else a for name, a in state.items()}
    prefixed = {f"module._orig_mod.{name}": array for name, array in state.items()}
    structures = [said | {"state_dict": state}, said | beside | {"model": prefixed, "ema": {"shadow": average}},
                  said | {"Nbit_dict": table, "state_dict": planes}, said | {"Nbit_dict": table, "state_dict": fixed},
                  said | {"state_dict": halves, "state_dict_ema": counters}, state]
    return [saved_structure(structure, zipped) for structure in structures for zipped in (False, True)]


# ---- damage ---------------------------------------------------------------------------------------------------------
def damaged(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """One to four changes; at the beginning, where structure is, as often as in all the rest."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4))):
        if not data:
            break
        place = chance.randrange(chance.choice((len(data), min(len(data), 2000))))
        length = min(chance.choice((1, 2, 8, 100, 1000)), len(data) - place)
        kind = chance.randrange(9)
        if kind == 0:
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[place] = chance.randrange(256)
        elif kind == 2:
            del data[place:place + chance.choice((length, len(data)))]
        elif kind == 3:
            data[place:place] = data[place:place + length]
        elif kind == 4:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            data[place:place + chance.choice((0, length))] = other[start:start + length]
        elif kind == 5:
            size, order = chance.choice((1, 2, 4, 8)), chance.choice(("little", "big"))
            data[place:place + size] = (chance.choice(NUMBERS) % (1 << 8 * size)).to_bytes(size, order)
        elif kind in (6, 7):
            data[place:place] = chance.choice(SNIPPETS) * chance.choice((1, 1, 1, 30))
        else:
            data[place:place + length] = chance.choice((b"\0", b"\xff")) * length
    return bytes(data)


def opcodes_of(content: bytes, start: int) -> list[bytes]:
    """The opcodes of the pickle that begins there, with their arguments."""
    stream = io.BytesIO(content)
    stream.seek(start)
    places = [place for _, _, place in pickletools.genops(stream)]
    return [content[place:end] for place, end in zip(places, [*places[1:], stream.tell()])]


def damaged_opcodes(codes: list[bytes], chance: random.Random) -> bytes:
    """One to four changes between opcodes, so that most of what follows is still read."""
    codes = list(codes)
    for _ in range(chance.choice((1, 1, 2, 4))):
        place, other = chance.randrange(len(codes)), chance.randrange(len(codes))
        kind = chance.randrange(7)
        if kind == 0:
            del codes[place:place + chance.choice((1, 1, 3, 20))]
        elif kind == 1:
            codes[place:place] = codes[other:other + chance.choice((1, 3, 20))]
        elif kind == 2:
            codes[place], codes[other] = codes[other], codes[place]
        elif kind == 3:
            codes[place] = codes[other]
        elif kind in (4, 5):
            codes.insert(place, chance.choice(SNIPPETS))
        else:  # another number in the place of one
            numbers = [i for i, code in enumerate(codes) if code[:1] in (b"J", b"K", b"M", b"G")]
            if numbers:
                value = chance.choice(NUMBERS) * chance.choice((1, 1, -1))
                codes[chance.choice(numbers)] = b"\x8a\x09" + value.to_bytes(9, "little", signed=True)
        if not codes:
            break
    return b"".join(codes)


def damaged_pickle(content: bytes, chance: random.Random) -> bytes:
    """Of a file of the old format, where the object is the fourth pickle, or of data.pkl."""
    start = 0
    if content.startswith(pickled(fixtures.MAGIC)):
        for _ in range(3):
            start += len(b"".join(opcodes_of(content, start)))
    codes = opcodes_of(content, start)
    return content[:start] + damaged_opcodes(codes, chance) + content[start + len(b"".join(codes)):]


def damaged_file(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Bytes or opcodes; of an archive as often a member, under a check sum that fits, as the whole."""
    by_opcodes = chance.randrange(2)
    if not content.startswith(b"PK"):
        return damaged_pickle(content, chance) if by_opcodes else damaged(content, others, chance)
    if not by_opcodes and chance.randrange(2):
        return damaged(content, others, chance)
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(stream, "w") as after:
        names = before.namelist()
        hit = names[0] if by_opcodes else chance.choice(names)
        for name in names:
            member = before.read(name)
            if name == hit:
                member = damaged_pickle(member, chance) if by_opcodes else damaged(member, others, chance)
            after.writestr(name, member)
    return stream.getvalue()


def trials() -> range:
    return range(FIRST, FIRST + (TRIALS if SECONDS == 0 else 10**9))


class Mutations(fixtures.ScriptTest):
    def setUp(self) -> None:
        super().setUp()
        self.limit_memory(MEMORY_BYTES)

    def run_trials(self, files: list[bytes], change, check) -> None:
        """`check(trial, damaged content)` gives what came of it."""
        outcomes: collections.Counter = collections.Counter()
        end, slowest = time.monotonic() + SECONDS / 2, 0.0  # two tests share the seconds
        for trial in trials():
            if SECONDS and time.monotonic() > end:
                break
            chance = random.Random(trial)
            content = change(chance.choice(files), files, chance)
            begin = time.monotonic()
            try:
                with fixtures.within(TIME_S):
                    outcomes[check(trial, content)] += 1
            except fixtures.TimeIsUp:
                self.fail(f"trial {trial}: more than {TIME_S} s")
            slowest = max(slowest, time.monotonic() - begin)
        print(f"{sum(outcomes.values())} trials: {dict(outcomes)}, the slowest took {slowest:.2f} s", flush=True)
        self.assertTrue(all(outcomes[code] for code in (0, 4)), outcomes)

    def test_from_torch(self):
        from bsq_torch import program, safetensors
        source, target = self.folder / "in.pt", self.folder / "refused.safetensors"

        def check(trial: int, content: bytes) -> int:
            program.RECOGNIZED.clear()  # which would grow from trial to trial
            source.write_bytes(content)
            outcome = fixtures.run_here(source, target)
            if outcome.exit_code == 0:
                tensors, _ = safetensors.read_safetensors(target.read_bytes())
                self.assertTrue(tensors, f"trial {trial}")
                target.unlink()
                return 0
            self.check_error(trial, outcome, source)
            return outcome.exit_code

        files = seeds()
        for content in files:
            self.assertEqual(check(-1, content), 0, "a seed is not read")
        self.run_trials(files, damaged_file, check)

    def check_error(self, trial: int, outcome: fixtures.Outcome, source: Path) -> None:
        where = f"trial {trial}: {outcome}"
        errors = [line for line in outcome.err.splitlines() if not line.startswith(f"{source}: ")]
        self.assertEqual((outcome.exit_code, outcome.out, len(errors)), (4, "", 1), where)
        self.assertTrue(errors[0].startswith(f"error: {source}: ") and errors[0].isprintable(), where)
        self.assertNotIn("internal", errors[0], where)
        self.assertEqual(sorted(os.listdir(self.folder)), ["in.pt", "unlimited"], where)

    def test_models_for_to_torch(self):
        """What to_torch.py reads, up to where it needs PyTorch."""
        from bsq_torch import files, model, safetensors
        models = []
        for content in seeds():
            source, target = self.put("in.pt", content), self.folder / "out.safetensors"
            self.assertEqual(fixtures.run_here(source, target, "--force").exit_code, 0)
            models.append(target.read_bytes())

        def check(trial: int, content: bytes) -> int:
            try:
                tensors, metadata = safetensors.read_safetensors(content)
                network = model.network_of(tensors, metadata, None)
                model.to_published(network, tensors, model.check_model(network, tensors, metadata))
                return 0
            except files.CheckpointError as error:
                self.assertTrue(str(error).isprintable(), f"trial {trial}: {error!r}")
                return 4

        self.run_trials(models, damaged, check)


if __name__ == "__main__":
    fixtures.main()
