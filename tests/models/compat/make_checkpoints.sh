#!/usr/bin/env bash
# How the checkpoints of this folder were made: make_checkpoints.sh HEED, with the compiler of that time, here. They
# are never made again; compat_model_test reads them with today's.
set -euo pipefail
heed=$1
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
build() {
  "$heed" build "$1.heed" -o "$folder/$1" --cpu x86-64-v3 -q "${@:2}"
}
build transformer --set vocab=90 --set model=8 --set hidden=16 --set heads=2 --set layer=1 --set src=40 --set tgt=40
build gpt2 --set vocab=64 --set model=16 --set heads=2 --set layer=2 --set seq=32
build llama --set vocab=260 --set model=8 --set hidden=16 --set layer=2 --set kv=1 --set rep=2 --set key=4 --set seq=32
"$folder/transformer" train --source pairs.en --target pairs.fr --steps 8 --warmup 4 --batch 400 --lr 0.01 --seed 7 \
  --out transformer.safetensors -q
"$folder/gpt2" train --text tale.txt --tokenizer chars --steps 30 --warmup 5 --batch 256 --lr 0.01 --clip 1 --seed 3 \
  --schedule constant --out gpt2.safetensors -q
"$folder/llama" train --text tale.txt --tokenizer bytes --steps 10 --warmup 5 --batch 256 --lr 0.01 --weight-decay 0.1 \
  --out llama.safetensors -q
for type in int8 int4; do
  "$folder/gpt2" quantize --weights gpt2.safetensors --to "$type" --out "gpt2-$type.safetensors"
done
# Inputs of `call`: two texts, of five ids and of three.
python3 - <<'PYTHON'
import json, struct

def write(path, tensors):
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        part = struct.pack(f"<{len(values)}i", *values)
        header[name] = {"dtype": "I32", "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)

ids = [1, 9, 30, 4, 17, 12, 5, 44, 0, 0]
write("text.safetensors", {"x": ([2, 5], ids), "x.length": ([2], [5, 3])})
write("pair.safetensors", {"x": ([2, 5], ids), "x.length": ([2], [5, 3]), "y": ([2, 5], ids[::-1]),
                           "y.length": ([2], [4, 5])})
PYTHON
