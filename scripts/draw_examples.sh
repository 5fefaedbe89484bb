#!/usr/bin/env bash
# Draws the pictures of the documentation again: into docs/graphs, or into the folder that is given.
# scripts/draw_examples.sh [FOLDER] [HEED]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-docs/graphs}
heed=${2:-build/heed}
"$heed" graph examples/transformer.heed --entry train -o "$folder/transformer.svg"
"$heed" graph examples/gpt2.heed --entry train --after cse --depth modules -o "$folder/gpt2_gradient.svg"
"$heed" graph examples/llama.heed --entry complete --after incremental --depth modules -o "$folder/llama_step.svg"
"$heed" graph examples/attention/scaled_dot_product.heed -o "$folder/attention.svg"
