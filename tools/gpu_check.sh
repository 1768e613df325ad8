#!/usr/bin/env bash
# Everything there is to check and to measure on a machine with a GPU, in one call: tests, compute-sanitizer, benchmarks,
# a training run, PyTorch beside it. Needs bash, coreutils and what bsq needs to run; no compiler, CMake or ctest.
#
# usage: tools/gpu_check.sh FOLDER [OPTION ...]
#   FOLDER              a build folder, or a copy of its bin/ and lib/; if it has a run.sh, programs are started by it
#   --only PART,...     of these, in their order: about how long each takes on an H100, and at most
#                         tests      label gpu: operators, parity, engine; golden traces       2 min  (10)
#                         sanitizer  memcheck, racecheck, initcheck, synccheck                 5 min  (12)
#                         bench      operators warm and cold, whole steps, cuDNN's engines     5 min  (12)
#                         train      the quickstart's run in fp32 (twice: the same bits?) and bf16; CIFAR-10 if given   2 min  (12)
#                         peers      bench/pytorch_gpu.py, only with --python: all of these    50 min  (60)
#                         peers-1    bf16, batch 128, without what is autotuned                2 min  (8)
#                         peers-2    fp32 and tf32, batch 128, likewise                        4 min  (8)
#                         peers-3    all precisions, batch 512, likewise                       6 min  (9)
#                         peers-4, -5, -6   bf16, tf32, fp32, autotuned, both batches          8 min  (9) each
#   --out DIR           results go to DIR/<gpu>-<date>/ (default: FOLDER/results), packed beside it as well
#   --pack              leave nothing but the archive of the results: DIR/<gpu>-<date>.tar.gz
#   --parallel          run the steps of tests and sanitizer side by side, which does not change whether they pass
#   --golden DIR        reference traces, *.safetensors
#   --cifar DIR         CIFAR-10, for 2 epochs of configs/cifar10_resnet20_short.yaml
#   --python PROGRAM    a python3 that imports torch
#   --minutes N         stop every step, and start none, when so many minutes are over
#   --quick             the least of everything: shows that the script works; its figures mean nothing
#
# A step that fails or runs out of time does not keep the others from running. Ends with a table; exit code 0: all went
# well, 1: something failed, 5: no GPU can be used.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  sed -n '/^# usage:/,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
  exit "$1"
}

# ---- arguments --------------------------------------------------------------------------------------------------------
parts=(tests sanitizer bench train peers-1 peers-2 peers-3 peers-4 peers-5 peers-6)
folder='' only=tests,sanitizer,bench,train,peers out='' golden='' cifar='' python='' minutes=1000 quick=false pack=false parallel=false
while [[ $# -gt 0 ]]; do
  case $1 in
    --only | --out | --golden | --cifar | --python | --minutes)
      [[ $# -ge 2 ]] || usage 2 >&2
      printf -v "${1#--}" %s "$2"
      shift ;;
    --quick) quick=true ;;
    --pack) pack=true ;;
    --parallel) parallel=true ;;
    -h | --help) usage 0 ;;
    -*) usage 2 >&2 ;;
    *) folder=$1 ;;
  esac
  shift
done
[[ -n $folder && -x $folder/bin/bsq ]] || { echo "gpu_check: '$folder' has no bin/bsq; name a build folder" >&2; exit 2; }
for part in ${only//,/ }; do
  [[ " ${parts[*]} peers " == *" $part "* ]] || { echo "gpu_check: unknown part $part" >&2; exit 2; }
done
folder=$(cd "$folder" && pwd)
bin=$folder/bin
start=()
if [[ -x $folder/run.sh ]]; then start=("$folder/run.sh"); fi
if [[ -n $golden ]]; then golden=$(cd "$golden" && pwd); fi
if [[ -n $cifar ]]; then cifar=$(cd "$cifar" && pwd); fi
wants() { [[ ,$only, == *",$1,"* || ,$only, == *",${1%-*},"* ]]; }

# ---- one step -----------------------------------------------------------------------------------------------------------
table=()
failures=0

# record NAME RESULT SECONDS
record() {
  table+=("$(printf '%-28s %-10s %6s' "$1" "$2" "$3")")
  echo "gpu_check: $1: $2"
}

# run_step NAME SECONDS COMMAND ...: all it says goes to NAME.log. Prints what became of it: STATUS SECONDS RESULT
run_step() {
  local name=$1 limit=$2 left=$((minutes * 60 - SECONDS)) status=0 began=$SECONDS result=ok log=$results/$1.log
  shift 2
  if [[ $left -le 5 ]]; then
    echo "no time left of --minutes $minutes" >"$log"
    echo "1 0 no time"
    return
  fi
  if [[ $limit -gt $left ]]; then limit=$left; fi
  timeout -k 10 "$limit" "$@" >"$log" 2>&1 || status=$?
  if [[ $status -eq 124 || $status -eq 137 ]]; then
    result="TIMEOUT"
  elif [[ $status -ne 0 ]]; then
    result="FAILED $status"
  elif grep -q "SKIPPED: " "$log"; then
    result=skipped
  fi
  if [[ $status -eq 0 && $name == initcheck-* ]] && reads_garbage "$log"; then
    status=1 result="FAILED"
  fi
  echo "$status $((SECONDS - began)) $result"
}

# reads_garbage LOG: whether initcheck reports one of our kernels. What it says of a library's is no fault: they read the
# edges of their workspaces, and do not use them.
reads_garbage() {
  grep -A 1 'Uninitialized __global__ memory read' "$1" | grep -q 'at .*bsq::cuda'
}

# conclude NAME STATUS SECONDS RESULT ...: writes a row of the table; if the step failed, shows the last lines of its log.
conclude() {
  local name=$1 status=$2
  if [[ $status -ne 0 ]]; then
    failures=$((failures + 1))
    tail -n 25 "$results/$name.log" | cut -c1-200
  fi
  record "$name" "${*:4}" "$3"
  return "$status"
}

# step NAME SECONDS COMMAND ...
step() {
  local ended
  ended=$(run_step "$@")
  # shellcheck disable=SC2086
  conclude "$1" $ended
}

# independent_step NAME SECONDS COMMAND ...: as step; with --parallel it only begins here, and has three times as long.
begun=()
independent_step() {
  if ! "$parallel"; then
    step "$@"
    return
  fi
  while [[ $(jobs -rp | wc -l) -ge $(nproc) ]]; do wait -n; done
  run_step "$1" $(($2 * 3)) "${@:3}" >"$results/.$1.ended" &
  begun+=("$1")
}

# Waits for the steps that have begun.
finish_independent_steps() {
  local name
  wait
  for name in "${begun[@]}"; do
    # shellcheck disable=SC2046
    conclude "$name" $(cat "$results/.$name.ended")
    rm -f "$results/.$name.ended"
  done
  begun=()
}

# skip NAME WHY
skip() {
  table+=("$(printf '%-28s %-10s        %s' "$1" skipped "$2")")
  echo "gpu_check: $1: skipped: $2"
}

gpu_state() { # a line of CSV; nothing without nvidia-smi
  nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.draw,power.limit,temperature.gpu,ecc.mode.current \
    --format=csv 2>/dev/null
}

# ---- where results go -------------------------------------------------------------------------------------------------
info=$("${start[@]}" "$bin/bsq" info 2>&1)
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)
[[ -n $gpu ]] || gpu=$(sed -n 's/^device  *cuda, \([^,]*\),.*/\1/p' <<<"$info")
label=$(tr '[:upper:]' '[:lower:]' <<<"${gpu:-no-gpu}" | tr -cs 'a-z0-9' - | sed 's/^-//; s/-$//')-$(date -u +%Y-%m-%d)
results=$(realpath -m "${out:-$folder/results}")/$label
mkdir -p "$results"
{
  echo "date     $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "commit   $(git -C "$here" describe --always --dirty 2>/dev/null || echo "not known here, see the version below")"
  echo "folder   $folder"
  echo "parts    $only$("$quick" && echo ", --quick: no figure means anything")"
  echo "kernel   $(uname -sr), $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg)"
  echo
  echo "$info"
  echo
  gpu_state || true
} >"$results/machine.txt"
cat "$results/machine.txt"
if ! grep -q '^device  *cuda, ' <<<"$info"; then
  echo "gpu_check: no GPU can be used here, see the line that begins with cuda" >&2
  exit 5
fi

# ---- the parts ------------------------------------------------------------------------------------------------------------


run_tests() {
  local part trace
  for part in primitives kernels parity engine; do
    if [[ $part == primitives && ! -x $bin/bsq_primitives_tests ]]; then
      skip tests-primitives "not in $bin"
      continue
    fi
    independent_step "tests-$part" 240 env BSQ_RUNNER="${start[*]}" bash "$here/tests/gpu_tests.sh" "$bin" "$part" -d yes
  done
  [[ -n $golden ]] || { skip golden "no --golden DIR"; return; }
  for trace in "$golden"/*.safetensors "$golden"/methods/*.safetensors "$golden"/zoo/*.safetensors; do
    [[ -f $trace ]] || continue
    if "$quick" && [[ $trace == *resnet20* ]]; then continue; fi
    independent_step "golden-$(basename "$trace" .safetensors)" 120 \
      env BSQ_RUNNER="${start[*]}" bash "$here/tests/gpu_tests.sh" "$bin" golden "$trace"
  done
}

find_sanitizer() {
  local candidate
  for candidate in "$(command -v compute-sanitizer)" /usr/local/cuda*/bin/compute-sanitizer \
    /usr/local/cuda*/compute-sanitizer/compute-sanitizer /opt/nvidia/*/compute-sanitizer; do
    if [[ -x $candidate ]]; then echo "$candidate"; return; fi
  done
}

# sanitize TOOL PART ARGUMENT ...
sanitize() {
  local judged_by="--error-exitcode 9 --print-limit 20"
  # Its reports are read (reads_garbage). Kernels cannot be left out: what they wrote would count as not written.
  if [[ $1 == initcheck ]]; then judged_by="--print-limit 100000"; fi
  independent_step "$1-$2" 150 env BSQ_RUNNER="${start[*]} $sanitizer --tool $1 $judged_by" \
    bash "$here/tests/gpu_tests.sh" "$bin" "${@:2}"
}

run_sanitizer() {
  local tool
  sanitizer=$(find_sanitizer)
  [[ -n $sanitizer ]] || { skip sanitizer "compute-sanitizer is not installed here"; return; }
  for tool in memcheck racecheck synccheck initcheck; do sanitize "$tool" own; done
  for tool in memcheck initcheck; do sanitize "$tool" step; done
}

# operators NAME SECONDS OPTION ...: what `bsq bench ops` finds, in NAME.json
operators() {
  local name=$1 limit=$2
  shift 2
  if "$quick"; then set -- "$@" --batch 1 --seconds 0; else set -- "$@" --seconds 0.1; fi
  step "$name" "$limit" "${start[@]}" "$bin/bsq" bench ops --device cuda "$@" --json "$results/$name.json"
}

run_bench() {
  local precision batch bursts=(--burst=50 --steps=10 --warmup=2)
  if [[ ! -e $folder/lib/libbsq_bench.so || ! -x $bin/step_bench ]]; then
    skip bench "built with BSQ_BENCH=OFF"
    return
  fi
  if "$quick"; then bursts=(--burst=2 --steps=1 --warmup=1 --depth=8); fi
  : >"$results/steps.jsonl"
  for batch in 128 512; do
    for precision in fp32 tf32 bf16; do
      if "$quick"; then batch=4; fi
      step "steps-$precision-$batch" 60 "${start[@]}" "$bin/step_bench" --device=cuda --mode=both --batch=$batch \
        --precision=$precision "${bursts[@]}" && cat "$results/steps-$precision-$batch.log" >>"$results/steps.jsonl"
    done
    if "$quick"; then break; fi
  done
  operators ops-128 180
  if ! "$quick"; then
    operators ops-512-warm 150 --batch 512 --cache warm
    operators ops-large-warm 150 --shapes large --cache warm
  fi
  if [[ -x $bin/engines ]]; then
    local batch=128
    if "$quick"; then batch=1; fi
    step engines 150 "${start[@]}" "$bin/engines" $batch
  else
    skip engines "not in $bin"
  fi
  gpu_state >"$results/gpu-after-bench.csv" || true
}

# train NAME SECONDS CONFIG KEY=VALUE ...: keeps the curves and the report, not the model
train() {
  local name=$1 limit=$2 config=$3
  shift 3
  if "$quick"; then
    set -- "$@" data.synthetic_train=64 data.synthetic_test=32 data.batch_size=32 model.depth=8 pretrain.epochs=1 \
      pretrain.milestones=[] bsq.epochs=1 bsq.milestones=[] bsq.requant_interval=1 finetune.epochs=1 finetune.milestones=[]
  fi
  step "$name" "$limit" "${start[@]}" "$bin/bsq" train "$here/configs/$config" --run-dir "$work/$name" device=cuda "$@" || return
  cp "$work/$name/metrics.csv" "$results/$name.csv"
  cp "$work/$name/env.json" "$results/$name-env.json"  # with the engines of every convolution
  if [[ -d $work/$name/report ]]; then cp "$work/$name"/report/*.json "$results/$name.json" 2>/dev/null; fi
}

run_train() {
  work=$(mktemp -d)
  train train-fp32 150 quickstart.yaml
  train train-fp32-again 150 quickstart.yaml
  if [[ -d $work/train-fp32 && -d $work/train-fp32-again ]]; then
    step train-same-bits 20 cmp "$work"/train-fp32{,-again}/checkpoints/last/model.safetensors
  fi
  train train-bf16 150 quickstart.yaml precision=bf16
  if [[ -n $cifar ]]; then
    local kind=image_folder
    if [[ -e $cifar/data_batch_1.bin ]]; then kind=cifar10; fi
    train train-cifar-bf16 240 cifar10_resnet20_short.yaml "data.root=$cifar" data.kind=$kind precision=bf16 \
      'stages=[pretrain]' pretrain.epochs=2 'pretrain.milestones=[]'
  fi
  rm -rf "$work"
}

# run_peers SLICE: of 48 measurements, of which 12 are tuned for minutes each
run_peers() {
  local plain=bsq-eager,bsq-compile,bsq-graph,float-eager,float-compile,float-graph best=bsq-best,float-best
  local slices=(
    "--batches 128 --precisions bf16 --variants $plain"
    "--batches 128 --precisions fp32,tf32 --variants $plain"
    "--batches 512 --precisions fp32,tf32,bf16 --variants $plain"
    "--batches 128,512 --precisions bf16 --variants $best"
    "--batches 128,512 --precisions tf32 --variants $best"
    "--batches 128,512 --precisions fp32 --variants $best"
  )
  [[ -n $python ]] || { skip "peers-$1" "no --python"; return; }
  # shellcheck disable=SC2086
  step "peers-$1" 540 env PYTHONUNBUFFERED=1 "$python" "$here/bench/pytorch_gpu.py" ${slices[$1 - 1]}
  grep '^{' "$results/peers-$1.log" >"$results/peers-$1.jsonl"
}

for part in "${parts[@]}"; do
  case $part in
    tests | sanitizer) ;;
    *) finish_independent_steps ;;
  esac
  wants "$part" || continue
  case $part in
    peers-*) run_peers "${part#peers-}" ;;
    *) "run_$part" ;;
  esac
done
finish_independent_steps

# ---- the end --------------------------------------------------------------------------------------------------------------
{
  printf '%-28s %-10s %6s\n' step result seconds
  printf '%s\n' "${table[@]}"
} >"$results/summary-${only//,/-}.txt"
echo
cat "$results/summary-${only//,/-}.txt"
tar -C "$(dirname "$results")" -czf "$results.tar.gz" "$label"
echo
if "$pack"; then
  rm -r "$results"
  echo "gpu_check: $failures failed; results in $results.tar.gz"
else
  echo "gpu_check: $failures failed; results in $results and $results.tar.gz"
fi
[[ $failures -eq 0 ]]
