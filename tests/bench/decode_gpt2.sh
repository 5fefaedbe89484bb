#!/usr/bin/env bash
# GPT-2 124M with random weights, Heed beside its peers in one run, for each type of weights: tokens a second of reading
# a prompt of 512 tokens and of 128 tokens decoded one by one after 64 (medians, the first text left out), and peak
# memory. Where the shared card W3 is set up (PEERS_WORK), llama.cpp and ONNX Runtime are measured between Heed's runs.
# tests/bench/decode_gpt2.sh [threads]
set -euo pipefail
cd "$(dirname "$0")/../.."
threads=${1:-2}
shared=${HEED_SHARED:-../shared}
work=build/bench/gpt2
mkdir -p "$work"
build/heed build examples/gpt2.heed -q -o "$work/gpt2"
[ -f "$work/w.safetensors" ] || "$work/gpt2" init --out "$work/w.safetensors"
prompt() { printf "%0$1d\n" 0 | tr 0 a; }
for _ in 1 2 3 4 5 6; do prompt 64; done >"$work/p64.txt"
for _ in 1 2 3 4 5 6; do prompt 512; done >"$work/p512.txt"

# heed FIELD TYPE LENGTH PROMPTS: the median of a field of --timings; fields are `read` and `made`.
heed() {
  "$work/gpt2" complete --weights "$work/w.safetensors" --tokenizer bytes --weights-type "$2" --greedy \
    --max-length "$3" --batch 1 --threads "$threads" --timings <"$4" 2>&1 >/dev/null |
    python3 -c '
import re, statistics, sys
rates = [float(m) for m in re.findall(sys.argv[1] + r" in \S+ s \(([0-9.]+) a second", sys.stdin.read())]
print("%.1f" % statistics.median(rates[1:]))' "$1"
}
peak() { # KiB
  prompt 64 | python3 -c '
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdin=sys.stdin, stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$work/gpt2" complete --weights "$work/w.safetensors" \
    --tokenizer bytes --weights-type "$1" --greedy --max-length 128 --threads "$threads"
}
# peer FIELD PROGRAM...: the value of a metric in the peer's JSON lines.
peer() {
  local metric=$1
  shift
  (set +e +u +o pipefail
    . "$shared/peers/common/env.sh"
    "$@" 2>/dev/null | python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin if line.startswith("{")]
print(next((r["value"] for r in rows if sys.argv[1] in r["metric"]), ""))' "$metric")
}
compare() { # NAME, Heed's figure, the peer's name and figure
  if [ -n "${4:-}" ]; then
    python3 -c 'import sys; print("%-22s heed %8.1f  %-20s %8.1f  ratio %.2f" % (sys.argv[1], float(sys.argv[2]), sys.argv[3], float(sys.argv[4]), float(sys.argv[2]) / float(sys.argv[4])))' "$@"
  else
    printf '%-22s heed %8.1f\n' "$1" "$2"
  fi
}

card=$shared/peers/w3_infer_gpt2
lib=${PEERS_WORK:-none}/npm/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64
for pair in f32:f32:fp32 bf16:bf16: int8:q8_0:int8 int4:q4_0:; do
  IFS=: read -r type llama onnx <<<"$pair"
  other='' prefill=''
  if [ -x "${PEERS_WORK:-none}/build/llama_bench" ]; then
    other=$(LD_LIBRARY_PATH=$lib peer decode "$PEERS_WORK/build/llama_bench" "$lib" "$PEERS_WORK/gguf/gpt2_$llama.gguf" \
      "$llama" "$threads" "$PEERS_WORK/onnx/tokens.i64")
    [ -z "$onnx" ] || prefill=$(peer prefill node_run "$card/ort_infer.mjs" "$threads" "$onnx" \
      "$PEERS_WORK/onnx/gpt2_$onnx.onnx" "$PEERS_WORK/onnx/tokens.i64")
  fi
  compare "$type decode" "$(heed made "$type" 129 "$work/p64.txt")" "llama.cpp $llama" "$other"
  compare "$type prefill 512" "$(heed read "$type" 2 "$work/p512.txt")" "onnxruntime $onnx" "$prefill"
  echo "$type peak $(peak "$type") KiB"
done
