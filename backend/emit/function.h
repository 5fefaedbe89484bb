// The orchestration of a plan as LLVM IR, `void run(const HeedFrame*)`: straight-line code that computes
// sizes, fills the context of each step and calls its kernel through the services of the frame. Private to
// the back end.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backend/plan/plan.h"
#include "backend/target/target.h"

namespace llvm {
class Module;
}

namespace heed::backend {

/// The kernels that the functions of a program need, each once, in order of first use.
class KernelTable {
 public:
  struct Loop {
    std::string symbol;
    LoopKernel kernel;
  };
  struct Attention {
    std::string symbol;  ///< and `symbol`_scratch, `symbol`_pairs
    AttentionStep step;
  };
  struct Finish {
    std::string symbol;
    std::optional<MatmulEpilogue> epilogue;
  };
  const std::string& LoopSymbol(const LoopKernel& kernel);
  /// How products of this epilogue are finished.
  const std::string& FinishSymbol(const std::optional<MatmulEpilogue>& epilogue);
  const std::string& AttentionSymbol(const AttentionStep& step);
  /// The kernel of a step, as its function calls it.
  std::string SymbolOf(const Plan& plan, const Step& step);
  const std::vector<Loop>& loops() const { return loops_; }
  const std::vector<Attention>& attentions() const { return attentions_; }
  const std::vector<Finish>& finishes() const { return finishes_; }
  bool matmul = false, packed = false, grouped = false, scatter = false;

 private:
  std::vector<Loop> loops_;
  std::vector<Attention> attentions_;
  std::vector<Finish> finishes_;
  std::map<std::string, int> loop_numbers_, attention_numbers_, finish_numbers_;
};

/// Simple vector operations on single elements (about ten microseconds) below which a step runs in one part:
/// it is not worth a hand-over then.
constexpr int64_t kSmallWork = 1 << 17;

/// Defines `symbol` in `module` and enters what it calls into `table`. Steps of less than `small_work` run in
/// one part; tests of the thread law say 0.
void EmitFunction(llvm::Module& module, const std::string& symbol, const Plan& plan, const Target& target,
                  KernelTable& table, int64_t small_work = kSmallWork);

}  // namespace heed::backend
