// Solving for axis sizes. A dimension with one unknown axis settles it; what then remains (heads and their
// width, say, of which only products are known) is searched over the divisors, and the best choice is kept.
#include "runtime/weights/fit.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "runtime/engine/program.h"
#include "runtime/weights/config_notes.h"

namespace heed {
namespace {

constexpr int64_t kLargestProduct = int64_t{1} << 40;  // its divisors are found by trial
constexpr int64_t kMostChoices = 100'000;

// As short as it can be read back as the same number.
std::string NumberText(double value) {
  char text[64];
  for (int digits = 6; digits <= 17; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, value);
    if (std::strtod(text, nullptr) == value) break;
  }
  return text;
}

// The sizes of `axes` have the product `value`.
struct Equation {
  std::vector<std::string> axes;
  int64_t value;
  bool operator<(const Equation& other) const {
    return axes != other.axes ? axes < other.axes : value < other.value;
  }
};
using Sizes = std::map<std::string, int64_t>;

class Solver {
 public:
  Solver(const HeedProgram& program, const ModelConfig& config) : program_(program), config_(config) {
    for (int64_t i = 0; i < program.axis_count; ++i) {
      const HeedAxis& axis = program.axes[i];
      if (axis.enumerator_count > 0) known_[axis.name] = axis.size;
    }
  }

  void Add(const HeedParam& param, const std::vector<int64_t>& shape) {
    int64_t axis = 0;
    for (int64_t d = 0; d < param.rank; ++d) {
      Equation equation{{}, shape[static_cast<size_t>(d)]};
      const std::string_view group = param.dim_axes[d];
      const auto commas = std::count(group.begin(), group.end(), ',');
      for (int64_t i = 0; i <= commas && axis < param.axis_count; ++i, ++axis) {
        equation.axes.push_back(RootOf(param.axes[axis]));
      }
      equations_.insert(equation);
    }
  }

  /// False: no sizes satisfy the equations.
  bool Solve() {
    if (!Settle(known_)) return false;
    Search(known_);
    return best_.has_value();
  }
  const Sizes& sizes() const { return *best_; }
  bool unique() const { return unique_; }

 private:
  int64_t Current(const std::string& axis) const {
    const HeedAxis* found = FindAxis(program_, axis);
    return found != nullptr ? found->size : 0;
  }

  // What is left of an equation: the product of its unknown axes. 0 if there is a contradiction.
  int64_t Rest(const Equation& equation, const Sizes& known, std::vector<std::string>& unknown) const {
    unknown.clear();
    int64_t rest = equation.value;
    for (const std::string& axis : equation.axes) {
      const auto found = known.find(axis);
      if (found == known.end()) {
        unknown.push_back(axis);
      } else if (found->second == 0 || rest % found->second != 0) {
        return 0;
      } else {
        rest /= found->second;
      }
    }
    return unknown.empty() && rest != 1 ? 0 : rest;
  }

  // Adds the sizes that follow from those known.
  bool Settle(Sizes& known) const {
    std::vector<std::string> unknown;
    for (bool changed = true; changed;) {
      changed = false;
      for (const Equation& equation : equations_) {
        const int64_t rest = Rest(equation, known, unknown);
        if (rest == 0) return false;
        if (unknown.size() != 1) continue;
        known[unknown[0]] = rest;
        changed = true;
      }
    }
    return true;
  }

  // Sizes that config.json tells count most, then those that stay as they are.
  std::pair<int64_t, int64_t> Merit(const Sizes& sizes) const {
    int64_t told = 0, kept = 0;
    for (const auto& [axis, size] : sizes) {
      const auto found = config_.values.find(axis);
      told += found != config_.values.end() && found->second.value == static_cast<double>(size);
      kept += Current(axis) == size;
    }
    return {told, kept};
  }

  void Search(const Sizes& known) {
    if (++choices_ > kMostChoices) return;
    std::vector<std::string> unknown, narrowest;
    int64_t product = 0;
    for (const Equation& equation : equations_) {
      const int64_t rest = Rest(equation, known, unknown);
      if (!unknown.empty() && (narrowest.empty() || unknown.size() < narrowest.size())) {
        narrowest = unknown;
        product = rest;
      }
    }
    if (narrowest.empty()) {
      const auto merit = Merit(known);
      if (best_ && merit == Merit(*best_)) unique_ = false;
      if (!best_ || merit > Merit(*best_)) {
        best_ = known;
        unique_ = true;
      }
      return;
    }
    if (product > kLargestProduct) return;
    for (int64_t divisor = 1; divisor * divisor <= product; ++divisor) {
      if (product % divisor != 0) continue;
      for (const int64_t size : {divisor, product / divisor}) {
        Sizes with = known;
        with[narrowest[0]] = size;
        if (Settle(with)) Search(with);
        if (divisor == product / divisor) break;
      }
    }
  }

  const HeedProgram& program_;
  const ModelConfig& config_;
  std::set<Equation> equations_;
  Sizes known_;
  std::optional<Sizes> best_;
  bool unique_ = true;
  int64_t choices_ = 0;
};

const HeedAxis* LayerAxis(const HeedProgram& program, const StoredLayers& layers) {
  for (int64_t i = 0; i < program.stack_count; ++i)
    if (layers.prefix == program.stacks[i].prefix) return FindAxis(program, program.stacks[i].axis);
  return nullptr;
}

bool WasSet(const HeedProgram& program, std::string_view name) {
  return std::find(program.set, program.set + program.set_count, name) != program.set + program.set_count;
}

// The most tokens of a text, given these sizes; 0: any number.
int64_t LongestText(const HeedProgram& program, const Sizes& sizes) {
  int64_t longest = -1;
  for (int64_t i = 0; i < program.axis_count; ++i) {
    const HeedAxis& axis = program.axes[i];
    if (!axis.dynamic) continue;
    const auto found = sizes.find(axis.name);
    const int64_t size = found != sizes.end() ? found->second : axis.size;
    if (size <= 0) return 0;
    longest = std::max(longest, size);
  }
  return std::max<int64_t>(longest, 0);
}

// How many elements there are to generate; 0: not known.
int64_t VocabularyOf(const HeedProgram& program, const Sizes& sizes) {
  const char* name = "vocab";
  for (int64_t i = 0; i < program.entry_count; ++i)
    if (program.entries[i].indexes != nullptr) name = program.entries[i].indexes;
  const auto found = sizes.find(name);
  const HeedAxis* axis = FindAxis(program, name);
  return found != sizes.end() ? found->second : axis != nullptr ? axis->size : 0;
}

// What config.json tells of sizes that the tensors have otherwise. What follows from other fields is only
// said where those are right.
void NoteContradictions(const Sizes& sizes, const ModelConfig& config, std::vector<std::string>& notes) {
  for (const bool derived : {false, true}) {
    std::string text;
    for (const auto& [axis, told] : config.values) {
      const auto found = sizes.find(axis);
      if (found == sizes.end() || told.derived != derived || static_cast<double>(found->second) == told.value)
        continue;
      const std::string number = NumberText(told.value);
      text += (text.empty() ? "" : ", ") +
              (told.absent    ? "no " + told.field + " (which means " + axis + " " + number + ")"
               : told.derived ? told.field + " so that " + axis + " is " + number
                              : told.field + " " + number);
      text += "; the tensors have " + axis + " " + std::to_string(found->second);
    }
    if (text.empty()) continue;
    notes.push_back(config.path + " contradicts the weights: it has " + text);
    return;
  }
}

}  // namespace

std::vector<std::string> Fit::Changes() const {
  std::vector<std::string> texts;
  for (const Setting& setting : settings)
    if (setting.changes) texts.push_back(setting.text);
  return texts;
}

std::optional<Fit> FitProgram(const HeedProgram& program, const std::vector<StoredShape>& shapes,
                              const std::vector<StoredLayers>& layers, const ModelConfig& config) {
  Solver solver(program, config);
  for (const StoredShape& stored : shapes) solver.Add(program.params[stored.param], stored.shape);
  if (!solver.Solve()) return std::nullopt;
  Sizes sizes = solver.sizes();
  for (const StoredLayers& stored : layers) {
    const HeedAxis* axis = LayerAxis(program, stored);
    if (axis == nullptr && stored.in_file == stored.in_program) continue;
    if (axis == nullptr) return std::nullopt;
    const auto [found, fresh] = sizes.emplace(axis->name, stored.in_file);
    if (!fresh && found->second != stored.in_file) return std::nullopt;
  }
  Fit fit;
  fit.unique = solver.unique();
  for (int64_t i = 0; i < program.axis_count; ++i) {
    const HeedAxis& axis = program.axes[i];
    if (axis.enumerator_count > 0) continue;
    const auto found = sizes.find(axis.name);
    const auto told = config.values.find(axis.name);
    const auto set = [&](int64_t size) {
      Setting setting{axis.name + ("=" + std::to_string(size)), "", false, size != axis.size};
      if (told != config.values.end())
        setting.field = told->second.field, setting.absent = told->second.absent;
      fit.settings.push_back(setting);
    };
    if (found != sizes.end()) {
      set(found->second);
    } else if (axis.dynamic && told != config.values.end() && told->second.value >= 1 &&
               told->second.value < static_cast<double>(axis.size)) {
      fit.shorten.push_back(axis.name + ("=" + NumberText(told->second.value)));
    } else if (WasSet(program, axis.name)) {
      set(axis.size);
    }
  }
  const int64_t vocabulary = VocabularyOf(program, sizes);
  for (int64_t i = 0; i < program.const_count; ++i) {
    const HeedConst& constant = program.consts[i];
    const std::optional<ToldNumber> told = ToldFor(program, constant, config, vocabulary);
    if (!told && !WasSet(program, constant.name)) continue;
    const double value = told ? told->value : constant.value;
    fit.settings.push_back({constant.name + ("=" + NumberText(value)), told ? told->field : "",
                            told && told->absent, value != constant.value});
  }
  NoteContradictions(sizes, config, fit.notes);
  for (std::string& note : ConfigNotes(program, config, LongestText(program, sizes)))
    fit.notes.push_back(std::move(note));
  return fit;
}

}  // namespace heed
