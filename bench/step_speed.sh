#!/usr/bin/env bash
# A training step of ResNet-20, bsq beside plain PyTorch: same network, batch, threads and machine, in turns.
#
#   bench/step_speed.sh [THREADS [ACT_BITS [ROUNDS]]]        defaults: all cores, 4, 3
#
# Needs build/bin/step_bench and a python3 that imports torch (Debian: python3-torch; another one: PYTHON=...).
# Prints a Markdown table and keeps every run as a line of JSON in build/step_speed.jsonl (another file:
# RESULTS=...). A row is the median over rounds of the median step; the machine should be idle: see the load it prints.
set -euo pipefail
cd "$(dirname "$0")/.."
threads=${1:-$(nproc)}
act_bits=${2:-4}
rounds=${3:-3}
python=${PYTHON:-/usr/bin/python3}
results=${RESULTS:-build/step_speed.jsonl}
step_bench=${STEP_BENCH:-build/bin/step_bench}

[[ -x $step_bench ]] || { echo "$step_bench: not built; cmake --build build --target step_bench" >&2; exit 2; }
"$python" -c 'import torch' 2>/dev/null ||
  { echo "$python has no torch; apt-get install python3-torch, or set PYTHON" >&2; exit 2; }
mkdir -p "$(dirname "$results")"
echo "load before: $(cut -d' ' -f1-3 /proc/loadavg); $rounds rounds, $threads threads, $act_bits-bit activations"
: >"$results"
for ((round = 0; round < rounds; ++round)); do
  for precision in fp32 bf16; do
    "$step_bench" --mode=both --precision=$precision --act-bits="$act_bits" --threads="$threads" >>"$results"
    for mode in float bsq; do
      for layout in nchw nhwc; do
        "$python" bench/pytorch_bsq.py --mode $mode --precision $precision --layout $layout --act-bits "$act_bits" \
          --threads "$threads" >>"$results"
      done
    done
  done
done
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)"

"$python" - "$results" <<'TABLE'
import json, statistics, sys

runs = {}
for line in open(sys.argv[1]):
    run = json.loads(line)
    runs.setdefault((run["precision"], run["mode"], run["engine"], run.get("layout", "nhwc")), []).append(run)
middle = lambda key, name: statistics.median(run[name] for run in runs[key])
print("\n| precision | step | engine | layout | ms | fastest ms | images/s | peak MiB | times bsq's |")
print("|---|---|---|---|---|---|---|---|---|")
for key in sorted(runs, key=lambda k: (k[0] == "bf16", k[1] == "bsq", k[2] == "pytorch", k[3])):
    ms = 1e3 * middle(key, "median_s")
    ours = 1e3 * middle((key[0], key[1], "bsq", "nhwc"), "median_s")
    fastest = 1e3 * min(run["min_s"] for run in runs[key])
    print(f"| {' | '.join(key)} | {ms:.1f} | {fastest:.1f} | {middle(key, 'images_per_s'):.0f} "
          f"| {middle(key, 'peak_resident_mib'):.0f} | {ms / ours:.2f} |")
for precision in ("fp32", "bf16"):
    print(f"\n{precision}: a BSQ step of bsq takes {middle((precision, 'bsq', 'bsq', 'nhwc'), 'bsq_over_float'):.3f} "
          "times its own float step")
TABLE
