// What fuzz targets share: files from bytes, and a check that holds in any build.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

namespace heed::fuzz {

inline std::string_view Text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// `text` up to its first NUL, and what comes after.
struct Parts {
  std::string_view first, rest;
};
inline Parts Split(std::string_view text) {
  const size_t at = text.find('\0');
  return at == text.npos ? Parts{text, {}} : Parts{text.substr(0, at), text.substr(at + 1)};
}

/// Ends the process, as a crash does, if what must hold does not.
inline void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// A folder of this process.
inline const std::string& Folder() {
  static const std::string folder = [] {
    std::string pattern = "/tmp/heed-fuzz-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    return pattern;
  }();
  return folder;
}
inline std::string WriteFile(const std::string& name, std::string_view bytes) {
  const std::string path = Folder() + "/" + name;
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

}  // namespace heed::fuzz
