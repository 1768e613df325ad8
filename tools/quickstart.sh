#!/usr/bin/env bash
# From a fresh clone to the report: installs what is missing, builds into build/, then trains, quantizes and finetunes
# a small network on the built-in synthetic images. Nothing is downloaded but packages.
#
# usage: tools/quickstart.sh [key=value ...] [option ...]        as for `bsq train configs/quickstart.yaml`
cd "$(dirname "$0")/.."
source tools/lib.sh

install_packages
build release bsq
exec build/bin/bsq train configs/quickstart.yaml "$@"
