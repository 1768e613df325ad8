#!/usr/bin/env bash
# tools/gpu_check.sh with stand-ins for everything it starts: what it starts, what it makes of what comes back, and what
# it leaves behind. Prints what is wrong; exits 1 where anything is.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0
check() { # WHAT COMMAND ...
  "${@:2}" || { echo "wrong: $1"; wrong=1; }
}
not() { ! "$@"; }

# stand_in NAME: a program that does what stdin says, after its words have gone to calls.txt
stand_in() {
  mkdir -p "$(dirname "$work/$1")"
  { echo '#!/usr/bin/env bash'; echo "echo \"$(basename "$1") \$*\" >>'$work/calls.txt'"; cat; } >"$work/$1"
  chmod +x "$work/$1"
}
stand_in f/bin/bsq <<'S'
if [[ $1 == info ]]; then echo "device     cuda, NVIDIA Pretence, compute capability 9.0"; exit; fi
if [[ $1 == bench ]]; then echo '{"rows": []}' >"${!#}"; exit; fi
while [[ $1 != --run-dir ]]; do shift; done
mkdir -p "$2/checkpoints/last" "$2/report"
echo model >"$2/checkpoints/last/model.safetensors"
echo curve >"$2/metrics.csv"
echo '{"engines": ["cuDNN 69"]}' >"$2/env.json"
S
for program in bsq_kernels_tests bsq_engine_tests; do
  stand_in "f/bin/$program" <<'S'
sleep "${PRETEND_SECONDS:-0}"
echo "All tests passed"
exit "${PRETEND_STATUS:-0}"
S
done
stand_in f/bin/step_bench <<<'echo "{\"median_s\": 1}"'
mkdir -p "$work/f/lib" && touch "$work/f/lib/libbsq_bench.so"
stand_in f/bin/engines <<<'echo "stage1 3x3 bf16 backward weight *e50 | e69! 7.5 us"'
stand_in path/compute-sanitizer <<'S'
if [[ $2 == initcheck ]]; then
  echo "========= Uninitialized __global__ memory read of size 4 bytes"
  echo "=========     at ${PRETEND_READER:-void cudnn::padded_read(float *)}+0x90"
fi
while [[ $1 != */bin/* ]]; do shift; done
exec "$@"
S
stand_in path/nvidia-smi <<<'exit 9'
stand_in path/nproc <<<'echo 16'
stand_in python <<<'echo "{\"words\": \"$*\"}"'
export PATH=$work/path:$PATH

# run NAME OPTION ...: what it says to NAME.txt
run() {
  : >"$work/calls.txt"
  "$here/tools/gpu_check.sh" "$work/f" --out "$work/$1" "${@:2}" >"$work/$1.txt" 2>&1
}
label=nvidia-pretence-$(date -u +%Y-%m-%d)
called() { grep -q -e "$1" "$work/calls.txt"; }
said() { grep -q -e "$2" "$work/$1.txt"; }

run all --quick --python "$work/python"
check "a check where all goes well succeeds" test $? -eq 0
check "engines are timed" grep -q 'e69! 7.5 us' "$work/all/$label/engines.log"
check "operators are timed" grep -q rows "$work/all/$label/ops-128.json"
check "a training run's engines are kept" grep -q 'cuDNN 69' "$work/all/$label/train-bf16-env.json"
check "both are packed" test "$(tar -tzf "$work/all/$label.tar.gz" | grep -c -e engines.log -e -env.json)" -eq 4
check "what a library's kernels read is no fault" said all '^initcheck-step  *ok'
for slice in 1 2 3 4 5 6; do
  check "peers have slice $slice" grep -q words "$work/all/$label/peers-$slice.jsonl"
done
measurements=0
while read -r words; do
  count=1
  for list in $(grep -oE '(--batches|--precisions|--variants) [^ ]+' <<<"$words" | cut -d' ' -f2); do
    count=$((count * $(tr ',' '\n' <<<"$list" | wc -l)))
  done
  measurements=$((measurements + count))
done < <(grep pytorch_gpu.py "$work/calls.txt")
check "the slices have all 48 measurements" test $measurements -eq 48
check "no two of them alike" test "$(grep pytorch_gpu.py "$work/calls.txt" | sort -u | wc -l)" -eq 6

PRETEND_READER='void bsq::cuda::(anonymous namespace)::sum_moments<float>()' run ours --only sanitizer
check "what our kernels read is one" test $? -eq 1
check "which the table says" said ours '^initcheck-step  *FAILED'
check "of initcheck alone" said ours '^memcheck-step  *ok'

run slice --only peers-2,bench --quick --python "$work/python" --pack
check "a slice of the peers can be had alone" test "$(grep -c pytorch_gpu.py "$work/calls.txt")" -eq 1
check "it is the one that was asked for" called '--batches 128 --precisions fp32,tf32'
check "--pack leaves the archive alone" test "$(ls "$work/slice")" = "$label.tar.gz"
check "with everything in it" test "$(tar -tzf "$work/slice/$label.tar.gz" | grep -c -e peers-2.jsonl -e steps.jsonl -e summary)" -eq 3

began=$SECONDS
PRETEND_SECONDS=2 run parallel --only tests,sanitizer --parallel
check "--parallel succeeds" test $? -eq 0
check "steps run side by side" test $((SECONDS - began)) -lt 14 # one after the other: 9 steps, 18 s
check "all of them are in the table" test "$(grep -cE '^(tests|memcheck|racecheck|synccheck|initcheck)-[a-z]+ +ok' "$work/parallel.txt")" -eq 9
check "nothing is left of them but logs" test -z "$(find "$work/parallel" -name '.*.ended')"

PRETEND_STATUS=3 run failing --only tests --parallel
check "a step that fails beside others is counted" test $? -eq 1
check "and shown" said failing '^tests-kernels  *FAILED 3'
run unknown --only peers-7
check "a part that there is not is refused" test $? -eq 2
exit $wrong
