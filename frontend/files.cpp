// Whole files in and out. A program has some hundred lines, so what is larger than 8 MiB or holds NUL bytes
// is not read at all: one message instead of one for every byte that is no token.
#include "frontend/files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "runtime/base/file_writer.h"

namespace heed::frontend {
namespace fs = std::filesystem;

namespace {
constexpr size_t kMaxBytes = 8 << 20;
}

Result<std::string> ReadText(const std::string& name) {
  const auto fail = [&](const std::string& what) { return Error{name + ": " + what}; };
  std::error_code code;
  const fs::file_status status = fs::status(name, code);
  if (status.type() == fs::file_type::not_found) return fail("no such file");
  if (code) return fail("cannot read it: " + code.message());
  if (fs::is_directory(status)) return fail("is a folder");
  errno = 0;
  std::ifstream in(name, std::ios::binary);
  if (!in) return fail(std::string("cannot read it: ") + std::strerror(errno));
  std::string text(kMaxBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return fail(std::string("cannot read it: ") + std::strerror(errno));
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kMaxBytes) return fail("is larger than any program (8 MiB)");
  if (text.find('\0') != std::string::npos) return fail("is not a text file (it contains NUL bytes)");
  return text;
}

Status WriteText(const std::string& name, const std::string& text) {
  if (name == "-") {
    std::cout << text << std::flush;
    if (!std::cout) return Error{"cannot write to the standard output"};
    return Done{};
  }
  return WriteWholeFile(name, text, {.synced = false});
}

Status ReplaceText(const std::string& name, const std::string& text) {
  std::error_code code;
  if (!fs::is_regular_file(name, code)) return Error{name + ": is not a regular file"};
  return WriteWholeFile(name, text);
}

}  // namespace heed::frontend
