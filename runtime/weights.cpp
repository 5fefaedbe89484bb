// See weights.h. Names first (a common prefix, a tied output matrix), then shapes, then what the file has
// beyond the program: further layers and untied matrices are errors, because the result would be another
// model's; other tensors are reported.
#include "runtime/weights.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "runtime/names.h"
#include "runtime/text_inputs.h"
#include "runtime/weights_mismatch.h"

namespace heed {
namespace {

constexpr std::string_view kOutput = "lm_head.weight";  // published checkpoints name output matrices so

bool IsOptimizerState(std::string_view name) {
  return name.starts_with("optim.m.") || name.starts_with("optim.v.");
}

// The prefix under which most parameters are found; the shortest of several. `count`: how many are.
std::string BestPrefix(const SafetensorsFile& file, const HeedProgram& program, int64_t* count) {
  std::map<std::string, int64_t> found;
  found[""] = 0;
  for (const auto& [name, entry] : file.tensors()) {
    if (IsOptimizerState(name)) continue;
    for (int64_t i = 0; i < program.param_count; ++i) {
      const std::string_view wanted = program.params[i].name;
      if (!name.ends_with(wanted)) continue;
      ++found[name.substr(0, name.size() - wanted.size())];
    }
  }
  std::string best;
  for (const auto& [prefix, number] : found) {
    if (number > found[best] || (number == found[best] && prefix.size() < best.size())) best = prefix;
  }
  *count = found[best];
  return best;
}

// Parameters PREFIX0.REST, PREFIX1.REST ... of the layers of one part.
struct Layers {
  int64_t count = 0;
  std::set<std::string> rests;
};
std::map<std::string, Layers> LayersOf(const HeedProgram& program) {
  std::map<std::string, Layers> layers;
  for (int64_t i = 0; i < program.param_count; ++i) {
    const std::string name = program.params[i].name;
    const size_t star = FoldNumbers(name).find('*');
    if (star == std::string::npos) continue;
    const size_t end = std::min(name.find('.', star), name.size());
    const std::string number = name.substr(star, end - star);
    if (number.size() > 6) continue;
    Layers& here = layers[name.substr(0, star)];
    here.count = std::max<int64_t>(here.count, std::stoll(number) + 1);
    here.rests.insert(name.substr(end));
  }
  return layers;
}

class Finder {
 public:
  Finder(const SafetensorsFile& file, const HeedProgram& program, const ModelConfig& config,
         LoadReport& report)
      : file_(file), program_(program), config_(config), report_(report) {}

  /// An entry for each parameter; null where there is a problem.
  std::vector<StoredParameter> Find() {
    report_.prefix = BestPrefix(file_, program_, &found_);
    for (const auto& [name, entry] : file_.tensors()) {
      if (!IsOptimizerState(name)) names_.push_back(name);
    }
    CountLayers();
    std::vector<StoredParameter> stored;
    for (int64_t i = 0; i < program_.param_count; ++i) stored.push_back(FindOne(program_.params[i]));
    LookAtRest();
    if (problems_.empty()) CompareConfig();
    return stored;
  }
  bool ok() const { return problems_.empty(); }
  /// Sizes with which there would be no problem; nothing if they are not what is wrong.
  std::optional<Fit> Fitting() const {
    if (!explained_) return std::nullopt;
    return FitProgram(program_, shapes_, layers_, config_);
  }

  Error Message() const {
    std::string head = "the weights do not fit " + std::string(program_.source_name);
    if (found_ == 0 && program_.param_count > 0) {
      head += ": none of its " + std::to_string(program_.param_count) +
              " parameters is in the file, which has " + std::to_string(file_.tensors().size()) + " tensors";
    } else if (!report_.prefix.empty()) {
      head += " (names with the prefix `" + report_.prefix + "`)";
    }
    return problems_.Message(head + ":", Advice());
  }

 private:
  const SafetensorsFile::Entry* Tensor(const std::string& name) const {
    const auto found = file_.tensors().find(name);
    return found == file_.tensors().end() ? nullptr : &found->second;
  }

  StoredParameter FindOne(const HeedParam& param) {
    std::string name = report_.prefix + param.name;
    const SafetensorsFile::Entry* entry = Tensor(name);
    if (entry == nullptr) {  // a prefix is often that of the model without its output matrix
      name = param.name;
      entry = Tensor(name);
    }
    if (entry == nullptr && param.name == kOutput) {
      name = EmbeddingLike(param);
      entry = Tensor(name);
      if (entry != nullptr) {
        report_.notes.push_back("the file has no " + std::string(kOutput) + ", so it is tied to " + name +
                                " and gets its values");
      }
    }
    if (entry == nullptr) {
      explained_ = explained_ && BeyondFile(param.name);
      problems_.Missing(report_.prefix + param.name, names_);
      return {};
    }
    used_.insert(name);
    if (entry->dtype == "I8" || entry->dtype == "U8") return FindQuantized(param, name, *entry);
    if (entry->shape.size() == static_cast<size_t>(param.rank)) {
      shapes_.push_back({&param - program_.params, entry->shape});
    } else {
      explained_ = false;
    }
    if (entry->shape != std::vector<int64_t>(param.shape, param.shape + param.rank)) {
      explained_ = explained_ && !IsTransposed(param, *entry);
      problems_.Differs(param.name, Mismatch(program_, param, *entry));
      return {};
    }
    if (!IsFloat(entry->dtype)) {
      explained_ = false;
      problems_.Differs(param.name, "the file has " + entry->dtype + "; it must be F32, F16, BF16 or F64");
      return {};
    }
    return {entry, nullptr, {}};
  }

  // Whole numbers with scales beside them.
  StoredParameter FindQuantized(const HeedParam& param, const std::string& name,
                                const SafetensorsFile::Entry& entry) {
    explained_ = false;
    const std::string scale_name = name + ".scale";
    const SafetensorsFile::Entry* const scales = Tensor(scale_name);
    if (scales == nullptr) {
      problems_.Differs(param.name, "the file has " + entry.dtype + " without " + scale_name);
      return {};
    }
    used_.insert(scale_name);
    const HeedWeightsType type = entry.dtype == "I8" ? kHeedWeightsInt8 : kHeedWeightsInt4;
    const auto form = QuantizedFormOf(program_, &param - program_.params, type);
    if (!form || form->type != type) {
      problems_.Differs(param.name, "the file has " + entry.dtype +
                                        "; the program does not multiply by it as one matrix, so it must be "
                                        "F32, F16, BF16 or F64");
      return {};
    }
    if (entry.shape != form->number_shape || scales->shape != form->scale_shape || scales->dtype != "BF16") {
      problems_.Differs(param.name, "the file has " + entry.dtype + " " + ShapeText(entry.shape) + " with " +
                                        scales->dtype + " " + ShapeText(scales->shape) + " of scales; as " +
                                        NameOf(type) + " it must be " + form->NumberType() + " " +
                                        ShapeText(form->number_shape) + " with BF16 " +
                                        ShapeText(form->scale_shape));
      return {};
    }
    return {&entry, scales, form};
  }

  // The file's name of the only other parameter with the same storage axes: the embedding.
  std::string EmbeddingLike(const HeedParam& output) const {
    std::string name;
    for (int64_t i = 0; i < program_.param_count; ++i) {
      const HeedParam& param = program_.params[i];
      const auto same = [](const char* a, const char* b) { return std::strcmp(a, b) == 0; };
      if (&param == &output || param.rank != output.rank ||
          !std::equal(param.dim_axes, param.dim_axes + param.rank, output.dim_axes, same)) {
        continue;
      }
      if (!name.empty()) return "";
      name = Tensor(report_.prefix + param.name) != nullptr ? report_.prefix + param.name : param.name;
    }
    return name;
  }

  // How many layers the file has of each part that has layers.
  void CountLayers() {
    for (const auto& [prefix, layers] : LayersOf(program_)) {
      const auto has = [&](int64_t layer) {
        return std::all_of(layers.rests.begin(), layers.rests.end(), [&](const std::string& rest) {
          return Tensor(report_.prefix + prefix + std::to_string(layer) + rest) != nullptr;
        });
      };
      int64_t count = 0;
      while (has(count)) ++count;
      if (count == layers.count || count == 0) continue;
      layers_.push_back({prefix, layers.count, count});
      if (count < layers.count) continue;
      problems_.Other("the file has " + std::to_string(count) + " layers " + report_.prefix + prefix +
                      "*, the program " + std::to_string(layers.count));
    }
  }
  // Whether a parameter belongs to a layer that the file does not have.
  bool BeyondFile(std::string_view name) const {
    return std::any_of(layers_.begin(), layers_.end(), [&](const StoredLayers& layers) {
      return layers.in_file < layers.in_program && name.starts_with(layers.prefix) &&
             std::atoll(std::string(name.substr(layers.prefix.size())).c_str()) >= layers.in_file;
    });
  }

  // Tensors that the program does not use.
  void LookAtRest() {
    std::set<std::string> modules;
    const auto module_of = [](const std::string& name) { return name.substr(0, name.rfind('.') + 1); };
    for (const std::string& name : used_) {
      if (const std::string module = module_of(name); !module.empty()) modules.insert(module);
    }
    std::vector<std::string> extra, unused;
    for (const std::string& name : names_) {
      if (used_.contains(name)) continue;
      if (name == kOutput || name == report_.prefix + std::string(kOutput)) {
        if (CompareOutput(name)) continue;
      }
      // The bias of a module whose weight is used is no buffer.
      (modules.contains(module_of(name)) && name.ends_with(".bias") ? unused : extra).push_back(name);
    }
    report_.extra = FoldAll(extra);
    report_.unused = FoldAll(unused);
  }

  // The program uses another parameter, the embedding, in place of the file's output matrix: only right if
  // they are equal. False if there is none like it.
  bool CompareOutput(const std::string& name) {
    const SafetensorsFile::Entry& output = *Tensor(name);
    std::string other;
    for (const std::string& used : used_) {
      const SafetensorsFile::Entry& entry = *Tensor(used);
      if (entry.shape != output.shape || entry.shape.size() != 2) continue;
      if (Equal(entry, output)) return true;
      if (other.empty()) other = used;
    }
    if (other.empty()) return false;
    explained_ = false;
    problems_.Other("the file has " + name + ", which is not equal to " + other +
                    "; the program has one parameter for both, so it would compute something else");
    return true;
  }
  static bool Equal(const SafetensorsFile::Entry& a, const SafetensorsFile::Entry& b) {
    constexpr int64_t kPart = 1 << 20;
    if (!IsFloat(a.dtype) || !IsFloat(b.dtype)) return false;
    const int64_t count = a.bytes / ElementBytes(a.dtype);
    std::vector<float> x, y;
    bool equal = true;
    for (int64_t first = 0; first < count && equal; first += kPart) {
      const int64_t part = std::min(kPart, count - first);
      x.resize(static_cast<size_t>(part));
      y.resize(static_cast<size_t>(part));
      ConvertToFloat(a, first, x);
      ConvertToFloat(b, first, y);
      equal = std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
      LetGo(a, first, part);
      LetGo(b, first, part);
    }
    return equal;
  }

  // Shapes leave things open (how heads share a width, the base of rotary positions) that config.json tells.
  void CompareConfig() {
    const std::optional<Fit> fit = FitProgram(program_, shapes_, {}, config_);
    if (config_.path.empty() || !fit) return;
    if (!fit->set.empty()) {
      report_.notes.push_back(config_.path + " tells " + ListNames(fit->set) +
                              "; the program was built otherwise, so results may differ from the model's");
    }
    report_.notes.insert(report_.notes.end(), fit->notes.begin(), fit->notes.end());
  }

  std::string Advice() const {
    const std::optional<Fit> fit = Fitting();
    if (!fit || fit->set.empty()) return "";
    std::string text = "they fit the program built with";
    for (const std::string& set : fit->set) text += " --set " + set;
    if (!fit->unique) text += " (or other sizes of the same products: the model's config.json tells)";
    return text;
  }

  const SafetensorsFile& file_;
  const HeedProgram& program_;
  const ModelConfig& config_;
  LoadReport& report_;
  std::vector<std::string> names_;  // of the file's tensors, without an optimizer's
  std::set<std::string> used_;
  std::vector<StoredShape> shapes_;
  std::vector<StoredLayers> layers_;
  Problems problems_;
  int64_t found_ = 0;      // parameters under the prefix
  bool explained_ = true;  // sizes of axes alone can be what is wrong
};

}  // namespace

Result<Weights> Weights::Find(SafetensorsFile file, const HeedProgram& program, const ModelConfig& config) {
  Weights weights;
  weights.file_ = std::move(file);
  Finder finder(weights.file_, program, config, weights.report_);
  weights.stored_ = finder.Find();
  if (!finder.ok()) return finder.Message();
  const auto said = weights.file_.metadata().find("weights_type");
  if (said != weights.file_.metadata().end())
    weights.type_ = WeightsTypeOf(said->second).value_or(kHeedWeightsF32);
  return weights;
}

void Weights::Read(int64_t param, int64_t first, std::span<float> to) const {
  const StoredParameter& stored = stored_[static_cast<size_t>(param)];
  if (stored.form) {
    Dequantize(*stored.form, stored.entry->data, stored.scales->data, first, to);
  } else {
    ConvertToFloat(*stored.entry, first, to);
  }
}

void Weights::LetGo(int64_t param, int64_t first, int64_t count) const {
  const StoredParameter& stored = stored_[static_cast<size_t>(param)];
  const bool halves = stored.form && stored.form->type == kHeedWeightsInt4;
  heed::LetGo(*stored.entry, halves ? first / 2 : first, halves ? count / 2 : count);
}

std::vector<uint16_t> Weights::Scales(int64_t param, HeedWeightsType type) const {
  const StoredParameter& stored = stored_[static_cast<size_t>(param)];
  if (!stored.form || stored.form->type != type) return {};
  return ScalesByColumn(*stored.form, stored.scales->data);
}

Result<Fit> FitWeights(const SafetensorsFile& file, const HeedProgram& program, const ModelConfig& config) {
  LoadReport report;
  Finder finder(file, program, config, report);
  finder.Find();
  const std::optional<Fit> fit = finder.Fitting();
  if (!fit) return finder.Message();
  return *fit;
}

}  // namespace heed
