// Where tests find files.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace heed::test {

// In paths.cpp, so that no other object depends on where the checkout lies.
std::string Source(const std::string& path);  ///< below the checkout
std::string Binary(const std::string& path);  ///< below the build folder

/// A file of the shared data (oracles of PyTorch, corpora), or "" where it is absent: then the test skips.
inline std::string Shared(const std::string& path) {
  const char* folder = std::getenv("HEED_SHARED");
  const std::string full = (folder ? std::string(folder) : Source("../shared")) + "/" + path;
  return std::filesystem::exists(full) ? full : "";
}

}  // namespace heed::test
