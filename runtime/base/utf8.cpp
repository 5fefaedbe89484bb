// UTF-8 decoding after the table of well-formed byte sequences (Unicode standard, table 3-7), and character
// classes. Classes are coarse on purpose: they only decide which neighbouring characters a learned piece may
// join.
#include "runtime/base/utf8.h"

namespace heed {

CodePoint DecodeUtf8(std::string_view text, size_t at) {
  const size_t left = text.size() - at;
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  auto continues = [&](size_t i) { return i < left && (byte(i) & 0xC0) == 0x80; };
  if (first >= 0xC2 && first <= 0xDF && continues(1)) {
    return {static_cast<char32_t>((first & 0x1F) << 6 | (byte(1) & 0x3F)), 2};
  }
  if (first >= 0xE0 && first <= 0xEF && continues(1) && continues(2)) {
    const char32_t c = static_cast<char32_t>((first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F));
    if (c < 0x800 || (c >= 0xD800 && c <= 0xDFFF)) return {};
    return {c, 3};
  }
  if (first >= 0xF0 && first <= 0xF4 && continues(1) && continues(2) && continues(3)) {
    const char32_t c = static_cast<char32_t>((first & 0x07) << 18 | (byte(1) & 0x3F) << 12 |
                                             (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F));
    if (c < 0x10000 || c > 0x10FFFF) return {};
    return {c, 4};
  }
  return {};
}

void AppendUtf8(std::string& out, char32_t c) {
  auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

std::optional<size_t> FindInvalidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeUtf8(text, at);
    if (c.length == 0) return at;
    at += static_cast<size_t>(c.length);
  }
  return std::nullopt;
}

std::string RepairUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeUtf8(text, at);
    if (c.length == 0) {
      AppendUtf8(out, 0xFFFD);
      ++at;
    } else {
      out.append(text.substr(at, static_cast<size_t>(c.length)));
      at += static_cast<size_t>(c.length);
    }
  }
  return out;
}

std::string LossyUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0; };
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeUtf8(text, at);
    if (c.length > 0) {
      out.append(text.substr(at, static_cast<size_t>(c.length)));
      at += static_cast<size_t>(c.length);
      continue;
    }
    AppendUtf8(out, 0xFFFD);
    // The second byte has narrower bounds behind some first ones; the others are 80 to BF.
    const unsigned char first = byte(at++), second = byte(at);
    const int length = first >= 0xE0 && first <= 0xEF ? 3 : first >= 0xF0 && first <= 0xF4 ? 4 : 2;
    const unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (length == 2 || second < low || second > high) continue;
    ++at;
    if (length == 4 && (byte(at) & 0xC0) == 0x80) ++at;
  }
  return out;
}

int64_t CountCodePoints(std::string_view text) {
  int64_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

bool IsUnicodeSpace(char32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

CharacterClass ClassOf(char32_t c) {
  if (IsUnicodeSpace(c)) return CharacterClass::Space;
  if (c < 0x80) {
    if (c >= '0' && c <= '9') return CharacterClass::Digit;
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') return CharacterClass::Latin;
    return CharacterClass::Punctuation;
  }
  if (c < 0xC0) return c == 0xAA || c == 0xBA ? CharacterClass::Latin : CharacterClass::Punctuation;
  if (c == 0xD7 || c == 0xF7) return CharacterClass::Punctuation;
  if (c <= 0x24F || (c >= 0x1E00 && c <= 0x1EFF)) return CharacterClass::Latin;
  if (c >= 0x300 && c <= 0x36F) return CharacterClass::Latin;  // combining accents stay with their letter
  if ((c >= 0x370 && c <= 0x3FF) || (c >= 0x1F00 && c <= 0x1FFF)) return CharacterClass::Greek;
  if (c >= 0x400 && c <= 0x52F) return CharacterClass::Cyrillic;
  if ((c >= 0x660 && c <= 0x669) || (c >= 0x966 && c <= 0x96F) || (c >= 0xFF10 && c <= 0xFF19)) {
    return CharacterClass::Digit;
  }
  if (c >= 0x2010 && c <= 0x2BFF) return CharacterClass::Punctuation;
  if (c >= 0x3001 && c <= 0x3020) return CharacterClass::Punctuation;
  if (c >= 0x3040 && c <= 0x30FF) return CharacterClass::Kana;
  if ((c >= 0x3400 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF)) {
    return CharacterClass::Han;
  }
  if ((c >= 0xAC00 && c <= 0xD7AF) || (c >= 0x1100 && c <= 0x11FF)) return CharacterClass::Hangul;
  if ((c >= 0xFF00 && c <= 0xFF20) || (c >= 0xFE30 && c <= 0xFE6F)) return CharacterClass::Punctuation;
  if (c >= 0x1F000 && c <= 0x1FAFF) return CharacterClass::Punctuation;
  return CharacterClass::OtherLetter;
}

}  // namespace heed
