#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test; then once more under AddressSanitizer and UBSan, without the
# tests labelled slow, lint or golden. Ends with ctest's summary; exits with its code.
#
# usage: tools/test.sh [--quick]        --quick: no sanitizer run
cd "$(dirname "$0")/.."
source tools/lib.sh

quick=false
case "${1-}" in
  '') ;;
  --quick) quick=true ;;
  *) sed -n 's/^# usage:/usage:/p' "$0" >&2; exit 2 ;;
esac

install_packages "${test_packages[@]}"
build release
ctest --preset release
if ! "$quick"; then
  build asan
  ctest --preset asan
fi
