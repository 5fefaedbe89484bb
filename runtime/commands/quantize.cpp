// `quantize`: a checkpoint with matrices in a smaller type, saved once. quantized.h says how it looks.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "runtime/abi_names.h"
#include "runtime/base/base64.h"
#include "runtime/base/file_writer.h"
#include "runtime/base/names.h"
#include "runtime/commands/command.h"
#include "runtime/commands/end_tokens.h"
#include "runtime/commands/file_roles.h"
#include "runtime/commands/text_lines.h"
#include "runtime/data/batch_tensors.h"
#include "runtime/engine/packed_parameters.h"
#include "runtime/engine/program.h"
#include "runtime/weights/checkpoint.h"
#include "runtime/weights/quantized.h"

namespace heed {
namespace {

/// Every function that packs: together they read all matrices.
std::vector<const HeedFunction*> PackingFunctions(const HeedProgram& program) {
  std::vector<const HeedFunction*> functions;
  for (int64_t i = 0; i < program.entry_count; ++i) {
    const HeedEntry& entry = program.entries[i];
    for (const HeedFunction* function : {entry.loss, entry.forward, entry.prefill, entry.step})
      if (function != nullptr) functions.push_back(function);
  }
  return functions;
}

class QuantizeCommand final : public Command {
 public:
  explicit QuantizeCommand(const CommandLine& line) : line_(line) {}
  std::string Name() const override { return "quantize"; }
  std::string Summary() const override { return "save a checkpoint in a smaller type"; }

  void Declare(CLI::App& app) override {
    app.add_option("--weights", weights_, "checkpoint")->type_name("W.safetensors");
    app.add_option("--to", to_, "type of matrices: bf16, int8 or int4")
        ->check(CLI::IsMember({"bf16", "int8", "int4"}))
        ->required()
        ->type_name("TYPE");
    app.add_option("--out", out_, "the smaller checkpoint")->required()->type_name("Q.safetensors");
    app.add_option("--tokenizer", tokenizer_, "to save with it, instead of the checkpoint's")
        ->type_name("FILE");
  }

  Result<int> Run() override {
    const HeedProgram& program = line_.program();
    FileRoles roles;
    roles.ReadsWeights("--weights", weights_);
    roles.ReadsTokenizer("--tokenizer", tokenizer_);
    roles.Writes("--out", out_);
    if (Status ok = roles.Check(); !ok) return ok.error();
    if (Status ok = CheckCanWrite(out_); !ok) return ok.error();
    const Result<Weights> weights = FindWeights(weights_, program);
    if (!weights) return weights.error();
    std::map<std::string, std::string> metadata = ProgramMetadata(program);
    metadata["weights_type"] = to_;
    Result<TokenizerPtr> tokenizer = TokenizerFor(tokenizer_, weights_);
    if (tokenizer) {
      metadata["tokenizer"] = EncodeBase64((*tokenizer)->Serialize());
    } else if (!tokenizer_.empty()) {
      return tokenizer.error();
    }
    if (Status ok = CarryEnds(weights_, metadata); !ok) return ok.error();
    ThreadPool threads(line_.threads());
    const HeedWeightsType type = *WeightsTypeOf(to_);
    const PackedParameters packed(program, PackingFunctions(program), type, SourceOf(*weights), threads);

    std::vector<NamedTensor> tensors;
    std::vector<std::shared_ptr<void>> kept;
    int64_t before = 0, after = 0;
    const auto add = [&](const std::string& name, const char* dtype, std::vector<int64_t> shape,
                         auto elements) {
      auto data = std::make_shared<decltype(elements)>(std::move(elements));
      after += static_cast<int64_t>(data->size() * sizeof((*data)[0]));
      tensors.push_back({name, dtype, std::move(shape), data->data()});
      kept.push_back(std::move(data));
    };
    for (int64_t i = 0; i < program.param_count; ++i) {
      const HeedParam& param = program.params[i];
      const std::vector<int64_t> shape(param.shape, param.shape + param.rank);
      before += 4 * param.count;
      const auto form = QuantizedFormOf(program, i, type);
      if (form && packed.Packed(form->matrix)->data != nullptr) {
        QuantizedData data = Quantized(*form, *program.packing, *packed.Packed(form->matrix));
        add(param.name, form->NumberType(), form->number_shape, std::move(data.numbers));
        add(param.name + std::string(kScalesSuffix), "BF16", form->scale_shape, std::move(data.scales));
        continue;
      }
      std::vector<float> values(static_cast<size_t>(param.count));
      weights->Read(i, 0, values);
      weights->LetGo(i, 0, param.count);
      if (type == kHeedWeightsBF16 && IsMatrix(i)) {
        add(param.name, "BF16", shape, RoundedToBfloat(values));
      } else {
        add(param.name, "F32", shape, std::move(values));
      }
    }
    if (Status unchanged = weights->file().CheckUnchanged(); !unchanged) return unchanged.error();
    if (Status ok = WriteSafetensors(out_, tensors, metadata); !ok) return ok.error();
    std::printf("saved %s: %s in place of %s\n", out_.c_str(), BytesText(after).c_str(),
                BytesText(before).c_str());
    return kExitDone;
  }

 private:
  /// True if the program multiplies by it or by a part of it.
  bool IsMatrix(int64_t param) const {
    const HeedPacking& packing = *line_.program().packing;
    for (int64_t i = 0; i < packing.matrix_count; ++i)
      if (packing.matrices[i].param == param) return true;
    return false;
  }

  const CommandLine& line_;
  std::string weights_, to_, out_, tokenizer_;
};

}  // namespace

void RegisterQuantize(CommandLine& line) {
  if (line.program().packing != nullptr) line.Add(std::make_unique<QuantizeCommand>(line));
}

}  // namespace heed
