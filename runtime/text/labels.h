// Text as people see it: tokens as labels of rows and columns, how wide a text is, where to cut it. Nothing
// here prints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/text/tokenizer.h"

namespace heed {

/// A token as a label: "the" for the piece "▁the", "␣" for a space, "\n" for a newline, "<eos>". Never empty;
/// valid UTF-8 without control characters.
std::string TokenLabel(const Tokenizer& tokenizer, int32_t id);
/// Columns that a text takes on a terminal: East Asian characters and emoji, joined ones too, take two,
/// combining ones none.
int64_t DisplayWidth(std::string_view text);
/// The text, or as much of its start as fits into `width` columns and "…"; what is joined is not cut.
std::string Shortened(const std::string& text, int64_t width);

}  // namespace heed
