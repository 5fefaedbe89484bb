// Reads at several computed places, in every combination: tables at two and three ids, places that are read
// at computed places, rolls, diagonals, reads along dynamic axes; with gradients, and while a text grows.
#include "tests/support/incremental_native.h"

namespace heed::test {
namespace {

TEST(ComputedIndices, ValuesAgree) {
  const auto program = CompileText("reads.heed", R"(
axis a = 4, b = 5, c = 3, model = 4, seq <= 9, src <= 8
def matched(h[b, a], q: b) -> [] = sum[a](h[q] * h[b(0)])
entry two(T[a, b], x: a[seq], y: b[seq]) = T[x][y]
entry three(T[a, b, c], x: a[seq], y: b[seq], z: c) = T[x][y][z]
entry ends(T[a, b, c], x: a[seq], z: c[seq]) = T[x][z]
entry apart(T[a, b, c], x: a[seq], y: b[src]) = T[x][y]
entry roll(x[a, b]) = x[a((a + 2) % 4)][b((b + 3) % 5)]
entry roll_rows(h[seq, a, b]) = h[a((a + 1) % 4)][b((b + 4) % 5)]
entry chain(T[a, model], i: a[b], j: b[seq]) = T[i[j]]
entry chain_and(T[a, b, model], i: a[b], j: b[seq]) = T[i[j]][j]
entry pointer(h[seq, b], s[seq, src], q: b[src]) = h[argmax[seq](s)][q]
entry pointers(h[seq, src], s[seq, a], r[src, a]) = h[argmax[seq](s)][argmax[src](r)]
entry matrix(h[seq, b, a], s[seq, src], q: b[src]) = matched(h[argmax[seq](s)], q)
entry contracted(h[seq, b, a], W[model, a], s[seq, src], q: b[src]) = W @a h[argmax[seq](s)][q]
entry chosen(h[seq, b], w[seq, a]) = h[b(argmax[a](w))]
entry rows_and_columns(z[a, b], i: a, j: b) = z[i][b(0)] + z[a(0)][j] + z[i][j]
entry ids(T: c[a, b], x: a[seq], y: b[seq]) = T[x][y]
entry truths(T: bool[a, b], x: a[seq], y: b[seq]) = T[x][y]
)");
  if (program) ExpectAgreementAndLaws("reads", *program);
}

TEST(ComputedIndices, GradientsAgree) {
  const auto program = CompileText("gradients.heed", R"(
axis a = 4, b = 5, c = 3, model = 4, seq <= 9, src <= 8
module Two(x: a[seq], y: b[seq]) -> [] {
  param T1[a, b] ~ normal(0, 1)
  sum[seq](T1[x][y] * T1[x][y])
}
module Three(x: a[seq], y: b[seq], z: c[src]) -> [] {
  param T2[a, b, c, model] ~ normal(0, 1), W2[model, c, model'] ~ normal(0, 1)
  u = T2[x][y]
  sum[seq, src, model'](tanh(W2[z] @model u[z]))
}
module Roll(x[seq, a]) -> [] {
  param T3[a, b] ~ normal(0, 1)
  r = T3[a((a + 2) % 4)][b((b + 3) % 5)]
  sum[seq, b]((r @a x + T3 @a x) ^ 2)
}
module Chain(i: a[b], j: b[seq]) -> [] {
  param T4[a, b, model] ~ normal(0, 1)
  sum[seq, model]((T4[i[j]][j] + T4[i[j]][b(1)]) ^ 2)
}
module Pointer(x[seq, model], s[seq, src], q: b[src]) -> [] {
  param W5[b, model] ~ normal(0, 1)
  h = tanh(W5 @model x)[argmax[seq](s)]
  sum[src]((h[q] + h[b(0)]) ^ 2)
}
part two = Two, three = Three, roll = Roll, chain = Chain, pointer = Pointer
entry train_two(x: a[seq], y: b[seq]) = minimize two(x, y)
entry train_three(x: a[seq], y: b[seq], z: c[src]) = minimize three(x, y, z)
entry train_roll(x[seq, a]) = minimize roll(x)
entry train_chain(i: a[b], j: b[seq]) = minimize chain(i, j)
entry train_pointer(x[seq, model], s[seq, src], q: b[src]) = minimize pointer(x, s, q)
)");
  if (program) ExpectAgreementAndLaws("gradients", *program);
}

TEST(ComputedIndices, StepsEqualTheWhole) {
  const auto program = CompileText("steps.heed", R"(
axis vocab = 7, slot = 3, model = 4, seq <= 9, src <= 8
module Net(x: vocab[seq], s: vocab[src]) -> [seq, vocab] {
  param T[vocab, slot, model] ~ normal(0, 1), K[vocab, slot] ~ normal(0, 1), U[vocab, model] ~ normal(0, 1)
  p = slot(seq % 3)
  z = T[x][p]
  n = argmax[slot](K[x])
  k = T[x][n][seq -> seq']
  z = z + mean[seq' | seq' <= seq](k) + mean[src](T[s])[p]
  m = softmax[seq' | seq' <= seq](z @model k) @seq' T[x][p][seq -> seq']
  U @model (z + m * K[x][n] + T[vocab(argmax[model](m))][p])
}
part net = Net
entry translate(s: vocab[src]) = generate y: vocab[seq] from 1 by net(y, s)
)");
  if (!program) return;
  ExpectAgreementAndLaws("steps", *program);
  ExpectStepsToEqualTheWhole(*program);
}

}  // namespace
}  // namespace heed::test
