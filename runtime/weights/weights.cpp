// See weights.h. Names first (a common prefix, a tied output matrix), then shapes, then what the file has
// beyond the program: further layers and untied matrices are errors, because the result would be another
// model's; other tensors are reported. At last what config.json says is compared with what was found.
#include "runtime/weights/weights.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "runtime/abi_names.h"
#include "runtime/base/names.h"
#include "runtime/weights/config_notes.h"
#include "runtime/weights/mismatch.h"
#include "runtime/weights/output_matrix.h"

namespace heed {
namespace {

// How names of buffers end: masks, positions, frequencies.
constexpr std::string_view kBuffers[] = {
    "attn.bias", "attn.masked_bias", "attention.bias",     "attention.masked_bias",
    "inv_freq",  "position_ids",     "num_batches_tracked"};

bool IsOptimizerState(std::string_view name) { return name.starts_with(kOptimizerPrefix); }

// The prefix under which most parameters are found; the shortest of several. `count`: how many are.
std::string BestPrefix(const SafetensorsFile& file, const HeedProgram& program, int64_t* count) {
  std::map<std::string, int64_t> found;
  found[""] = 0;
  for (const auto& [name, entry] : file.tensors()) {
    if (IsOptimizerState(name)) continue;
    for (int64_t i = 0; i < program.param_count; ++i) {
      const std::string_view wanted = program.params[i].name;
      if (!name.ends_with(wanted)) continue;
      const std::string prefix = name.substr(0, name.size() - wanted.size());
      if (prefix.empty() || prefix.ends_with('.')) ++found[prefix];
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
    prefixes_ = PrefixesWithin(report_.prefix);
    for (const auto& [name, entry] : file_.tensors()) {
      if (!IsOptimizerState(name)) names_.push_back(name);
    }
    CountLayers();
    std::vector<StoredParameter> stored;
    for (int64_t i = 0; i < program_.param_count; ++i) stored.push_back(FindOne(program_.params[i]));
    NameAbsent();
    LookAtRest();
    CompareTied();
    return stored;
  }
  bool ok() const { return problems_.empty(); }
  /// Sizes with which there would be no problem; nothing if they are not what is wrong.
  std::optional<Fit> Fitting() const {
    if (!explained_) return std::nullopt;
    return FitProgram(program_, shapes_, layers_, config_);
  }

  // Shapes leave things open (how heads share a width, the base of rotary positions) that config.json tells.
  void CompareConfig() {
    if (config_.path.empty() && config_.damage.empty() && config_.ends.empty()) return;
    const std::optional<Fit> fit = Fitting();
    if (!fit) {
      const std::vector<std::string> notes = ConfigNotes(program_, config_, 0);
      report_.notes.insert(report_.notes.end(), notes.begin(), notes.end());
      return;
    }
    for (const bool absent : {false, true}) {
      std::vector<std::string> told;
      for (const Setting& setting : fit->settings) {
        if (!setting.changes || setting.absent != absent) continue;
        told.push_back(absent ? "no " + setting.field + " (which means " + setting.text + ")" : setting.text);
      }
      if (told.empty()) continue;
      report_.notes.push_back(config_.Name() + (absent ? " has " : " tells ") + ListNames(told) +
                              "; the program was built otherwise, so results may differ from the model's");
    }
    report_.notes.insert(report_.notes.end(), fit->notes.begin(), fit->notes.end());
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

  // The file's name of a parameter: a prefix is often that of the model without its output matrix, so parts
  // of it count too.
  std::string NameInFile(const std::string& param) const {
    for (const std::string& prefix : prefixes_)
      if (Tensor(prefix + param) != nullptr) return prefix + param;
    return report_.prefix + param;
  }
  // Whether an index promises it, in vain.
  bool IsAbsent(const std::string& param) {
    for (const std::string& prefix : prefixes_) {
      const auto found = file_.absent().find(prefix + param);
      if (found == file_.absent().end()) continue;
      needed_absent_.insert(found->first);
      return true;
    }
    return false;
  }

  StoredParameter FindOne(const HeedParam& param) {
    std::string name = NameInFile(param.name);
    const SafetensorsFile::Entry* entry = Tensor(name);
    if (entry == nullptr && IsAbsent(param.name)) return {};
    if (entry == nullptr && param.name == kOutputMatrix) {
      name = EmbeddingLike(param);
      entry = Tensor(name);
      if (entry != nullptr) {
        report_.notes.push_back(
            "the file has no " + std::string(kOutputMatrix) + ", so it is tied to " + name +
            " and gets its values" +
            (config_.tied == false ? ", although " + config_.path + " has " + config_.tied_text : ""));
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
    const std::string scale_name = name + std::string(kScalesSuffix);
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
      name = NameInFile(param.name);
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
      if (count == 0) continue;
      layers_.push_back({prefix, layers.count, count});
      if (count <= layers.count) continue;
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

  // Needed tensors that an index names and its files lack: those of one file and of equal layers together.
  void NameAbsent() {
    explained_ = explained_ && needed_absent_.empty();
    std::map<std::string, std::vector<std::string>> by_reason;
    for (const std::string& name : needed_absent_) {
      const SafetensorsFile::Absent& absent = file_.absent().at(name);
      by_reason[absent.file + ", which " + absent.why].push_back(name);
    }
    for (const auto& [reason, names] : by_reason) {
      std::vector<std::string> folded = FoldAll(names);
      for (std::string& name : folded) name = "`" + name + "`";
      problems_.Other("the index puts " + ListNames(folded) + " into " + reason);
    }
    std::vector<std::string> others;
    for (const auto& [name, absent] : file_.absent())
      if (!needed_absent_.contains(name)) others.push_back(name);
    report_.absent = FoldAll(others);
  }

  // Tensors that the program does not use.
  void LookAtRest() {
    const auto parent_of = [](const std::string& name) {
      const size_t dot = name.rfind('.');
      return name.substr(0, dot == std::string::npos ? 0 : dot);
    };
    // The modules of used tensors, and what those are parts of: "h.0.attn.c_attn" and "h.0.attn".
    std::set<std::string> modules, wholes;
    for (const std::string& name : used_) {
      const std::string module = parent_of(name), whole = parent_of(module);
      if (!module.empty()) modules.insert(module);
      if (!whole.empty() && whole.size() >= report_.prefix.size()) wholes.insert(whole);
    }
    std::vector<std::string> extra, unused;
    for (const std::string& name : names_) {
      const std::string like = AsInFirstLayer(name), module = parent_of(like);
      if (used_.contains(name) || used_.contains(like)) continue;
      if (OutputParameter() == nullptr && IsOutputMatrix(name, report_.prefix) && CompareOutput(name)) {
        modules.insert(module);
        continue;
      }
      // What stands beside parameters of the program, in a module or as a module of its own, takes part in
      // what they compute; buffers are made anew by whoever needs them.
      const bool buffer =
          std::ranges::any_of(kBuffers, [&](std::string_view end) { return name.ends_with(end); });
      const bool beside = modules.contains(module) ||
                          (!buffer && (wholes.contains(module) || wholes.contains(parent_of(module))));
      (beside ? unused : extra).push_back(name);
    }
    report_.extra = FoldAll(extra);
    report_.unused = FoldAll(unused);
  }
  // Tensors of layers that the program does not have count as those of its first: either there is a problem,
  // which is said, or the program is about to be built with more layers.
  std::string AsInFirstLayer(const std::string& name) const {
    for (const StoredLayers& layers : layers_) {
      const std::string before = report_.prefix + layers.prefix;
      if (layers.in_file <= layers.in_program || !name.starts_with(before)) continue;
      const int64_t number = std::atoll(name.c_str() + before.size());
      if (number >= layers.in_program && number < layers.in_file)
        return before + "0" + name.substr(std::min(name.find('.', before.size()), name.size()));
    }
    return name;
  }

  const HeedParam* OutputParameter() const {
    for (int64_t i = 0; i < program_.param_count; ++i)
      if (program_.params[i].name == kOutputMatrix) return &program_.params[i];
    return nullptr;
  }
  // The program uses another parameter, the embedding, in place of the file's output matrix: only right if
  // they are equal. False if there is none like it.
  bool CompareOutput(const std::string& name) {
    const SafetensorsFile::Entry& output = *Tensor(name);
    std::string other;
    for (const std::string& used : used_) {
      const SafetensorsFile::Entry& entry = *Tensor(used);
      if (entry.shape != output.shape || entry.shape.size() != 2) continue;
      if (SameNumbers(entry, output)) {
        tied_in_file_ = true;
        return true;
      }
      if (other.empty()) other = used;
    }
    if (other.empty()) return false;
    explained_ = false;
    problems_.Other("the file has " + name + ", which is not equal to " + other +
                    "; the program has one parameter for both, so it would compute something else");
    return true;
  }

  // Whether config.json says otherwise than the program does which matrix makes logits.
  void CompareTied() {
    if (!config_.tied) return;
    const HeedParam* output = OutputParameter();
    if (output == nullptr) {
      if (*config_.tied || tied_in_file_) return;
      report_.notes.push_back(config_.path + " has " + config_.tied_text + ", but there is no " +
                              std::string(kOutputMatrix) +
                              " in the file, and the program's output matrix is its embedding");
      return;
    }
    const std::string embedding = EmbeddingLike(*output);
    const SafetensorsFile::Entry *own = Tensor(NameInFile(output->name)), *other = Tensor(embedding);
    if (!*config_.tied || own == nullptr || other == nullptr || SameNumbers(*own, *other)) return;
    report_.notes.push_back(config_.path + " has " + config_.tied_text + ", but the file has " +
                            NameInFile(output->name) + ", which is not equal to " + embedding +
                            "; the program uses both");
  }

  std::string Advice() const {
    const std::optional<Fit> fit = Fitting();
    const std::vector<std::string> changes = fit ? fit->Changes() : std::vector<std::string>{};
    if (changes.empty()) return "";
    std::string text = "they fit the program built with";
    for (const std::string& set : changes) text += " --set " + set;
    if (!fit->unique) text += " (or other sizes of the same products: the model's config.json tells)";
    return text;
  }

  const SafetensorsFile& file_;
  const HeedProgram& program_;
  const ModelConfig& config_;
  LoadReport& report_;
  std::vector<std::string> names_;     // of the file's tensors, without an optimizer's
  std::vector<std::string> prefixes_;  // the prefix, parts of it, none
  std::set<std::string> used_;
  std::set<std::string> needed_absent_;
  bool tied_in_file_ = false;  // the file has an output matrix that is the embedding
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
  finder.CompareConfig();
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

Result<FittedWeights> FitWeights(const SafetensorsFile& file, const HeedProgram& program,
                                 const ModelConfig& config) {
  FittedWeights fitted;
  Finder finder(file, program, config, fitted.report);
  finder.Find();
  std::optional<Fit> fit = finder.Fitting();
  if (!fit) return finder.Message();
  fitted.fit = std::move(*fit);
  return fitted;
}

}  // namespace heed
