#!/usr/bin/env python3
"""Fills what is headed "measured" in bench/ROOFLINE.md from a results folder of tools/gpu_check.sh (part bench).

  roofline_measured.py RESULTS [ROOFLINE.md]

A step's time is the median of steps.jsonl; a group's at batch 512 the sum over ops-512-warm.json (`bsq bench ops --json`): the median of
every operation alone, warm, times its calls a step. At batch 128 groups and table profile are the kernels of one step as Nsight Compute saw
them, which adds about 1 us to each; tools/gpu_check.sh does not call it:

  ncu --csv --page raw --metrics gpu__time_duration.sum build/bin/step_bench --device=cuda --mode=bsq --precision=bf16 --batch=128 --burst=1 \\
    --steps=1 --warmup=1 >RESULTS/ncu-128.csv

What a number comes from is named by the folder, which says card and date. `build/bin/roofline bench/ROOFLINE.md` keeps what is filled in.
"""
import csv
import json
import pathlib
import re
import sys

GROUPS = {
    "planes": ("weights_from_planes", "planes_step"), "augment": ("augment",), "conv forward": ("conv2d_forward",),
    "norm_act forward": ("norm_act_forward",), "norm_act backward": ("norm_act_backward",),
    "head": ("average_pool_forward", "average_pool_backward", "linear_forward", "linear_backward", "softmax_cross_entropy"),
    "conv backward weight": ("conv2d_backward_weight",), "conv backward data": ("conv2d_backward_data", "conv2d_backward_data +="),
}
HAVE_TYPES = ("augment", "conv2d", "norm_act", "average_pool")  # the others are float32 in every precision

FIRST_KERNEL = "take"  # of a step
LAST_OF_FORWARD = "pool_forward"  # convolutions behind it are gradients
KERNELS = {
    "augment": ("take", "augment_samples"), "norm_act forward": ("sum_moments", "find_largest", "write_activations"),
    "head": ("pool_forward", "classify", "cross_entropy", "classifier_gradients", "pool_backward"),
    "norm_act backward": ("sum_gradients", "write_gradients", "write_biased_gradients"),
    "conv backward weight": ("sum_products", "add_splits", "add_parts", "widen_elements"),
    "conv backward data": ("add_to",), "planes": ("step_planes", "write_values"), "sgd": ("sgd_step_kernel", "round_elements"),
}
MICROSECONDS = {"ns": 1e-3, "us": 1, "usecond": 1, "nsecond": 1e-3}


def steps_us(path):
    """{"BSQ, bf16, batch 128": us}"""
    names = {"bsq": "BSQ", "float": "float"}
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    return {f"{names[row['mode']]}, {row['precision']}, batch {row['batch']}": 1e6 * row["median_s"]
            for row in rows if row["mode"] in names}


def groups_us(path):
    sums = {}
    for row in json.loads(path.read_text())["rows"]:
        if row["operation"].startswith(HAVE_TYPES) and row["type"] != "bf16" or row["type"] == "tf32" or "warm" not in row:
            continue
        for group, operations in GROUPS.items():
            if row["operation"] in operations:
                sums[group] = sums.get(group, 0) + row["calls_per_step"] * 1e6 * row["warm"]["median_s"]
    return sums


def short_name(kernel):
    """`sum_products<Cut<1, 2>>` of `void bsq::<unnamed>::sum_products<bsq::<unnamed>::Cut<1, 2>>(bsq::ConvGeometry)`, of which
    the profiler leaves out what all names begin with: `unnamed>::take`."""
    name = re.sub(r"^void |(bsq::(cuda::)?)?<?unnamed>::|bsq::(cuda::)?|\(anonymous namespace\)::", "", kernel)
    return name.split("(")[0].replace("__nv_bfloat16", "bf16")


def last_step(path):
    """[(kernel, us)] in the order of their launches."""
    header, units, *rows = csv.reader(line for line in path.read_text().splitlines() if line.startswith('"'))
    name, duration = header.index("Kernel Name"), header.index("gpu__time_duration.sum")
    scale = MICROSECONDS[units[duration]]
    kernels = [(row[name], scale * float(row[duration].replace(",", ""))) for row in rows]
    starts = [place for place, (kernel, _) in enumerate(kernels) if short_name(kernel) == FIRST_KERNEL]
    if not starts:
        sys.exit(f"{path}: no kernel {FIRST_KERNEL}, which a step begins with")
    return kernels[starts[-1]:]


def profile_rows(step):
    """[[kernel, launches, us]], the longest first."""
    sums = {}
    for kernel, us in step:
        launches, total = sums.get(short_name(kernel), (0, 0))
        sums[short_name(kernel)] = launches + 1, total + us
    rows = sorted(sums.items(), key=lambda row: -row[1][1])
    rows.append(("all", (len(step), sum(us for _, us in step))))
    return [[f"`{name[:60]}`" if name != "all" else name, str(launches), f"{us:.1f}"] for name, (launches, us) in rows]


def profile_groups_us(step):
    sums, is_forward = {}, True
    for kernel, us in step:
        name = short_name(kernel).split("<")[0]
        group = next((group for group, names in KERNELS.items() if name in names), None)
        if group is None and ("bsq::" in kernel or "unnamed>::" in kernel) and not re.search("convolve|patches", name):
            sys.exit(f"{kernel}: in no group of KERNELS")
        if group is None:  # a convolution, ours or cuDNN's
            group = "conv forward" if is_forward else "conv backward weight" if "wgrad" in name else "conv backward data"
        is_forward = is_forward and name != LAST_OF_FORWARD
        sums[group] = sums.get(group, 0) + us
    return sums


def table_lines(text, table):
    """The lines of a table, and what stands before and after them."""
    begin = text.index(f"<!-- table {table} -->\n") + len(f"<!-- table {table} -->\n")
    end = text.index("<!-- end -->", begin)
    return text[:begin], text[begin:end].splitlines(), text[end:]


def fill(text, table, column, measured, source):
    """A column of a table, in the rows that were measured. Returns the text and how many cells it wrote."""
    before, lines, after = table_lines(text, table)
    place = [cell.strip() for cell in lines[0].split("|")].index(column)
    filled = 0
    for number, line in enumerate(lines):
        cells = line.split("|")
        if len(cells) > 3 and cells[1].strip() in measured:
            cells[place] = f" {measured[cells[1].strip()]:.0f} ({source}) "
            lines[number] = "|".join(cells)
            filled += 1
    return before + "\n".join(lines) + "\n" + after, filled


def replace_rows(text, table, rows):
    before, lines, after = table_lines(text, table)
    return before + "\n".join(lines[:2] + [f"| {' | '.join(row)} |" for row in rows]) + "\n" + after


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    results = pathlib.Path(sys.argv[1])
    page = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else pathlib.Path(__file__).parent / "ROOFLINE.md")
    text = page.read_text()
    for name, table, column, read in (
            ("steps.jsonl", "steps", "measured us", steps_us),
            ("ops-512-warm.json", "groups", "measured us, bf16, 512", groups_us),
            ("ncu-128.csv", "groups", "measured us, bf16, 128", lambda path: profile_groups_us(last_step(path)))):
        if not (results / name).exists():
            print(f"{name}: not there, {column} of table {table} stays as it is")
            continue
        text, filled = fill(text, table, column, read(results / name), results.resolve().name)
        print(f"{name}: {filled} rows of table {table}")
    if (results / "ncu-128.csv").exists():
        rows = profile_rows(last_step(results / "ncu-128.csv"))
        rows[-1][0] += f" ({results.resolve().name})"
        text = replace_rows(text, "profile", rows)
        print(f"ncu-128.csv: {len(rows)} rows of table profile")
    page.write_text(text)


if __name__ == "__main__":
    main()
