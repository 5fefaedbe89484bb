#!/usr/bin/env bash
# Makes a Debian package of Heed in build/: scripts/package.sh. Install it with apt install ./build/heed_*.deb
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh release heed heed_runtime heed_kernel_bitcode
(cd build && cpack -G DEB)
