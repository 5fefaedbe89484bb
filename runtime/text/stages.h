// The stages that published tokenizers are put together from, each a small function on text: normalizers
// rewrite it, pre-tokenizers cut it into words, decoders turn pieces back into text. They are what a
// tokenizer.json lists; reading that is tokenizer_json.cpp's business, merging words tokenizer_merges.h's.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/text/pattern.h"

namespace heed::stage {

/// Bytes written as characters that can be seen (GPT-2's alphabet): the 188 printable ones of Latin-1 as they
/// are, the others from U+0100 on, in order.
void AppendVisibleByte(std::string& out, uint8_t byte);
/// The bytes of text in that alphabet; false, and nothing appended, if another character is in it.
bool AppendBytesOfVisible(std::string& out, std::string_view text);

// Normalizers. Nothing is put before an empty text.
struct Prepend {
  std::string text;
};
struct Replace {
  Pattern pattern;
  std::string content;
};
struct ComposedForm {};    // NFC
struct DecomposedForm {};  // NFD
using Normalizer = std::variant<Prepend, Replace, ComposedForm, DecomposedForm>;
std::string Normalize(const std::vector<Normalizer>& stages, std::string_view text);

// Pre-tokenizers.
struct Split {
  Pattern pattern;
  SplitBehavior behavior;
  bool invert = false;
};
/// Spaces become `mark`; one is put before the text too, if it has none there: always, or only at the start
/// of the whole input. Then every mark starts a word, if `split`.
struct Metaspace {
  std::string mark;
  enum class Where { Always, First, Never } prepend = Where::Always;
  bool split = true;
};
struct PrefixSpace {};   // a space before a text that starts with none
struct VisibleBytes {};  // every byte as a character, see AppendVisibleByte
using PreTokenizer = std::variant<Split, Metaspace, PrefixSpace, VisibleBytes>;
/// Calls `visit` with the words of `text`, in order, none of them empty. `first`: the text starts the input.
void PreTokenize(const std::vector<PreTokenizer>& stages, std::string_view text, bool first,
                 const std::function<void(std::string_view word)>& visit);

/// A piece of a sequence on its way to text.
struct Piece {
  std::string text;
  bool literal = false;                 ///< an added token, which is its text and which no decoder changes
  bool is_start = true, is_end = true;  ///< whether its ends are those of what was joined
};

// Decoders, on the pieces of a sequence.
struct BytesOfVisible {};  // all pieces to one text
struct SpacesOfMetaspace {
  std::string mark;
  bool drop_first;  // none for the marks of the first piece
};
struct BytesOfNames {};  // "<0x41>" to "A"; a run that is not UTF-8 becomes one U+FFFD a byte
struct Join {};          // all pieces to one
struct StripCharacter {
  std::string character;
  size_t left, right;  // at most so many of it, of every piece
};
using PieceDecoder =
    std::variant<BytesOfVisible, SpacesOfMetaspace, BytesOfNames, Join, StripCharacter, Replace>;
std::vector<Piece> DecodePieces(const std::vector<PieceDecoder>& stages, std::vector<Piece> pieces);

}  // namespace heed::stage
