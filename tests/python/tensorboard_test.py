# The event files of a run, read by TensorBoard's own package (PyPI: tensorboard; of this Python, or of the one that
# tools/peers.sh makes), in order and after a resumed run.
from __future__ import annotations

import csv

import fixtures

try:
    from tensorboard.backend.event_processing import plugin_event_multiplexer, event_accumulator
except ImportError:
    event_accumulator = None

CONFIG = """name: tiny
threads: 1
model: {depth: 8, width: 2}
data: {kind: synthetic, synthetic_train: 48, synthetic_test: 20, batch_size: 16, crop_padding: 1}
pretrain: {epochs: 3, milestones: []}
bsq: {epochs: 2, milestones: [], requant_interval: 1, lr: 0.5, alpha: 2}
stages: [pretrain, convert, bsq]
log: {tensorboard: true}
"""
TAGS = {"train/loss": "train_loss", "train/reg": "train_penalty", "train/top1": "train_top1", "val/loss": "test_loss",
        "val/top1": "test_top1", "optim/lr": "learning_rate", "quant/bits_per_parameter": "bits_per_parameter",
        "quant/compression": "compression", "perf/images_per_second": "images_per_second"}


class TensorBoard(fixtures.ScriptTest):
    def train(self, *words: str) -> None:
        self.must("bsq", "train", *words)

    def setUp(self) -> None:
        super().setUp()
        config = self.put("tiny.yaml", CONFIG.encode())
        self.run_dir = self.folder / "run"
        self.train(str(config), "--run-dir", str(self.run_dir))

    def check_run(self) -> None:
        """Both readers of the package show exactly the rows of metrics.csv, whatever the files hold."""
        with (self.run_dir / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 5)
        accumulator = event_accumulator.EventAccumulator(str(self.run_dir / "tb")).Reload()
        self.assertEqual(set(accumulator.Tags()["scalars"]), set(TAGS))
        multiplexer = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(self.run_dir / "tb"))
        multiplexer.Reload()
        for tag, column in TAGS.items():
            expected = [(epoch, float(row[column])) for epoch, row in enumerate(rows, 1)]
            shown = [(event.step, event.value) for event in accumulator.Scalars(tag)]
            plugin = [(event.step, event.tensor_proto.float_val[0]) for event in multiplexer.Tensors(".", tag)]
            for points in (shown, plugin):
                self.assertEqual([step for step, _ in points], [step for step, _ in expected], tag)
                for (_, found), (_, wanted) in zip(points, expected):
                    self.assertAlmostEqual(found, wanted, delta=1e-6 * max(1.0, abs(wanted)))
        text = multiplexer.Tensors(".", "config")[0].tensor_proto.string_val[0].decode()
        self.assertIn("    name: tiny", text)
        self.assertEqual(multiplexer.SummaryMetadata(".", "config").plugin_data.plugin_name, "text")

    def test_a_run(self):
        self.check_run()

    def test_a_run_that_went_beyond_its_checkpoint(self):
        """The files of a whole run, with half a record at their end, stand for those of a killed one."""
        (events,) = (self.run_dir / "tb").iterdir()
        with events.open("ab") as file:
            file.write(b"\x20\0\0\0\0\0\0\0half")
        for entry in ("metrics.jsonl", "metrics.csv", "precision.jsonl", "train.log"):
            (self.run_dir / entry).unlink()
        (self.run_dir / "checkpoints").rename(self.folder / "old")
        status = self.run_dir / "status.json"
        status.write_text(status.read_text().replace("done", "running"))
        self.train("--resume", str(self.run_dir))
        self.assertEqual(len(list((self.run_dir / "tb").iterdir())), 2)
        self.check_run()


if __name__ == "__main__":
    if event_accumulator is None:
        fixtures.go_on_as_peer()
        fixtures.skip("this Python has no tensorboard (PyPI: tensorboard)")
    fixtures.main()
