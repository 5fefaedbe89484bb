// See tokenizer_json.h. A reader walks the file with the place it is at, so that an error says where; the
// first error ends everything.
#include "runtime/text/tokenizer_json.h"

#include <algorithm>

#include "runtime/base/json_input.h"
#include "runtime/base/names.h"
#include "runtime/base/utf8.h"
#include "runtime/text/tokenizer_published.h"

namespace heed {
namespace {

using Json = nlohmann::json;
using stage::Metaspace;

constexpr int64_t kLargestId = 1 << 22;
constexpr size_t kLongestAdded = 4096;  // bytes of an added token
constexpr int kDeepest = 16;            // sequences in sequences

// GPT-2's cutting (Radford et al., 2019): contractions, and runs of letters, digits or others with a space.
constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Runs of word characters (see IsWordCharacter), or of others that are no spaces.
constexpr const char* kWhitespacePattern =
    R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169})"
    R"(\x{1F170}-\x{1F189}\u200C\u200D]+|[^\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9})"
    R"(\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}\u200C\u200D\s]+)";

// Names under which begin and end tokens are usually found.
constexpr const char* kBeginNames[] = {"<|begin_of_text|>", "<s>", "<bos>", "<|startoftext|>"};
constexpr const char* kEndNames[] = {"<|end_of_text|>", "</s>", "<eos>", "<|endoftext|>"};

class TokenizerReader {
 public:
  explicit TokenizerReader(std::string name) : name_(std::move(name)) {}

  Result<TokenizerPtr> Read(Json& json, const std::optional<SpecialTokens>& special) {
    if (!json.is_object() || !json.contains("model")) {
      return Error{name_ + " is not a tokenizer: it has no `model` (its file is called tokenizer.json)"};
    }
    ReadAdded(json);
    ReadModel(json);
    ReadNormalizer(Member(json, "normalizer"), "normalizer", 0);
    ReadPreTokenizer(Member(json, "pre_tokenizer"), "pre_tokenizer", 0);
    const Json& decoder = Member(json, "decoder");
    model_.spaced_pieces = decoder.is_null();
    ReadDecoder(decoder, "decoder", 0);
    MatchPieces();
    ReadPostProcessor(Member(json, "post_processor"), "post_processor", 0);
    if (!error_.empty()) return Error{name_ + ": " + error_};
    FindSpecialTokens(json, special);
    Keep(json);
    return TokenizerPtr(std::make_shared<PublishedTokenizer>(std::move(model_)));
  }

 private:
  void Fail(const std::string& where, const std::string& why) {
    if (error_.empty()) error_ = where + " " + why;
  }
  static const Json& Member(const Json& json, const char* key) {
    static const Json kNull;
    const auto found = json.find(key);
    return found == json.end() ? kNull : *found;
  }
  std::string Text(const Json& json, const char* key, const std::string& where) {
    const Json& member = Member(json, key);
    if (!member.is_string()) {
      Fail(where, std::string("has no text `") + key + "`");
      return "";
    }
    return member.get<std::string>();
  }
  bool Flag(const Json& json, const char* key, bool otherwise) {
    const Json& member = Member(json, key);
    return member.is_boolean() ? member.get<bool>() : otherwise;
  }
  int64_t Number(const Json& json, const char* key, const std::string& where, int64_t largest) {
    const Json& member = Member(json, key);
    if (!member.is_number_unsigned() || member.get<uint64_t>() > static_cast<uint64_t>(largest)) {
      Fail(where, std::string("has no number `") + key + "` of at most " + std::to_string(largest));
      return 0;
    }
    return member.get<int64_t>();
  }

  // The members of a Sequence, or false if `json` is another stage. `type` gets its type.
  template <typename Visit>
  bool IsSequence(const Json& json, const char* members, const std::string& where, int depth,
                  std::string& type, const Visit& visit) {
    type = Text(json, "type", where);
    if (!error_.empty()) return true;
    if (type != "Sequence") return false;
    const Json& list = Member(json, members);
    if (!list.is_array()) Fail(where, std::string("has no list `") + members + "`");
    if (depth >= kDeepest) Fail(where, "is nested too deep");
    for (size_t i = 0; i < list.size() && error_.empty(); ++i)
      visit(list[i], where + "." + members + "[" + std::to_string(i) + "]");
    return true;
  }
  void Unsupported(const std::string& where, const std::string& type) {
    Fail(where, "is of type `" + type.substr(0, 60) + "`, which is not supported");
  }

  Pattern Compiled(const char* expression) { return *Pattern::Compile(expression); }
  // {"String": ...} or {"Regex": ...}.
  Pattern ReadPattern(const Json& json, const std::string& where) {
    const Json& pattern = Member(json, "pattern");
    if (const Json& text = Member(pattern, "String"); pattern.is_object() && text.is_string()) {
      if (text.get_ref<const std::string&>().empty()) Fail(where, "has an empty pattern");
      return Pattern::Literal(text.get<std::string>());
    }
    if (!pattern.is_object() || !Member(pattern, "Regex").is_string()) {
      Fail(where, "has no pattern");
      return Pattern::Literal(" ");
    }
    Result<Pattern> compiled = Pattern::Compile(Member(pattern, "Regex").get_ref<const std::string&>());
    if (!compiled) {
      Fail(where + ":", compiled.error().message);
      return Pattern::Literal(" ");
    }
    return std::move(*compiled);
  }
  SplitBehavior ReadBehavior(const Json& json, const std::string& where) {
    const std::string name = Member(json, "behavior").is_null() ? "Isolated" : Text(json, "behavior", where);
    if (name == "Removed") return SplitBehavior::Removed;
    if (name == "Contiguous") return SplitBehavior::Contiguous;
    if (name == "MergedWithPrevious") return SplitBehavior::MergedWithPrevious;
    if (name == "MergedWithNext") return SplitBehavior::MergedWithNext;
    if (name != "Isolated") Fail(where, "has the unknown behavior `" + name.substr(0, 60) + "`");
    return SplitBehavior::Isolated;
  }
  Metaspace ReadMetaspace(const Json& json, const std::string& where) {
    Metaspace metaspace{Text(json, "replacement", where)};
    if (metaspace.mark.empty()) Fail(where, "has an empty replacement");
    metaspace.split = Flag(json, "split", true);
    const Json& scheme = Member(json, "prepend_scheme");
    if (scheme == "first") metaspace.prepend = Metaspace::Where::First;
    if (scheme == "never" || !Flag(json, "add_prefix_space", true))
      metaspace.prepend = Metaspace::Where::Never;
    return metaspace;
  }

  void ReadNormalizer(const Json& json, const std::string& where, int depth) {
    std::string type;
    if (json.is_null() ||
        IsSequence(json, "normalizers", where, depth, type,
                   [&](const Json& one, const std::string& at) { ReadNormalizer(one, at, depth + 1); })) {
      return;
    }
    auto& stages = model_.normalizers;
    if (type == "Prepend") {
      stages.emplace_back(stage::Prepend{Text(json, "prepend", where)});
    } else if (type == "Replace") {
      stages.emplace_back(stage::Replace{ReadPattern(json, where), Text(json, "content", where)});
    } else if (type == "NFC") {
      stages.emplace_back(stage::ComposedForm{});
    } else if (type == "NFD") {
      stages.emplace_back(stage::DecomposedForm{});
    } else {
      Unsupported(where, type);
    }
  }

  void ReadPreTokenizer(const Json& json, const std::string& where, int depth) {
    std::string type;
    if (json.is_null() ||
        IsSequence(json, "pretokenizers", where, depth, type,
                   [&](const Json& one, const std::string& at) { ReadPreTokenizer(one, at, depth + 1); })) {
      return;
    }
    auto& stages = model_.pre_tokenizers;
    const auto split = [&](Pattern pattern, SplitBehavior behavior, bool invert = false) {
      stages.emplace_back(stage::Split{std::move(pattern), behavior, invert});
    };
    if (type == "ByteLevel") {
      if (Flag(json, "add_prefix_space", true)) stages.emplace_back(stage::PrefixSpace{});
      if (Flag(json, "use_regex", true)) split(Compiled(kGpt2Pattern), SplitBehavior::Isolated);
      stages.emplace_back(stage::VisibleBytes{});
    } else if (type == "Split") {
      split(ReadPattern(json, where), ReadBehavior(json, where), Flag(json, "invert", false));
    } else if (type == "Digits") {
      const bool each = Flag(json, "individual_digits", false);
      split(Compiled(R"(\p{N})"), each ? SplitBehavior::Isolated : SplitBehavior::Contiguous);
    } else if (type == "Punctuation") {
      split(Compiled(R"([\p{P}$+<=>^`|~])"), ReadBehavior(json, where));
    } else if (type == "Whitespace") {
      split(Compiled(kWhitespacePattern), SplitBehavior::Removed, true);
    } else if (type == "WhitespaceSplit") {
      split(Compiled(R"(\s)"), SplitBehavior::Removed);
    } else if (type == "Metaspace") {
      stages.emplace_back(ReadMetaspace(json, where));
    } else {
      Unsupported(where, type);
    }
  }

  void ReadDecoder(const Json& json, const std::string& where, int depth) {
    std::string type;
    if (json.is_null() ||
        IsSequence(json, "decoders", where, depth, type,
                   [&](const Json& one, const std::string& at) { ReadDecoder(one, at, depth + 1); })) {
      return;
    }
    auto& stages = model_.decoders;
    if (type == "ByteLevel") {
      stages.emplace_back(stage::BytesOfVisible{});
      model_.visible_bytes = true;
    } else if (type == "Metaspace") {
      const Metaspace metaspace = ReadMetaspace(json, where);
      stages.emplace_back(
          stage::SpacesOfMetaspace{metaspace.mark, metaspace.prepend != Metaspace::Where::Never});
    } else if (type == "ByteFallback") {
      stages.emplace_back(stage::BytesOfNames{});
    } else if (type == "Fuse") {
      stages.emplace_back(stage::Join{});
    } else if (type == "Strip") {
      stages.emplace_back(stage::StripCharacter{
          Text(json, "content", where), static_cast<size_t>(Number(json, "start", where, kLargestId)),
          static_cast<size_t>(Number(json, "stop", where, kLargestId))});
    } else if (type == "Replace") {
      stages.emplace_back(stage::Replace{ReadPattern(json, where), Text(json, "content", where)});
    } else {
      Unsupported(where, type);
    }
  }

  void ReadPostProcessor(const Json& json, const std::string& where, int depth) {
    std::string type;
    if (json.is_null() ||
        IsSequence(json, "processors", where, depth, type,
                   [&](const Json& one, const std::string& at) { ReadPostProcessor(one, at, depth + 1); })) {
      return;
    }
    if (type == "TemplateProcessing") {
      ReadTemplate(json, where);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      for (const auto& [key, ids] : {std::pair{"cls", &model_.before}, {"sep", &model_.after}}) {
        const Json& pair = Member(json, key);
        if (!pair.is_array() || pair.size() != 2 || !pair[1].is_number_unsigned() || pair[1] > kLargestId) {
          Fail(where, std::string("has no token and id `") + key + "`");
        } else {
          *ids = {pair[1].get<int32_t>()};
        }
      }
    } else if (type != "ByteLevel") {  // which only moves offsets
      Unsupported(where, type);
    }
  }
  void ReadTemplate(const Json& json, const std::string& where) {
    const Json& single = Member(json, "single");
    if (!single.is_array()) return Fail(where, "has no template `single`");
    bool text = false;
    for (const Json& item : single) {
      if (!item.is_object()) return Fail(where, "has an odd template");
      if (item.contains("Sequence")) {
        if (text) return Fail(where, "has the text twice");
        text = true;
        continue;
      }
      const Json& token = Member(item, "SpecialToken");
      const std::string id = token.is_object() ? Text(token, "id", where) : "";
      const Json& tokens = Member(json, "special_tokens");
      const Json& known = tokens.is_object() ? Member(tokens, id.c_str()) : tokens;
      const Json& ids = known.is_object() ? Member(known, "ids") : known;
      if (!ids.is_array()) return Fail(where, "has no ids of `" + id.substr(0, 60) + "`");
      for (const Json& one : ids) {
        if (!one.is_number_unsigned() || one > kLargestId) return Fail(where, "has an id that is none");
        (text ? model_.after : model_.before).push_back(one.get<int32_t>());
      }
    }
    if (!text) Fail(where, "has a template without the text");
  }

  void ReadAdded(const Json& json) {
    const Json& list = Member(json, "added_tokens");
    if (list.is_null()) return;
    if (!list.is_array()) return Fail("added_tokens", "is no list");
    for (size_t i = 0; i < list.size() && error_.empty(); ++i) {
      const std::string where = "added_tokens[" + std::to_string(i) + "]";
      if (!list[i].is_object()) return Fail(where, "is no object");
      AddedToken token;
      token.text = Text(list[i], "content", where);
      token.id = static_cast<int32_t>(Number(list[i], "id", where, kLargestId));
      token.special = Flag(list[i], "special", false);
      token.normalized = Flag(list[i], "normalized", !token.special);
      token.single_word = Flag(list[i], "single_word", false);
      token.left_spaces = Flag(list[i], "lstrip", false);
      token.right_spaces = Flag(list[i], "rstrip", false);
      if (token.text.size() > kLongestAdded) return Fail(where, "is too long");
      if (!token.text.empty()) model_.added.push_back(std::move(token));
    }
  }

  void ReadModel(const Json& json) {
    const Json& model = json["model"];
    if (!model.is_object()) return Fail("model", "is no object");
    if (const Json& type = Member(model, "type"); !type.is_null() && type != "BPE") {
      const std::string text = type.is_string() ? type.get<std::string>().substr(0, 60) : "?";
      return Fail("model", "is of type `" + text + "`; only BPE is read here" +
                               (text == "Unigram" ? " (use the SentencePiece .model it comes from)" : ""));
    }
    if (const Json& dropout = Member(model, "dropout"); dropout.is_number() && dropout != 0)
      return Fail("model", "leaves out merges at random (dropout), which is not supported");
    const Json& vocabulary = Member(model, "vocab");
    if (!vocabulary.is_object() || vocabulary.empty()) return Fail("model", "has no pieces in `vocab`");
    std::vector<std::string> pieces = ReadPieces(vocabulary);
    std::vector<std::pair<std::string_view, std::string_view>> merges = ReadMerges(Member(model, "merges"));
    if (!error_.empty()) return;
    MergeRules rules;
    rules.whole_words = Flag(model, "ignore_merges", false);
    rules.byte_fallback = Flag(model, "byte_fallback", false);
    rules.fuse_unknown = Flag(model, "fuse_unk", false);
    for (const auto& [key, text] : {std::pair{"continuing_subword_prefix", &rules.continuing_prefix},
                                    {"end_of_word_suffix", &rules.word_suffix}}) {
      if (Member(model, key).is_string()) *text = Member(model, key).get<std::string>();
    }
    if (const Json& unknown = Member(model, "unk_token"); unknown.is_string()) {
      const auto found = vocabulary.find(unknown.get_ref<const std::string&>());
      if (found == vocabulary.end()) return Fail("model", "has an unk_token that is not in `vocab`");
      rules.unknown = found->get<int32_t>();
    }
    Result<MergeModel> made = MergeModel::Make(std::move(pieces), merges, std::move(rules));
    if (!made) return Fail("model:", made.error().message);
    model_.merges = std::move(*made);
  }

  // A piece with a token's text decides which id the token has. Of bytes as characters such a piece may stand
  // for other bytes ("\u010D" for a carriage return): then it is another one, and a token that shares its id
  // would take that text from it, so it is left to merges.
  void MatchPieces() {
    const auto other = [&](const AddedToken& token) {
      std::string bytes;
      return model_.visible_bytes && stage::AppendBytesOfVisible(bytes, token.text) && bytes != token.text;
    };
    for (AddedToken& token : model_.added) {
      if (const int32_t id = model_.merges.IdOf(token.text); id >= 0 && !other(token)) token.id = id;
    }
    std::erase_if(model_.added, [&](const AddedToken& token) {
      return !token.special && other(token) && model_.merges.IdOf(token.text) == token.id;
    });
  }

  std::vector<std::string> ReadPieces(const Json& vocabulary) {
    int64_t last = -1;
    for (const auto& [piece, id] : vocabulary.items()) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() > static_cast<uint64_t>(kLargestId)) {
        Fail("model",
             "gives `" + piece.substr(0, 60) + "` an id that is none, or over " + WithCommas(kLargestId));
        return {};
      }
      last = std::max(last, id.get<int64_t>());
    }
    std::vector<std::string> pieces(static_cast<size_t>(last + 1));
    for (const auto& [piece, id] : vocabulary.items()) {
      std::string& place = pieces[id.get<size_t>()];
      if (!place.empty()) {
        Fail("model", "gives `" + place.substr(0, 60) + "` and `" + piece.substr(0, 60) + "` the id " +
                          std::to_string(id.get<int64_t>()));
      }
      place = piece;
    }
    return pieces;
  }

  // Views into `list`: pairs, or texts with one space.
  std::vector<std::pair<std::string_view, std::string_view>> ReadMerges(const Json& list) {
    std::vector<std::pair<std::string_view, std::string_view>> merges;
    if (!list.is_array()) Fail("model", "has no list `merges`");
    for (size_t i = 0; i < list.size() && error_.empty(); ++i) {
      if (list[i].is_array() && list[i].size() == 2 && list[i][0].is_string() && list[i][1].is_string()) {
        merges.emplace_back(list[i][0].get_ref<const std::string&>(),
                            list[i][1].get_ref<const std::string&>());
        continue;
      }
      const std::string_view text =
          list[i].is_string() ? std::string_view(list[i].get_ref<const std::string&>()) : "";
      const size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
        Fail("model", "has merge " + std::to_string(i + 1) + ", which is no pair of pieces");
        break;
      }
      merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    }
    return merges;
  }

  // -1 if it is not a token of this tokenizer.
  int32_t IdOf(const std::string& text) const {
    for (const AddedToken& token : model_.added) {
      if (token.text == text) return token.id;
    }
    return model_.merges.IdOf(text);
  }
  void FindSpecialTokens(const Json& json, const std::optional<SpecialTokens>& special) {
    if (const Json& kept = Member(json, "heed"); kept.is_object()) {
      const auto id = [&](const char* key) {
        const Json& member = Member(kept, key);
        return member.is_number_unsigned() && member <= kLargestId ? member.get<int32_t>() : -1;
      };
      model_.bos = id("bos");
      model_.eos = id("eos");
    } else if (special) {
      model_.bos = special->bos.empty() ? -1 : IdOf(special->bos);
      model_.eos = special->eos.empty() ? -1 : IdOf(special->eos);
    } else {
      const auto is_special = [&](int32_t id) {
        return std::any_of(model_.added.begin(), model_.added.end(),
                           [&](const AddedToken& token) { return token.special && token.id == id; });
      };
      const auto usual = [&](const auto& names) {
        for (const char* name : names) {
          if (const int32_t id = IdOf(name); is_special(id)) return id;
        }
        return -1;
      };
      const bool begins = !model_.before.empty() && is_special(model_.before.front());
      const bool ends = !model_.after.empty() && is_special(model_.after.back());
      model_.bos = begins ? model_.before.front() : usual(kBeginNames);
      model_.eos = ends ? model_.after.back() : usual(kEndNames);
    }
  }

  // The file again, without what is not used.
  void Keep(Json& json) {
    for (const char* unused : {"version", "truncation", "padding"}) json.erase(unused);
    json["heed"] = Json::object();
    if (model_.bos >= 0) json["heed"]["bos"] = model_.bos;
    if (model_.eos >= 0) json["heed"]["eos"] = model_.eos;
    model_.file = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  std::string name_;
  std::string error_;
  PublishedModel model_;
};

}  // namespace

Result<TokenizerPtr> ParseTokenizerJson(std::string_view bytes, const std::string& name,
                                        const std::optional<SpecialTokens>& special) {
  JsonInput input = ParseJson(bytes);
  if (input.json.is_discarded()) return Error{name + " is not JSON (cut short?): " + input.problem};
  return TokenizerReader(name).Read(input.json, special);
}

Result<TokenizerPtr> ParseVocabulary(std::string_view vocabulary, const std::string& vocabulary_name,
                                     std::string_view merges, const std::string& merges_name,
                                     const std::optional<SpecialTokens>& special) {
  Json pieces = ParseJson(vocabulary).json;
  if (pieces.is_discarded() || !pieces.is_object())
    return Error{vocabulary_name + " is no JSON object of pieces and their ids (cut short?)"};
  if (FindInvalidUtf8(merges)) return Error{merges_name + " is not valid UTF-8"};
  Json list = Json::array();
  for (size_t line = 1; !merges.empty(); ++line) {
    const size_t end = std::min(merges.find('\n'), merges.size());
    std::string_view text = merges.substr(0, end);
    merges.remove_prefix(std::min(end + 1, merges.size()));
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty() || text.starts_with("#version")) continue;
    if (std::count(text.begin(), text.end(), ' ') != 1) {
      return Error{merges_name + ":" + std::to_string(line) + ": a merge is two pieces with a space between"};
    }
    list.push_back(text);
  }
  constexpr const char* kEnd = "<|endoftext|>";
  const Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  Json json = {{"pre_tokenizer", byte_level}, {"decoder", byte_level}, {"added_tokens", Json::array()}};
  std::vector<std::string> tokens{kEnd};
  if (special) tokens.insert(tokens.end(), {special->bos, special->eos});
  for (const std::string& token : tokens) {
    const auto found = pieces.find(token);
    if (found != pieces.end())
      json["added_tokens"].push_back({{"id", *found}, {"content", token}, {"special", true}});
  }
  json["model"] = {{"type", "BPE"}, {"vocab", std::move(pieces)}, {"merges", std::move(list)}};
  return TokenizerReader(vocabulary_name).Read(json, special.value_or(SpecialTokens{"", kEnd}));
}

}  // namespace heed
