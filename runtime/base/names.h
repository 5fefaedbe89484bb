// Small helpers for messages about names: what was probably meant, and lists that stay readable. Nothing here
// prints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// Number of letters to change, insert, delete or swap to get from a to b.
int64_t EditDistance(std::string_view a, std::string_view b);
/// The name most like `name`, or empty if none is near (a third of the letters may differ, or one is the
/// other's end).
std::string ClosestName(const std::string& name, const std::vector<std::string>& names);
/// "a, b, c and 12 more".
std::string ListNames(const std::vector<std::string>& names, size_t at_most = 8);
/// A word of a command as a POSIX shell takes it: in quotes if it needs them.
std::string ShellWord(const std::string& word);
/// "[2, 5]".
std::string ShapeText(const std::vector<int64_t>& shape);
/// "1,234,567".
std::string WithCommas(int64_t number);
/// "3.2 MB"; 1 MB is 1,000,000 bytes.
std::string BytesText(int64_t bytes);

}  // namespace heed
