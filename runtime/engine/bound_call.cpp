// Binding is a table of pointers; the arena may move between runs, when another call of the same engine needs
// a larger one.
#include "runtime/engine/bound_call.h"

#include <cstring>

#include "runtime/base/random.h"
#include "runtime/engine/profiler.h"

namespace heed {

BoundCall::BoundCall(Engine& engine, const HeedFunction& function, const Parameters& parameters)
    : engine_(&engine),
      function_(&function),
      buffers_(static_cast<size_t>(function.buffer_count), nullptr),
      input_buffer_(static_cast<size_t>(function.input_count), -1),
      output_buffer_(static_cast<size_t>(function.output_count), -1) {
  for (size_t i = 0; i < buffers_.size(); ++i) {
    const HeedBuffer& buffer = function.buffers[i];
    const auto index = static_cast<size_t>(buffer.index);
    switch (buffer.kind) {
      case kHeedBufferInput:
        input_buffer_[index] = static_cast<int64_t>(i);
        break;
      case kHeedBufferOutput:
        output_buffer_[index] = static_cast<int64_t>(i);
        break;
      case kHeedBufferParam:  // compiled code only reads parameters
        buffers_[i] = const_cast<float*>(parameters.Plain(buffer.index));
        break;
      case kHeedBufferPacked:
        buffers_[i] = const_cast<HeedPackedWeights*>(parameters.Packed(buffer.index));
        break;
      default:
        break;
    }
  }
}

int64_t BoundCall::ExtentNumber(std::string_view root) const {
  for (int64_t i = 0; i < function_->extent_count; ++i)
    if (root == function_->extents[i]) return i;
  return -1;
}
int64_t BoundCall::InputNumber(std::string_view name) const {
  for (int64_t i = 0; i < function_->input_count; ++i)
    if (name == function_->inputs[i].name) return i;
  return -1;
}
int64_t BoundCall::OutputNumber(std::string_view name) const {
  for (int64_t i = 0; i < function_->output_count; ++i)
    if (name == function_->outputs[i].name) return i;
  return -1;
}

void BoundCall::SetInput(int64_t number, const void* data) {
  const int64_t buffer = input_buffer_[static_cast<size_t>(number)];
  if (buffer >= 0) buffers_[static_cast<size_t>(buffer)] = const_cast<void*>(data);
}
void BoundCall::SetOutput(int64_t number, void* data) {
  const int64_t buffer = output_buffer_[static_cast<size_t>(number)];
  if (buffer >= 0) buffers_[static_cast<size_t>(buffer)] = data;
}

Status BoundCall::Reserve(std::span<const int64_t> extents) {
  plan_ = engine_->Plan(*function_, {extents.begin(), extents.end()});
  arena_ = nullptr;
  if (plan_.bytes < 0)
    return Error{std::string(function_->name) + " needs more memory than a machine can address"};
  return Done{};
}

void BoundCall::Run(std::span<const int64_t> extents, const CallOptions& options) {
  char* const arena = static_cast<char*>(engine_->Arena(plan_.bytes));
  if (arena != arena_) {
    for (size_t i = 0; i < buffers_.size(); ++i)
      if (function_->buffers[i].kind == kHeedBufferArena) buffers_[i] = arena + plan_.offsets[i];
    arena_ = arena;
  }
  if (Poison() && plan_.bytes > 0) std::memset(arena, 0xff, static_cast<size_t>(plan_.bytes));
  const uint64_t key = RandomKey(options.seed, options.step);
  const HeedFrame frame = {extents.data(),
                           buffers_.data(),
                           &engine_->threads().services(),
                           {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)},
                           options.dropout ? 1.0f : 0.0f,
                           0.0f};
  if (Profiler* const profiler = engine_->profiler()) {
    profiler->Run(engine_->program(), *function_, frame, engine_->threads());
  } else {
    function_->run(&frame);
  }
}

}  // namespace heed
