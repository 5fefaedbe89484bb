// Values of loops: emitted at the level of their axes, once for each vector of the block; loads, gathers,
// stores.
#include "backend/emit/loop_emitter.h"

namespace heed::backend {

using ir::DType;
using ir::InternalError;
using llvm::Value;

void LoopEmitter::Restore(Saved saved) {
  pointers_ = std::move(saved.pointers);
  while (made_.size() > saved.made) {
    blocks_[made_.back()].clear();
    made_.pop_back();
  }
}

void LoopEmitter::EmitValues(int level) {
  for (size_t i = 0; i < kernel_.values.size(); ++i) {
    if (!needed_[i] || levels_[i] != level || !blocks_[i].empty()) continue;
    if (kernel_.values[i].kind == LoopValue::Kind::Reduced)
      throw InternalError("the result of a reduction is used before it is there");
    blocks_[i] = EmitValue(static_cast<int>(i));
    made_.push_back(static_cast<int>(i));
  }
}

Datum LoopEmitter::Get(int value, int u) {
  const Block& block = blocks_[value];
  if (block.empty()) throw InternalError("a loop value is used where it does not reach");
  return {block.size() == 1 ? block[0] : block[u], kernel_.values[value].dtype};
}

LoopEmitter::Block LoopEmitter::MapBlock(const std::vector<int>& arguments,
                                         const std::function<Value*(const std::vector<Datum>&)>& body) {
  bool varies = false;
  for (int argument : arguments) varies |= Varies(argument);
  Block block;
  for (int u = 0; u < (varies ? Vectors() : 1); ++u) {
    std::vector<Datum> data;
    for (int argument : arguments) data.push_back(Get(argument, u));
    block.push_back(body(data));
  }
  return block;
}

LoopEmitter::Block LoopEmitter::EmitValue(int number) {
  const LoopValue& value = kernel_.values[number];
  llvm::Type* word = builder_.getInt32Ty();
  switch (value.kind) {
    case LoopValue::Kind::Const:
      return {v_.Number(value.number, value.dtype).value};
    case LoopValue::Kind::Extent:
      return {builder_.CreateTrunc(Of(value.size), word)};
    case LoopValue::Kind::Position: {
      if (value.axis != vector_axis_) return {builder_.CreateTrunc(indices_[value.axis], word)};
      Block block;
      for (int u = 0; u < Vectors(); ++u)
        block.push_back(
            builder_.CreateAdd(v_.Splat(builder_.CreateTrunc(VectorStart(u), word)), v_.Iota(word)));
      return block;
    }
    case LoopValue::Kind::Load:
      return LoadOperand(value.operand, value.dtype);
    case LoopValue::Kind::Gather:
      return Gather(value);
    case LoopValue::Kind::Op:
      return MapBlock(value.args, [&](const std::vector<Datum>& data) {
        return v_.Apply(value.op, data, value.dtype).value;
      });
    case LoopValue::Kind::Keep:
      return MapBlock(value.args, [&](const std::vector<Datum>& data) {
        return v_
            .Keep(data[0], data[1], builder_.CreateTrunc(slots_[context_.SiteSlot(value.site)], word),
                  value.number, slots_[context_.KeySlot()], slots_[context_.DropoutSlot()])
            .value;
      });
    case LoopValue::Kind::Gumbel:
      return MapBlock(value.args, [&](const std::vector<Datum>& data) {
        return v_
            .Gumbel(data[0], data[1], builder_.CreateTrunc(slots_[context_.SiteSlot(value.site)], word),
                    slots_[context_.KeySlot()], slots_[context_.DropoutSlot()])
            .value;
      });
    case LoopValue::Kind::Reduced:
      break;
  }
  throw InternalError("a loop value of no kind");
}

Value* LoopEmitter::StoreOrLoadOffsets(const Size& stride) {
  // Offsets of lanes: 32 bits are enough (and twice as fast) when they are known to be small.
  if (stride.IsStatic() && stride.factor < (int64_t{1} << 30) / lanes_)
    return builder_.CreateMul(v_.Iota(builder_.getInt32Ty()), v_.Splat(builder_.getInt32(stride.factor)));
  return builder_.CreateMul(v_.Iota(builder_.getInt64Ty()), v_.Splat(Of(stride)));
}

Value* LoopEmitter::Place(int operand, int u, bool first_lane) {
  const LoopOperand& what = kernel_.operands[operand];
  Value* pointer = pointers_[operand];
  if (!first_lane || vector_axis_ < 0) return pointer;
  if (kernel_.column && what.base.buffer < 0)  // a row of scratch is as wide as the block
    return v_.At(pointer, I64(int64_t{u} * lanes_), what.dtype);
  const Size& stride = VectorStride(operand);
  if (stride.IsZero()) return pointer;
  return v_.At(pointer, builder_.CreateMul(VectorStart(u), Of(stride), "", true, true), what.dtype);
}

LoopEmitter::Block LoopEmitter::LoadOperand(int operand, DType dtype) {
  const LoopOperand& what = kernel_.operands[operand];
  const auto converted = [&](Datum datum) { return v_.Convert(datum, dtype).value; };
  const bool scratch_column = kernel_.column && what.base.buffer < 0;
  if (vector_axis_ < 0 || (!scratch_column && VectorStride(operand).IsZero()))
    return {converted(v_.LoadScalar(Place(operand, 0, false), what.dtype))};
  Block block;
  for (int u = 0; u < Vectors(); ++u) {
    Value* place = Place(operand, u, true);
    const Size& stride = VectorStride(operand);
    if (scratch_column || stride == Size{})
      block.push_back(converted(v_.LoadVector(place, what.dtype, masks_[u])));
    else
      block.push_back(converted(v_.LoadLanes(place, StoreOrLoadOffsets(stride), what.dtype, masks_[u])));
  }
  return block;
}

LoopEmitter::Block LoopEmitter::Gather(const LoopValue& value) {
  const LoopOperand& what = kernel_.operands[value.operand];
  const Size& along = vector_axis_ < 0 ? Size{0, {}} : VectorStride(value.operand);
  const bool operand_varies = vector_axis_ >= 0 && !along.IsZero();
  const size_t count = value.places.size();
  bool varies = operand_varies;
  for (int argument : value.args) varies |= Varies(argument);
  llvm::Type* word = builder_.getInt64Ty();
  std::vector<Value*> sizes, strides;
  for (const LoopPlace& place : value.places) {
    sizes.push_back(Of(place.size));
    strides.push_back(Of(place.stride));
  }
  const auto all_in_range = [&](int u) {
    Value* all = nullptr;
    for (size_t i = 0; i < count; ++i) {
      Value* index = Get(value.args[i], u).value;
      const bool vector = index->getType()->isVectorTy();
      Value* wide = builder_.CreateSExt(index, vector ? v_.Vector(word) : word);
      Datum in_range{builder_.CreateICmpULT(wide, vector ? v_.Splat(sizes[i]) : sizes[i]), DType::Bool};
      if (varies) in_range = v_.AsVector(in_range);
      all = all ? builder_.CreateAnd(all, in_range.value) : in_range.value;
    }
    return all;
  };
  Block block;
  if (!varies) {
    Value* offset = nullptr;
    for (size_t i = 0; i < count; ++i) {
      Value* term = builder_.CreateMul(builder_.CreateSExt(Get(value.args[i], 0).value, word), strides[i]);
      offset = offset ? builder_.CreateAdd(offset, term) : term;
    }
    Value* pointer = v_.At(pointers_[value.operand], offset, what.dtype);
    pointer = builder_.CreateSelect(all_in_range(0), pointer, v_.Zeros());
    return {v_.Convert(v_.LoadScalar(pointer, what.dtype), value.dtype).value};
  }
  // Lanes without a place read the operand's first element (which exists unless it is empty), then become 0.
  Value* base = pointers_[value.operand];
  for (size_t i = 0; i < count; ++i) {
    const Size& size = value.places[i].size;
    if (!(size.IsStatic() && size.factor > 0))
      base = builder_.CreateSelect(builder_.CreateICmpSGT(sizes[i], I64(0)), base, v_.Zeros());
  }
  bool narrow = !operand_varies;  // offsets fit 32 bits
  int64_t reach = 0;
  for (const LoopPlace& place : value.places) {
    narrow = narrow && place.size.IsStatic() && place.stride.IsStatic();
    reach += place.size.factor * place.stride.factor;
  }
  narrow = narrow && reach < (int64_t{1} << 30);
  for (int u = 0; u < Vectors(); ++u) {
    Value* there = all_in_range(u);
    if (masks_[u]) there = builder_.CreateAnd(there, masks_[u]);
    Value* offsets = nullptr;
    const auto add = [&](Value* term) { offsets = offsets ? builder_.CreateAdd(offsets, term) : term; };
    for (size_t i = 0; i < count; ++i) {
      Value* index = v_.AsVector(Get(value.args[i], u)).value;
      if (narrow) {
        const auto stride = static_cast<uint32_t>(value.places[i].stride.factor);
        add(builder_.CreateMul(index, v_.Splat(builder_.getInt32(stride))));
      } else {
        add(builder_.CreateMul(builder_.CreateSExt(index, v_.Vector(word)), v_.Splat(strides[i])));
      }
    }
    if (operand_varies) {
      Value* lanes = builder_.CreateAdd(v_.Splat(VectorStart(u)), v_.Iota(word));
      add(builder_.CreateMul(lanes, v_.Splat(Of(along))));
    }
    offsets = builder_.CreateSelect(there, offsets, llvm::Constant::getNullValue(offsets->getType()));
    Datum loaded = v_.LoadLanes(base, offsets, what.dtype, nullptr);
    loaded.value =
        builder_.CreateSelect(there, loaded.value, llvm::Constant::getNullValue(loaded.value->getType()));
    block.push_back(v_.Convert(loaded, value.dtype).value);
  }
  return block;
}

/// A store at a computed place.
void LoopEmitter::StoreAt(const LoopStore& store) {
  const LoopOperand& what = kernel_.operands[store.operand];
  llvm::Type* word = builder_.getInt64Ty();
  Value* size = Of(store.size);
  Value* stride = Of(store.stride);
  const Size along = vector_axis_ < 0 ? Size{0, {}} : VectorStride(store.operand);
  const bool index_varies = Varies(store.index);
  if (!index_varies) {
    Value* index = builder_.CreateSExt(Get(store.index, 0).value, word);
    If(builder_.CreateICmpULT(index, size), [&] {
      Value* offset = builder_.CreateMul(index, stride);
      if (along.IsZero()) {
        Datum datum = v_.Convert(Get(store.value, 0), what.dtype);
        if (datum.vector()) datum.value = builder_.CreateExtractElement(datum.value, uint64_t{0});
        v_.StoreScalar(datum, v_.At(Place(store.operand, 0, false), offset, what.dtype));
        return;
      }
      for (int u = 0; u < Vectors(); ++u) {
        const Datum datum = v_.AsVector(v_.Convert(Get(store.value, u), what.dtype));
        Value* place = v_.At(Place(store.operand, u, true), offset, what.dtype);
        if (along == Size{})
          v_.StoreVector(datum, place, masks_[u]);
        else
          v_.StoreLanes(datum, place, StoreOrLoadOffsets(along), masks_[u]);
      }
    });
    return;
  }
  for (int u = 0; u < Vectors(); ++u) {
    const Datum datum = v_.AsVector(v_.Convert(Get(store.value, u), what.dtype));
    Value* index = builder_.CreateSExt(v_.AsVector(Get(store.index, u)).value, v_.Vector(word));
    Value* there = builder_.CreateICmpULT(index, v_.Splat(size));
    if (masks_[u]) there = builder_.CreateAnd(there, masks_[u]);
    Value* lanes = builder_.CreateAdd(v_.Splat(VectorStart(u)), v_.Iota(word));
    Value* offsets = builder_.CreateAdd(builder_.CreateMul(index, v_.Splat(stride)),
                                        builder_.CreateMul(lanes, v_.Splat(Of(along))));
    v_.StoreLanes(datum, Place(store.operand, 0, false), offsets, there);
  }
}

void LoopEmitter::Store(const LoopStore& store) {
  if (store.index >= 0) {
    StoreAt(store);
    return;
  }
  const LoopOperand& what = kernel_.operands[store.operand];
  const bool scratch_column = kernel_.column && what.base.buffer < 0;
  const bool scalar = vector_axis_ < 0 || (!scratch_column && VectorStride(store.operand).IsZero());
  if (scalar) {  // in one place: of a row, or along an axis of one element
    Datum datum = v_.Convert(Get(store.value, 0), what.dtype);
    if (datum.vector()) datum.value = builder_.CreateExtractElement(datum.value, uint64_t{0});
    v_.StoreScalar(datum, Place(store.operand, 0, false));
    return;
  }
  for (int u = 0; u < Vectors(); ++u) {
    const Datum datum = v_.AsVector(v_.Convert(Get(store.value, u), what.dtype));
    Value* place = Place(store.operand, u, true);
    const Size& stride = VectorStride(store.operand);
    if (scratch_column || stride == Size{})
      v_.StoreVector(datum, place, masks_[u]);
    else
      v_.StoreLanes(datum, place, StoreOrLoadOffsets(stride), masks_[u]);
  }
}

}  // namespace heed::backend
