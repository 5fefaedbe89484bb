// heed_hole_epilogue(sum, m, n, count, offset, context): `count` finished sums of one row, columns n, n + 1
// ...
#include "backend/emit/epilogue.h"

#include "backend/emit/vector.h"
#include "llvm/IR/Function.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"

namespace heed::backend {

void FillEpilogueHole(llvm::Module& module, const std::optional<MatmulEpilogue>& epilogue,
                      const Target& target) {
  llvm::Function* hole = module.getFunction("heed_hole_epilogue");
  if (!hole || !hole->isDeclaration()) throw ir::InternalError("kernel bitcode lacks the hole of epilogues");
  hole->addFnAttr(llvm::Attribute::AlwaysInline);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(module.getContext(), "entry", hole));
  if (!epilogue) {
    b.CreateRet(hole->getArg(0));
    return;
  }
  VectorBuilder v(module, b, target.lanes);
  llvm::Value* const column = hole->getArg(2);
  llvm::Value* const present = v.FirstLanes(hole->getArg(3));
  llvm::Value* const offset = hole->getArg(4);
  const auto load = [&](int number) {
    const MatmulEpilogue::Operand& operand = epilogue->operands[number];
    llvm::Value* base =
        b.CreateLoad(b.getPtrTy(), b.CreateConstGEP1_64(b.getInt64Ty(), hole->getArg(5), number));
    switch (operand.access) {
      case MatmulEpilogue::Access::Scalar:
        return v.LoadScalar(base, ir::DType::Float);
      case MatmulEpilogue::Access::Columns:
        return v.LoadVector(v.At(base, column, ir::DType::Float), ir::DType::Float, present);
      case MatmulEpilogue::Access::Result:
        break;
    }
    return v.LoadVector(v.At(base, offset, ir::DType::Float), ir::DType::Float, present);
  };
  std::vector<Datum> values;
  for (const LoopValue& value : epilogue->values) {
    switch (value.kind) {
      case LoopValue::Kind::Const:
        values.push_back(v.Number(value.number, value.dtype));
        break;
      case LoopValue::Kind::Reduced:
        values.push_back({hole->getArg(0), ir::DType::Float});
        break;
      case LoopValue::Kind::Load:
        values.push_back(load(value.operand));
        break;
      case LoopValue::Kind::Op: {
        std::vector<Datum> arguments;
        for (int argument : value.args) arguments.push_back(values[argument]);
        values.push_back(v.Apply(value.op, arguments, value.dtype));
        break;
      }
      case LoopValue::Kind::Position:
      case LoopValue::Kind::Extent:
      case LoopValue::Kind::Gather:
      case LoopValue::Kind::Keep:
      case LoopValue::Kind::Gumbel:
        throw ir::InternalError("an epilogue contains more than arithmetic");
    }
  }
  b.CreateRet(v.AsVector(v.Convert(values[epilogue->result], ir::DType::Float)).value);
}

}  // namespace heed::backend
