#!/usr/bin/env bash
# Builds the fuzz targets and runs each for so many seconds (60): scripts/fuzz.sh [SECONDS] [TARGET...], for instance
# scripts/fuzz.sh 600 language. What fails is kept in build-fuzz/crashes, new inputs in build-fuzz/found. Exit
# status: 1 if anything failed.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
  for source in tests/fuzz/*_fuzz.cpp; do
    name=$(basename "$source" _fuzz.cpp)
    targets+=("$name")
  done
fi
mkdir -p build-fuzz/crashes
status=0
for target in "${targets[@]}"; do
  mkdir -p "build-fuzz/found/$target"
  dictionary=()
  [ -f "tests/fuzz/$target.dict" ] && dictionary=("-dict=tests/fuzz/$target.dict")
  echo "== $target, $seconds seconds"
  log="build-fuzz/crashes/$target.log"
  if "build-fuzz/tests/fuzz/${target}_fuzz" "-max_total_time=$seconds" -timeout=30 -rss_limit_mb=3072 -print_final_stats=1 \
    "-artifact_prefix=build-fuzz/crashes/$target-" "${dictionary[@]}" "build-fuzz/found/$target" \
    "build-fuzz/corpus/$target" >"$log" 2>&1; then
    grep -E "stat::number_of_executed_units|DONE" "$log" | tail -2
    rm "$log"
  else
    echo "FAILED: $log"
    grep -E "ERROR|SUMMARY|does not hold|Test unit written" "$log" | head -5 || true
    status=1
  fi
done
exit $status
