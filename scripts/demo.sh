#!/usr/bin/env bash
# README's first command: installs what is missing, builds Heed, compiles the Transformer, trains it on the sentence
# pairs in examples/data and translates sentences it has never seen. A few minutes on two cores.
# scripts/demo.sh [steps]
set -euo pipefail
cd "$(dirname "$0")/.."
steps=${1:-600}
echo "== building Heed"
scripts/build.sh release heed heed_runtime heed_kernel_bitcode
out=build/demo
mkdir -p "$out"
echo "== compiling examples/transformer.heed"
build/heed build examples/transformer.heed -o "$out/mt" \
  --set vocab=1000 --set model=128 --set hidden=256 --set heads=4 --set layer=2 --set src=32 --set tgt=32
echo "== training on examples/data/tiny.en, tiny.fr"
"$out/mt" train --source examples/data/tiny.en --target examples/data/tiny.fr \
  --valid-source examples/data/valid.en --valid-target examples/data/valid.fr --valid-bleu \
  --steps "$steps" --warmup 100 --eval-every "$steps" --out "$out/mt.safetensors" --log "$out/mt.jsonl"
echo "== translating sentences it was not trained on"
head -n 12 examples/data/valid.en >"$out/in.txt"
"$out/mt" translate --weights "$out/mt.safetensors" <"$out/in.txt" >"$out/out.txt"
paste -d '\n' "$out/in.txt" <(sed 's/^/    /' "$out/out.txt")
echo "== the compiler is build/heed: try build/heed --help, or build/heed check examples/gpt2.heed"
echo "   to have it elsewhere: cmake --install build --prefix ~/.local, or scripts/package.sh for a Debian package"
