// SentencePiece's model files: the few protocol-buffer fields that matter, read and written by hand. Our own
// BPE is stored in the same format, so other tools can open it; field 200 (an extension) says that newlines
// are pieces.
#include <cstring>

#include "runtime/base/utf8.h"
#include "runtime/text/tokenizer_piece.h"

namespace heed {
namespace {

/// One field of a protocol-buffer message.
struct Field {
  uint32_t number = 0;
  uint64_t value = 0;      // varint or fixed
  std::string_view bytes;  // length-delimited
  bool delimited = false;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool failed() const { return failed_; }
  /// False at the end or on damage.
  bool Next(Field& field) {
    if (failed_ || at_ == bytes_.size()) return false;
    const uint64_t tag = Varint();
    field = {};
    field.number = static_cast<uint32_t>(tag >> 3);
    switch (tag & 7) {
      case 0:
        field.value = Varint();
        break;
      case 1:
        field.value = Fixed(8);
        break;
      case 5:
        field.value = Fixed(4);
        break;
      case 2: {
        const uint64_t length = Varint();
        if (failed_ || length > bytes_.size() - at_) return Fail();
        field.bytes = bytes_.substr(at_, length);
        field.delimited = true;
        at_ += length;
        break;
      }
      default:
        return Fail();
    }
    return !failed_ && (field.number != 0 || Fail());
  }

 private:
  bool Fail() {
    failed_ = true;
    return false;
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) break;
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    Fail();
    return 0;
  }
  uint64_t Fixed(size_t size) {
    if (bytes_.size() - at_ < size) {
      Fail();
      return 0;
    }
    uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + at_, size);
    at_ += size;
    return value;
  }

  std::string_view bytes_;
  size_t at_ = 0;
  bool failed_ = false;
};

void PutVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}
void PutNumber(std::string& out, uint32_t field, int64_t value) {
  PutVarint(out, field << 3);
  PutVarint(out, static_cast<uint64_t>(value));
}
void PutBytes(std::string& out, uint32_t field, std::string_view bytes) {
  PutVarint(out, field << 3 | 2);
  PutVarint(out, bytes.size());
  out.append(bytes);
}
void PutFloat(std::string& out, uint32_t field, float value) {
  PutVarint(out, field << 3 | 5);
  char raw[4];
  std::memcpy(raw, &value, 4);
  out.append(raw, 4);
}

enum ModelField { kPieces = 1, kTrainer = 2, kNormalizer = 3, kLines = 200 };
enum PieceField { kText = 1, kScore = 2, kKind = 3 };
enum TrainerField {
  kModelType = 3,
  kVocabSize = 4,
  kSuffix = 24,
  kByteFallback = 35,
  kUnkId = 40,
  kBosId = 41,
  kEosId = 42,
  kPadId = 43,
  kUnkSurface = 44,
  kUnkPiece = 45,
  kBosPiece = 46,
  kEosPiece = 47,
};
enum NormalizerField { kName = 1, kCharsmap = 2, kAddPrefix = 3, kCollapse = 4, kEscape = 5 };
enum ModelType { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };

}  // namespace

Result<PieceModel> ParseSentencePiece(std::string_view bytes, const std::string& name) {
  const Error damaged{name + " is not a SentencePiece model (or it is cut short)"};
  PieceModel model;
  int64_t type = kUnigram;
  std::string bos_piece = "<s>", eos_piece = "</s>";
  Reader reader(bytes);
  Field field, inner;
  while (reader.Next(field)) {
    if (field.number == kLines) model.lines = field.value != 0;
    if (!field.delimited) continue;
    Reader message(field.bytes);
    if (field.number == kPieces) {
      Piece piece;
      while (message.Next(inner)) {
        if (inner.number == kText) piece.text = inner.bytes;
        if (inner.number == kScore) {
          const auto raw = static_cast<uint32_t>(inner.value);
          std::memcpy(&piece.score, &raw, 4);
        }
        if (inner.number == kKind) {
          if (inner.value < 1 || inner.value > 6) return damaged;
          piece.kind = static_cast<PieceKind>(inner.value);
        }
      }
      if (FindInvalidUtf8(piece.text)) return damaged;
      model.pieces.push_back(std::move(piece));
    } else if (field.number == kTrainer) {
      while (message.Next(inner)) {
        if (inner.number == kModelType) type = static_cast<int64_t>(inner.value);
        if (inner.number == kByteFallback) model.byte_fallback = inner.value != 0;
        if (inner.number == kUnkSurface) model.unknown_surface = inner.bytes;
        if (inner.number == kBosPiece) bos_piece = inner.bytes;
        if (inner.number == kEosPiece) eos_piece = inner.bytes;
        if (inner.number == kSuffix && inner.value != 0) {
          return Error{
              name +
              " writes spaces at the end of words (treat_whitespace_as_suffix), which is not supported"};
        }
      }
    } else if (field.number == kNormalizer) {
      while (message.Next(inner)) {
        if (inner.number == kName) model.rules = inner.bytes;
        if (inner.number == kCharsmap) model.charsmap = inner.bytes;
        if (inner.number == kAddPrefix) model.add_prefix = inner.value != 0;
        if (inner.number == kCollapse) model.collapse_spaces = inner.value != 0;
        if (inner.number == kEscape && inner.value == 0) {
          return Error{name + " keeps spaces as they are (escape_whitespaces off), which is not supported"};
        }
      }
    }
    if (message.failed()) return damaged;
  }
  if (reader.failed() || model.pieces.empty()) return damaged;
  if (type == kWord)
    return Error{name + " is a model of whole words; only BPE, unigram and character models are supported"};
  if (type != kUnigram && type != kBpe && type != kChar) return damaged;
  model.unigram = type == kUnigram;
  model.unk = model.bos = model.eos = -1;
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const Piece& piece = model.pieces[i];
    const auto id = static_cast<int32_t>(i);
    if (piece.kind == PieceKind::Unknown) model.unk = id;
    if (piece.kind == PieceKind::Control && piece.text == bos_piece) model.bos = id;
    if (piece.kind == PieceKind::Control && piece.text == eos_piece) model.eos = id;
  }
  if (model.unk < 0) return Error{name + " has no piece for unknown characters"};
  return model;
}

std::string WriteSentencePiece(const PieceModel& model) {
  std::string out, message;
  for (const Piece& piece : model.pieces) {
    message.clear();
    PutBytes(message, kText, piece.text);
    PutFloat(message, kScore, piece.score);
    if (piece.kind != PieceKind::Normal) PutNumber(message, kKind, static_cast<int64_t>(piece.kind));
    PutBytes(out, kPieces, message);
  }
  message.clear();
  PutNumber(message, kModelType, model.unigram ? kUnigram : kBpe);
  PutNumber(message, kVocabSize, static_cast<int64_t>(model.pieces.size()));
  if (model.byte_fallback) PutNumber(message, kByteFallback, 1);
  PutNumber(message, kUnkId, model.unk);
  PutNumber(message, kBosId, model.bos);
  PutNumber(message, kEosId, model.eos);
  PutNumber(message, kPadId, -1);
  PutBytes(message, kUnkSurface, model.unknown_surface);
  const auto put_piece = [&](uint32_t field, int32_t id) {
    if (id >= 0) PutBytes(message, field, model.pieces[static_cast<size_t>(id)].text);
  };
  put_piece(kUnkPiece, model.unk);
  put_piece(kBosPiece, model.bos);
  put_piece(kEosPiece, model.eos);
  PutBytes(out, kTrainer, message);
  message.clear();
  PutBytes(message, kName, model.rules);
  if (!model.charsmap.empty()) PutBytes(message, kCharsmap, model.charsmap);
  PutNumber(message, kAddPrefix, model.add_prefix);
  PutNumber(message, kCollapse, model.collapse_spaces);
  PutNumber(message, kEscape, 1);
  PutBytes(out, kNormalizer, message);
  if (model.lines) PutNumber(out, kLines, 1);
  return out;
}

}  // namespace heed
