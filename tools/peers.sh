#!/usr/bin/env bash
# Makes build/peers, a Python with the runtimes of others that exported models are compared with, and prints the path of
# its interpreter, for BSQ_ONNXRUNTIME_PYTHON. If no registry of packages answers, says so and exits with 1: the tests that
# want it are skipped then. What is wanted least comes last, so that a registry without it costs its own tests alone.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly seconds=300 # for the download of 130 MB

python=build/peers/bin/python
install() {
  timeout "$seconds" "$python" -m pip install --quiet --disable-pip-version-check "$@" 2>&1
}
if ! "$python" -c 'import onnx, onnxruntime, openvino, qonnx, tensorboard' 2>/dev/null; then
  mkdir -p build
  if ! log="$(python3 -m venv build/peers 2>&1 && install onnx onnxruntime openvino)"; then
    echo "no peers: ${log##*$'\n'}" >&2
    exit 1
  fi
  for package in qonnx tensorboard; do
    log="$(install "$package")" || echo "no $package: ${log##*$'\n'}" >&2
  done
fi
realpath --no-symlinks "$python"
