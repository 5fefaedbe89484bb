// Published tokenizers: small ones of each family against what the library they are for says about them
// (tests/tokenizers), the files and folders they are found in, and files that are damaged or hostile.
#include "runtime/text/tokenizer_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/base/base64.h"
#include "runtime/data/tokenizer_files.h"
#include "runtime/weights/checkpoint.h"
#include "tests/support/expect.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace heed {
namespace {

using Json = nlohmann::ordered_json;
using test::FileBytes;
using test::TemporaryFolder;
using test::WriteBytes;

const std::vector<std::string> kFamilies{"gpt2", "llama3", "qwen2", "llama2", "marks", "falcon"};
std::string FileOf(const std::string& family) { return test::Source("tests/tokenizers/" + family + ".json"); }
Json JsonOf(const std::string& family) { return Json::parse(FileBytes(FileOf(family))); }

Result<TokenizerPtr> Parse(const Json& json) { return ParseTokenizerJson(json.dump(), "t.json", {}); }
std::string ErrorOf(const Json& json) {
  const Result<TokenizerPtr> tokenizer = Parse(json);
  return tokenizer ? "" : tokenizer.error().message;
}
std::string RoundTrip(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.Decode(tokenizer.Encode(text));
}
std::string Shown(const Tokenizer& tokenizer, std::string_view text) {
  std::string out;
  for (const int32_t id : tokenizer.Encode(text)) out += (out.empty() ? "" : " ") + tokenizer.Show(id);
  return out;
}

TEST(TokenizerJson, AgreesWithItsLibrary) {
  const Json expected = Json::parse(FileBytes(test::Source("tests/tokenizers/expected.json")));
  for (const std::string& family : kFamilies) {
    SCOPED_TRACE(family);
    const Json& want = expected["tokenizers"][family];
    const Result<TokenizerPtr> loaded = LoadTokenizer(FileOf(family));
    ASSERT_TRUE(loaded) << loaded.error().message;
    // As it is, and after travelling in a checkpoint.
    const Result<TokenizerPtr> restored = DeserializeTokenizer((*loaded)->Serialize());
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ((*restored)->Serialize(), (*loaded)->Serialize());
    for (const TokenizerPtr& tokenizer : {*loaded, *restored}) {
      for (size_t i = 0; i < expected["texts"].size(); ++i) {
        const std::string text = expected["texts"][i];
        const std::vector<int32_t> ids = tokenizer->Encode(text);
        EXPECT_EQ(ids, want["ids"][i].get<std::vector<int32_t>>()) << text;
        EXPECT_EQ(tokenizer->Decode(ids), want["text"][i].get<std::string>()) << text;
      }
      for (size_t i = 0; i < expected["sequences"].size(); ++i) {
        std::vector<int32_t> ids = expected["sequences"][i];
        std::erase_if(ids, [&](int32_t id) { return id >= tokenizer->size(); });
        EXPECT_EQ(tokenizer->Decode(ids), want["decoded"][i].get<std::string>());
      }
      const std::vector<int32_t> before(tokenizer->before().begin(), tokenizer->before().end());
      EXPECT_EQ(before, want["before"].get<std::vector<int32_t>>());
      EXPECT_TRUE(tokenizer->after().empty());
      EXPECT_EQ(tokenizer->kind(), "bpe");
    }
  }
}

TEST(TokenizerJson, BeginAndEnd) {
  const auto ids = [](const std::string& family) {
    const TokenizerPtr t = *LoadTokenizer(FileOf(family));
    return std::vector<std::string>{t->bos() < 0 ? "" : t->Show(t->bos()),
                                    t->eos() < 0 ? "" : t->Show(t->eos()),
                                    t->unk() < 0 ? "" : t->Show(t->unk())};
  };
  EXPECT_EQ(ids("gpt2"), (std::vector<std::string>{"", "<|endoftext|>", ""}));
  EXPECT_EQ(ids("llama3"), (std::vector<std::string>{"<|begin_of_text|>", "<|end_of_text|>", ""}));
  EXPECT_EQ(ids("llama2"), (std::vector<std::string>{"<s>", "</s>", "<unk>"}));
  const TokenizerPtr llama2 = *LoadTokenizer(FileOf("llama2"));
  const std::vector<int32_t> plain = llama2->Encode("the whale");
  std::vector<int32_t> begun = plain;
  begun.insert(begun.begin(), llama2->bos());
  EXPECT_EQ(EncodeFromStart(*llama2, "the whale"), begun);
  EXPECT_EQ(EncodeFromStart(*llama2, "<s>the whale"), begun);  // it begins so already
  EXPECT_EQ(EncodeFromStart(*llama2, ""), std::vector<int32_t>{llama2->bos()});
  EXPECT_EQ(llama2->Decode(begun), "the whale");
}

TEST(TokenizerJson, ConfigTellsBeginAndEnd) {
  const TemporaryFolder folder;
  WriteBytes(folder / "tokenizer.json", FileBytes(FileOf("llama3")));
  const auto with = [&](const std::string& config) {
    WriteBytes(folder / "tokenizer_config.json", config);
    return *LoadTokenizer(folder / "tokenizer.json");
  };
  TokenizerPtr t = with(R"({"bos_token": null, "eos_token": {"content": "<|eot_id|>", "lstrip": false}})");
  EXPECT_EQ(t->bos(), -1);
  EXPECT_EQ(t->Show(t->eos()), "<|eot_id|>");
  EXPECT_EQ((*DeserializeTokenizer(t->Serialize()))->eos(), t->eos());
  t = with(R"({"eos_token": "no such token"})");
  EXPECT_EQ(t->eos(), -1);
  for (const char* config : {R"({"model_max_length": 1024})", "{", "", "[1]"}) {
    t = with(config);
    EXPECT_EQ(t->Show(t->eos()), "<|end_of_text|>") << config;
  }
}

TEST(TokenizerJson, ShowsPieces) {
  const TokenizerPtr gpt2 = *LoadTokenizer(FileOf("gpt2")), llama2 = *LoadTokenizer(FileOf("llama2"));
  EXPECT_EQ(Shown(*gpt2, "The whale\n"), "The ▁w h a le <0x0A>");
  EXPECT_EQ(Shown(*gpt2, "字<|endoftext|>"), "<0xE5> <0xAD> <0x97> <|endoftext|>");
  EXPECT_EQ(Shown(*llama2, "The 字"), "▁The ▁ <0xE5> <0xAD> <0x97>");
  EXPECT_EQ(gpt2->Show(100000), "<100000>");
  EXPECT_EQ(gpt2->Decode(std::vector<int32_t>{100000, -1}), "");
  EXPECT_FALSE(gpt2->Has(100000) || gpt2->Has(-1) || !gpt2->Has(0));
}

Json WithAdded(Json json, const std::vector<std::string>& texts) {
  int64_t next = 0;
  for (const auto& [piece, id] : json["model"]["vocab"].items()) next = std::max(next, id.get<int64_t>() + 1);
  for (const Json& token : json["added_tokens"]) next = std::max(next, token["id"].get<int64_t>() + 1);
  for (const std::string& text : texts)
    json["added_tokens"].push_back(
        {{"id", next++}, {"content", text}, {"special", false}, {"normalized", false}});
  return json;
}

TEST(TokenizerJson, AddedTokensAreTheirText) {
  // Letters that are bytes in GPT-2's alphabet, marks that are spaces and names that are bytes elsewhere.
  const std::vector<std::string> added{"Bác", "ilÖveyou", "č",      "Ġ",   "Ċx",  "字",
                                       "😀",  "▁▁x",      "<0x41>", " y ", "a\tb"};
  for (const std::string& family : kFamilies) {
    SCOPED_TRACE(family);
    const Result<TokenizerPtr> made = Parse(WithAdded(JsonOf(family), added));
    ASSERT_TRUE(made) << made.error().message;
    const Result<TokenizerPtr> restored = DeserializeTokenizer((*made)->Serialize());
    ASSERT_TRUE(restored) << restored.error().message;
    std::string all;
    for (const std::string& text : added) {
      if (text == "<0x41>" && family == "llama2") continue;  // its own piece of that byte
      const std::vector<int32_t> ids = (*made)->Encode(text);
      EXPECT_EQ(ids.size(), 1u) << text;
      for (const TokenizerPtr& t : {*made, *restored}) EXPECT_EQ(t->Decode(ids), text);
      all += text;
    }
    EXPECT_EQ(RoundTrip(**made, all), all);
    EXPECT_EQ((*made)->Show((*made)->Encode("Bác")[0]), "Bác");
    EXPECT_EQ((*made)->Show((*made)->Encode("a\tb")[0]), "a<0x09>b");
    if (family == "marks" || family == "llama2") continue;  // put spaces before words
    for (const char* text : {"x č ü\r\n č\r Bác\u010D", "\xC4\x8D\r", "Ö字字 Ġ\u0120 \u0120"})
      EXPECT_EQ(RoundTrip(**made, text), text);
  }
}

// Libraries give a token that looks like the piece of a byte that piece's id; its text is the byte's.
TEST(TokenizerJson, APieceOfAByteStaysThatByte) {
  Json json = JsonOf("gpt2");
  json["added_tokens"].push_back(
      {{"id", json["model"]["vocab"]["č"]}, {"content", "č"}, {"special", false}, {"normalized", false}});
  const Result<TokenizerPtr> t = Parse(json);
  ASSERT_TRUE(t) << t.error().message;
  for (const char* text : {"č", "\r", "a\r\nč\r"}) EXPECT_EQ(RoundTrip(**t, text), text);
}

// Half a character cannot be written in UTF-8, so no text has it.
TEST(TokenizerJson, HalfACharacterIsNamed) {
  for (const char* half : {"\\ud800", "\\udc00x", "\\ud83d\\u0041"}) {
    const Result<TokenizerPtr> t =
        ParseTokenizerJson(std::string("{\"model\": {\"vocab\": {\"") + half + "\": 0}}}", "t.json", {});
    ASSERT_FALSE(t);
    EXPECT_NE(t.error().message.find("t.json is not JSON"), std::string::npos) << t.error().message;
    EXPECT_NE(t.error().message.find("line 1, column"), std::string::npos) << t.error().message;
    EXPECT_NE(t.error().message.find("surrogate"), std::string::npos) << t.error().message;
  }
  Json json = JsonOf("gpt2");
  json = WithAdded(json, {"\xF0\x9F\x99\x82"});
  std::string whole = json.dump(-1, ' ', true);  // as a pair of halves
  ASSERT_NE(whole.find("\\ud83d\\ude42"), std::string::npos);
  const Result<TokenizerPtr> t = ParseTokenizerJson(whole, "t.json", {});
  ASSERT_TRUE(t);
  EXPECT_EQ((*t)->Encode("\xF0\x9F\x99\x82").size(), 1u);
}

TEST(TokenizerJson, HolesOfAVocabularyAreNoPieces) {
  Json json = JsonOf("gpt2");
  const int64_t hole = static_cast<int64_t>(json["model"]["vocab"].size()) + 5;
  json["model"]["vocab"]["zzzz"] = hole + 1;
  const TokenizerPtr t = *Parse(json);
  EXPECT_TRUE(t->Has(static_cast<int32_t>(hole) + 1));
  EXPECT_FALSE(t->Has(static_cast<int32_t>(hole)));
  EXPECT_EQ(t->Decode(std::vector<int32_t>{static_cast<int32_t>(hole)}), "");
}

TEST(TokenizerJson, LongWordsAndTexts) {
  // A quadratic merge would take minutes.
  for (const std::string& family : kFamilies) {
    const TokenizerPtr tokenizer = *LoadTokenizer(FileOf(family));
    for (const char* unit : {"a", "the", "\xE5\xAD\x97", " ", "\n "}) {
      std::string text;
      while (text.size() < 200'000) text += unit;
      const std::vector<int32_t> ids = tokenizer->Encode("x" + text);
      EXPECT_GT(ids.size(), 100u);
      if (family != "marks") EXPECT_EQ(tokenizer->Decode(ids), "x" + text) << family;
    }
  }
  const TokenizerPtr gpt2 = *LoadTokenizer(FileOf("gpt2"));
  const std::string tale = FileBytes(test::Source("examples/data/tale.txt"));
  EXPECT_EQ(RoundTrip(*gpt2, tale), tale);
  std::vector<int32_t> twice = gpt2->Encode(tale);
  const std::vector<int32_t> once = twice;
  twice.insert(twice.end(), once.begin(), once.end());
  EXPECT_EQ(gpt2->Encode(tale + tale), twice);  // it ends in a newline and begins with a letter
}

TEST(TokenizerFiles, VocabularyAndMerges) {
  const TemporaryFolder folder;
  const Json gpt2 = JsonOf("gpt2");
  Json vocabulary = gpt2["model"]["vocab"];
  const auto end = static_cast<int32_t>(vocabulary.size());
  vocabulary["<|endoftext|>"] = end;
  std::string merges = "#version: 0.2\n";
  for (const std::string merge : gpt2["model"]["merges"]) merges += merge + "\n";
  const TokenizerPtr whole = *LoadTokenizer(FileOf("gpt2"));
  const std::string text = "The whale's <|endoftext|>tail 12\n\n  naïve";
  for (const auto& [vocab_name, merges_name] :
       {std::pair{"vocab.json", "merges.txt"}, {"encoder.json", "vocab.bpe"}}) {
    const TemporaryFolder names;
    WriteBytes(names / vocab_name, vocabulary.dump());
    EXPECT_HAS(LoadTokenizer(names / vocab_name).error().message, merges_name);
    WriteBytes(names / merges_name, merges);
    for (const std::string& path : {names / vocab_name, names / merges_name, names / ""}) {
      const Result<TokenizerPtr> tokenizer = LoadTokenizer(path);
      ASSERT_TRUE(tokenizer) << tokenizer.error().message;
      EXPECT_EQ((*tokenizer)->Encode(text), whole->Encode(text)) << path;
      EXPECT_EQ((*tokenizer)->eos(), end);
      EXPECT_EQ((*DeserializeTokenizer((*tokenizer)->Serialize()))->Encode(text), whole->Encode(text));
    }
    WriteBytes(names / merges_name, "#version: 0.2\nt h\nthe\n");
    EXPECT_HAS(LoadTokenizer(names / vocab_name).error().message,
               std::string(merges_name) + ":3: a merge is");
    WriteBytes(names / merges_name, "t qqq\n");
    EXPECT_HAS(LoadTokenizer(names / vocab_name).error().message,
               "needs `qqq`, which is not in the vocabulary");
    WriteBytes(names / merges_name, "\xFF \xFF\n");
    EXPECT_HAS(LoadTokenizer(names / vocab_name).error().message, "not valid UTF-8");
    WriteBytes(names / vocab_name, "[]");
    EXPECT_HAS(LoadTokenizer(names / vocab_name).error().message, "no JSON object of pieces");
  }
  // Others split texts by other rules, which these files do not tell.
  WriteBytes(folder / "vocab.json", vocabulary.dump());
  WriteBytes(folder / "merges.txt", merges);
  WriteBytes(folder / "tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer"})");
  EXPECT_HAS(LoadTokenizer(folder / "").error().message, "belongs to a Qwen2Tokenizer");
  WriteBytes(folder / "tokenizer_config.json", R"({"tokenizer_class": "GPT2TokenizerFast"})");
  EXPECT_TRUE(LoadTokenizer(folder / ""));
}

TEST(TokenizerFiles, FoldersAndOtherFormats) {
  const TemporaryFolder folder;
  EXPECT_HAS(LoadTokenizer(folder / "").error().message, "has no tokenizer.json, vocab.json with merges.txt");
  EXPECT_EQ(TokenizerIn(folder / ""), "");
  WriteBytes(folder / "tokenizer.model", "IQ== 0\nIg== 1\n");
  EXPECT_HAS(LoadTokenizer(folder / "").error().message, "tiktoken's format");
  WriteBytes(folder / "vocab.json", "{}");
  EXPECT_EQ(TokenizerIn(folder / ""), folder / "tokenizer.model");  // a vocabulary alone is none
  WriteBytes(folder / "tokenizer.json", FileBytes(FileOf("qwen2")));
  EXPECT_EQ(TokenizerIn(folder / ""), folder / "tokenizer.json");
  EXPECT_TRUE(LoadTokenizer(folder / ""));
  EXPECT_HAS(LoadTokenizer(folder / "none.json").error().message, "none.json");
  WriteBytes(folder / "config.json", R"({"model_type": "llama"})");
  EXPECT_HAS(LoadTokenizer(folder / "config.json").error().message, "is not a tokenizer: it has no `model`");
  // In a checkpoint.
  const float weight = 1;
  const TokenizerPtr llama3 = *LoadTokenizer(FileOf("llama3"));
  ASSERT_TRUE(WriteSafetensors(folder / "w.safetensors", {{"a", "F32", {1}, &weight}},
                               {{"tokenizer", EncodeBase64(llama3->Serialize())}}));
  const Result<TokenizerPtr> carried = LoadTokenizer(folder / "w.safetensors");
  ASSERT_TRUE(carried) << carried.error().message;
  EXPECT_EQ((*carried)->Encode("the whale 123456"), llama3->Encode("the whale 123456"));
}

TEST(TokenizerJson, WhatIsNotSupportedIsNamed) {
  const auto with = [](const char* place, const Json& value) {
    Json json = JsonOf("gpt2");
    json[Json::json_pointer(place)] = value;
    return ErrorOf(json);
  };
  const auto type = [](const char* name) { return Json{{"type", name}}; };
  EXPECT_EQ(with("/normalizer", nullptr), "");
  EXPECT_HAS(with("/model/type", "Unigram"), "t.json: model is of type `Unigram`; only BPE is read here");
  EXPECT_HAS(with("/model/type", "WordPiece"), "`WordPiece`");
  EXPECT_HAS(with("/normalizer", type("BertNormalizer")), "normalizer is of type `BertNormalizer`");
  EXPECT_HAS(with("/normalizer", {{"type", "Sequence"}, {"normalizers", {type("NFC"), type("NFKC")}}}),
             "normalizer.normalizers[1] is of type `NFKC`, which is not supported");
  EXPECT_HAS(with("/pre_tokenizer", type("UnicodeScripts")), "pre_tokenizer is of type `UnicodeScripts`");
  EXPECT_HAS(with("/decoder", type("WordPiece")), "decoder is of type `WordPiece`");
  EXPECT_HAS(with("/post_processor", type("Odd")), "post_processor is of type `Odd`");
  EXPECT_HAS(with("/model/dropout", 0.1), "dropout");
  EXPECT_HAS(with("/pre_tokenizer",
                  {{"type", "Split"}, {"pattern", {{"Regex", "(?<=x)y"}}}, {"behavior", "Isolated"}}),
             "pre_tokenizer: the regular expression `(?<=x)y` cannot be used: `(?<=` is not supported");
  EXPECT_HAS(with("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"String", "x"}}}, {"behavior", "Odd"}}),
             "unknown behavior `Odd`");
}

TEST(TokenizerJson, HostileFiles) {
  const auto with = [](const char* place, const Json& value) {
    Json json = JsonOf("llama2");
    json[Json::json_pointer(place)] = value;
    return ErrorOf(json);
  };
  EXPECT_HAS(with("/model", 7), "model is no object");
  EXPECT_HAS(with("/model/vocab", Json::array()), "no pieces");
  EXPECT_HAS(with("/model/vocab", Json::object()), "no pieces");
  EXPECT_HAS(with("/model/vocab/zz", -1), "gives `zz` an id that is none");
  EXPECT_HAS(with("/model/vocab/zz", 1.5), "an id that is none");
  EXPECT_HAS(with("/model/vocab/zz", uint64_t{4'000'000'000}), "an id that is none, or over");
  EXPECT_HAS(with("/model/vocab/zz", 5), "the id 5");
  EXPECT_HAS(with("/model/merges", nullptr), "no list `merges`");
  EXPECT_HAS(with("/model/merges/0", "abc"), "merge 1, which is no pair");
  EXPECT_HAS(with("/model/merges/0", "a b c"), "merge 1, which is no pair");
  EXPECT_HAS(with("/model/merges/0", {"a", 1}), "merge 1, which is no pair");
  EXPECT_HAS(with("/model/merges/0", "<s> <unk>"), "needs `<s><unk>`, which is not in the vocabulary");
  EXPECT_HAS(with("/model/unk_token", "zz"), "unk_token that is not in `vocab`");
  EXPECT_HAS(with("/added_tokens", 1), "added_tokens is no list");
  EXPECT_HAS(with("/added_tokens/0", 1), "added_tokens[0] is no object");
  EXPECT_HAS(with("/added_tokens/0/id", -1), "added_tokens[0] has no number `id`");
  EXPECT_HAS(with("/added_tokens/0/content", 1), "added_tokens[0] has no text `content`");
  EXPECT_HAS(with("/added_tokens/0/content", std::string(10000, 'x')), "added_tokens[0] is too long");
  EXPECT_HAS(with("/normalizer/normalizers/0/prepend", 1), "normalizer.normalizers[0] has no text `prepend`");
  EXPECT_HAS(with("/normalizer/normalizers", 1), "normalizer has no list `normalizers`");
  EXPECT_HAS(with("/normalizer/normalizers/1/pattern", {{"String", ""}}), "has an empty pattern");
  EXPECT_HAS(with("/normalizer/normalizers/1/pattern", 3), "has no pattern");
  EXPECT_HAS(with("/normalizer", {{"no", "type"}}), "normalizer has no text `type`");
  EXPECT_HAS(with("/normalizer", "NFC"), "normalizer has no text `type`");
  EXPECT_HAS(with("/decoder/decoders/3/start", -1), "has no number `start`");
  EXPECT_HAS(with("/post_processor/single", 1), "no template `single`");
  EXPECT_HAS(with("/post_processor/single", Json::array()), "a template without the text");
  EXPECT_HAS(with("/post_processor/special_tokens", Json::object()), "has no ids of `<s>`");
  EXPECT_HAS(with("/post_processor/special_tokens/<s>/ids/0", "x"), "an id that is none");
  EXPECT_HAS(ErrorOf(7), "is not a tokenizer");
  Json deep = {{"type", "NFC"}};
  for (int i = 0; i < 200; ++i) deep = {{"type", "Sequence"}, {"normalizers", Json::array({deep})}};
  EXPECT_HAS(with("/normalizer", deep), "is nested too deep");
  EXPECT_FALSE(ParseTokenizerJson(std::string(1'000'000, '['), "t.json", {}));
  EXPECT_FALSE(ParseTokenizerJson("", "t.json", {}));
  EXPECT_FALSE(ParseTokenizerJson("\xFF", "t.json", {}));
  // Every part of a file removed or replaced: fine or refused, never a crash.
  const Json whole = JsonOf("marks").flatten();
  size_t number = 0;
  for (const auto& [place, value] : whole.items()) {
    if (place.starts_with("/model/vocab/") && ++number % 50 != 0) continue;
    for (const Json& other :
         {Json(), Json(-3), Json("x"), Json(1e300), Json::array({1}), Json{{"type", 1}}}) {
      Json json = JsonOf("marks");
      json[Json::json_pointer(place)] = other;
      if (const Result<TokenizerPtr> tokenizer = Parse(json))
        (*tokenizer)->Decode((*tokenizer)->Encode("the [x] <mask> cat\n"));
    }
  }
  const std::string bytes = FileBytes(FileOf("marks"));
  for (size_t length = 0; length + 2 < bytes.size(); length += 41)
    EXPECT_FALSE(ParseTokenizerJson(bytes.substr(0, length), "t.json", {})) << length;
  EXPECT_FALSE(DeserializeTokenizer("tokenizer.json\n{\"model\":"));
}

}  // namespace
}  // namespace heed
