// A compiled program written by hand, for tests of the runtime: what the compiler would make of
//   axis vocab = 5, model = 3, heads = 2, key = 4, seq <= 6
//   param w[vocab] ~ normal(0, 1), net.weight[model, (heads, key)], net.unused[model] = 2
//   entry train(x: vocab[seq]) = minimize sum[seq]((w[x] - 1) ^ 2) per |seq|
//   entry values(x: vocab[seq], scale: int) = w[x] * scale
//   entry twice(m[seq, model], keep: bool) = where(keep, 2 * m, 0)
// The result of `values` is deliberately not a number in the padding.
#pragma once

#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "runtime/abi.h"

namespace heed::test {

inline float NotANumber() { return std::numeric_limits<float>::quiet_NaN(); }

struct TrainContext {
  const HeedFrame* frame;
  bool gradient;
};

// Inputs of train: x, len.seq. Buffers: 0 x, 1 len.seq, 2 w, 3 terms (arena, batch * seq), 4 loss, 5 per, 6
// d.w.
inline void TermsOfExample(const void* context, int64_t part, int64_t parts, void* scratch) {
  const HeedFrame& frame = *static_cast<const TrainContext*>(context)->frame;
  const int64_t seq = frame.extents[1];
  const auto* x = static_cast<const int32_t*>(frame.buffers[0]);
  const auto* lengths = static_cast<const int32_t*>(frame.buffers[1]);
  const auto* w = static_cast<const float*>(frame.buffers[2]);
  auto* terms = static_cast<float*>(frame.buffers[3]);
  auto* own = static_cast<float*>(scratch);
  for (int64_t t = 0; t < seq; ++t) {
    own[t] = t < lengths[part] ? w[x[part * seq + t]] - 1 : 0;
    terms[part * seq + t] = own[t];
  }
}
template <bool kGradient>
void RunTrain(const HeedFrame* frame) {
  const int64_t batch = frame->extents[0], seq = frame->extents[1];
  const TrainContext context = {frame, kGradient};
  frame->services->parallel(frame->services->pool, TermsOfExample, &context, batch, seq * 4);
  const auto* x = static_cast<const int32_t*>(frame->buffers[0]);
  const auto* lengths = static_cast<const int32_t*>(frame->buffers[1]);
  const auto* terms = static_cast<const float*>(frame->buffers[3]);
  float loss = 0;
  int32_t per = 0;
  for (int64_t i = 0; i < batch * seq; ++i) loss += terms[i] * terms[i];
  for (int64_t b = 0; b < batch; ++b) per += lengths[b];
  *static_cast<float*>(frame->buffers[4]) = loss;
  *static_cast<int32_t*>(frame->buffers[5]) = per;
  if constexpr (kGradient) {
    auto* d = static_cast<float*>(frame->buffers[6]);
    for (int64_t i = 0; i < 5; ++i) d[i] = 0;
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t t = 0; t < lengths[b]; ++t) d[x[b * seq + t]] += 2 * terms[b * seq + t];
    }
  }
}
// Buffers: 0 x, 1 scale, 2 w, 3 value. No length: the compiler drops inputs that nothing uses.
inline void RunValues(const HeedFrame* frame) {
  const int64_t batch = frame->extents[0], seq = frame->extents[1];
  const auto* x = static_cast<const int32_t*>(frame->buffers[0]);
  const auto* scale = static_cast<const int32_t*>(frame->buffers[1]);
  const auto* w = static_cast<const float*>(frame->buffers[2]);
  auto* value = static_cast<float*>(frame->buffers[3]);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t = 0; t < seq; ++t) {
      value[b * seq + t] = scale[b] == 0 ? NotANumber() : w[x[b * seq + t]] * static_cast<float>(scale[b]);
    }
  }
}
// Buffers: 0 m, 1 keep, 2 value.
inline void RunTwice(const HeedFrame* frame) {
  const int64_t batch = frame->extents[0], size = frame->extents[1] * 3;
  const auto* m = static_cast<const float*>(frame->buffers[0]);
  const auto* keep = static_cast<const uint8_t*>(frame->buffers[1]);
  auto* value = static_cast<float*>(frame->buffers[2]);
  for (int64_t i = 0; i < batch * size; ++i) value[i] = keep[i / size] ? 2 * m[i] : 0;
}

inline const char* const kToyExtents[] = {"batch", "seq"};
inline const HeedAxis kToyAxes[] = {{"vocab", 0, 5, 0, nullptr},
                                    {"model", 0, 3, 0, nullptr},
                                    {"heads", 0, 2, 0, nullptr},
                                    {"key", 0, 4, 0, nullptr},
                                    {"seq", 1, 6, 0, nullptr}};
inline const HeedDim kToyTokens[] = {{"batch", 0, 0}, {"seq", 1, 6}};
inline const HeedDim kToyMatrix[] = {{"batch", 0, 0}, {"seq", 1, 6}, {"model", -1, 3}};
inline const HeedDim kToyVocab[] = {{"vocab", -1, 5}};

inline const HeedTensorInfo kTrainInputs[] = {{"x", kHeedInt32, 2, kToyTokens},
                                              {"len.seq", kHeedInt32, 1, kToyTokens}};
inline const HeedTensorInfo kTrainOutputs[] = {
    {"loss", kHeedFloat32, 0, nullptr}, {"per", kHeedInt32, 0, nullptr}, {"d.w", kHeedFloat32, 1, kToyVocab}};
inline const int64_t kBatchSeq[] = {0, 1};
inline const HeedBuffer kTrainBuffers[] = {
    {kHeedBufferInput, 0, {0, 0, nullptr}, 0, 0},  {kHeedBufferInput, 1, {0, 0, nullptr}, 0, 0},
    {kHeedBufferParam, 0, {0, 0, nullptr}, 0, 0},  {kHeedBufferArena, 0, {4, 2, kBatchSeq}, 0, 1},
    {kHeedBufferOutput, 0, {0, 0, nullptr}, 0, 0}, {kHeedBufferOutput, 1, {0, 0, nullptr}, 0, 0},
    {kHeedBufferOutput, 2, {0, 0, nullptr}, 0, 0}};
inline const HeedFunction kToyTrain = {
    "train/Train",  2, kToyExtents, 2, kTrainInputs, 3, kTrainOutputs, 7, kTrainBuffers,
    RunTrain<true>, 0, nullptr,     0, nullptr};
inline const HeedFunction kToyLoss = {
    "train/Loss",    2, kToyExtents, 2, kTrainInputs, 2, kTrainOutputs, 6, kTrainBuffers,
    RunTrain<false>, 0, nullptr,     0, nullptr};

inline const HeedTensorInfo kValuesInputs[] = {{"x", kHeedInt32, 2, kToyTokens},
                                               {"scale", kHeedInt32, 1, kToyTokens}};
inline const HeedTensorInfo kValuesOutputs[] = {{"value", kHeedFloat32, 2, kToyTokens}};
inline const HeedBuffer kValuesBuffers[] = {{kHeedBufferInput, 0, {0, 0, nullptr}, 0, 0},
                                            {kHeedBufferInput, 1, {0, 0, nullptr}, 0, 0},
                                            {kHeedBufferParam, 0, {0, 0, nullptr}, 0, 0},
                                            {kHeedBufferOutput, 0, {0, 0, nullptr}, 0, 0}};
inline const HeedFunction kToyValues = {
    "values/Forward", 2, kToyExtents, 2, kValuesInputs, 1, kValuesOutputs, 4, kValuesBuffers,
    RunValues,        0, nullptr,     0, nullptr};

inline const HeedTensorInfo kTwiceInputs[] = {{"m", kHeedFloat32, 3, kToyMatrix},
                                              {"keep", kHeedBool8, 1, kToyTokens}};
inline const HeedTensorInfo kTwiceOutputs[] = {{"value", kHeedFloat32, 3, kToyMatrix}};
inline const HeedBuffer kTwiceBuffers[] = {{kHeedBufferInput, 0, {0, 0, nullptr}, 0, 0},
                                           {kHeedBufferInput, 1, {0, 0, nullptr}, 0, 0},
                                           {kHeedBufferOutput, 0, {0, 0, nullptr}, 0, 0}};
inline const HeedFunction kToyTwice = {
    "twice/Forward", 2, kToyExtents, 2, kTwiceInputs, 1, kTwiceOutputs, 3, kTwiceBuffers,
    RunTwice,        0, nullptr,     0, nullptr};

inline const HeedDim kSeq[] = {{"seq", -1, 6}};
inline const HeedDim kSeqModel[] = {{"seq", -1, 6}, {"model", -1, 3}};
inline const int64_t kDynamicFirst[] = {1, 0};
inline const HeedArgument kTrainArguments[] = {{"x", kHeedInt32, "vocab", 1, kSeq, kDynamicFirst}};
inline const HeedArgument kValuesArguments[] = {{"x", kHeedInt32, "vocab", 1, kSeq, kDynamicFirst},
                                                {"scale", kHeedInt32, nullptr, 0, nullptr, nullptr}};
inline const HeedArgument kTwiceArguments[] = {{"m", kHeedFloat32, nullptr, 2, kSeqModel, kDynamicFirst},
                                               {"keep", kHeedBool8, nullptr, 0, nullptr, nullptr}};
inline HeedEntry ToyEntry(const char* name, HeedEntryKind kind, std::span<const HeedArgument> arguments) {
  HeedEntry entry{};
  entry.name = name;
  entry.kind = kind;
  entry.argument_count = static_cast<int64_t>(arguments.size());
  entry.arguments = arguments.data();
  entry.from = -1;
  return entry;
}
inline const std::array<HeedEntry, 3> kToyEntries = [] {
  std::array entries = {ToyEntry("train", kHeedEntryMinimize, kTrainArguments),
                        ToyEntry("values", kHeedEntryValue, kValuesArguments),
                        ToyEntry("twice", kHeedEntryValue, kTwiceArguments)};
  entries[0].train = &kToyTrain;
  entries[0].loss = &kToyLoss;
  entries[1].forward = &kToyValues;
  entries[2].forward = &kToyTwice;
  return entries;
}();

inline const int64_t kWShape[] = {5}, kWeightShape[] = {3, 8}, kUnusedShape[] = {3};
inline const char* const kWAxes[] = {"vocab"};
inline const char* const kWeightDims[] = {"model", "(heads, key)"};
inline const char* const kWeightAxes[] = {"model", "heads", "key"};
inline const int64_t kWeightSizes[] = {3, 2, 4};
inline const char* const kUnusedAxes[] = {"model"};
inline const HeedParam kToyParams[] = {
    {"w", 1, kWShape, kWAxes, 1, kWAxes, kWShape, 5, kHeedInitNormal, 0, 1},
    {"net.weight", 2, kWeightShape, kWeightDims, 3, kWeightAxes, kWeightSizes, 24, kHeedInitGlorot, 3, 8},
    {"net.unused", 1, kUnusedShape, kUnusedAxes, 1, kUnusedAxes, kUnusedShape, 3, kHeedInitConstant, 2, 0}};

inline const HeedProgram kToy = {kHeedAbiVersion,
                                 "0.1.0",
                                 "toy.heed",
                                 "x86-64-v2",
                                 5,
                                 kToyAxes,
                                 3,
                                 kToyParams,
                                 3,
                                 kToyEntries.data(),
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

}  // namespace heed::test
