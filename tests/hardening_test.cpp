// Both programs, heed and what it builds, are hardened: relocations are read-only from the start, frames are
// guarded. Fortified copies leave no trace where the compiler can tell, so they are not looked for.
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>

#include "tests/support/expect.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace heed::test {
namespace {

void ExpectHardened(const std::string& program) {
  const ProcessResult result =
      RunProcess({"readelf", "--wide", "--segments", "--dynamic", "--dyn-syms", program});
  ASSERT_TRUE(result.ok()) << result.err;
  EXPECT_HAS(result.out, "GNU_RELRO");
  EXPECT_TRUE(std::regex_search(result.out, std::regex("BIND_NOW|Flags: .*NOW"))) << program;
  EXPECT_HAS(result.out, "__stack_chk_fail");
}

TEST(Hardening, OfBothPrograms) {
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "sanitizers see more";
#endif
  const std::string heed = Binary("heed");
  if (!std::filesystem::exists(heed)) GTEST_SKIP() << "heed is not built";
  ExpectHardened(heed);
  const TemporaryFolder folder;
  WriteBytes(folder / "double.heed", "axis n = 3\nentry double(x[n]) = 2 * x\n");
  const ProcessResult built =
      RunProcess({heed, "build", "-q", folder / "double.heed", "-o", folder / "double"});
  ASSERT_TRUE(built.ok()) << built.err;
  ExpectHardened(folder / "double");
}

}  // namespace
}  // namespace heed::test
