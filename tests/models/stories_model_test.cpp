// A real, trained language model (stories260K: a Llama of 260 thousand numbers that tells children's stories)
// through examples/llama.heed: logits, loss, gradients, 20 steps of AdamW and three greedy stories, against
// numbers of PyTorch in double precision. The weights and the tokenizer come in llama2.c's formats and are
// converted here. Skipped where the data is absent.
#include <memory>
#include <nlohmann/json.hpp>

#include "runtime/data/tokenizer_files.h"
#include "runtime/text/tokenizer_piece.h"
#include "tests/support/model_support.h"

namespace heed::test {
namespace {

// Of the file's first numbers; the program's axes are set to them.
constexpr int64_t kModel = 64, kHidden = 172, kLayers = 5, kHeads = 8, kKv = 4, kKey = 8, kVocab = 512,
                  kSeq = 512;
const std::vector<std::string> kSizes{"--set", "vocab=512", "--set", "model=64", "--set", "hidden=172",
                                      "--set", "layer=5",   "--set", "seq=512",  "--set", "kv=4",
                                      "--set", "rep=2",     "--set", "key=8",    "--set", "theta=10000"};

std::string Data(const std::string& name) { return Shared("data/stories260K/" + name); }

/// One kind of tensor: its name in the file, and in the program with % for the layer (Hugging Face's).
struct Kind {
  std::string stored, name;
  std::vector<int64_t> shape;
  int64_t rotated = 0;  ///< heads whose rows rotary positions pair up
};
const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kinds{
      {"tok_emb", "model.embed_tokens.weight", {kVocab, kModel}},
      {"rms_att", "model.layers.%.input_layernorm.weight", {kModel}},
      {"wq", "model.layers.%.self_attn.q_proj.weight", {kHeads * kKey, kModel}, kHeads},
      {"wk", "model.layers.%.self_attn.k_proj.weight", {kKv * kKey, kModel}, kKv},
      {"wv", "model.layers.%.self_attn.v_proj.weight", {kKv * kKey, kModel}},
      {"wo", "model.layers.%.self_attn.o_proj.weight", {kModel, kHeads * kKey}},
      {"rms_ffn", "model.layers.%.post_attention_layernorm.weight", {kModel}},
      {"w1", "model.layers.%.mlp.gate_proj.weight", {kHidden, kModel}},
      {"w2", "model.layers.%.mlp.down_proj.weight", {kModel, kHidden}},
      {"w3", "model.layers.%.mlp.up_proj.weight", {kHidden, kModel}},
      {"rms_final", "model.norm.weight", {kModel}},
  };
  return kinds;
}
int64_t LayersOf(const Kind& kind) { return kind.name.find('%') == std::string::npos ? 1 : kLayers; }
std::string NameOf(const Kind& kind, int64_t layer) {
  std::string name = kind.name;
  if (const size_t at = name.find('%'); at != std::string::npos) name.replace(at, 1, std::to_string(layer));
  return name;
}

/// Rows of each head from adjacent pairs (0, 1), (2, 3) ... to halves (0, 4), (1, 5) ..., or back.
Numbers Rotated(const Numbers& from, int64_t heads, bool to_halves) {
  Numbers to = from;
  if (heads == 0) return to;
  const int64_t width = from.shape[1];
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t row = 0; row < kKey; ++row) {
      const int64_t half = row % 2 * (kKey / 2) + row / 2;
      const int64_t a = (head * kKey + (to_halves ? row : half)) * width;
      const int64_t b = (head * kKey + (to_halves ? half : row)) * width;
      std::copy_n(from.data.begin() + a, width, to.data.begin() + b);
    }
  }
  return to;
}

template <typename T>
T Take(const std::string& bytes, size_t& at) {
  T value{};
  if (at + sizeof value > bytes.size()) throw std::runtime_error("the file is cut short");
  std::memcpy(&value, bytes.data() + at, sizeof value);
  at += sizeof value;
  return value;
}

TensorMap ReadWeights(const std::string& path) {
  const std::string bytes = FileBytes(path);
  size_t at = 0;
  for (const int64_t size : {kModel, kHidden, kLayers, kHeads, kKv, kVocab, kSeq}) {
    EXPECT_EQ(Take<int32_t>(bytes, at), size);
  }
  TensorMap weights;
  for (const Kind& kind : Kinds()) {
    for (int64_t layer = 0; layer < LayersOf(kind); ++layer) {
      Numbers tensor = Zeros(kind.shape);
      for (double& value : tensor.data) value = static_cast<double>(Take<float>(bytes, at));
      weights[NameOf(kind, layer)] = Rotated(tensor, kind.rotated, true);
    }
  }
  return weights;
}

/// tok512.bin as a SentencePiece model.
std::string ConvertTokenizer(const std::string& path) {
  const std::string bytes = FileBytes(path);
  PieceModel model;
  model.byte_fallback = true;
  model.collapse_spaces = false;
  size_t at = 0;
  Take<int32_t>(bytes, at);  // the longest piece
  for (int64_t id = 0; id < kVocab; ++id) {
    Piece piece;
    piece.score = Take<float>(bytes, at);
    const auto length = static_cast<size_t>(Take<int32_t>(bytes, at));
    for (const char c : bytes.substr(at, length)) piece.text += c == ' ' ? "\xE2\x96\x81" : std::string(1, c);
    at += length;
    if (id == 0) piece.kind = PieceKind::Unknown;
    if (id == 1) piece = {"<s>", 0, PieceKind::Control};
    if (id == 2) piece = {"</s>", 0, PieceKind::Control};
    if (id >= 3 && id < 259) piece.kind = PieceKind::Byte;
    model.pieces.push_back(std::move(piece));
  }
  return WriteSentencePiece(model);
}

/// `lines` of the example replaced, each of which must be there once.
std::string Edited(std::string text, const std::vector<std::pair<std::string, std::string>>& edits) {
  for (const auto& [from, to] : edits) {
    const size_t at = text.find(from);
    EXPECT_TRUE(at != std::string::npos && text.find(from, at + 1) == std::string::npos) << from;
    if (at != std::string::npos) text.replace(at, from.size(), to);
  }
  return text;
}

class Stories : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Data("stories260K.bin").empty())
      GTEST_SKIP() << "no stories260K: set HEED_SHARED to the folder that has data/stories260K";
    batch_ = nlohmann::json::parse(FileBytes(Data("batch.json")))["batch"];
    train_ = nlohmann::json::parse(FileBytes(Data("train.json")));
    greedy_ = nlohmann::json::parse(FileBytes(Data("greedy.json")));
  }

  /// The example as it is, with the output matrix a copy of the embedding.
  static const BuiltProgram& Llama() {
    static const std::unique_ptr<BuiltProgram> program = [] {
      auto built = std::make_unique<BuiltProgram>(Source("examples/llama.heed"), kSizes);
      TensorMap weights = ReadWeights(Data("stories260K.bin"));
      weights["lm_head.weight"] = weights["model.embed_tokens.weight"];
      WriteTensors(built->File("weights.safetensors"), weights);
      WriteBytes(built->File("tok512.model"), ConvertTokenizer(Data("tok512.bin")));
      return built;
    }();
    return *program;
  }
  /// The example with one matrix for input and output, as the model was trained, and greedy.
  static const BuiltProgram& Tied() {
    static const TemporaryFolder folder;
    static const std::unique_ptr<BuiltProgram> program = [] {
      WriteBytes(folder / "tied.heed", Edited(FileBytes(Source("examples/llama.heed")),
                                              {{"layers/llama.heed", Source("examples/layers/llama.heed")},
                                               {R"(, U[vocab, model] as "lm_head.weight")", ""},
                                               {"U @model", "E @model"},
                                               {" with temperature = 0.7, top_p = 0.9", ""}}));
      auto built = std::make_unique<BuiltProgram>(folder / "tied.heed", kSizes);
      WriteTensors(built->File("weights.safetensors"), ReadWeights(Data("stories260K.bin")));
      return built;
    }();
    return *program;
  }

  /// `columns` ids of each row of the batch.
  Numbers Ids(int64_t rows, int64_t columns) const {
    Numbers ids{{rows, columns}, {}};
    for (int64_t b = 0; b < rows; ++b)
      for (int64_t i = 0; i < columns; ++i) ids.data.push_back(batch_[b][i].get<double>());
    return ids;
  }

  nlohmann::json batch_, train_, greedy_;
};

TEST_F(Stories, Logits) {
  const BuiltProgram& program = Llama();
  ASSERT_TRUE(program.ok());
  const std::string bytes = FileBytes(Data("logits.f32"));
  Numbers want = Zeros({45, kVocab});
  size_t at = 0;
  for (double& value : want.data) value = static_cast<double>(Take<float>(bytes, at));
  ASSERT_EQ(at, bytes.size());
  // The logits of `complete` for given tokens; with one row, and with all.
  for (const int64_t rows : {1, 4}) {
    const Numbers got = program.Call("complete", {{"y", Ids(rows, 45)}}, {"y"})["result"];
    ASSERT_EQ(got.shape, (std::vector<int64_t>{rows, 45, kVocab}));
    const Numbers row = got.Example(0);
    double worst = 0;
    for (size_t i = 0; i < want.data.size(); ++i) {
      ASSERT_NEAR(row.data[i], want.data[i], 1e-4) << "logit " << i;
      worst = std::max(worst, std::abs(row.data[i] - want.data[i]));
    }
    std::printf("             logits of %g rows: %.2g at worst\n", static_cast<double>(rows), worst);
  }
}

TEST_F(Stories, LossAndGradients) {
  const BuiltProgram& program = Llama();
  ASSERT_TRUE(program.ok());
  TensorMap got = program.Call("train", {{"x", Ids(4, 46)}}, {"x"}, {"--grad"});
  ASSERT_TRUE(got.contains("loss"));
  EXPECT_EQ(got["count"].data[0], 180);
  EXPECT_NEAR(got["loss"].data[0], train_["loss"].get<double>(), 1e-6);
  const Numbers score = program.Call("score", {{"x", Ids(4, 46)}}, {"x"})["result"];
  ASSERT_EQ(score.count(), 4);
  double sum = 0;
  for (const double value : score.data) sum += value;
  EXPECT_NEAR(-sum / 180, train_["loss"].get<double>(), 1e-6);

  // One matrix plays both parts in the model: its gradient is the sum of theirs.
  for (size_t i = 0; i < got["grad.lm_head.weight"].data.size(); ++i)
    got["grad.model.embed_tokens.weight"].data[i] += got["grad.lm_head.weight"].data[i];
  double furthest = 0;
  for (const Kind& kind : Kinds()) {
    SCOPED_TRACE(kind.stored);
    Numbers all{{0}, {}};
    for (int64_t layer = 0; layer < LayersOf(kind); ++layer) {
      const Numbers one = Rotated(got["grad." + NameOf(kind, layer)], kind.rotated, false);
      ASSERT_EQ(one.shape, kind.shape);
      all.data.insert(all.data.end(), one.data.begin(), one.data.end());
    }
    const nlohmann::json& want = train_["gradients"][kind.stored];
    double norm = 0, total = 0, magnitude = 0;
    for (const double value : all.data) norm += value * value, total += value, magnitude += std::abs(value);
    norm = std::sqrt(norm);
    const double limit = 1e-5 * all.Largest();
    EXPECT_NEAR(norm, want["norm"].get<double>(), 1e-5 * norm);
    EXPECT_NEAR(total, want["sum"].get<double>(), 1e-6 * magnitude);
    for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(all.data[i], want["first8"][i].get<double>(), limit) << i;
    for (size_t i = 0; i < 8; ++i)
      furthest = std::max(furthest, std::abs(all.data[i] - want["first8"][i].get<double>()) / all.Largest());
    furthest = std::max(furthest, std::abs(norm - want["norm"].get<double>()) / norm);
  }
  std::printf("             gradients: %.2g at worst\n", furthest);
}

TEST_F(Stories, TwentySteps) {
  const BuiltProgram& program = Tied();
  ASSERT_TRUE(program.ok());
  ASSERT_EQ(
      train_["adamw"],
      nlohmann::json::parse(R"({"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01})"));
  // The last loss is that after the steps.
  const Numbers losses =
      program.Call("train", {{"x", Ids(4, 46)}}, {"x"},
                   {"--steps", "21", "--lr", "1e-3", "--schedule", "constant", "--warmup", "0", "--beta1",
                    "0.9", "--beta2", "0.999", "--eps", "1e-8", "--weight-decay", "0.01"})["losses"];
  ASSERT_EQ(losses.count(), 21);
  double worst = 0;
  for (size_t i = 0; i < 21; ++i) {
    const double want = train_["losses_before_each_step"][i].get<double>();
    EXPECT_NEAR(losses.data[i], want, 1e-4 * want) << "after step " << i;
    worst = std::max(worst, std::abs(losses.data[i] - want) / want);
  }
  std::printf("             losses of 20 steps: %.2g at worst\n", worst);
}

TEST_F(Stories, GreedyIds) {
  const BuiltProgram& program = Tied();
  ASSERT_TRUE(program.ok());
  // All prompts as one batch of different lengths.
  Numbers prompts = Zeros({static_cast<int64_t>(greedy_["runs"].size()), 8}),
          lengths = Zeros({prompts.shape[0]});
  for (int64_t b = 0; b < prompts.shape[0]; ++b) {
    const auto& tokens = greedy_["runs"][b]["prompt_tokens"];
    lengths.data[b] = static_cast<double>(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) prompts.data[b * 8 + i] = tokens[i].get<double>();
  }
  const Numbers got = program.Call("complete", {{"p", prompts}, {"p.length", lengths}}, {"p"})["result"];
  ASSERT_EQ(got.shape.size(), 2u);
  for (int64_t b = 0; b < prompts.shape[0]; ++b) {
    const auto want = greedy_["runs"][b]["tokens"].get<std::vector<double>>();
    const auto size = static_cast<int64_t>(want.size());
    ASSERT_GE(got.shape[1], size);
    EXPECT_EQ(got.Slice(0, b, b + 1).Slice(1, 0, size).data, want) << "story " << b;
  }
}

TEST_F(Stories, GreedyText) {
  const BuiltProgram& program = Llama();
  ASSERT_TRUE(program.ok());
  const auto tokenizer = LoadTokenizer(program.File("tok512.model"));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const nlohmann::json texts = nlohmann::json::parse(FileBytes(Data("batch.json")));
  for (size_t i = 0; i < texts["texts"].size(); ++i) {
    std::vector<int32_t> ids{1};
    for (const int32_t id : (*tokenizer)->Encode(texts["texts"][i].get<std::string>())) ids.push_back(id);
    EXPECT_EQ(ids, texts["full_tokens"][i].get<std::vector<int32_t>>());
  }
  for (const auto& run : greedy_["runs"]) {
    const std::string prompt = run["prompt"];
    const int64_t more = static_cast<int64_t>(run["tokens"].size() - run["prompt_tokens"].size());
    for (const char* threads : {"1", "2"}) {
      const ProcessResult result =
          program.Run({"complete", "--weights", program.File("weights.safetensors"), "--tokenizer",
                       program.File("tok512.model"), "--bos", "--greedy", "--max-length",
                       std::to_string(more), "--prompt", prompt, "--threads", threads});
      ASSERT_EQ(result.status, 0) << result.err;
      EXPECT_EQ(result.out, run["text"].get<std::string>() + "\n");
    }
  }
}

}  // namespace
}  // namespace heed::test
