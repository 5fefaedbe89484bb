// For tests of weights from elsewhere: tables of programs as the compiler would write them, files of tensors,
// and folders as they are published.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <nlohmann/json.hpp>

#include "runtime/weights/weights.h"
#include "tests/support/process.h"

namespace heed::test {

/// The tables of a program with these axes, constants and parameters, as the compiler would write them.
class TestProgram {
 public:
  struct Axis {
    const char* name;
    int64_t size;
    bool dynamic = false;
    int64_t enumerators = 0;
  };
  /// Storage dimensions: an axis, or several with commas for a group.
  struct Param {
    std::string name;
    std::vector<std::string> dims;
  };
  TestProgram(const std::vector<Axis>& axes, const std::vector<Param>& params,
              const std::vector<HeedConst>& consts = {}, const std::vector<HeedStack>& stacks = {})
      : consts_(consts), stacks_(stacks) {
    for (const Axis& axis : axes)
      axes_.push_back({axis.name, axis.dynamic, axis.size, axis.enumerators, nullptr});
    for (const Param& param : params) Add(param);
    program_ = {kHeedAbiVersion,
                "test",
                "test.heed",
                "any",
                static_cast<int64_t>(axes_.size()),
                axes_.data(),
                static_cast<int64_t>(params_.size()),
                params_.data(),
                0,
                nullptr,
                static_cast<int64_t>(consts_.size()),
                consts_.data(),
                nullptr,
                static_cast<int64_t>(stacks_.size()),
                stacks_.data(),
                0,
                nullptr,
                0,
                nullptr,
                nullptr};
  }
  /// A `generate` entry over `vocab` that starts from an element (-1: from a prompt) and ends at others.
  void Generates(int64_t from, const std::vector<int64_t>& until) {
    until_ = until;
    entry_ = {};
    entry_.name = "complete";
    entry_.kind = kHeedEntryGenerate;
    entry_.indexes = "vocab";
    entry_.axis = "seq";
    entry_.from = from;
    entry_.until_count = static_cast<int64_t>(until_.size());
    entry_.until = until_.data();
    program_.entry_count = 1;
    program_.entries = &entry_;
  }
  /// As if built with --set.
  void WasBuiltWith(const std::vector<const char*>& names) {
    set_ = names;
    program_.set_count = static_cast<int64_t>(set_.size());
    program_.set = set_.data();
  }
  TestProgram(const TestProgram&) = delete;
  TestProgram& operator=(const TestProgram&) = delete;
  const HeedProgram& operator*() const { return program_; }

 private:
  const char* Keep(const std::string& text) { return texts_.emplace_back(text).c_str(); }
  int64_t SizeOf(const std::string& name) const {
    for (const HeedAxis& axis : axes_)
      if (name.starts_with(axis.name) && name.size() <= std::strlen(axis.name) + 1) return axis.size;
    ADD_FAILURE() << "no axis " << name;
    return 0;
  }
  void Add(const Param& param) {
    std::vector<int64_t>& shape = numbers_.emplace_back();
    std::vector<int64_t>& sizes = numbers_.emplace_back();
    std::vector<const char*>& dims = names_.emplace_back();
    std::vector<const char*>& axes = names_.emplace_back();
    int64_t count = 1;
    for (const std::string& dim : param.dims) {
      const bool group = dim.find(',') != std::string::npos;
      dims.push_back(Keep(group ? "(" + dim + ")" : dim));
      int64_t size = 1;
      for (size_t begin = 0; begin < dim.size();) {
        const size_t end = std::min(dim.find(", ", begin), dim.size());
        axes.push_back(Keep(dim.substr(begin, end - begin)));
        sizes.push_back(SizeOf(axes.back()));
        size *= sizes.back();
        begin = end + 2;
      }
      shape.push_back(size);
      count *= size;
    }
    params_.push_back({Keep(param.name), static_cast<int64_t>(shape.size()), shape.data(), dims.data(),
                       static_cast<int64_t>(axes.size()), axes.data(), sizes.data(), count, kHeedInitConstant,
                       0, 0});
  }

  std::deque<std::string> texts_;
  std::deque<std::vector<int64_t>> numbers_;
  std::deque<std::vector<const char*>> names_;
  std::vector<HeedAxis> axes_;
  std::vector<HeedParam> params_;
  std::vector<HeedConst> consts_;
  std::vector<HeedStack> stacks_;
  std::vector<const char*> set_;
  std::vector<int64_t> until_;
  HeedEntry entry_;
  HeedProgram program_;
};

/// Like the example GPT-2, without most of it.
inline std::unique_ptr<TestProgram> Gpt2(int64_t model, int64_t heads, int64_t key, int64_t layers) {
  std::vector<TestProgram::Param> params{{"wte.weight", {"vocab", "model"}},
                                         {"wpe.weight", {"seq^", "model"}}};
  for (int64_t l = 0; l < layers; ++l) {
    const std::string h = "h." + std::to_string(l) + ".";
    params.push_back({h + "attn.c_attn.weight", {"model", "qkv, heads, key"}});
    params.push_back({h + "attn.c_proj.weight", {"heads, key", "model"}});
    params.push_back({h + "attn.c_proj.bias", {"model"}});
  }
  return std::make_unique<TestProgram>(std::vector<TestProgram::Axis>{{"half", 2},
                                                                      {"heads", heads},
                                                                      {"key", key},
                                                                      {"layer", layers},
                                                                      {"model", model},
                                                                      {"qkv", 3, false, 3},
                                                                      {"seq", 32, true},
                                                                      {"vocab", 50}},
                                       params, std::vector<HeedConst>{{"eos", 49}},
                                       std::vector<HeedStack>{{"h.", "layer"}});
}

/// Like the example Llama.
inline std::unique_ptr<TestProgram> Llama(int64_t kv, int64_t rep, int64_t key, bool output) {
  std::vector<TestProgram::Param> params{
      {"model.embed_tokens.weight", {"vocab", "model"}},
      {"model.layers.0.self_attn.q_proj.weight", {"kv, rep, key", "model"}},
      {"model.layers.0.self_attn.k_proj.weight", {"kv, key", "model"}}};
  if (output) params.push_back({"lm_head.weight", {"vocab", "model"}});
  return std::make_unique<TestProgram>(std::vector<TestProgram::Axis>{{"key", key},
                                                                      {"kv", kv},
                                                                      {"layer", 1},
                                                                      {"model", 16},
                                                                      {"rep", rep},
                                                                      {"seq", 64, true},
                                                                      {"vocab", 8}},
                                       params, std::vector<HeedConst>{{"eps", 1e-5}, {"theta", 500000}},
                                       std::vector<HeedStack>{{"model.layers.", "layer"}});
}

using Shapes = std::map<std::string, std::vector<int64_t>>;

/// Shapes of a published GPT-2 of that width.
inline Shapes Gpt2Shapes(int64_t model, int64_t layers, const std::string& prefix = "") {
  Shapes shapes{{prefix + "wte.weight", {50, model}}, {prefix + "wpe.weight", {32, model}}};
  for (int64_t l = 0; l < layers; ++l) {
    const std::string h = prefix + "h." + std::to_string(l) + ".";
    shapes[h + "attn.c_attn.weight"] = {model, 3 * model};
    shapes[h + "attn.c_proj.weight"] = {model, model};
    shapes[h + "attn.c_proj.bias"] = {model};
  }
  return shapes;
}

class WeightsTest : public testing::Test {
 protected:
  /// Tensors that count up from a number of their own, so that no two are equal.
  void Write(const std::string& name, const Shapes& shapes) {
    std::vector<std::vector<float>> data;
    std::vector<NamedTensor> tensors;
    for (const auto& [tensor, shape] : shapes) {
      int64_t count = 1;
      for (const int64_t extent : shape) count *= extent;
      std::vector<float>& values = data.emplace_back(static_cast<size_t>(count));
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(std::hash<std::string>()(tensor) % 1000) + static_cast<float>(i) / 4;
    }
    size_t at = 0;
    for (const auto& [tensor, shape] : shapes) tensors.push_back({tensor, "F32", shape, data[at++].data()});
    ASSERT_TRUE(WriteSafetensors(folder_ / name, tensors, {}));
  }
  void WriteIndex(const std::map<std::string, std::string>& map,
                  const std::string& name = "model.safetensors.index.json") {
    WriteBytes(folder_ / name, nlohmann::json{{"metadata", {{"total_size", 1}}}, {"weight_map", map}}.dump());
  }
  std::string OpenError(const std::string& path) {
    const auto file = SafetensorsFile::OpenCheckpoint(path);
    return file ? "" : file.error().message;
  }
  Result<Weights> Find(const HeedProgram& program, const ModelConfig& config = {}) {
    Result<SafetensorsFile> file = SafetensorsFile::OpenCheckpoint(folder_ / "model.safetensors");
    if (!file) return file.error();
    return Weights::Find(std::move(*file), program, config);
  }
  std::string FindError(const HeedProgram& program, const ModelConfig& config = {}) {
    const auto weights = Find(program, config);
    return weights ? "" : weights.error().message;
  }
  ModelConfig Config(const std::string& text) {
    WriteBytes(folder_ / "config.json", text);
    return ReadModelConfig(CheckpointFolder(folder_ / "model.safetensors"));
  }
  TemporaryFolder folder_;
};

}  // namespace heed::test
