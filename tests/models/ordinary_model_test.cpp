// What the language lets one write in ordinary small programs, feature by feature: whatever `check` accepts
// is compiled, and agrees with the interpreter. Nothing here is a Transformer.
#include "tests/support/native_support.h"

namespace heed::test {
namespace {

/// Entries over the axes below, compiled together.
void ExpectAgreement(const std::string& name, const std::string& entries) {
  const auto program =
      CompileText(name + ".heed",
                  "axis a = 4, b = 5, ab = 20, c = 3, one = 1, pair = {left, right}, model = 4, vocab = 7\n"
                  "axis seq <= 9, src <= 8\n" +
                      entries);
  if (program) ExpectAgreementAndLaws(name, *program);
}

TEST(Ordinary, Scalars) {
  ExpectAgreement("scalars", R"(
entry same(x) = x
entry sum_of(x, y, n: int) = x * y + n
entry chosen(x, m: bool) = where(m and x > 0, x, -x)
entry less(x, y) = x < y
entry whole(n: int, m: int) = n * m - n % 5
entry quotient(n: int, m: int) = n / (m + 1)
entry rounded_down(n: int, m: int) = where(m != 0, n // m, n // -3) + n // 4
entry as_int(x, m: bool) = int(floor(x * 10)) + int(m)
entry number(x) = 3
entry truth(x[a]) = true
entry ignored(x[seq], m: bool) = m
entry powers(x) = exp(-(x ^ 2) / 2) + abs(x) ^ 0.5
entry rounded(x) = floor(x * 10) / 10
entry smallest(x, y) = min(x, max(y, 0.5))
entry element(i: a) = i
entry length(x[seq]) = |seq|
entry lengths(x[seq], y[src]) = |seq| * |src|
)");
}

TEST(Ordinary, StaticAxes) {
  ExpectAgreement("staticaxes", R"(
def convolved(x[ab], w[c]) -> [ab] {
  s[ab, c] = w * x[ab((ab - ab(0) + 3 * (c - c(0))) % 20)]
  sum[c](s)
}
entry same(x[a, b]) = x
entry turned(x[a, a']) = x[a -> a''][a' -> a][a'' -> a']
entry symmetric(x[a, a']) = x + x[a -> a''][a' -> a][a'' -> a']
entry merged(x[a, b]) = x[b, a -> ab]
entry split(x[ab]) = x[ab -> b, a]
entry reshaped(x[a, b]) = x[a, b -> ab][ab -> b, a]
entry with_reshaped(x[a, b]) = exp(x) + exp(x)[a, b -> ab][ab -> b, a]
entry softmax_reshaped(x[a, b]) = softmax[b](x) * softmax[b](x)[a, b -> ab][ab -> b, a]
entry product_reshaped(x[a, c], y[c, b]) = x @c y + (x @c y)[a, b -> ab][ab -> b, a]
entry epilogue_reshaped(x[a, c], y[c, b]) = gelu((x @c y)[a, b -> ab][ab -> b, a])
entry trace(x[a, a']) = sum[a, a'](where(a == a', x, 0))
entry over_two(x[a, b]) = softmax[a, b](x) + log_softmax[a, b](x)
entry hot(x[a, b]) = onehot[b](argmax[b](x))
entry read(x[a, b], y[a, b]) = y[argmax[b](x)]
entry drawn(x[a, b], m: bool[b]) = sample[b | m or b == 1](x)
entry nothing(x[a, b]) = sum[b | false](x) + softmax[b | b > 9](x) + mean[b | b < 0](x)
entry largest_of_nothing(x[a, b]) = max[b | false](x)
entry triangle(x[a, b]) = sum[b | b > a](x)
entry ranked(x[a, b]) = rank[b](x)
entry ranked_together(x[a, b], m: bool[b]) = rank[b, a | m](x)
entry ranked_wholes(n: int[a, b]) = rank[a](n)
entry largest_two(x[a, b]) = sum[b | rank[b](x) < 2](x)
entry logs(x[a, b], m: bool[b]) = logsumexp[b | m](x) + logsumexp[a, b](x)
entry stacked(x[a], y[a]) = stack[pair](x, y)
entry diagonal(x[a, a', b]) = x[a'(a)]
entry diagonal_of_sum(x[a, a', b]) -> [b, a] = (x * 2 + b)[a(a')][a' -> a]
entry joined(x[a, b], y[c]) = join[a, c -> vocab](x * 2, y)
entry joined_whole(i: vocab[a], j: vocab[c]) = join[c, a -> vocab](j, i)
entry joined_thrice(x[one], y[pair, b], m[one]) = join[one, pair, one -> model](x, y, m)
entry joined_to_itself(x[a], y[c]) = join[a, c, c, c, c, a -> ab](x, y, y * 2, y, y, x)
entry stacked_ids(i: a[b], j: a[b]) = stack[pair](i, j)
entry stacked_truths(i: bool[b], j: bool[b]) = stack[pair](i, j)
entry positions(x[a, b]) = a * 2 + b
entry halves(x[b, a]) -> [b, a] = x[b(b // 2)] + x[b(4 - 2 * (b // 2))]
entry plain(i: a[b], x[b]) = x[b(int(i) + int(x > 0.5))]
entry difference(x[pair, a]) = x[pair(0)] - x[pair(1)]
entry either(i: a[b], j: a[b], m: bool[b]) = where(m, i, j)
entry ints(n: int[a, b]) = sum[b](n)
entry most(n: int[a, b]) = max[b](n)
entry average(n: int[a, b]) = mean[b](n)
entry soft(n: int[a, b]) = softmax[b](n)
entry product(n: int[a, b], m: int[b, c]) = n @b m
entry place(n: int[a, b]) = argmax[b](n)
entry count(n: bool[a, b]) = sum[b](n)
entry share(n: bool[a, b]) = mean[b](n)
entry one_summed(x[one, a], y[one, b]) = sum[one](x) + softmax[one](x)[one(0)]
entry one_product(x[one, a], y[one, b]) = x @one y
entry one_merged(x[one, a]) = x[one, a -> a']
entry one_split(x[a]) = x[a -> one, a']
entry gram(x[a, b]) = x @b x[a -> a']
entry norms(x[a, b]) = standardize[a](standardize[b](x))
entry running(x[a]) = sum[a' | a' <= a](x[a -> a']) + max[a' | a' <= a](x[a -> a'])
entry convolution(x[ab], w[c]) = convolved(x, w)
entry many(x[a, b, c, pair, model, one]) = sum[c](x) + max[c](x)
)");
}

TEST(Ordinary, StacksAsAWhole) {
  ExpectAgreement("stacks", R"(
module Scaled(x[a]) -> [a] {
  param w[a] ~ normal(0, 1)
  tanh(x * w)
}
module Mixed(x[a]) -> [a] {
  part each[c] = Scaled
  softmax[c](sum[a](each[c](x))) @c each[c](x)
}
part all[c] = Scaled, mixed = Mixed, grid[c, pair] = Scaled
entry whole(x[seq, a]) = all[c](x)
entry own(x[c, a]) = all[c](x)
entry read(i: c[seq], x[seq, a]) = all[i](x)
entry last(x[seq, a]) = all[|c| - 1 - c](x)
entry both(i: c[seq], x[a]) = grid[i, pair](x)
entry mixture(x[seq, a]) = mixed(x)
entry train(x[seq, a], i: c[seq]) = minimize sum[seq, a]((mixed(x) + all[i](x)) ^ 2)
)");
}

TEST(Ordinary, Sequences) {
  ExpectAgreement("sequences", R"(
def squares(x[seq, a]) -> [seq, seq'] {
  s[seq, seq', a] = x - x[seq -> seq']
  sum[a](s ^ 2)
}
def product_of_pair(x[pair]) -> [] {
  (p, q) = unpack[pair](x)
  p * q
}
entry same(x[seq, a]) = x
entry distances(x[seq]) = seq - seq'
entry average(x[seq, a]) = mean[seq](x) + sum[seq](x) / |seq|
entry last(x[seq, a]) = sum[seq | seq == |seq| - 1](x)
entry outer(x[seq, a], y[src, a]) = x @a y
entry over_two(x[seq, a]) = softmax[seq, a](x)
entry logs_over_two(x[seq, a]) = sum[seq, a](exp(log_softmax[seq, a](x)))
entry place(x[seq, a]) = argmax[seq](x)
entry ranked(x[seq, a]) = rank[seq](x)
entry ranked_within(x[seq]) = rank[seq | seq > 0](x)
entry logs(x[seq, a]) = logsumexp[seq](x)
entry read(x[seq], y[seq, a]) = y[argmax[seq](x)]
entry drawn(x[seq, a]) = sample[seq](x)
entry shifted(x[seq, a]) = sum[seq | seq + 1 < |seq|](x[seq + 1] * x)
entry ints(n: int[seq]) = sum[seq](n * n - 2)
entry truths(m: bool[seq]) = sum[seq](not m)
entry equal(x: vocab[seq], y: vocab[src]) = x == y
entry counts(x: vocab[seq]) = sum[seq](onehot[vocab](x))
entry pairs(x: vocab[seq]) = sum[seq'](x == x[seq -> seq'])
entry ragged(x[seq, seq']) = softmax[seq'](x)
entry turned(x[seq, seq']) = x + x[seq -> seq''][seq' -> seq][seq'' -> seq']
entry walked(x[seq, seq'], y[seq', a]) = x @seq' y
entry one_query(q[a], k[src, a], v[src, b]) = attention[src, a](q, k, v)
entry masked(q[seq, a], k[src, a], v[src, b], m: bool[src]) = attention[src, a](q, k, v, m)
entry itself(x[seq, a]) = attention[seq', a](x, x[seq -> seq'], x[seq -> seq'])
entry of_static(q[b, a], k[c, a], v[c, a']) = attention[c, a](q, k, v)
entry of_twins(x[b, a]) = attention[b', a](x, x[b -> b'], x[b -> b'])
entry beyond(x[seq, a]) = sum[seq | seq > 100](x)
entry some(x[seq, a]) = exp(log_softmax[seq | seq > 0](x))
entry squared(x[seq, a]) = squares(x)
entry rows(x: vocab[seq], T[vocab, a]) = T[x]
entry row_sum(x: vocab[seq], T[vocab, a]) = sum[seq](T[x])
entry unused(x: vocab[seq], T[vocab, a]) = T
entry three(x[seq, seq', seq'']) = sum[seq''](x)
entry half(x[seq]) = where(seq * 2 < |seq|, x, -x)
entry either(x[seq], m: bool) = where(m, sum[seq](x), |seq|)
entry window(x[seq]) = sum[seq' | abs(seq - seq') < 2](x[seq -> seq'])
entry best_so_far(x[seq]) = argmax[seq' | seq' <= seq](x[seq -> seq'])
entry stacked(x[seq], y[seq]) = stack[pair](x, y)
entry unstacked(x[seq, pair]) = product_of_pair(x)
entry merged(x[seq, a, b]) = x[a, b -> ab]
entry split_product(x[seq, ab]) = x[ab -> a, b] @a x[ab -> a, b][b -> b']
entry ids_before(x: vocab[seq]) = where(x == 0, x, x - 1)
)");
}

}  // namespace
}  // namespace heed::test
