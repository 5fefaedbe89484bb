#!/usr/bin/env bash
# Training speed on real sentence pairs, Heed beside PyTorch in one run: the model, data and batches of the shared card
# W7 (3 + 3 layers, width 256, 8,000 pieces). Prints target tokens a second (median over the steps after the first ten)
# and, where PyTorch and the shared data are there, the ratio.
# tests/bench/train_translation.sh [steps] [threads]
set -euo pipefail
cd "$(dirname "$0")/../.."
steps=${1:-100}
threads=${2:-2}
shared=${HEED_SHARED:-../shared}
data=$shared/data/tatoeba-en-fr
[ -d "$data" ] || { echo "no data: $data"; exit 1; }
work=build/bench/translation
mkdir -p "$work"
build/heed build examples/transformer.heed -q -o "$work/mt" --set vocab=8000 --set model=256 --set hidden=1024 \
  --set heads=4 --set layer=3 --set src=61 --set tgt=62
"$work/mt" train --threads "$threads" --source "$data/train.en" --target "$data/train.fr" --steps "$steps" -q \
  --out "$work/mt.safetensors" --log "$work/heed.jsonl"
heed=$(python3 - "$work/heed.jsonl" <<'P'
import json, statistics, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
rows = [r for r in rows if 'tokens' in r][10:]
print(round(statistics.median(r['tokens'] / r['seconds'] for r in rows)))
P
)
echo "heed     $heed target tokens/s, $threads threads"
peers=$shared/peers
if [ -f "$peers/w7_translation_quality/train.py" ] && command -p python3 -c 'import torch' 2>/dev/null; then
  # The environment that makes PyTorch fast is that of the cards, which do not expect `set -e`.
  export PEERS_WORK=${PEERS_WORK:-$PWD/build/bench/peers}
  torch=$(set +e +u +o pipefail
    . "$peers/common/env.sh"
    torch_run "$threads" "$peers/w7_translation_quality/train.py" "$data" "$work/torch" --steps "$steps" --every 100000 |
      python3 -c 'import json, sys; print(json.loads(sys.stdin.readlines()[-1])["target_tokens_per_s"])')
  echo "pytorch  $torch target tokens/s"
  python3 -c "print('heed / pytorch: %.2f' % ($heed / $torch))"
fi
