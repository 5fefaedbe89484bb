#!/usr/bin/env bash
# Installs what Heed needs and is missing, from Debian's packages. Nothing else on the machine is touched.
set -euo pipefail
packages=(
  clang-19 lld-19 llvm-19-dev llvm-19-tools libclang-rt-19-dev clang-format-19 clang-tidy-19 # compiler and LLVM
  cmake ninja-build ccache                                                                  # build
  libhwy-dev libcli11-dev nlohmann-json3-dev libutf8proc-dev libzstd-dev zlib1g-dev         # libraries
  graphviz librsvg2-bin node-dagre-layout                                                   # heed graph
  libgtest-dev libbenchmark-dev python3                                                     # tests
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
if ((${#missing[@]} == 0)); then exit 0; fi
echo "installing: ${missing[*]}"
as_root=()
if ((EUID != 0)); then as_root=(sudo); fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
