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
| kernels of a BSQ step | count | measured us, bf16, 128 | measured us, bf16, 512 |
|---|--:|--:|--:|
| conv backward data | 2 | not yet | not yet |
| conv backward weight | 2 | not yet | not yet |
| planes | 1 | not yet | not yet |
| conv forward | 1 | not yet | not yet |
| head | 1 | not yet | not yet |
<!-- end -->
<!-- table profile -->
| measured kernel | launches | us |
|---|--:|--:|
| `old` | 1 | 7.0 |
<!-- end -->
more text
"""
PROFILE = """==PROF== Connected
"ID","Kernel Name","Grid Size","gpu__time_duration.sum"
"","","","ns"
"""


def row(operation, shape, type_, calls, us):
    return {"operation": operation, "shape": shape, "type": type_, "calls_per_step": calls, "warm": {"median_s": us * 1e-6}}


class Measured(unittest.TestCase):
    def fill(self, files, page=PAGE):
        """The page afterwards, {table: {first cell: other cells}}."""
        with tempfile.TemporaryDirectory() as folder:
            results = pathlib.Path(folder) / "h100-2026-01-31"
            results.mkdir()
            for name, text in files.items():
                (results / name).write_text(text)
            (results / "page.md").write_text(page)
            run = subprocess.run([sys.executable, "-B", SCRIPT, results, results / "page.md"], capture_output=True, text=True)
            if run.returncode:
                return run.stderr
            tables, table = {}, {}
            text = (results / "page.md").read_text()
            self.assertTrue(text.startswith("text\n") and text.endswith("<!-- end -->\nmore text\n"))
            for line in text.splitlines():
                if line.startswith("<!-- table "):
                    table = tables[line.split()[2]] = {}
                cells = [cell.strip() for cell in line.split("|")[1:-1]]
                if cells:
                    table[cells[0]] = cells[1:]
            return tables

    def test_medians_times_calls_of_bf16_and_of_what_is_always_float32(self):
        rows = [
            row("conv2d_backward_data", "a", "bf16", 3, 10), row("conv2d_backward_data", "b", "bf16", 0, 20),
            row("conv2d_backward_data", "a", "fp32", 3, 1000), row("conv2d_backward_data +=", "b", "bf16", 2, 26),
            row("planes_step", "ResNet-20, 8 bits", "fp32", 1, 21), row("planes_step", "ResNet-20, 8 bits", "tf32", 1, 500),
            {"operation": "conv2d_forward", "shape": "a", "type": "bf16", "calls_per_step": 1, "failure": "no engine"}]
        tables = self.fill({
            "steps.jsonl": 'a note\n{"mode": "bsq", "precision": "bf16", "batch": 128, "median_s": 0.00105}\n'
                           '{"mode": "finetune", "precision": "bf16", "batch": 128, "median_s": 0.5}\n',  # no row of the table
            "ops-512-warm.json": json.dumps({"schema": "bsq-bench 1", "rows": rows})})
        self.assertEqual(tables["steps"]["BSQ, bf16, batch 128"], ["1", "1050 (h100-2026-01-31)"])
        self.assertEqual(tables["steps"]["float, bf16, batch 128"], ["1", "not yet"])
        groups = tables["groups"]
        self.assertEqual(groups["conv backward data"], ["2", "not yet", "82 (h100-2026-01-31)"])  # 3 x 10 + 2 x 26
        self.assertEqual(groups["planes"], ["1", "not yet", "21 (h100-2026-01-31)"])
        self.assertEqual(groups["conv forward"], ["1", "not yet", "not yet"])
        self.assertEqual(tables["profile"]["`old`"], ["1", "7.0"])

    def test_the_last_step_of_a_profile_by_kernel_and_by_group(self):
        kernels = [
            ("bsq::<unnamed>::take(const bsq::StepInputs *, long *)", "9,000"),  # an earlier step
            ("bsq::<unnamed>::step_planes(int)", "90,000"),
            ("bsq::<unnamed>::take(const bsq::StepInputs *, long *)", "2,000"),
            ("sm80_xmma_fprop_implicit_gemm_bf16", "4,000"),
            ("void bsq::<unnamed>::convolve_patches<bsq::<unnamed>::Tiling<16, 1>>(int, const __nv_bfloat16 *)", "3,500"),
            ("void bsq::<unnamed>::pool_forward<__nv_bfloat16, 8>(bsq::ChannelTiles)", "1,500"),
            ("void bsq::<unnamed>::sum_products<bsq::<unnamed>::Cut<1, 2>>(bsq::ConvGeometry)", "7,250"),
            ("bsq::<unnamed>::add_splits(int)", "3,000"),
            ("void bsq::<unnamed>::convolve_patches<bsq::<unnamed>::Tiling<16, 1>>(int, const __nv_bfloat16 *)", "4,500"),
            ("void bsq::<unnamed>::add_to<__nv_bfloat16>(long)", "5,000"),
            ("sm90_xmma_wgrad_implicit_gemm_tf32", "1,000"),
        ]
        lines = "".join(f'"{i}","{name}","(1, 1, 1)","{us}"\n' for i, (name, us) in enumerate(kernels))
        tables = self.fill({"ncu-128.csv": PROFILE + lines})
        groups = {name: cells[1:] for name, cells in tables["groups"].items()}
        self.assertEqual(groups["conv forward"], ["8 (h100-2026-01-31)", "not yet"])  # 4 + 3.5
        self.assertEqual(groups["head"], ["2 (h100-2026-01-31)", "not yet"])
        self.assertEqual(groups["conv backward weight"], ["11 (h100-2026-01-31)", "not yet"])  # 7.25 + 3 + 1
        self.assertEqual(groups["conv backward data"], ["10 (h100-2026-01-31)", "not yet"])  # 4.5 + 5
        self.assertEqual(groups["planes"], ["not yet", "not yet"])
        profile = tables["profile"]
        self.assertEqual(list(profile)[2:5], ["`convolve_patches<Tiling<16, 1>>`", "`sum_products<Cut<1, 2>>`", "`add_to<bf16>`"])
        self.assertEqual(profile["`convolve_patches<Tiling<16, 1>>`"], ["2", "8.0"])
        self.assertEqual(profile["all (h100-2026-01-31)"], ["9", "31.8"])
        self.assertNotIn("`old`", profile)

    def test_a_kernel_of_no_group_and_a_file_without_a_step_are_named(self):
        take = '"0","bsq::<unnamed>::take(long *)","(1, 1, 1)","2,000"\n'
        self.assertIn("no kernel take", self.fill({"ncu-128.csv": PROFILE}))
        strange = '"1","bsq::<unnamed>::strange(int)","(1, 1, 1)","2,000"\n'
        self.assertIn("strange(int): in no group of KERNELS", self.fill({"ncu-128.csv": PROFILE + take + strange}))


if __name__ == "__main__":
    unittest.main()
