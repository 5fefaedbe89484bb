#!/usr/bin/env bash
# clang-tidy with the checks of .clang-tidy over the sources, or over the files given; needs a build (scripts/build.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -eq 0 ]; then
  mapfile -t files < <(git ls-files 'frontend/*.cpp' 'ir/*.cpp' 'passes/*.cpp' 'backend/*.cpp' 'runtime/*.cpp')
else
  files=("$@")
fi
printf '%s\0' "${files[@]}" | xargs -0 -P "$(nproc)" -n 4 clang-tidy-19 -p build --quiet
