#!/usr/bin/env bash
# Two of eight experts beside all eight, in one run: processor seconds of training one program whose
# experts are nearly all it computes, as it is, and with the predicate turned round so that it bounds nothing. The ratio
# is to be at most 0.35.
# tests/bench/experts.sh [heed]
set -euo pipefail
cd "$(dirname "$0")/../.."
heed=${1:-build/heed}
work=build/bench/experts
mkdir -p "$work"
program() { # PREDICATE
  cat <<PROGRAM
axis vocab = 259, model = 256, hidden = 1024, expert = 8, seq <= 256

module Expert(x[model]) -> [model] {
  param w1[hidden, model], w2[model, hidden], w3[hidden, model]
  w2 @hidden (silu(w1 @model x) * (w3 @model x))
}

module Net(x: vocab[seq]) -> [seq, vocab] {
  param E[vocab, model] ~ normal(0, 1), gate[expert, model] ~ normal(0, 0.1)
  part experts[expert] = Expert
  z = E[x]
  s = gate @model z
  E @model (z + softmax[expert | $1](s) @expert experts[expert](z))
}

part net = Net

entry train(x: vocab[seq]) =
  minimize sum[seq | seq + 1 < |seq|](xent[vocab](net(x), x[seq + 1])) per |seq| - 1
PROGRAM
}
program 'rank[expert](s) < 2' >"$work/grouped.heed"
program 'not (rank[expert](s) >= 2)' >"$work/dense.heed"
for form in grouped dense; do "$heed" build "$work/$form.heed" -q -o "$work/$form"; done
python3 - "$work" <<'MEASURE'
import resource, subprocess, sys
work = sys.argv[1]
def seconds(form, steps):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([f"{work}/{form}", "train", "--text", "examples/data/tale.txt", "--tokenizer", "bytes", "--steps", str(steps),
                    "--out", f"{work}/{form}.safetensors", "--batch", "2048", "--threads", "1"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime
took = {form: seconds(form, 6) - seconds(form, 2) for form in ("grouped", "dense")}
print({form: round(value / 4, 3) for form, value in took.items()}, "ratio %.3f" % (took["grouped"] / took["dense"]))
MEASURE
