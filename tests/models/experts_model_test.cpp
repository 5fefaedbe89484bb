// Mixtures of experts in native code: what the interpreter gives, the laws of batch and threads, and steps
// that equal the whole, with weights of all types.
#include "tests/support/expert_programs.h"
#include "tests/support/incremental_native.h"

namespace heed::test {
namespace {

TEST(Experts, AgreeWithTheInterpreterAndKeepTheLaws) {
  for (const ExpertProgram& test : ExpertPrograms()) {
    SCOPED_TRACE(test.name);
    const auto program = CompileText("experts.heed", TextOf(test));
    ASSERT_TRUE(program);
    ExpectAgreementAndLaws("mixtral", *program);
  }
}

TEST(Experts, StepsEqualRecomputation) {
  for (const ExpertProgram& test : ExpertPrograms()) {
    SCOPED_TRACE(test.name);
    const auto program = CompileText("experts.heed", TextOf(test));
    ASSERT_TRUE(program);
    ExpectStepsToEqualTheWhole(*program);
  }
}

}  // namespace
}  // namespace heed::test
