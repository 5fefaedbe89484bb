// A compiled function bound once and run many times: where its inputs and outputs lie and where its temporary
// buffers are placed is settled before, so that a run costs what the function costs. Checks nothing: whoever
// binds answers for shapes, ids and lengths (Engine::Call and CheckInputs do).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/engine/arena.h"
#include "runtime/engine/engine.h"

namespace heed {

class BoundCall {
 public:
  BoundCall(Engine& engine, const HeedFunction& function, const Parameters& parameters);
  const HeedFunction& function() const { return *function_; }
  /// Index among the function's extents, inputs, outputs; -1 if it has none of that name.
  int64_t ExtentNumber(std::string_view root) const;
  int64_t InputNumber(std::string_view name) const;
  int64_t OutputNumber(std::string_view name) const;

  void SetInput(int64_t number, const void* data);
  void SetOutput(int64_t number, void* data);
  /// Places temporary buffers for runs of at most these extents. An error: a machine cannot address as much.
  Status Reserve(std::span<const int64_t> extents);
  /// Of the temporary buffers.
  int64_t arena_bytes() const { return plan_.bytes; }
  /// Extents up to those of Reserve. The arena is the engine's: what it held before is lost.
  void Run(std::span<const int64_t> extents, const CallOptions& options = {});

 private:
  Engine* engine_;
  const HeedFunction* function_;
  ArenaPlan plan_;
  std::vector<void*> buffers_;  ///< as HeedFrame has them
  std::vector<int64_t> input_buffer_, output_buffer_;
  const void* arena_ = nullptr;  ///< that `buffers_` points into
};

}  // namespace heed
