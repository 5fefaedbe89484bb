// See builtins.h.
#include "frontend/builtins.h"

#include <algorithm>
#include <map>

#include "ir/op.h"

namespace heed::frontend {
namespace {

constexpr int kMany = 1000000;

/// How an op is called that programs call by a name.
Builtin CallOf(const ir::OpInfo& op) {
  if (op.family == ir::Family::Pointwise) return {op.function, op.inputs, op.inputs, 0, 0, false};
  if (op.family == ir::Family::Reduce)
    return {op.function, 1, 1, 1, op.kind == ir::OpKind::Argmax ? 1 : kMany, true};
  return {op.function, 1, op.inputs < 0 ? kMany : op.inputs, 1, 1, false};
}

}  // namespace

const std::vector<Builtin>& Builtins() {
  static const std::vector<Builtin> builtins = [] {
    std::map<std::string_view, Builtin> calls;
    // What is made of several ops, takes more than its op does, or yields.
    for (const Builtin& call :
         {Builtin{"dropout", 2, 2, 0, 0, false}, Builtin{"mean", 1, 1, 1, kMany, true},
          Builtin{"sample", 1, 1, 1, 1, true}, Builtin{"int", 1, 1, 0, 0, false, true},
          Builtin{"rank", 1, 1, 1, kMany, true, true}, Builtin{"logsumexp", 1, 1, 1, kMany, true, true},
          Builtin{"softmax", 1, 2, 1, kMany, true}})
      calls.emplace(call.name, call);
    for (const ir::OpInfo& op : ir::AllOps()) {
      if (op.function.empty()) continue;
      const Builtin call = CallOf(op);
      const auto [known, fresh] = calls.try_emplace(call.name, call);
      if (fresh) continue;
      // Of elements, or along axes: max.
      Builtin& both = known->second;
      both.min_arguments = std::min(both.min_arguments, call.min_arguments);
      both.max_arguments = std::max(both.max_arguments, call.max_arguments);
      both.min_axes = std::min(both.min_axes, call.min_axes);
      both.max_axes = std::max(both.max_axes, call.max_axes);
      both.predicate = both.predicate || call.predicate;
    }
    std::vector<Builtin> all;
    for (const auto& [name, call] : calls) all.push_back(call);
    return all;
  }();
  return builtins;
}

const Builtin* FindBuiltin(const std::string& name) {
  for (const Builtin& builtin : Builtins())
    if (builtin.name == name) return &builtin;
  return nullptr;
}

}  // namespace heed::frontend
