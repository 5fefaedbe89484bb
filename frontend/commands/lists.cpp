// heed passes and heed ops: what stands in the tables of passes and ops, for people.
#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>

#include "frontend/commands/command.h"
#include "ir/op.h"
#include "passes/pass.h"

namespace heed::commands {
namespace {

class Passes : public Command {
 public:
  std::string Name() const override { return "passes"; }
  std::string Summary() const override { return "list the passes, and which functions they make"; }
  void Declare(CLI::App&) override {}
  Result<int> Run() override {
    for (const passes::PassText& pass : passes::AllPasses()) {
      std::cout << pass.name << "\n    " << pass.what << "\n    afterwards: " << pass.after << "\n";
    }
    std::cout << "\nfunctions of an entry, and the passes that make them:\n";
    for (const ir::Variant variant : ir::kVariants) {
      std::cout << "  " << ir::Name(variant) << ":";
      for (const std::string_view pass : passes::Pipeline(variant)) std::cout << " " << pass;
      std::cout << "\n";
    }
    return 0;
  }
};

std::string_view FamilyName(ir::Family family) {
  switch (family) {
    case ir::Family::Leaf:
      return "leaf";
    case ir::Family::Pointwise:
      return "pointwise";
    case ir::Family::Reduce:
      return "reduction";
    case ir::Family::Contract:
      return "contraction";
    case ir::Family::Axes:
      return "axes";
    case ir::Family::Index:
      return "index";
    case ir::Family::Random:
      return "random";
    case ir::Family::Fused:
      return "fused";
  }
  return "";
}

class Ops : public Command {
 public:
  std::string Name() const override { return "ops"; }
  std::string Summary() const override { return "list the ops of the graph"; }
  void Declare(CLI::App&) override {}
  Result<int> Run() override {
    ir::Family last{};
    bool first = true;
    for (const ir::OpInfo& op : ir::AllOps()) {
      if (first || op.family != last) std::cout << (first ? "" : "\n") << FamilyName(op.family) << "\n";
      first = false;
      last = op.family;
      const std::string gradient =
          op.differentiable ? "" : " (no gradient: " + std::string(op.no_gradient) + ")";
      std::cout << "  " << std::left << std::setw(16) << op.name << op.doc << gradient << "\n";
    }
    return 0;
  }
};

}  // namespace

std::unique_ptr<Command> MakePasses() { return std::make_unique<Passes>(); }
std::unique_ptr<Command> MakeOps() { return std::make_unique<Ops>(); }

}  // namespace heed::commands
