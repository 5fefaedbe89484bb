// The table of ops, put together from the records of all families.
#include "ir/op.h"

#include <array>
#include <map>

#include "ir/op_record.h"

namespace heed::ir {
namespace {

constexpr size_t kOps = 0
#define HEED_OP(Name, text, Family, inputs) +1
#include "ir/ops.def"
    ;

const std::array<OpInfo, kOps>& Table() {
  static const std::array<OpInfo, kOps> table = [] {
    std::array<OpInfo, kOps> filled;
    DescribeFamily<Family::Leaf>(filled);
    DescribeFamily<Family::Pointwise>(filled);
    DescribeFamily<Family::Reduce>(filled);
    DescribeFamily<Family::Contract>(filled);
    DescribeFamily<Family::Axes>(filled);
    DescribeFamily<Family::Index>(filled);
    DescribeFamily<Family::Random>(filled);
    DescribeFamily<Family::Fused>(filled);
    return filled;
  }();
  return table;
}

}  // namespace

const OpInfo& Info(OpKind kind) { return Table()[static_cast<size_t>(kind)]; }

std::span<const OpInfo> AllOps() { return Table(); }

std::optional<OpKind> OpNamed(std::string_view name) {
  static const std::map<std::string_view, OpKind> names = [] {
    std::map<std::string_view, OpKind> filled;
    for (const OpInfo& info : Table()) filled[info.name] = info.kind;
    return filled;
  }();
  const auto found = names.find(name);
  return found == names.end() ? std::nullopt : std::optional(found->second);
}

std::optional<OpKind> OpCalled(std::string_view function, Family family) {
  if (function.empty()) return std::nullopt;
  for (const OpInfo& info : Table())
    if (info.family == family && info.function == function) return info.kind;
  return std::nullopt;
}

NodeId MaskOf(const Node& node) {
  size_t operands = 0;
  if (IsReduce(node.op)) operands = 1;
  if (node.op == OpKind::Contract || node.op == OpKind::ScatterAdd) operands = 2;
  return operands && node.inputs.size() > operands ? node.inputs[operands] : NodeId{};
}

}  // namespace heed::ir
