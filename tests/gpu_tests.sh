#!/usr/bin/env bash
# The tests of whatever runs on a device, on the GPU alone: programs that ctest runs on the CPU, here with
# BSQ_TEST_DEVICE=cuda. Prints "SKIPPED: device: cuda: why" if there is no GPU. Needs neither ctest nor CMake.
#
# usage: tests/gpu_tests.sh BIN_DIR primitives|kernels|parity|engine [OPTION OF CATCH2 ...]
#        tests/gpu_tests.sh BIN_DIR own|step                  less, for tools that slow down: kernels of our own; one step
#        tests/gpu_tests.sh BIN_DIR golden TRACE.safetensors ...
# BSQ_RUNNER in the environment is put before the program: what starts it, or a tool that watches it.
set -euo pipefail
bin=$1
part=$2
shift 2
export BSQ_TEST_DEVICE=cuda

# tagged FILE ...: what -# names the tests of these files
tagged() {
  local IFS=,
  local tags=("${@/#/[#}")
  echo "${tags[*]/%/]}"
}

run() { # PROGRAM ARGUMENT ...: a name that matches no test is an error, which Catch2 2 says only in words
  local log status=0
  log=$(mktemp)
  # shellcheck disable=SC2086
  ${BSQ_RUNNER-} "$bin/$1" "${@:2}" 2>&1 | tee "$log" || status=$?
  if grep -q "No test cases matched" "$log"; then status=1; fi
  rm -f "$log"
  return $status
}

case $part in
  kernels) # what is not parity; those of gradient_test are the oracle's own but for one
    run bsq_kernels_tests "$(tagged augment_test bf16_test communicator_test dorefa_test fixed_test integer_test loss_test lsq_test memory_test msq_test norm_act_test \
      offset_quantizer_test planes_test),an accumulated gradient*" -# "$@" ;;
  parity)
    run bsq_kernels_tests "$(tagged parity_{augment,conv,fixed,head,levels,norm_act,offset_quantizer,planes,sgd,tf32}_test)" -# "$@" ;;
  primitives)
    run bsq_primitives_tests "$@" ;;
  own) # parity of our own kernels
    run bsq_kernels_tests "$(tagged parity_{augment,dorefa,fixed,head,levels,lsq,msq,norm_act,offset_quantizer,planes,sgd}_test)" -# "$@" ;;
  engine)
    run bsq_engine_tests "$(tagged device_program_test dorefa_weights_test evaluator_test executor_test executor_planning_test experiment_gpu_test integer_network_test lsq_weights_test model_test msq_weights_test \
      training_step_test weight_files_test weight_stores_test)" -# "$@" ;;
  step)
    run bsq_engine_tests "a recorded step gives*" "$@" ;;
  golden)
    status=0
    for trace in "$@"; do run bsq_golden_tests "$trace" || status=1; done
    exit $status ;;
  *)
    sed -n '/^# usage:/,/^# BSQ/{/^# BSQ/!s/^# //p}' "$0" >&2
    exit 2 ;;
esac
