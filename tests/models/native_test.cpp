// Native code against the interpreter, and the laws, on every example at small sizes and on every CPU level
// this machine runs: values and gradients agree, and neither padding, neighbours in the batch nor the number
// of threads changes a bit; with parameters where they lie and packed in every type.
#include "tests/support/native_support.h"

namespace heed::test {
namespace {

class NativeTest : public testing::TestWithParam<Example> {};

TEST_P(NativeTest, AgreesWithTheInterpreterAndKeepsTheLaws) {
  const auto program = Load(GetParam());
  ASSERT_NE(program, nullptr);
  ExpectAgreementAndLaws(GetParam().name, *program);
}

// The second maximum reads the first at every earlier position: they are not one loop.
TEST(Native, ReductionsOfReductionsElsewhere) {
  const auto program = CompileText("layers.heed", R"(
axis vocab = 5, model = 4, seq <= 9
module Net(x: vocab[seq]) -> [seq, vocab] {
  param E[vocab, model] ~ normal(0, 1)
  z = E[x]
  z = z + max[seq' | seq' <= seq](z[seq -> seq'])
  z = z + max[seq' | seq' <= seq](z[seq -> seq'])
  z = z + sum[seq' | seq' < seq]((z / sqrt(1 + sum[model](z * z)))[seq -> seq'])
  E @model z
}
part net = Net
entry all(x: vocab[seq]) = net(x)
)");
  ASSERT_NE(program, nullptr);
  ExpectAgreementAndLaws("layers", *program);
}

// Which axis an element reads, several indices at once, and the order that a result is declared in.
TEST(Native, ReadsOfTwinsAndOfSeveralAxes) {
  const auto program = CompileText("elements.heed", R"(
axis n = 5, frame = 9, tap = 3, seq <= 9, src <= 8
def column[s](z[s, s'], i: s') -> [s] = z[i]
entry columns(z[n, n'], i: n[seq]) = z[n'(i)]
entry called(z[n, n'], i: n[seq]) -> [seq, n] = column[n](z, i)
entry moved(z[n, n'], i: n[seq]) = z[(n'(i) + 2) % |n|]
entry both(z[n, n'], i: n[seq], k: n[src]) = z[n(i), n'(k)]
entry crossed(z[n, n'], i: n[n'], k: n[n]) -> [n', n] = z[n(i), n'(k)]
entry three(T[n, tap, frame], i: n[seq], k: tap[seq]) = T[i, k, frame(1)]
entry turned(z[n, n']) = z[n', n'(n)]
entry back(x[n, seq]) -> [seq, n] = x[|n| - 1 - n]
entry window(x[frame, seq]) -> [seq, tap, frame] = where(frame + (tap - tap(1)) >= 0 and frame + (tap - tap(1)) < |frame|,
    x[frame + (tap - tap(1))], 0)
)");
  ASSERT_NE(program, nullptr);
  ExpectAgreementAndLaws("elements", *program);
}

INSTANTIATE_TEST_SUITE_P(Examples, NativeTest, testing::ValuesIn(Programs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace heed::test
