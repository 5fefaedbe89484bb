// Tokenizers: UTF-8, base64, characters, bytes, the BPE trainer (round trips, determinism, merges checked by
// hand), and SentencePiece files against SentencePiece itself where it is installed, llama2.c's vocabulary
// where the data is.
#include "runtime/text/tokenizer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "runtime/base/base64.h"
#include "runtime/base/utf8.h"
#include "runtime/data/tokenizer_files.h"
#include "runtime/text/tokenizer_piece.h"
#include "tests/support/paths.h"

namespace heed {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}
std::string RoundTrip(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.Decode(tokenizer.Encode(text));
}
BpeTraining Bpe(std::string_view text, int64_t size, bool normalize = true) {
  return TrainBpe(std::span(&text, 1), {size, normalize});
}
std::string Shown(const Tokenizer& tokenizer, std::string_view text) {
  std::string out;
  for (int32_t id : tokenizer.Encode(text)) out += (out.empty() ? "" : " ") + tokenizer.Show(id);
  return out;
}

TEST(Utf8, FindsWhatIsNotValid) {
  EXPECT_FALSE(FindInvalidUtf8("aé€😀"));
  EXPECT_EQ(FindInvalidUtf8("ab\xFFz"), 2u);
  EXPECT_EQ(FindInvalidUtf8("\xC0\x80"), 0u);          // overlong NUL
  EXPECT_EQ(FindInvalidUtf8("\xE0\x80\x80"), 0u);      // overlong
  EXPECT_EQ(FindInvalidUtf8("\xED\xA0\x80"), 0u);      // a surrogate
  EXPECT_EQ(FindInvalidUtf8("\xF4\x90\x80\x80"), 0u);  // over U+10FFFF
  EXPECT_EQ(FindInvalidUtf8("x\xE2\x82"), 1u);         // cut short
  EXPECT_EQ(RepairUtf8("a\xFF\xE2\x82"), "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(CountCodePoints("aé€😀"), 4);
  std::string all;
  for (char32_t c : {U'\x7F', U'\x80', U'\x7FF', U'\x800', U'\xFFFF', U'\x10000', U'\x10FFFF'})
    AppendUtf8(all, c);
  EXPECT_FALSE(FindInvalidUtf8(all));
  EXPECT_EQ(DecodeUtf8(all, all.size() - 4).value, U'\x10FFFF');
}

TEST(Base64, ThereAndBack) {
  EXPECT_EQ(EncodeBase64(""), "");
  EXPECT_EQ(EncodeBase64("f"), "Zg==");
  EXPECT_EQ(EncodeBase64("fo"), "Zm8=");
  EXPECT_EQ(EncodeBase64("foobar"), "Zm9vYmFy");
  std::string bytes;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(DecodeBase64(EncodeBase64(bytes)), bytes);
    bytes.push_back(static_cast<char>(i * 37));
  }
  EXPECT_FALSE(DecodeBase64("Zg="));
  EXPECT_FALSE(DecodeBase64("Z*=="));
  EXPECT_FALSE(DecodeBase64("Zg==Zg=="));
}

TEST(Bytes, IdsStartAtThree) {
  const TokenizerPtr bytes = MakeByteTokenizer();
  EXPECT_EQ(bytes->size(), 259);
  EXPECT_EQ(bytes->Encode("A\n"), (std::vector<int32_t>{68, 13}));
  EXPECT_EQ(RoundTrip(*bytes, "tab\tline\né€😀"), "tab\tline\né€😀");
  EXPECT_EQ(bytes->Decode(std::vector<int32_t>{1, 68, 2}), "A");
  EXPECT_EQ(bytes->Decode(std::vector<int32_t>{3 + 0xC3}), "\xEF\xBF\xBD");
}

TEST(Characters, OneIdForEachByCodePoint) {
  const std::string_view texts[] = {"bab\n", "é"};
  const TokenizerPtr characters = MakeCharacterTokenizer(texts);
  EXPECT_EQ(characters->size(), 3 + 4);
  EXPECT_EQ(characters->Encode("\nabé"), (std::vector<int32_t>{3, 4, 5, 6}));
  EXPECT_EQ(characters->Encode("z"), (std::vector<int32_t>{0}));
  EXPECT_EQ(RoundTrip(*characters, "baé\n\nb"), "baé\n\nb");
  Result<TokenizerPtr> again = DeserializeTokenizer(characters->Serialize());
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->Encode("\nabé"), characters->Encode("\nabé"));
}

TEST(BpeTrainer, MergesTheMostFrequentPairFirst) {
  // Words ▁aab x 3, ▁ab x 2, b x 0: pairs a b: 5, ▁ a: 5, a a: 3. Of the two with 5, equally long, "ab" <
  // "▁a".
  const BpeTraining result = Bpe("aab aab ab\naab ab", 9);
  const Tokenizer& t = *result.tokenizer;
  EXPECT_EQ(result.characters, 4);  // ▁ a b newline
  EXPECT_EQ(result.left_out, 0);
  ASSERT_EQ(t.size(), 9);
  EXPECT_EQ(t.Show(0), "<unk>");
  EXPECT_EQ(t.Show(1), "<s>");
  EXPECT_EQ(t.Show(2), "</s>");
  EXPECT_EQ(t.Show(3), "ab");
  // Then ▁ a (3, of ▁aab) ties with a ab (3) and is shorter.
  EXPECT_EQ(t.Show(4), "▁a");
  EXPECT_EQ(Shown(t, "aab ab"), "▁a ab ▁ ab");
}

TEST(BpeTrainer, KeepsKindsOfCharactersApart) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "Il l'a dit: «qu'il a 1990 lignes» (d’or).\nЭто1990da.\n";
  const BpeTraining result = Bpe(text, 300);
  const Tokenizer& t = *result.tokenizer;
  EXPECT_LT(t.size(), 300);  // no pair is left that occurs twice
  EXPECT_EQ(Shown(t, "Il l'a dit: 1990 lignes»"), "▁Il ▁l' a ▁dit : ▁1990 ▁lignes »");
  EXPECT_EQ(Shown(t, "qu'il d’or"), "▁ qu' il ▁ d’ or");  // seen only after « and (
  EXPECT_EQ(Shown(t, "Это1990da"), "▁Это 1990 da");
}

TEST(BpeTrainer, RoundTripsLinesAndSpaces) {
  const std::string text = "  indented text\n\nthe  quick brown fox\tjumps \n the lazy dog, the end\n";
  const BpeTraining exact = Bpe(text, 60, false);
  EXPECT_EQ(RoundTrip(*exact.tokenizer, text), text);
  for (const char* line : {"", " ", "  ", "\n", "\n\n \n", " the", "the ", "the\n the\n  the"}) {
    EXPECT_EQ(RoundTrip(*exact.tokenizer, line), line);
  }
  const BpeTraining normal = Bpe(text, 60);
  EXPECT_EQ(RoundTrip(*normal.tokenizer, text),
            "indented text\n\nthe quick brown fox jumps\nthe lazy dog, the end\n");
  EXPECT_EQ(normal.tokenizer->Encode("the\xC2\xA0quick"), normal.tokenizer->Encode(" the  quick "));
  EXPECT_TRUE(normal.tokenizer->Encode("   ").empty());
}

TEST(BpeTrainer, UnseenCharactersAreUnknown) {
  const BpeTraining result = Bpe("one two three\nfour five six\n", 40);
  const Tokenizer& t = *result.tokenizer;
  const std::vector<int32_t> ids = t.Encode("one 😀😀 two");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), t.unk()), 1);  // a run is one unknown
  EXPECT_EQ(t.Decode(ids), "one  \xE2\x81\x87  two");
  EXPECT_EQ(t.Decode(std::vector<int32_t>{-1, 4000}), "");  // rows of a model without a piece
  EXPECT_FALSE(t.Has(-1) || t.Has(4000) || !t.Has(0));
}

TEST(BpeTrainer, FormsOfOneTextGiveThePiecesOfOne) {
  const std::string text =
      "Tu vas chez le médecin demain .\nHello , the fish is here .\nHello the fish ; le médecin\n";
  const BpeTraining normal = Bpe(text, 60);
  const Tokenizer& t = *normal.tokenizer;
  const std::pair<const char*, const char*> same[] = {
      {"le me\u0301decin", "le médecin"},
      {"\uFF28\uFF45\uFF4C\uFF4C\uFF4F the \uFB01sh", "Hello the fish"},
      {"\u200Ble\tm\u0001édecin\u2028\uFEFF", "le médecin"},
      {"\u2581le", "le"},
  };
  for (const auto& [other, plain] : same) EXPECT_EQ(t.Encode(other), t.Encode(plain)) << other;
  EXPECT_EQ(RoundTrip(t, "le me\u0301decin"), "le médecin");
  // It is learned from any form of the text, and is kept in a file.
  std::string decomposed = text;
  for (size_t at; (at = decomposed.find("é")) != std::string::npos;) decomposed.replace(at, 2, "e\u0301");
  EXPECT_EQ(Bpe(decomposed, 60).tokenizer->Serialize(), t.Serialize());
  EXPECT_EQ((*DeserializeTokenizer(t.Serialize()))->Encode("me\u0301decin"), t.Encode("médecin"));
  // A single text is kept as it is, byte for byte.
  const std::string odd = "me\u0301decin \uFB01\u200B\t\u2028\uFF5E\r\u0001\n";
  EXPECT_EQ(RoundTrip(*Bpe(odd + odd, 60, false).tokenizer, odd), odd);
}

// Checkpoints written before names of rules counted.
TEST(BpeTrainer, OldTokenizersEncodeAsTheyDid) {
  PieceModel old = static_cast<const PieceTokenizer&>(*Bpe("le médecin\nle fish\n", 60).tokenizer).model();
  old.rules = "identity";
  const Result<TokenizerPtr> t = DeserializeTokenizer("sentencepiece\n" + WriteSentencePiece(old));
  ASSERT_TRUE(t) << t.error().message;
  EXPECT_EQ((*t)->Encode("le\u00A0 \tmédecin\u2028"), (*t)->Encode("le médecin"));
  for (const char* unknown : {"me\u0301decin", "\uFB01sh", "le\u200Bfish"}) {
    const std::vector<int32_t> ids = (*t)->Encode(unknown);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), (*t)->unk()), 1) << unknown;
  }
}

TEST(Tokenizers, NothingForIdsWithoutAPiece) {
  const std::string_view text = "ab";
  for (const TokenizerPtr& t : {MakeByteTokenizer(), MakeCharacterTokenizer(std::span(&text, 1))}) {
    std::vector<int32_t> ids = t->Encode(text);
    for (const int32_t none : {-1, static_cast<int32_t>(t->size()), 1 << 30}) {
      ids.insert(ids.begin() + 1, none);
      EXPECT_FALSE(t->Has(none));
    }
    EXPECT_EQ(t->Decode(ids), "ab");
    EXPECT_EQ(t->Show(1 << 30), "<1073741824>");
    EXPECT_EQ(t->Decode(std::vector<int32_t>{0}), "\u2047");  // a piece of its own
  }
}

TEST(Tokenizers, ShowWhatCannotBeSeen) {
  const std::string text = "a \t\n\x01\u200B\u00AD";
  EXPECT_EQ(Shown(*MakeByteTokenizer(), "a \n\xC3"), "a ▁ <0x0A> <0xC3>");
  const std::string_view view = text;
  EXPECT_EQ(Shown(*MakeCharacterTokenizer(std::span(&view, 1)), text),
            "a ▁ <0x09> <0x0A> <0x01> <0xE2><0x80><0x8B> <0xC2><0xAD>");
  EXPECT_EQ(Shown(*Bpe("a\tb", 20, false).tokenizer, "a\t"), "▁ a <0x09>");
}

TEST(BpeTrainer, TooManyCharactersLeaveTheRarestOut) {
  const BpeTraining result = Bpe("aaa bbb ab ab aa z", 6);
  EXPECT_EQ(result.characters, 4);
  EXPECT_EQ(result.left_out, 1);
  EXPECT_EQ(result.tokenizer->size(), 6);
  EXPECT_EQ(RoundTrip(*result.tokenizer, "ab ab"), "ab ab");
  EXPECT_EQ(result.tokenizer->Encode("z").back(), 0);
}

TEST(BpeTrainer, IsRestoredFromItsBytes) {
  const std::string text = ReadAll(test::Source("runtime/text/tokenizer_piece.cpp"));
  const BpeTraining result = Bpe(text, 700, false);
  EXPECT_EQ(RoundTrip(*result.tokenizer, text), text);
  Result<TokenizerPtr> again = DeserializeTokenizer(result.tokenizer->Serialize());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ((*again)->Encode(text), result.tokenizer->Encode(text));
  EXPECT_EQ((*again)->Decode(again.operator*()->Encode(text)), text);
  EXPECT_EQ((*again)->Serialize(), result.tokenizer->Serialize());
  EXPECT_EQ(Bpe(text, 700, false).tokenizer->Serialize(), result.tokenizer->Serialize());
}

TEST(BpeTrainer, DamagedBytesAreRefused) {
  const std::string bytes = Bpe("one two three four five\n", 40).tokenizer->Serialize();
  int accepted = 0;
  for (size_t length = 0; length < bytes.size(); ++length) {
    accepted += static_cast<bool>(DeserializeTokenizer(std::string_view(bytes).substr(0, length)));
  }
  EXPECT_LT(accepted, 60);  // cut between two fields it may be a smaller model, but must never crash
  EXPECT_FALSE(DeserializeTokenizer("what\n"));
  EXPECT_FALSE(DeserializeTokenizer("chars\n\xFF"));
}

TEST(BpeTrainer, TatoebaInAFewSeconds) {
  const std::string english = test::Shared("data/tatoeba-en-fr/train.en");
  if (english.empty()) GTEST_SKIP() << "no corpus";
  const std::string texts[] = {ReadAll(english), ReadAll(test::Shared("data/tatoeba-en-fr/train.fr"))};
  const std::string_view views[] = {texts[0], texts[1]};
  const BpeTraining result = TrainBpe(views, {8000, false});
  EXPECT_EQ(result.tokenizer->size(), 8000);
  for (const std::string& text : texts) {
    const std::vector<int32_t> ids = result.tokenizer->Encode(text);
    EXPECT_EQ(result.tokenizer->Decode(ids), text);
    EXPECT_LT(ids.size(), 1700000u);
  }
}

TEST(SentencePiece, EncodesAsItsOwnToolsDo) {
  if (std::system("command -v spm_train > /dev/null 2>&1") != 0) GTEST_SKIP() << "no spm_train";
  const std::string folder = testing::TempDir() + "/heed_spm";
  ASSERT_EQ(std::system(("mkdir -p " + folder).c_str()), 0);
  std::string corpus = test::Shared("data/tatoeba-en-fr/valid.fr");
  const bool big = !corpus.empty();
  if (!big) corpus = test::Source("runtime/text/tokenizer_piece.cpp");
  std::string text = ReadAll(corpus);
  text +=
      "\xEF\xBC\xA1\xEF\xBC\xA2\xEF\xBC\xA3 \xEF\xAC\x81n  deux  espaces \n\xE2\x80\xAF« qu\xC2\xA0» 😀😀 "
      "\xE5\xAD\x97\n\n   \nBonjourqu quBonjour\nme\xCC\x81"
      "decin \xE2\x91\xA0 x\xC2\xB2 a\xE2\x80\x8B\x01\x62\n";
  std::ofstream(folder + "/text", std::ios::binary) << text;
  const std::string variants[] = {
      "--model_type=bpe --character_coverage=1.0",
      "--model_type=unigram --character_coverage=0.999",
      "--model_type=bpe --byte_fallback --character_coverage=0.99 --user_defined_symbols=qu,Bonjour "
      "--normalization_rule_name=identity --remove_extra_whitespaces=false",
      "--model_type=unigram --add_dummy_prefix=false --user_defined_symbols=qu",
      "--model_type=char",
      "--model_type=bpe --normalization_rule_name=nmt_nfkc_cf --user_defined_symbols=\xEF\xAC\x81",
      "--model_type=unigram --normalization_rule_name=nfkc --user_defined_symbols=\xEF\xBC\xA1"};
  for (const std::string& variant : variants) {
    const std::string quiet = " > /dev/null 2>&1";
    ASSERT_EQ(std::system(("cd " + folder + " && spm_train --input=" + corpus +
                           " --model_prefix=m --vocab_size=" + (big ? "1000" : "500") +
                           " --hard_vocab_limit=false " + variant + quiet)
                              .c_str()),
              0);
    ASSERT_EQ(
        std::system(("cd " + folder + " && spm_encode --model=m.model --output_format=id text > ids && " +
                     "spm_decode --model=m.model --input_format=id ids > back")
                        .c_str()),
        0);
    Result<TokenizerPtr> tokenizer = LoadTokenizer(folder + "/m.model");
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    Result<TokenizerPtr> again = DeserializeTokenizer((*tokenizer)->Serialize());
    ASSERT_TRUE(again);
    std::istringstream lines(text), ids(ReadAll(folder + "/ids")), back(ReadAll(folder + "/back"));
    int64_t compared = 0;
    for (std::string line, want, decoded; std::getline(lines, line); ++compared) {
      std::getline(ids, want);
      std::getline(back, decoded);
      std::string got;
      for (int32_t id : (*tokenizer)->Encode(line)) got += (got.empty() ? "" : " ") + std::to_string(id);
      ASSERT_EQ(got, want) << variant << "\n" << line;
      ASSERT_EQ((*tokenizer)->Decode((*tokenizer)->Encode(line)), decoded) << variant;
      ASSERT_EQ((*again)->Encode(line), (*tokenizer)->Encode(line));
    }
    EXPECT_GT(compared, 50);
  }
}

TEST(SentencePiece, OtherToolsReadOurBpe) {
  if (std::system("command -v spm_encode > /dev/null 2>&1") != 0) GTEST_SKIP() << "no spm_encode";
  const std::string text = ReadAll(test::Source("runtime/text/tokenizer_piece.cpp"));
  const BpeTraining result = Bpe(text, 700);
  const std::string folder = testing::TempDir() + "/heed_spm_own";
  ASSERT_EQ(std::system(("mkdir -p " + folder).c_str()), 0);
  std::ofstream(folder + "/m.model", std::ios::binary)
      << WriteSentencePiece(static_cast<const PieceTokenizer&>(*result.tokenizer).model());
  std::ofstream(folder + "/text", std::ios::binary) << text;
  ASSERT_EQ(
      std::system(("cd " + folder + " && spm_encode --model=m.model --output_format=id text > ids").c_str()),
      0);
  std::istringstream lines(text), ids(ReadAll(folder + "/ids"));
  for (std::string line, want; std::getline(lines, line);) {
    std::getline(ids, want);
    std::string got;
    for (int32_t id : result.tokenizer->Encode(line)) got += (got.empty() ? "" : " ") + std::to_string(id);
    ASSERT_EQ(got, want) << line;
  }
}

TEST(SentencePiece, LlamaVocabulary) {
  const std::string path = test::Shared("data/stories260K/tok512.bin");
  if (path.empty()) GTEST_SKIP() << "no data";
  const std::string bytes = ReadAll(path);
  PieceModel model;
  for (size_t at = 4; at < bytes.size();) {
    Piece piece;
    int32_t length = 0;
    std::memcpy(&piece.score, &bytes[at], 4);
    std::memcpy(&length, &bytes[at + 4], 4);
    piece.text = bytes.substr(at + 8, static_cast<size_t>(length));
    at += 8 + static_cast<size_t>(length);
    const auto id = model.pieces.size();
    if (id < 3) piece.kind = id == 0 ? PieceKind::Unknown : PieceKind::Control;
    if (id >= 3 && id < 259) piece.kind = PieceKind::Byte;
    for (size_t space; (space = piece.text.find(' ')) != std::string::npos;)
      piece.text.replace(space, 1, "▁");
    model.pieces.push_back(piece);
  }
  model.collapse_spaces = false;
  model.byte_fallback = true;
  const PieceTokenizer tokenizer(model);
  const auto with_bos = [&](const std::string& text) {
    std::vector<int32_t> ids = tokenizer.Encode(text);
    ids.insert(ids.begin(), tokenizer.bos());
    return ids;
  };
  int64_t compared = 0;
  const nlohmann::json batch = nlohmann::json::parse(ReadAll(test::Shared("data/stories260K/batch.json")));
  for (size_t i = 0; i < batch.at("texts").size(); ++i, ++compared) {
    const std::vector<int32_t> ids = batch.at("full_tokens").at(i);
    EXPECT_EQ(with_bos(batch.at("texts").at(i)), ids);
  }
  const nlohmann::json greedy = nlohmann::json::parse(ReadAll(test::Shared("data/stories260K/greedy.json")));
  for (const auto& run : greedy.at("runs")) {
    const std::vector<int32_t> prompt = run.at("prompt_tokens"), all = run.at("tokens");
    EXPECT_EQ(with_bos(run.at("prompt")), prompt);
    EXPECT_EQ(tokenizer.Decode(all), run.at("text").get<std::string>());
  }
  EXPECT_GT(compared, 0);
}

TEST(LoadTokenizer, SaysWhatItCannotRead) {
  Result<TokenizerPtr> missing = LoadTokenizer("/nonexistent/spm.model");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("/nonexistent/spm.model"), std::string::npos);
  Result<TokenizerPtr> text = LoadTokenizer(test::Source("tests/support/paths.h"));
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find("not a SentencePiece model"), std::string::npos);
}

}  // namespace
}  // namespace heed
