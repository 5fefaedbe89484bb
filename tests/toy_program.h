// A program written by hand in the form the compiler emits, so that training and decoding can be tested
// without the compiler: a translator that sees the source token at its own position and the target token
// before it, logits(t) = W[y(t)] + keep * U[x(min(t, n - 1))] (n: source length), and a bigram model of the
// same W.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "runtime/abi.h"
#include "runtime/random.h"

namespace heed::test {

inline constexpr int64_t kToyVocabulary = 40;
inline constexpr int64_t kToySource = 12, kToyTarget = 14, kToySequence = 16;

namespace toy {

struct Model {
  const float *w, *u;  // [vocab, vocab]; u null for the bigram model
};

/// Logits after y[t]; returns the factor with which U came in.
inline float Logits(const Model& model, const int32_t* x, int64_t n, int32_t before, int64_t t, float keep,
                    float* logits) {
  const float* row = model.w + before * kToyVocabulary;
  for (int64_t v = 0; v < kToyVocabulary; ++v) logits[v] = row[v];
  if (model.u) {
    const float* other = model.u + x[t < n ? t : n - 1] * kToyVocabulary;
    for (int64_t v = 0; v < kToyVocabulary; ++v) logits[v] += keep * other[v];
  }
  return keep;
}

inline float Keep(const HeedFrame& frame, const int32_t* example, int64_t row, int64_t t) {
  if (frame.dropout == 0) return 1;
  const uint64_t key = static_cast<uint64_t>(frame.key[1]) << 32 | frame.key[0];
  return KeepFactor(RandomBits(key, static_cast<uint32_t>(example[row]), 7, static_cast<uint64_t>(t)), 0.1f);
}

/// Sum of cross-entropies and their number; log-probabilities of each row; gradients if dw is not null.
inline void Run(const HeedFrame& frame, const Model& model, const int32_t* x, const int32_t* source_lengths,
                int64_t source, const int32_t* y, const int32_t* lengths, int64_t target,
                const int32_t* example, float* loss, float* per, float* values, float* dw, float* du) {
  const int64_t batch = frame.extents[0];
  if (dw) std::memset(dw, 0, sizeof(float) * kToyVocabulary * kToyVocabulary);
  if (du) std::memset(du, 0, sizeof(float) * kToyVocabulary * kToyVocabulary);
  double total = 0, count = 0;
  for (int64_t r = 0; r < batch; ++r) {
    double row_total = 0;
    const int32_t* xs = x ? x + r * source : nullptr;
    const int64_t n = source_lengths ? source_lengths[r] : 1;
    for (int64_t t = 0; t + 1 < lengths[r]; ++t) {
      float logits[kToyVocabulary];
      const int32_t before = y[r * target + t], after = y[r * target + t + 1];
      const float keep = model.u ? Keep(frame, example, r, t) : 1;
      Logits(model, xs, n, before, t, keep, logits);
      double sum = 0;
      for (float logit : logits) sum += std::exp(static_cast<double>(logit));
      row_total += std::log(sum) - static_cast<double>(logits[after]);
      ++count;
      if (!dw) continue;
      for (int64_t v = 0; v < kToyVocabulary; ++v) {
        const auto d =
            static_cast<float>(std::exp(static_cast<double>(logits[v])) / sum - (v == after ? 1 : 0));
        dw[before * kToyVocabulary + v] += d;
        if (du) du[xs[t < n ? t : n - 1] * kToyVocabulary + v] += keep * d;
      }
    }
    total += row_total;
    if (values) values[r] = static_cast<float>(-row_total);
  }
  if (loss) *loss = static_cast<float>(total);
  if (per) *per = static_cast<float>(count);
}

template <typename T>
T* Buffer(const HeedFrame* frame, int i) {
  return static_cast<T*>(frame->buffers[i]);
}

// Buffers of the pair functions: x, len.src, y, len.tgt, example, W, U, then the outputs.
inline void PairTrain(const HeedFrame* f) {
  Run(*f, {Buffer<float>(f, 5), Buffer<float>(f, 6)}, Buffer<int32_t>(f, 0), Buffer<int32_t>(f, 1),
      f->extents[1], Buffer<int32_t>(f, 2), Buffer<int32_t>(f, 3), f->extents[2], Buffer<int32_t>(f, 4),
      Buffer<float>(f, 7), Buffer<float>(f, 8), nullptr, Buffer<float>(f, 9), Buffer<float>(f, 10));
}
inline void PairLoss(const HeedFrame* f) {
  Run(*f, {Buffer<float>(f, 5), Buffer<float>(f, 6)}, Buffer<int32_t>(f, 0), Buffer<int32_t>(f, 1),
      f->extents[1], Buffer<int32_t>(f, 2), Buffer<int32_t>(f, 3), f->extents[2], Buffer<int32_t>(f, 4),
      Buffer<float>(f, 7), Buffer<float>(f, 8), nullptr, nullptr, nullptr);
}
inline void PairScore(const HeedFrame* f) {
  Run(*f, {Buffer<float>(f, 5), Buffer<float>(f, 6)}, Buffer<int32_t>(f, 0), Buffer<int32_t>(f, 1),
      f->extents[1], Buffer<int32_t>(f, 2), Buffer<int32_t>(f, 3), f->extents[2], Buffer<int32_t>(f, 4),
      nullptr, nullptr, Buffer<float>(f, 7), nullptr, nullptr);
}
inline void PairNext(const HeedFrame* f) {
  const int64_t source = f->extents[1], target = f->extents[2];
  for (int64_t r = 0; r < f->extents[0]; ++r) {
    const int64_t t = Buffer<int32_t>(f, 3)[r] - 1;
    Logits({Buffer<float>(f, 5), Buffer<float>(f, 6)}, Buffer<int32_t>(f, 0) + r * source,
           Buffer<int32_t>(f, 1)[r], Buffer<int32_t>(f, 2)[r * target + t], t, 1,
           Buffer<float>(f, 7) + r * kToyVocabulary);
  }
}
// Buffers of the text functions: x, len.seq, W, then the outputs.
inline void TextTrain(const HeedFrame* f) {
  Run(*f, {Buffer<float>(f, 2), nullptr}, nullptr, nullptr, 0, Buffer<int32_t>(f, 0), Buffer<int32_t>(f, 1),
      f->extents[1], nullptr, Buffer<float>(f, 3), Buffer<float>(f, 4), nullptr, Buffer<float>(f, 5),
      nullptr);
  std::memset(Buffer<float>(f, 6), 0, sizeof(float) * kToyVocabulary * kToyVocabulary);
}
inline void TextLoss(const HeedFrame* f) {
  Run(*f, {Buffer<float>(f, 2), nullptr}, nullptr, nullptr, 0, Buffer<int32_t>(f, 0), Buffer<int32_t>(f, 1),
      f->extents[1], nullptr, Buffer<float>(f, 3), Buffer<float>(f, 4), nullptr, nullptr, nullptr);
}
inline void TextNext(const HeedFrame* f) {
  for (int64_t r = 0; r < f->extents[0]; ++r) {
    const int64_t t = Buffer<int32_t>(f, 1)[r] - 1;
    Logits({Buffer<float>(f, 2), nullptr}, nullptr, 1, Buffer<int32_t>(f, 0)[r * f->extents[1] + t], t, 1,
           Buffer<float>(f, 3) + r * kToyVocabulary);
  }
}

/// Owns the tables of one program.
struct Tables {
  bool pairs;
  const char* extents[3] = {"batch", "src", "tgt"};
  HeedDim source_dims[2] = {{"batch", 0, 0}, {"src", 1, kToySource}};
  HeedDim target_dims[2] = {{"batch", 0, 0}, {"tgt", 2, kToyTarget}};
  HeedDim matrix_dims[2] = {{"vocab", -1, kToyVocabulary}, {"vocab'", -1, kToyVocabulary}};
  HeedDim logit_dims[2] = {{"batch", 0, 0}, {"vocab", -1, kToyVocabulary}};
  std::vector<HeedTensorInfo> inputs, train_outputs, loss_outputs, value_outputs, logit_outputs;
  std::vector<HeedBuffer> train_buffers, loss_buffers, value_buffers, logit_buffers;
  HeedFunction train, loss, score, next;
  HeedAxis axes[2];
  int64_t shape[2] = {kToyVocabulary, kToyVocabulary};
  const char* axis_names[2] = {"vocab", "vocab'"};
  HeedParam params[2];
  HeedDim argument_dims[2];
  int64_t dynamic = 1;
  HeedArgument arguments[2];
  HeedOption options[2] = {{"beam", 4}, {"alpha", 0.6}};
  HeedEntry entries[3];
  HeedProgram program;

  explicit Tables(bool with_source) : pairs(with_source) {
    const char* sequence = pairs ? "tgt" : "seq";
    if (!pairs) {
      extents[1] = "seq";
      target_dims[1] = {"seq", 1, kToySequence};
    }
    const int64_t bound = pairs ? kToyTarget : kToySequence;
    if (pairs) {
      inputs = {{"x", kHeedInt32, 2, source_dims},
                {"len.src", kHeedInt32, 1, source_dims},
                {"y", kHeedInt32, 2, target_dims},
                {"len.tgt", kHeedInt32, 1, target_dims},
                {"example", kHeedInt32, 1, target_dims}};
    } else {
      inputs = {{"y", kHeedInt32, 2, target_dims}, {"len.seq", kHeedInt32, 1, target_dims}};
    }
    train_outputs = {{"loss", kHeedFloat32, 0, nullptr},
                     {"per", kHeedFloat32, 0, nullptr},
                     {"d.W", kHeedFloat32, 2, matrix_dims},
                     {"d.U", kHeedFloat32, 2, matrix_dims}};
    loss_outputs.assign(train_outputs.begin(), train_outputs.begin() + 2);
    value_outputs = {{"value", kHeedFloat32, 1, logit_dims}};
    logit_outputs = {{"logits", kHeedFloat32, 2, logit_dims}};
    const auto make = [&](const char* name, const std::vector<HeedTensorInfo>& outputs,
                          std::vector<HeedBuffer>& buffers, void (*run)(const HeedFrame*)) {
      for (int64_t i = 0; i < static_cast<int64_t>(inputs.size()); ++i) {
        buffers.push_back({kHeedBufferInput, i, {}, 0, 0});
      }
      for (int64_t i = 0; i < (pairs ? 2 : 1); ++i) buffers.push_back({kHeedBufferParam, i, {}, 0, 0});
      for (int64_t i = 0; i < static_cast<int64_t>(outputs.size()); ++i) {
        buffers.push_back({kHeedBufferOutput, i, {}, 0, 0});
      }
      return HeedFunction{name,           pairs ? 3 : 2,
                          extents,        static_cast<int64_t>(inputs.size()),
                          inputs.data(),  static_cast<int64_t>(outputs.size()),
                          outputs.data(), static_cast<int64_t>(buffers.size()),
                          buffers.data(), run};
    };
    train = make("train", train_outputs, train_buffers, pairs ? PairTrain : TextTrain);
    loss = make("loss", loss_outputs, loss_buffers, pairs ? PairLoss : TextLoss);
    score = make("score", value_outputs, value_buffers, PairScore);
    next = make("next", logit_outputs, logit_buffers, pairs ? PairNext : TextNext);
    axes[0] = {"vocab", 0, kToyVocabulary, 0, nullptr};
    axes[1] = {sequence, 1, bound, 0, nullptr};
    for (int64_t i = 0; i < 2; ++i) {
      params[i] = {
          i == 0 ? "W" : "U", 2, shape, axis_names, 2, axis_names, shape, kToyVocabulary * kToyVocabulary,
          kHeedInitNormal,    0, 0.1};
    }
    argument_dims[0] = {"src", -1, kToySource};
    argument_dims[1] = {sequence, -1, bound};
    const int64_t count = pairs ? 2 : 1;
    if (pairs) arguments[0] = {"x", kHeedInt32, "vocab", 1, &argument_dims[0], &dynamic};
    arguments[count - 1] = {"y", kHeedInt32, "vocab", 1, &argument_dims[1], &dynamic};
    entries[0] = {"train", kHeedEntryMinimize,
                  count,   arguments,
                  &train,  &loss,
                  nullptr, nullptr,
                  nullptr, nullptr,
                  0,       nullptr,
                  nullptr, -1,
                  -1,      0,
                  nullptr, nullptr};
    entries[1] = {pairs ? "translate" : "complete",
                  kHeedEntryGenerate,
                  1,
                  arguments,
                  nullptr,
                  nullptr,
                  nullptr,
                  &next,
                  "y",
                  sequence,
                  bound,
                  "vocab",
                  pairs ? nullptr : "y",
                  pairs ? 1 : -1,
                  2,
                  pairs ? 2 : 0,
                  options,
                  nullptr};
    entries[2] = {"score", kHeedEntryValue, count, arguments, nullptr, nullptr, &score, nullptr,
                  nullptr, nullptr,         0,     nullptr,   nullptr, -1,      -1,     0,
                  nullptr, nullptr};
    program = {
        kHeedAbiVersion, "test", "examples/toy.heed", "any", 2, axes, 2, params, pairs ? 3 : 2, entries, 0,
        nullptr};
  }
};

}  // namespace toy

/// `train` and `score` of (x: vocab[src], y: vocab[tgt]), `translate(x)` from 1 until 2 with beam = 4, alpha
/// = 0.6.
inline const HeedProgram& ToyTranslator() {
  static toy::Tables tables(true);
  return tables.program;
}
/// `train(y: vocab[seq])`, `complete(y)` until 2. U is not used.
inline const HeedProgram& ToyText() {
  static toy::Tables tables(false);
  return tables.program;
}

}  // namespace heed::test
