// Reading and writing whole text files. Failures are messages fit to be printed, with the file's name.
#pragma once

#include <optional>
#include <string>

namespace heed::frontend {

/// The text of `name`; nothing, and `error` says why, if it cannot be read, is no text or larger than any
/// program.
std::optional<std::string> ReadText(const std::string& name, std::string& error);
/// `-` is the standard output, other names are written with the care of FileWriter. Returns what went wrong.
std::optional<std::string> WriteText(const std::string& name, const std::string& text);
/// Like WriteText, on a file that exists and has no other copy.
std::optional<std::string> ReplaceText(const std::string& name, const std::string& text);

}  // namespace heed::frontend
