#!/usr/bin/env bash
# Downloads CIFAR-10 (binary version, 162 MiB) into DIR/cifar-10-batches-bin, verified. Does nothing if it is there.
#
# usage: tools/get_cifar10.sh DIR        then: bsq train configs/cifar10_resnet20.yaml data.root=DIR
# BSQ_CIFAR10_URL overrides the address (a mirror, or file:///...); the checksum stays the same.
set -euo pipefail

readonly url="${BSQ_CIFAR10_URL:-https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz}"
readonly md5=c32a1d4ab5d03f1284b67883e8d87530
readonly folder=cifar-10-batches-bin
readonly batch_bytes=30730000

die() {
  echo "error: $*" >&2
  exit 3
}

is_complete() {  # is_complete DIR: all six files are in DIR, each with its full length
  local file
  for file in data_batch_{1..5}.bin test_batch.bin; do
    [[ "$(stat -c %s "$1/$file" 2>/dev/null)" == "$batch_bytes" ]] || return 1
  done
}

download() {  # download FILE
  if command -v curl >/dev/null; then
    curl --fail --location --show-error --silent --retry 3 --output "$1" "$url"
  elif command -v wget >/dev/null; then
    wget --no-verbose --tries=3 --output-document="$1" "$url"
  else
    die "neither curl nor wget is installed; apt-get install curl"
  fi || die "$url: download failed; set BSQ_CIFAR10_URL to a mirror, or unpack the archive in $dir yourself"
}

if [[ $# -ne 1 || "$1" == -* ]]; then
  echo "usage: tools/get_cifar10.sh DIR" >&2
  exit 2
fi
readonly dir="$1"

if is_complete "$dir/$folder"; then
  echo "$dir/$folder is complete"
  exit 0
fi
[[ ! -e "$dir/$folder" ]] || die "$dir/$folder exists but is not complete; remove it and run this again"

mkdir -p "$dir" || die "$dir: cannot be created"
# Unpacked beside its place and renamed, so that an interrupted run leaves nothing that looks finished.
scratch="$(mktemp -d "$dir/.cifar10.XXXXXX")" || die "$dir: cannot be written"
readonly scratch
trap 'rm -rf "$scratch"' EXIT

echo "downloading $url"
download "$scratch/archive.tar.gz"
seen="$(md5sum "$scratch/archive.tar.gz" | cut -d ' ' -f 1)"
[[ "$seen" == "$md5" ]] || die "$url: md5 $seen, expected $md5; the download is damaged or not the official archive"

tar -xzf "$scratch/archive.tar.gz" -C "$scratch" || die "$scratch/archive.tar.gz: cannot be unpacked; is the disk full?"
is_complete "$scratch/$folder" || die "$url: the archive lacks files of $folder"
mv -T "$scratch/$folder" "$dir/$folder"
echo "$dir/$folder is ready: data.kind=cifar10 data.root=$dir"
