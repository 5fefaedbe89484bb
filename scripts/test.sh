#!/usr/bin/env bash
# README's second command: installs what is missing, builds everything and runs all tests.
# scripts/test.sh [ctest arguments...], for instance -LE slow
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh release
ctest --test-dir build --output-on-failure -j2 "$@"
