// Code is made by the kernels' algebra in a function that is never compiled: its constants are folded.
#include "tests/support/tile_class.h"

#include "backend/emit/bounds.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Analysis/ConstantFolding.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

namespace heed::test {
namespace {

TileClass ClassOf(bool everywhere, bool somewhere) {
  return everywhere ? TileClass::All : somewhere ? TileClass::Mixed : TileClass::None;
}

}  // namespace

TileClass ClassByNumbers(const ir::Graph& graph, ir::NodeId mask, const NumberLeaf& leaf) {
  ir::NumberAlgebra algebra{leaf};
  const NumberBounds bounds = *ir::IntervalAnalysis<ir::NumberAlgebra>(graph, algebra).Of(mask);
  return ClassOf(bounds.low.number == 1, bounds.high.number != 0);
}

std::optional<TileClass> ClassByCode(const ir::Graph& graph, ir::NodeId mask, const NumberLeaf& leaf) {
  using Bounds = ir::Interval<backend::Datum>;
  llvm::LLVMContext context;
  llvm::Module module("tile", context);
  llvm::IRBuilder<> builder(context);
  auto* function = llvm::Function::Create(llvm::FunctionType::get(builder.getVoidTy(), false),
                                          llvm::Function::InternalLinkage, "tile", module);
  auto* block = llvm::BasicBlock::Create(context, "entry", function);
  builder.SetInsertPoint(block);
  backend::VectorBuilder v(module, builder, 8);
  backend::CodeAlgebra algebra(v, [&](ir::NodeId id) -> std::optional<Bounds> {
    const auto bounds = leaf(id);
    if (!bounds) return std::nullopt;
    const auto number = [&](ir::NumberAlgebra::Value x) { return v.Number(x.number, x.dtype); };
    return Bounds{number(bounds->low), number(bounds->high), bounds->point};
  });
  const Bounds bounds = *ir::IntervalAnalysis<backend::CodeAlgebra>(graph, algebra).Of(mask);
  llvm::Value* truths[] = {bounds.low.value, bounds.high.value};
  builder.CreateRetVoid();
  for (llvm::Instruction& each : llvm::make_early_inc_range(*block)) {
    llvm::Constant* folded = llvm::ConstantFoldInstruction(&each, module.getDataLayout());
    if (!folded) continue;
    for (llvm::Value*& truth : truths)
      if (truth == &each) truth = folded;
    each.replaceAllUsesWith(folded);
  }
  const auto* everywhere = llvm::dyn_cast<llvm::ConstantInt>(truths[0]);
  const auto* somewhere = llvm::dyn_cast<llvm::ConstantInt>(truths[1]);
  if (!everywhere || !somewhere) return std::nullopt;
  return ClassOf(everywhere->isOne(), somewhere->isOne());
}

}  // namespace heed::test
