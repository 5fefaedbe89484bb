// The two folders that tests and benchmarks start from, as CMake knows them.
#include "tests/support/paths.h"

namespace heed::test {

std::string Source(const std::string& path) { return HEED_SOURCE_DIR "/" + path; }
std::string Binary(const std::string& path) { return HEED_BINARY_DIR "/" + path; }

}  // namespace heed::test
