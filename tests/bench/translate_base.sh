#!/usr/bin/env bash
# Translation with the base Transformer (6 + 6 layers, width 512, 8,000 pieces, random weights), Heed beside its peers in
# one run: target tokens a second for 32 source and 32 target tokens, greedily, batches of 1 and 16, the encoder's time
# included (medians, the first batch left out). Peers are those of the shared card W6, if it is set up (PEERS_WORK).
# tests/bench/translate_base.sh [threads]
set -euo pipefail
cd "$(dirname "$0")/../.."
threads=${1:-2}
shared=${HEED_SHARED:-../shared}
work=build/bench/base
mkdir -p "$work"
build/heed build examples/transformer.heed -q -o "$work/mt" --set vocab=8000 --set model=512 --set hidden=2048 \
  --set heads=8 --set layer=6 --set src=64 --set tgt=64
[ -f "$work/w.safetensors" ] || "$work/mt" init --out "$work/w.safetensors"
line=$(printf '%031d' 0 | tr 0 a) # a byte a token, and the end token

heed() { # TYPE, BATCH
  for _ in $(seq $((6 * $2))); do echo "$line"; done |
    "$work/mt" translate --weights "$work/w.safetensors" --tokenizer bytes --weights-type "$1" --greedy --max-length 32 \
      --batch $((64 * $2)) --threads "$threads" --timings 2>&1 >/dev/null |
    python3 -c '
import re, statistics, sys
rows = re.findall(r"(\d+) texts?: \d+ tokens read in (\S+) s .* (\d+) made in (\S+) s", sys.stdin.read())
assert all(int(made) == 31 * int(texts) for texts, _, made, _ in rows), rows
print("%.1f" % statistics.median(32 * int(t) / (float(r) + float(m)) for t, r, _, m in rows[1:]))'
}
peer() { # NAME, program...: lines with target tokens a second
  local name=$1
  shift
  (set +e +u +o pipefail
    . "$shared/peers/common/env.sh"
    "$@" 2>/dev/null | python3 -c '
import json, sys
for row in [json.loads(line) for line in sys.stdin if line.startswith("{")]:
    if "tokens/s" in row["metric"]: print("  %-20s %8.1f" % (row["peer"], row["value"]))')
}
card=$shared/peers/w6_translate
for batch in 1 16; do
  for type in f32 int8; do
    echo "$type, batch $batch: heed $(heed "$type" "$batch")"
    if [ -f "${PEERS_WORK:-none}/onnx/s2s_src.i64" ]; then
      [ "$type" != f32 ] || peer torch torch_run "$threads" "$card/torch_translate.py" "$threads" "$batch"
      peer onnxruntime node_run "$card/ort_translate.mjs" "$threads" "$PEERS_WORK/onnx" "${type/f32/fp32}" "$batch"
    fi
  done
done
