#!/usr/bin/env bash
# Times `heed graph`: transformer, gpt2 and llama after every pass at every depth, the other examples after the last,
# each within 20 s. Prints boxes, size in points, the smallest letter on A4 and seconds; exits with 1 if one is slower.
# tests/bench/graphs.sh [HEED]
set -uo pipefail
cd "$(dirname "$0")/../.."
heed=${1:-build/heed}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
slow=0
printf '%-52s %-8s %6s %13s %7s %7s\n' drawing depth boxes size letter seconds

# draw NAME FILE DEPTH OPTION...
draw() {
  local name=$1 file=$2 depth=$3 start end
  shift 3
  start=$(date +%s.%N)
  if ! "$heed" graph "$file" --depth "$depth" "$@" -o "$work/x.svg" 2>"$work/errors"; then
    grep -q 'not part of the pipeline' "$work/errors" && return
    printf '%-52s %-8s %s\n' "$name" "$depth" "$(head -1 "$work/errors")"
    slow=1
    return
  fi
  end=$(date +%s.%N)
  python3 - "$work/x.svg" "$name" "$depth" "$start" "$end" <<'PY' || slow=1
import re, sys
path, name, depth, start, end = sys.argv[1:]
svg = open(path).read()
width, height = map(float, re.search(r'<svg.*?viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
scale = max(min(1, 539 / width, 785 / height), min(1, 785 / width, 539 / height))
letter = min(map(float, re.findall(r'font-size="([\d.]+)"', svg))) * scale
seconds = float(end) - float(start)
boxes = svg.count('class="box"')
print(f"{name:52} {depth:8} {boxes:6} {width:6.0f}x{height:6.0f} {letter:7.1f} {seconds:7.2f}", flush=True)
sys.exit(seconds > 20)
PY
}

passes=$("$heed" passes | grep -E '^[a-z_]+$')
for spec in "transformer train train" "transformer translate step" "gpt2 train train" "gpt2 complete step" \
  "llama train train" "llama complete step"; do
  read -r program entry variant <<<"$spec"
  for depth in modules one ops; do
    draw "$program $entry" "examples/$program.heed" "$depth" --entry "$entry"
    for pass in $passes; do
      draw "$program $entry, $variant after $pass" "examples/$program.heed" "$depth" --entry "$entry" \
        --variant "$variant" --after "$pass"
    done
  done
done
for file in examples/llama3_2.heed examples/variants.heed examples/attention/*.heed; do
  for depth in modules one ops; do
    draw "${file#examples/} after cse" "$file" "$depth" --after cse
  done
done
exit $slow
