// heed check: everything up to code generation, and remarks about what was fused.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "frontend/commands/command.h"
#include "frontend/commands/load.h"
#include "passes/remarks.h"

namespace heed::commands {
namespace {

class Check : public Command {
 public:
  std::string Name() const override { return "check"; }
  std::string Summary() const override {
    return "everything up to code generation, causality of generate included";
  }
  void Declare(CLI::App& app) override {
    app.add_option("FILE", program_.file, "the program")->required();
    program_.Declare(app);
    passes_.Declare(app);
    app.add_flag("--remarks", remarks_,
                 "say of each softmax whether it was fused, and why not; of equal layers once");
    app.add_flag("-q", quiet_, "no messages but errors");
  }
  Result<int> Run() override;

 private:
  void RunPasses(const frontend::Entry& entry);

  ProgramOptions program_;
  PassFlags passes_;
  bool remarks_ = false, quiet_ = false;
  Timer timer_;
};

/// Of all functions of an entry; prints remarks, each once.
void Check::RunPasses(const frontend::Entry& entry) {
  std::vector<std::pair<std::string, std::string>> said;  // a remark, and the variants it is about
  for (const ir::Variant variant : Variants(entry.kind)) {
    passes::PassOptions options = passes_.Make(timer_, Title(entry, variant));
    std::vector<passes::Remark> remarks;
    if (remarks_) options.remarks = &remarks;
    passes::RunPipeline(Source(entry, variant), variant, options);
    for (const std::string& remark : passes::OnceEach(remarks)) {
      const auto known =
          std::find_if(said.begin(), said.end(), [&](auto& one) { return one.first == remark; });
      const std::string name(ir::Name(variant));
      if (known == said.end()) {
        said.emplace_back(remark, name);
      } else {
        known->second += " and " + name;
      }
    }
  }
  for (const auto& [remark, variants] : said)
    std::cout << "entry " << entry.name << ", " << variants << ": " << remark << "\n";
}

Result<int> Check::Run() {
  const Result<std::unique_ptr<frontend::Program>> program = Load(program_, timer_);
  if (!program) return program.error();
  if (*program == nullptr) return 1;
  for (const frontend::Entry& entry : (*program)->entries) RunPasses(entry);
  if (passes_.time_passes) timer_.Print();
  if (quiet_) return 0;
  int64_t numbers = 0;
  for (const frontend::Parameter& parameter : (*program)->parameters) {
    int64_t count = 1;
    for (const int64_t size : parameter.shape) count *= size;
    numbers += count;
  }
  const size_t entries = (*program)->entries.size();
  std::cout << program_.file << ": " << entries << (entries == 1 ? " entry, " : " entries, ")
            << (*program)->parameters.size() << " parameters (" << numbers << " numbers), no errors\n";
  return 0;
}

}  // namespace

std::unique_ptr<Command> MakeCheck() { return std::make_unique<Check>(); }

}  // namespace heed::commands
