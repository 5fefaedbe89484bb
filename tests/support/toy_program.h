// A program written by hand in the form the compiler emits, so that training and decoding can be tested
// without the compiler: a translator that sees the source token at its own position and the target token
// before it, logits(t) = W[y(t)] + keep * U[x(min(t, n - 1))] (n: source length), and a bigram model of the
// same W.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <vector>

#include "runtime/abi.h"
#include "runtime/base/random.h"

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

// Generation also looks back: at the whole text through a cache with a row for each position, and at the last
// three elements through a ring of four slots that moves on by two.
inline constexpr int64_t kRingSlots = 4, kRingStep = 2, kWindow = 3;
inline int64_t RingStart(int64_t position) {
  int64_t first = 0;
  while (first + kRingSlots <= position) first += kRingStep;
  return first;
}
/// What a text of `count` elements adds to its logits.
inline void AddHistory(const int32_t* text, int64_t count, float* logits) {
  int64_t all = 0, last = 0;
  for (int64_t p = 0; p < count; ++p) all += text[p] * (p + 1);
  for (int64_t p = count - 1; p >= 0 && p > count - 1 - kWindow; --p) last += text[p] * (count - p);
  for (int64_t v = 0; v < kToyVocabulary; ++v)
    logits[v] += 0.3f * static_cast<float>((all + v) % 3) + 0.2f * static_cast<float>((last + 2 * v) % 5);
}
/// Of one row: keeps the prompt y[0 ... count).
inline void Keep(const int32_t* y, int64_t count, int32_t* cache, int32_t* ring) {
  for (int64_t p = 0; p < count; ++p) cache[p] = y[p];
  const int64_t first = RingStart(count - 1);
  for (int64_t p = first; p < count; ++p) ring[p - first] = y[p];
}
/// Of one row: adds y at the position count - 1; the text as the caches have it.
inline void Step(int32_t y, int64_t count, int32_t* cache, int32_t* ring, std::vector<int32_t>& text) {
  cache[count - 1] = y;
  const int64_t first = RingStart(count - 1);
  ring[count - 1 - first] = y;
  text.assign(cache, cache + count);
  for (int64_t p = std::max<int64_t>(0, count - kWindow); p < count; ++p) text[p] = ring[p - first];
}

// Buffers: x, len.src, y, len.tgt, W, U, then logits, cache.0, cache.1. The capacity of the cache is
// extent 3.
inline void PairPrefill(const HeedFrame* f) {
  const int64_t source = f->extents[1], target = f->extents[2], capacity = f->extents[3];
  for (int64_t r = 0; r < f->extents[0]; ++r) {
    const int32_t* y = Buffer<int32_t>(f, 2) + r * target;
    const int64_t count = Buffer<int32_t>(f, 3)[r];
    float* logits = Buffer<float>(f, 6) + r * kToyVocabulary;
    Logits({Buffer<float>(f, 4), Buffer<float>(f, 5)}, Buffer<int32_t>(f, 0) + r * source,
           Buffer<int32_t>(f, 1)[r], y[count - 1], count - 1, 1, logits);
    AddHistory(y, count, logits);
    Keep(y, count, Buffer<int32_t>(f, 7) + r * capacity, Buffer<int32_t>(f, 8) + r * kRingSlots);
  }
}
// Buffers: x, len.src, y, len.tgt, cache.0, cache.1, W, U, then logits.
inline void PairStep(const HeedFrame* f) {
  const int64_t source = f->extents[1], capacity = f->extents[3];
  std::vector<int32_t> text;
  for (int64_t r = 0; r < f->extents[0]; ++r) {
    const int64_t count = Buffer<int32_t>(f, 3)[r];
    const int32_t y = Buffer<int32_t>(f, 2)[r];
    float* logits = Buffer<float>(f, 8) + r * kToyVocabulary;
    Logits({Buffer<float>(f, 6), Buffer<float>(f, 7)}, Buffer<int32_t>(f, 0) + r * source,
           Buffer<int32_t>(f, 1)[r], y, count - 1, 1, logits);
    Step(y, count, Buffer<int32_t>(f, 4) + r * capacity, Buffer<int32_t>(f, 5) + r * kRingSlots, text);
    AddHistory(text.data(), count, logits);
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
// Buffers: y, len.seq, W, then logits; of the prefill and of the step, which keeps nothing.
inline void TextPrefill(const HeedFrame* f) {
  for (int64_t r = 0; r < f->extents[0]; ++r) {
    const int64_t t = Buffer<int32_t>(f, 1)[r] - 1;
    Logits({Buffer<float>(f, 2), nullptr}, nullptr, 1, Buffer<int32_t>(f, 0)[r * f->extents[1] + t], t, 1,
           Buffer<float>(f, 3) + r * kToyVocabulary);
  }
}
inline void TextStep(const HeedFrame* f) {
  for (int64_t r = 0; r < f->extents[0]; ++r) {
    Logits({Buffer<float>(f, 2), nullptr}, nullptr, 1, Buffer<int32_t>(f, 0)[r], Buffer<int32_t>(f, 1)[r] - 1,
           1, Buffer<float>(f, 3) + r * kToyVocabulary);
  }
}

/// Owns the tables of one program.
struct Tables {
  bool pairs;
  const char* extents[4] = {"batch", "src", "tgt", "tgt^"};
  HeedDim source_dims[2] = {{"batch", 0, 0}, {"src", 1, kToySource}};
  HeedDim target_dims[2] = {{"batch", 0, 0}, {"tgt", 2, kToyTarget}};
  HeedDim matrix_dims[2] = {{"vocab", -1, kToyVocabulary}, {"vocab'", -1, kToyVocabulary}};
  HeedDim logit_dims[2] = {{"batch", 0, 0}, {"vocab", -1, kToyVocabulary}};
  HeedDim cache_dims[2] = {{"batch", 0, 0}, {"tgt'", 3, kToyTarget}};
  HeedDim ring_dims[2] = {{"batch", 0, 0}, {"tgt'%4+2", -1, kRingSlots}};
  std::vector<HeedTensorInfo> inputs, train_outputs, loss_outputs, value_outputs, prefill_inputs,
      prefill_outputs, step_inputs, step_outputs;
  std::vector<HeedBuffer> train_buffers, loss_buffers, value_buffers, prefill_buffers, step_buffers;
  HeedFunction train, loss, score, prefill, step;
  HeedKept kept[2] = {{1, 4, 1, 0, 0}, {2, 5, 1, kRingSlots, kRingStep}};
  HeedAxis axes[2];
  int64_t shape[2] = {kToyVocabulary, kToyVocabulary};
  const char* axis_names[2] = {"vocab", "vocab'"};
  HeedParam params[2];
  HeedDim argument_dims[2];
  int64_t dynamic = 1;
  HeedArgument arguments[2];
  HeedOption options[2] = {{"beam", 4}, {"alpha", 0.6}};
  int64_t end = 2;
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
    prefill_inputs.assign(inputs.begin(), inputs.begin() + (pairs ? 4 : 2));
    step_inputs = prefill_inputs;
    step_inputs[pairs ? 2 : 0].rank = 1;  // one new element a row
    step_outputs = prefill_outputs = {{"logits", kHeedFloat32, 2, logit_dims}};
    if (pairs) {
      for (std::vector<HeedTensorInfo>* list : {&step_inputs, &prefill_outputs}) {
        list->push_back({"cache.0", kHeedInt32, 2, cache_dims});
        list->push_back({"cache.1", kHeedInt32, 2, ring_dims});
      }
    }
    const auto make = [&](const char* name, const std::vector<HeedTensorInfo>& inputs,
                          const std::vector<HeedTensorInfo>& outputs, std::vector<HeedBuffer>& buffers,
                          void (*run)(const HeedFrame*)) {
      for (int64_t i = 0; i < static_cast<int64_t>(inputs.size()); ++i) {
        buffers.push_back({kHeedBufferInput, i, {}, 0, 0});
      }
      for (int64_t i = 0; i < (pairs ? 2 : 1); ++i) buffers.push_back({kHeedBufferParam, i, {}, 0, 0});
      for (int64_t i = 0; i < static_cast<int64_t>(outputs.size()); ++i) {
        buffers.push_back({kHeedBufferOutput, i, {}, 0, 0});
      }
      const bool decodes = outputs[0].name == std::string_view("logits");
      return HeedFunction{name,
                          pairs ? (decodes ? 4 : 3) : 2,
                          extents,
                          static_cast<int64_t>(inputs.size()),
                          inputs.data(),
                          static_cast<int64_t>(outputs.size()),
                          outputs.data(),
                          static_cast<int64_t>(buffers.size()),
                          buffers.data(),
                          run,
                          0,
                          nullptr,
                          0,
                          nullptr};
    };
    train = make("train", inputs, train_outputs, train_buffers, pairs ? PairTrain : TextTrain);
    loss = make("loss", inputs, loss_outputs, loss_buffers, pairs ? PairLoss : TextLoss);
    score = make("score", inputs, value_outputs, value_buffers, PairScore);
    prefill =
        make("prefill", prefill_inputs, prefill_outputs, prefill_buffers, pairs ? PairPrefill : TextPrefill);
    step = make("step", step_inputs, step_outputs, step_buffers, pairs ? PairStep : TextStep);
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
    for (HeedEntry& entry : entries) {
      entry = {};
      entry.from = -1;
      entry.argument_count = count;
      entry.arguments = arguments;
    }
    entries[0].name = "train";
    entries[0].kind = kHeedEntryMinimize;
    entries[0].train = &train;
    entries[0].loss = &loss;
    HeedEntry& generate = entries[1];
    generate.name = pairs ? "translate" : "complete";
    generate.kind = kHeedEntryGenerate;
    generate.argument_count = 1;
    generate.prefill = &prefill;
    generate.step = &step;
    generate.variable = "y";
    generate.axis = sequence;
    generate.bound = bound;
    generate.indexes = "vocab";
    generate.prompt = pairs ? nullptr : "y";
    generate.from = pairs ? 1 : -1;
    generate.until_count = 1;
    generate.until = &end;
    generate.option_count = pairs ? 2 : 0;
    generate.options = options;
    generate.kept_count = pairs ? 2 : 0;
    generate.kept = kept;
    entries[2].name = "score";
    entries[2].kind = kHeedEntryValue;
    entries[2].forward = &score;
    program = {kHeedAbiVersion,
               "test",
               "examples/toy.heed",
               "any",
               2,
               axes,
               2,
               params,
               pairs ? 3 : 2,
               entries,
               0,
               nullptr,
               nullptr,
               0,
               nullptr,
               0,
               nullptr,
               0,
               nullptr,
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
