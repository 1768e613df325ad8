#!/usr/bin/env bash
# Runs a program that is built with ThreadSanitizer. usage: run_thread_sanitizer.sh PROGRAM [ARGUMENT...]
#
# Shared memory of one block after another lies at the same addresses: reports there are not repetitions. Older versions
# of ThreadSanitizer do not start where the kernel spreads addresses widely, so a second try asks it not to.
export TSAN_OPTIONS="atexit_sleep_ms=0 suppress_equal_addresses=0 ${TSAN_OPTIONS-}"
refusal='FATAL: ThreadSanitizer: unexpected memory mapping'

output=$("$@" 2>&1)
status=$?
if [[ $output == *"$refusal"* ]]; then
  output=$(setarch --addr-no-randomize "$@" 2>&1)
  status=$?
  if [[ $output == *"$refusal"* || $output == setarch:* ]]; then
    echo "SKIPPED: ThreadSanitizer does not start with this kernel's vm.mmap_rnd_bits"
    exit 0
  fi
fi
printf '%s\n' "$output"
exit "$status"
