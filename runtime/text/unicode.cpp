// See unicode.h. The library knows single characters and how two compose; marks are put in order here, in
// time proportional to the text but for the logarithm of a run of marks.
#include "runtime/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "runtime/base/utf8.h"

namespace heed {
namespace {

static_assert(static_cast<int>(Category::Lu) == UTF8PROC_CATEGORY_LU &&
              static_cast<int>(Category::Nd) == UTF8PROC_CATEGORY_ND &&
              static_cast<int>(Category::So) == UTF8PROC_CATEGORY_SO &&
              static_cast<int>(Category::Co) == UTF8PROC_CATEGORY_CO);
constexpr std::string_view kCategoryNames = "CnLuLlLtLmLoMnMcMeNdNlNoPcPdPsPePiPfPoSmScSkSoZsZlZpCcCfCsCo";
constexpr char32_t kLastCharacter = 0x10FFFF;
constexpr char32_t kFullWidthTilde = 0xFF5E;

using Characters = std::vector<utf8proc_int32_t>;

int CombiningClass(utf8proc_int32_t c) {
  return c < 0x300 ? 0 : static_cast<int>(utf8proc_get_property(c)->combining_class);
}

constexpr utf8proc_option_t Combined(int options) { return static_cast<utf8proc_option_t>(options); }

// Decomposed, with marks in the order of their classes. `compatible`: as form K.
Characters Decomposed(std::string_view text, bool compatible) {
  const utf8proc_option_t options = Combined(UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
  constexpr size_t kLongest = 32;  // characters that one stands for; 18 in Unicode 15
  Characters out;
  out.reserve(text.size() + kLongest);
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeUtf8(text, at);
    at += static_cast<size_t>(std::max(c.length, 1));
    const size_t before = out.size();
    out.resize(before + kLongest);
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), out.data() + before,
                                static_cast<utf8proc_ssize_t>(kLongest), options, nullptr);
    out.resize(before + static_cast<size_t>(std::clamp<utf8proc_ssize_t>(count, 0, kLongest)));
  }
  for (size_t begin = 0; begin < out.size();) {
    if (CombiningClass(out[begin]) == 0) {
      ++begin;
      continue;
    }
    size_t end = begin;
    while (end < out.size() && CombiningClass(out[end]) != 0) ++end;
    std::stable_sort(out.begin() + static_cast<std::ptrdiff_t>(begin),
                     out.begin() + static_cast<std::ptrdiff_t>(end),
                     [](auto a, auto b) { return CombiningClass(a) < CombiningClass(b); });
    begin = end;
  }
  return out;
}

// The library takes U+11A7, which stands before the trailing consonants, for one: what it parts is composed
// by itself.
Characters Composed(Characters characters) {
  constexpr utf8proc_int32_t kNoConsonant = 0x11A7;
  Characters out;
  out.reserve(characters.size());
  for (auto from = characters.begin(); from != characters.end();) {
    const auto end = std::find(from, characters.end(), kNoConsonant);
    const utf8proc_ssize_t count =
        utf8proc_normalize_utf32(&*from, end - from, Combined(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    out.insert(out.end(), from, from + std::max<utf8proc_ssize_t>(count, 0));
    from = end;
    if (from != characters.end()) out.push_back(*from++);
  }
  return out;
}

std::string ToUtf8(const Characters& characters) {
  std::string out;
  out.reserve(characters.size());
  for (const utf8proc_int32_t c : characters) AppendUtf8(out, static_cast<char32_t>(c));
  return out;
}

// Whether all bytes are below `limit`.
bool AllBelow(std::string_view text, unsigned char limit) {
  return std::all_of(text.begin(), text.end(), [=](char c) { return static_cast<unsigned char>(c) < limit; });
}

// What a character is for NmtNormalForm.
enum class Role { Kept, Space, Dropped };
Role RoleOf(char32_t c) {
  switch (c) {
    case '\t':
    case '\n':
    case '\f':
    case '\r':
    case 0x1680:  // Ogham space mark
    case 0x200B:  // zero width space
    case 0x200C:  // zero width non-joiner
    case 0x200E:  // marks of direction
    case 0x200F:
    case 0x2028:  // separators of lines and paragraphs
    case 0x2029:
    case 0x2581:  // what stands for a space inside pieces
    case 0xFEFF:  // byte order mark
    case 0xFFFD:  // replacement character
      return Role::Space;
    case 0x7F:
    case 0x8F:
    case 0x9F:
      return Role::Dropped;
    default:
      return c > 0 && c < 0x20 ? Role::Dropped : Role::Kept;
  }
}

}  // namespace

std::string_view UnicodeVersion() { return utf8proc_unicode_version(); }

Category CategoryOf(char32_t c) {
  if (c > kLastCharacter) return Category::Cn;
  return static_cast<Category>(utf8proc_category(static_cast<utf8proc_int32_t>(c)));
}

std::optional<CategorySet> CategoriesNamed(std::string_view name) {
  if (name.empty() || name.size() > 2) return std::nullopt;
  CategorySet set = 0;
  for (size_t i = 0; i < kCategoryNames.size(); i += 2) {
    if (kCategoryNames.substr(i, name.size()) == name) set |= CategorySet{1} << i / 2;
  }
  if (set == 0) return std::nullopt;
  return set;
}

void ForEachCategoryRange(const std::function<void(char32_t first, char32_t last, Category)>& visit) {
  struct Run {
    char32_t first;
    Category category;
  };
  static const auto kRuns = [] {
    std::vector<Run> runs;
    for (char32_t c = 0; c <= kLastCharacter; ++c) {
      const Category category = CategoryOf(c);
      if (runs.empty() || runs.back().category != category) runs.push_back({c, category});
    }
    return runs;
  }();
  for (size_t i = 0; i < kRuns.size(); ++i)
    visit(kRuns[i].first, i + 1 < kRuns.size() ? kRuns[i + 1].first - 1 : kLastCharacter, kRuns[i].category);
}

bool IsWhiteSpace(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D);
  return c == 0x85 || IsIn(c, In(Category::Zs) | In(Category::Zl) | In(Category::Zp));
}

bool IsWordCharacter(char32_t c) {
  static const CategorySet kWord =
      *CategoriesNamed("L") | *CategoriesNamed("M") | In(Category::Nd) | In(Category::Nl) | In(Category::Pc);
  // Symbols that are alphabetic (circled, squared and the like), and the joiners.
  return IsIn(c, kWord) || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C || c == 0x200D;
}

int ColumnsOf(char32_t c) { return utf8proc_charwidth(static_cast<utf8proc_int32_t>(c)); }

Cluster ClusterAt(std::string_view text, size_t at) {
  constexpr char32_t kAsText = 0xFE0E, kAsPicture = 0xFE0F;  // variation selectors
  const CodePoint first = DecodeUtf8(text, at);
  if (first.length == 0) return {};
  Cluster cluster{static_cast<size_t>(first.length), ColumnsOf(first.value)};
  bool several = false, picture = CategoryOf(first.value) == Category::So;
  utf8proc_int32_t state = 0;
  for (char32_t before = first.value; at + cluster.bytes < text.size();) {
    const CodePoint c = DecodeUtf8(text, at + cluster.bytes);
    if (c.length == 0 || utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
                                                          static_cast<utf8proc_int32_t>(c.value), &state))
      break;
    several = true;
    if (c.value == kAsPicture) picture = true;
    if (c.value == kAsText) picture = false;
    cluster.bytes += static_cast<size_t>(c.length);
    cluster.columns += ColumnsOf(c.value);
    before = c.value;
  }
  // Joined pictures are as wide as one.
  if (several && picture) cluster.columns = 2;
  return cluster;
}

std::string Visible(std::string_view bytes) {
  constexpr CategorySet kHidden = In(Category::Cc) | In(Category::Cn) | In(Category::Co) | In(Category::Cf) |
                                  In(Category::Zl) | In(Category::Zp);
  std::string out;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint c = DecodeUtf8(bytes, at);
    const size_t length = static_cast<size_t>(std::max(c.length, 1));
    if (c.length > 0 && c.value == ' ') {
      out += "\xE2\x96\x81";
    } else if (c.length > 0 && !IsIn(c.value, kHidden)) {
      out += bytes.substr(at, length);
    } else {
      for (const char byte : bytes.substr(at, length)) {
        char name[8];
        std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(static_cast<unsigned char>(byte)));
        out += name;
      }
    }
    at += length;
  }
  return out;
}

std::string NormalFormC(std::string_view text) {
  if (AllBelow(text, 0xCC)) return std::string(text);  // below U+0300 nothing changes
  return ToUtf8(Composed(Decomposed(text, false)));
}

std::string NormalFormD(std::string_view text) { return ToUtf8(Decomposed(text, false)); }

std::string NormalFormKC(std::string_view text) {
  if (AllBelow(text, 0x80)) return std::string(text);
  return ToUtf8(Composed(Decomposed(text, true)));
}

std::string NmtNormalForm(std::string_view text) {
  std::string tilde;
  AppendUtf8(tilde, kFullWidthTilde);
  std::string out;
  const auto append = [&](std::string_view part) {
    const std::string composed = NormalFormKC(part);
    for (size_t at = 0; at < composed.size();) {
      const CodePoint c = DecodeUtf8(composed, at);
      const size_t length = static_cast<size_t>(std::max(c.length, 1));
      const Role role = RoleOf(c.value);
      if (role == Role::Space) out += ' ';
      if (role == Role::Kept) out.append(composed, at, length);
      at += length;
    }
  };
  for (size_t begin = 0;;) {
    const size_t end = std::min(text.find(tilde, begin), text.size());
    append(text.substr(begin, end - begin));
    if (end == text.size()) return out;
    out += tilde;
    begin = end + tilde.size();
  }
}

}  // namespace heed
