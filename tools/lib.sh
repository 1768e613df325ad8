# What quickstart.sh and test.sh share: the packages that the build needs, and how it is built. Sourced, from the root.
set -euo pipefail

# Debian 12 and Ubuntu 24.04. ocl-icd-opencl-dev: libdnnl-dev only recommends it, yet its CMake package asks for OpenCL.
readonly packages=(
  cmake ninja-build g++ ccache
  libdnnl-dev ocl-icd-opencl-dev
  libyaml-cpp-dev libfmt-dev libcli11-dev nlohmann-json3-dev libpng-dev libjpeg-dev
  libwebp-dev libtiff-dev
  libkainjow-mustache-dev
  libopenmpi-dev openmpi-bin
  libonnx-dev libprotobuf-dev
  catch2
)

# What tests alone need: numpy for the PyTorch scripts; a browser for the pages of reports, which on Ubuntu is no package,
# so that the test is skipped there.
test_packages=(python3-numpy)
[[ ! -r /etc/os-release ]] || [[ "$(. /etc/os-release && echo "$ID")" != debian ]] || test_packages+=(chromium)
readonly test_packages

# quietly NAME COMMAND...: the output goes to a log, which is shown where the command fails.
quietly() {
  local log status=0
  log="$(mktemp "${TMPDIR:-/tmp}/bsq-$1.XXXXXX")"
  "${@:2}" >"$log" 2>&1 </dev/null || status=$?
  if ((status != 0)); then
    cat "$log" >&2
    echo "error: '${*:2}' failed with exit code $status" >&2
  fi
  rm -f "$log"
  return "$status"
}

# missing_packages PACKAGE...: those that dpkg does not hold as installed, one a line.
missing_packages() {
  comm -23 <(printf '%s\n' "$@" | sort) \
           <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
               sed -n 's/^installed //p' | sort -u)
}

# install_packages [PACKAGE...]: installs what is missing of those and of what the build needs, where that is allowed
# (root, or sudo that asks for no password); else says the line to run.
install_packages() {
  local missing as_root=()
  if ! command -v dpkg-query >/dev/null; then
    echo "note: no dpkg here; CMake says what is missing (Debian's names: ${packages[*]} $*)" >&2
    return
  fi
  mapfile -t missing < <(missing_packages "${packages[@]}" "$@")
  ((${#missing[@]})) || return 0

  if ((EUID != 0)); then
    if ! sudo -n true 2>/dev/null; then
      echo "error: packages are missing; run this, then try again:" >&2
      echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
      exit 2
    fi
    as_root=(sudo -n)
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300)
  echo "installing ${missing[*]}"
  quietly apt-update "${apt[@]}" update
  quietly apt-install "${apt[@]}" install --no-install-recommends "${missing[@]}"
}

# build PRESET [TARGET...]: configures where that has not been done yet (Ninja sees to it later) and builds, several files
# at once, which is fast where all is compiled.
build() {
  local folder=build
  [[ "$1" == release ]] || folder="build/$1"
  [[ -e "$folder/build.ninja" ]] || quietly configure cmake --preset "$1" -DBSQ_UNITY=ON
  cmake --build "$folder" ${2:+--target "${@:2}"}
}
