// UTF-8: decoding, checking and writing code points, and the few character properties tokenizers and BLEU
// need. No normalisation forms and no locale: properties come from short tables of ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heed {

/// Code point at `text[at]` and its length in bytes; length 0 if the bytes there are not valid UTF-8
/// (overlong forms, surrogates and values over U+10FFFF included).
struct CodePoint {
  char32_t value = 0;
  int length = 0;
};
CodePoint DecodeUtf8(std::string_view text, size_t at);
void AppendUtf8(std::string& out, char32_t c);

/// Offset of the first byte that is not part of valid UTF-8, if there is one.
std::optional<size_t> FindInvalidUtf8(std::string_view text);
/// Invalid bytes replaced by U+FFFD, one for each byte.
std::string RepairUtf8(std::string_view text);
/// The same with one U+FFFD for each longest run of bytes that begins a character (Unicode standard, table
/// 3-8).
std::string LossyUtf8(std::string_view text);
/// Number of code points of valid text.
int64_t CountCodePoints(std::string_view text);

/// White space in Unicode's sense: ASCII space, \t to \r, U+0085, U+00A0, U+2000 to U+200A, U+202F, U+3000
/// and so on.
bool IsUnicodeSpace(char32_t c);
/// A coarse class of characters, for deciding where a word may be cut: letters are told apart by script.
enum class CharacterClass {
  Space,
  Digit,
  Punctuation,
  Latin,
  Greek,
  Cyrillic,
  Han,
  Kana,
  Hangul,
  OtherLetter
};
CharacterClass ClassOf(char32_t c);

}  // namespace heed
