#!/usr/bin/env bash
# Installs what is missing and builds: scripts/build.sh [preset] [target...]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install_packages.sh
preset=${1:-release}
shift || true
cmake --preset "$preset" >/dev/null
targets=()
if (($#)); then targets=(--target "$@"); fi
cmake --build --preset "$preset" "${targets[@]}"
