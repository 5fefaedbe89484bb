// See optimizer_options.h.
#include "runtime/commands/optimizer_options.h"

#include <cstdio>

#include "runtime/commands/option_checks.h"

namespace heed {
namespace {

constexpr const char* kSchedules[] = {"inverse-sqrt", "cosine", "linear", "constant"};

std::string Number(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

CLI::Validator Check(OptimizerNumber::Bound bound) {
  switch (bound) {
    case OptimizerNumber::Bound::AboveZero:
      return NumberAboveZero();
    case OptimizerNumber::Bound::FromZero:
      return NumberFromZero();
    case OptimizerNumber::Bound::BelowOne:
      return NumberBelowOne();
  }
  return {};
}

/// All numbers that an optimizer takes.
std::vector<OptimizerNumber> NumbersOf(const Optimizer& optimizer) {
  std::vector<OptimizerNumber> numbers(SharedNumbers().begin(), SharedNumbers().end());
  numbers.insert(numbers.begin() + 1, optimizer.numbers.begin(), optimizer.numbers.end());
  return numbers;
}

}  // namespace

void OptimizerChoice::Declare(CLI::App& app, const std::string& group) {
  std::vector<std::string> names;
  std::string list;
  for (const Optimizer& optimizer : Optimizers()) {
    names.emplace_back(optimizer.name);
    list += (list.empty() ? "" : "; ") + names.back() + ": " + optimizer.summary;
  }
  optimizer_option_ = app.add_option("--optimizer", optimizer_, list)
                          ->capture_default_str()
                          ->check(CLI::IsMember(names))
                          ->group(group);
  warmup_option_ = app.add_option("--warmup", warmup_, "steps")
                       ->capture_default_str()
                       ->check(WholeNumber(0))
                       ->type_name("N")
                       ->group(group);
  schedule_option_ =
      app.add_option("--schedule", schedule_, "of the learning rate after warming up")
          ->capture_default_str()
          ->check(CLI::IsMember(std::vector<std::string>(std::begin(kSchedules), std::end(kSchedules))))
          ->group(group);
  // An option of several optimizers is declared once, with the initial value of each.
  std::map<std::string, std::string> initial, help;
  std::vector<OptimizerNumber> all;
  for (const Optimizer& optimizer : Optimizers()) {
    for (const OptimizerNumber& number : NumbersOf(optimizer)) {
      const bool shared = std::any_of(SharedNumbers().begin(), SharedNumbers().end(),
                                      [&](const auto& each) { return each.value == number.value; });
      std::string& values = initial[number.name];
      if (values.empty()) all.push_back(number);
      if (shared) {
        values = Number(number.initial);
      } else {
        values += (values.empty() ? "" : ", ") + std::string(optimizer.name) + " " + Number(number.initial);
      }
    }
  }
  for (const OptimizerNumber& number : all) {
    const std::string name = number.name;
    app.add_option_function<double>(
           "--" + name, [this, name](double value) { numbers_[name] = value; }, number.help)
        ->default_str(initial[name])
        ->check(Check(number.bound))
        ->type_name("X")
        ->group(group);
  }
}

Result<OptimizerOptions> OptimizerChoice::Read(int64_t total_steps) const {
  const Optimizer& optimizer = *OptimizerNamed(optimizer_);
  OptimizerOptions options(optimizer);
  std::map<std::string, double> left = numbers_;
  for (const OptimizerNumber& number : NumbersOf(optimizer)) {
    const auto given = left.find(number.name);
    if (given == left.end()) continue;
    options.*number.value = given->second;
    left.erase(given);
  }
  if (!left.empty()) {
    std::string takes;
    for (const OptimizerNumber& number : NumbersOf(optimizer))
      takes += (takes.empty() ? "--" : ", --") + std::string(number.name);
    return UsageError("--" + left.begin()->first + ": --optimizer " + optimizer_ + " takes " + takes);
  }
  options.warmup = warmup_;
  options.schedule = *ScheduleNamed(schedule_);
  options.total_steps = total_steps;
  if (total_steps == 0 && (options.schedule == Schedule::Cosine || options.schedule == Schedule::Linear))
    return UsageError("--schedule " + schedule_ + " needs --steps, where the rate reaches 0");
  return options;
}

Status OptimizerChoice::Restore(const std::string& optimizer, const nlohmann::json& saved,
                                const std::string& from) {
  const Optimizer* const known = OptimizerNamed(optimizer);
  if (known == nullptr) return Error{from + ": unknown optimizer `" + optimizer + "` in the metadata"};
  if (optimizer_option_->count() > 0 && optimizer_ != optimizer) {
    return UsageError(from + " was trained with --optimizer " + optimizer + ", whose state " + optimizer_ +
                      " cannot go on from; start from its weights with --init " + from);
  }
  optimizer_ = optimizer;
  if (!saved.is_object()) return Done{};
  const Error damaged{from + ": the optimizer's options in the metadata are damaged"};
  for (const OptimizerNumber& number : NumbersOf(*known)) {
    const auto found = saved.find(number.name);
    if (found == saved.end()) continue;
    if (!found->is_number() || !number.Allows(found->get<double>())) return damaged;
    numbers_.try_emplace(number.name, found->get<double>());
  }
  if (saved.contains("warmup") && warmup_option_->count() == 0) {
    if (!saved["warmup"].is_number_integer() || saved["warmup"].get<int64_t>() < 0) return damaged;
    warmup_ = saved["warmup"].get<int64_t>();
  }
  if (saved.contains("schedule") && schedule_option_->count() == 0) {
    if (!saved["schedule"].is_string()) return damaged;
    schedule_ = saved["schedule"].get<std::string>();
    if (!ScheduleNamed(schedule_))
      return Error{from + ": unknown schedule `" + schedule_ + "` in the metadata"};
  }
  return Done{};
}

nlohmann::json OptimizerChoice::Saved(const OptimizerOptions& options) {
  nlohmann::json saved = {{"warmup", options.warmup},
                          {"schedule", kSchedules[static_cast<size_t>(options.schedule)]}};
  for (const OptimizerNumber& number : NumbersOf(*options.optimizer))
    saved[number.name] = options.*number.value;
  return saved;
}

std::string OptimizerChoice::Text(const OptimizerOptions& options) {
  std::string text = " --optimizer " + std::string(options.optimizer->name) + " --warmup " +
                     std::to_string(options.warmup) + " --schedule " +
                     kSchedules[static_cast<size_t>(options.schedule)];
  for (const OptimizerNumber& number : NumbersOf(*options.optimizer))
    text += " --" + std::string(number.name) + " " + Number(options.*number.value);
  return text;
}

}  // namespace heed
