// Reading and writing whole text files. Failures are messages fit to be printed, with the file's name.
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace heed::frontend {

/// The text of `name`; an error if it cannot be read, is no text or larger than any program.
Result<std::string> ReadText(const std::string& name);
/// `-` is the standard output, other names are written with the care of FileWriter.
Status WriteText(const std::string& name, const std::string& text);
/// Like WriteText, on a file that exists and has no other copy.
Status ReplaceText(const std::string& name, const std::string& text);

}  // namespace heed::frontend
