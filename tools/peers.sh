#!/usr/bin/env bash
# Makes build/peers, a Python with the runtimes of others that exported models are compared with, and prints the path of
# its interpreter, for BSQ_ONNXRUNTIME_PYTHON. If no registry of packages answers, says so and exits with 1: the tests that
# want it are skipped then.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly seconds=300 # for the download of 100 MB

python=build/peers/bin/python
if ! "$python" -c 'import onnx, onnxruntime, openvino' 2>/dev/null; then
  mkdir -p build
  if ! log="$(python3 -m venv build/peers 2>&1 &&
    timeout "$seconds" "$python" -m pip install --quiet --disable-pip-version-check onnx onnxruntime openvino 2>&1)"; then
    echo "no peers: ${log##*$'\n'}" >&2
    exit 1
  fi
fi
realpath --no-symlinks "$python"
