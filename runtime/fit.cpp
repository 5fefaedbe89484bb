// Solving for axis sizes. A dimension with one unknown axis settles it; what then remains (heads and their
// width, say, of which only products are known) is searched over the divisors, and the best choice is kept.
#include "runtime/fit.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "runtime/text_inputs.h"

namespace heed {
namespace {

constexpr int64_t kLargestProduct = int64_t{1} << 40;  // its divisors are found by trial
constexpr int64_t kMostChoices = 100'000;

std::string NumberText(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.10g", value);
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
      told += found != config_.values.end() && found->second == static_cast<double>(size);
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

// The axis that counts layers: one of their number that no parameter has; of several, one named like them.
const HeedAxis* LayerAxis(const HeedProgram& program, const StoredLayers& layers) {
  std::set<std::string> stored;
  for (int64_t i = 0; i < program.param_count; ++i) {
    for (int64_t a = 0; a < program.params[i].axis_count; ++a)
      stored.insert(RootOf(program.params[i].axes[a]));
  }
  const HeedAxis* best = nullptr;
  int best_merit = -1;
  for (int64_t i = 0; i < program.axis_count; ++i) {
    const HeedAxis& axis = program.axes[i];
    if (axis.dynamic || axis.enumerator_count > 0 || axis.size != layers.in_program) continue;
    const std::string name = axis.name;
    const bool like = name.starts_with("layer") || layers.prefix.find(name) != std::string::npos;
    const int merit = 2 * !stored.contains(name) + like;
    if (merit > best_merit) best = &axis, best_merit = merit;
  }
  return best;
}

}  // namespace

std::optional<Fit> FitProgram(const HeedProgram& program, const std::vector<StoredShape>& shapes,
                              const std::vector<StoredLayers>& layers, const ModelConfig& config) {
  Solver solver(program, config);
  for (const StoredShape& stored : shapes) solver.Add(program.params[stored.param], stored.shape);
  if (!solver.Solve()) return std::nullopt;
  Sizes sizes = solver.sizes();
  for (const StoredLayers& stored : layers) {
    const HeedAxis* axis = LayerAxis(program, stored);
    if (axis == nullptr) return std::nullopt;
    const auto [found, fresh] = sizes.emplace(axis->name, stored.in_file);
    if (!fresh && found->second != stored.in_file) return std::nullopt;
  }
  Fit fit;
  fit.unique = solver.unique();
  for (int64_t i = 0; i < program.axis_count; ++i) {
    const HeedAxis& axis = program.axes[i];
    const auto found = sizes.find(axis.name);
    const auto told = config.values.find(axis.name);
    if (found != sizes.end()) {
      if (found->second != axis.size) fit.set.push_back(axis.name + ("=" + std::to_string(found->second)));
    } else if (axis.dynamic && told != config.values.end() && told->second < static_cast<double>(axis.size)) {
      fit.shorten.push_back(axis.name + ("=" + NumberText(told->second)));
    }
  }
  bool scales = false;
  for (int64_t i = 0; i < program.const_count; ++i) {
    const HeedConst& constant = program.consts[i];
    scales = scales || std::string_view(constant.name) == "rope_factor";
    const auto told = config.values.find(constant.name);
    if (told != config.values.end() && told->second != constant.value)
      fit.set.push_back(constant.name + ("=" + NumberText(told->second)));
  }
  if (!config.scaling.empty() && !(scales && config.scaling == "llama3")) {
    fit.notes.push_back(config.path + " scales the frequencies of rotary positions (" + config.scaling +
                        "), and the program does not");
  }
  return fit;
}

}  // namespace heed
