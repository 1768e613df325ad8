#!/usr/bin/env python3
"""Fills the columns headed "measured" of bench/ROOFLINE.md from a results folder of tools/gpu_check.sh (part bench).

  roofline_measured.py RESULTS [ROOFLINE.md]

A step's time is the median of steps.jsonl; a group's the sum over ops-512-warm.json (`bsq bench ops --json`): the median of every
operation alone, warm, times its calls a step. Both with the name of the folder, which says card and date. `build/bin/roofline bench/ROOFLINE.md` keeps what is filled in.
"""
import json
import pathlib
import sys

GROUPS = {
    "planes": ("weights_from_planes", "planes_step"), "augment": ("augment",), "conv forward": ("conv2d_forward",),
    "norm_act forward": ("norm_act_forward",), "norm_act backward": ("norm_act_backward",),
    "head": ("average_pool_forward", "average_pool_backward", "linear_forward", "linear_backward", "softmax_cross_entropy"),
    "conv backward weight": ("conv2d_backward_weight",), "conv backward data": ("conv2d_backward_data",),
}
HAVE_TYPES = ("augment", "conv2d", "norm_act", "average_pool")  # the others are float32 in every precision


def steps_us(path):
    """{"BSQ, bf16, batch 128": us}"""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    return {f"{'BSQ' if row['mode'] == 'bsq' else 'float'}, {row['precision']}, batch {row['batch']}": 1e6 * row["median_s"]
            for row in rows}


def groups_us(path):
    rows = {}
    for row in json.loads(path.read_text())["rows"]:
        if row["operation"].startswith(HAVE_TYPES) and row["type"] != "bf16" or row["type"] == "tf32" or "warm" not in row:
            continue
        rows[row["operation"], row["shape"]] = row["calls_per_step"], 1e6 * row["warm"]["median_s"]
    sums = {}
    for (operation, shape), (calls, us) in rows.items():
        if operation.endswith(" +="):  # the gradient, and the pass that adds it to another one
            operation = operation[:-3]
            alone = rows[operation, shape][1]
            sums["add"] = sums.get("add", 0) + calls * (us - alone)
            us = alone
        for group, operations in GROUPS.items():
            if operation in operations:
                sums[group] = sums.get(group, 0) + calls * us
    return sums


def fill(text, table, measured, source):
    """The last column of a table, in the rows that were measured. Returns the text and how many cells it wrote."""
    begin = text.index(f"<!-- table {table} -->")
    end = text.index("<!-- end -->", begin)
    lines = text[begin:end].split("\n")
    filled = 0
    for place, line in enumerate(lines):
        cells = line.split("|")
        if len(cells) > 3 and cells[1].strip() in measured:
            cells[-2] = f" {measured[cells[1].strip()]:.0f} ({source}) "
            lines[place] = "|".join(cells)
            filled += 1
    return text[:begin] + "\n".join(lines) + text[end:], filled


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    results = pathlib.Path(sys.argv[1])
    page = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else pathlib.Path(__file__).parent / "ROOFLINE.md")
    text = page.read_text()
    for table, name, read in (("steps", "steps.jsonl", steps_us), ("groups", "ops-512-warm.json", groups_us)):
        if not (results / name).exists():
            print(f"{name}: not there, table {table} stays as it is")
            continue
        text, filled = fill(text, table, read(results / name), results.resolve().name)
        print(f"{name}: {filled} rows of table {table}")
    page.write_text(text)


if __name__ == "__main__":
    main()
