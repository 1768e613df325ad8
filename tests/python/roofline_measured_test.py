#!/usr/bin/env python3
"""bench/roofline_measured.py: what it takes out of a results folder, and where it writes it."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "bench" / "roofline_measured.py"
PAGE = """text
<!-- table steps -->
| step | kernels | measured us |
|---|--:|--:|
| float, bf16, batch 128 | 1 | not yet |
| BSQ, bf16, batch 128 | 1 | not yet |
<!-- end -->
<!-- table groups -->
| kernels of a BSQ step | count | measured us, bf16, 512 |
|---|--:|--:|
| conv backward data | 2 | not yet |
| add | 1 | not yet |
| planes | 1 | not yet |
| conv forward | 1 | not yet |
<!-- end -->
"""


def row(operation, shape, type_, calls, us):
    return {"operation": operation, "shape": shape, "type": type_, "calls_per_step": calls, "warm": {"median_s": us * 1e-6}}


class Measured(unittest.TestCase):
    def fill(self, rows):
        with tempfile.TemporaryDirectory() as folder:
            results = pathlib.Path(folder) / "h100-2026-01-31"
            results.mkdir()
            (results / "steps.jsonl").write_text(
                'a note\n{"mode": "bsq", "precision": "bf16", "batch": 128, "median_s": 0.00105}\n')
            (results / "ops-512-warm.json").write_text(json.dumps({"schema": "bsq-bench 1", "rows": rows}))
            page = results / "page.md"
            page.write_text(PAGE)
            subprocess.run([sys.executable, "-B", SCRIPT, results, page], check=True, capture_output=True)
            lines = [[cell.strip() for cell in line.split("|")] for line in page.read_text().splitlines()]
            return {cells[1]: cells[-2] for cells in lines if len(cells) > 3}

    def test_medians_times_calls_of_bf16_and_of_what_is_always_float32(self):
        cells = self.fill([
            row("conv2d_backward_data", "a", "bf16", 3, 10), row("conv2d_backward_data", "b", "bf16", 0, 20),
            row("conv2d_backward_data", "a", "fp32", 3, 1000), row("conv2d_backward_data +=", "b", "bf16", 2, 26),
            row("planes_step", "ResNet-20, 8 bits", "fp32", 1, 21), row("planes_step", "ResNet-20, 8 bits", "tf32", 1, 500),
            {"operation": "conv2d_forward", "shape": "a", "type": "bf16", "calls_per_step": 1, "failure": "no engine"}])
        self.assertEqual(cells["BSQ, bf16, batch 128"], "1050 (h100-2026-01-31)")
        self.assertEqual(cells["float, bf16, batch 128"], "not yet")
        self.assertEqual(cells["conv backward data"], "70 (h100-2026-01-31)")  # 3 x 10 + 2 x 20
        self.assertEqual(cells["add"], "12 (h100-2026-01-31)")  # 2 x (26 - 20)
        self.assertEqual(cells["planes"], "21 (h100-2026-01-31)")
        self.assertEqual(cells["conv forward"], "not yet")


if __name__ == "__main__":
    unittest.main()
