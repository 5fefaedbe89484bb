// See profile.h.
#include "frontend/drawing/profile.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/json_input.h"

namespace heed::drawing {
namespace {

using Json = nlohmann::json;

constexpr int kDeepest = 16;  // levels of nesting; a profile has six

/// Messages and drawings repeat names: none may steer a terminal.
bool IsPlain(std::string_view name) {
  return std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

/// Fields of one object. What is missing or of another kind is remembered and gives something empty.
class Fields {
 public:
  Fields(const Json& json, std::string name, std::string& problem)
      : json_(json), name_(std::move(name)), problem_(problem) {
    if (!json_.is_object()) Fail("is no object");
  }

  std::string Text(const char* key) const {
    const Json* const field = Find(key, &Json::is_string, "text");
    std::string text = field ? field->get<std::string>() : "";
    if (IsPlain(text)) return text;
    Fail("has a `" + std::string(key) + "` with control characters");
    return "";
  }
  bool Truth(const char* key) const {
    const Json* const field = Find(key, &Json::is_boolean, "true or false");
    return field && field->get<bool>();
  }
  /// An amount: finite and not below 0.
  double Amount(const char* key) const {
    const Json* const field = Find(key, &Json::is_number, "a number");
    const double amount = field ? field->get<double>() : 0;
    if (std::isfinite(amount) && amount >= 0) return amount;
    Fail("has an impossible `" + std::string(key) + "`");
    return 0;
  }
  const Json& List(const char* key) const {
    static const Json kNothing = Json::array();
    const Json* const field = Find(key, &Json::is_array, "a list");
    return field ? *field : kNothing;
  }
  const Json& Object(const char* key) const {
    static const Json kNothing = Json::object();
    const Json* const field = Find(key, &Json::is_object, "an object");
    return field ? *field : kNothing;
  }
  void Fail(const std::string& what) const {
    if (problem_.empty()) problem_ = name_ + " " + what;
  }

 private:
  const Json* Find(const char* key, bool (Json::*is)() const noexcept, const char* kind) const {
    if (!json_.is_object()) return nullptr;
    const auto found = json_.find(key);
    if (found == json_.end()) {
      Fail("lacks `" + std::string(key) + "`");
    } else if (!(*found.*is)()) {
      Fail("has a `" + std::string(key) + "` that is not " + kind);
    } else {
      return &*found;
    }
    return nullptr;
  }

  const Json& json_;
  const std::string name_;
  std::string& problem_;
};

ProfiledStep StepOf(const Json& json, const std::string& name, std::string& problem) {
  const Fields fields(json, name, problem);
  ProfiledStep step;
  step.work = {fields.Amount("ns"), fields.Amount("flops"),
               fields.Amount("bytes_read") + fields.Amount("bytes_written")};
  const Json& origins = fields.List("origins");
  const double result = fields.Amount("result");
  if (result >= static_cast<double>(origins.size())) {
    fields.Fail("has no origin of its result");
    return step;
  }
  const Fields origin(origins[static_cast<size_t>(result)], name, problem);
  step.op = origin.Text("op");
  step.instance = origin.Text("instance");
  step.where = origin.Text("where");
  step.gradient = origin.Truth("gradient");
  return step;
}

ProfiledFunction FunctionOf(const Json& json, const std::string& name, std::string& problem) {
  const Fields fields(json, name, problem);
  const std::string title = fields.Text("name");
  const size_t slash = title.find('/');
  if (slash == title.npos) fields.Fail("has a `name` that is not VARIANT/ENTRY");
  ProfiledFunction function;
  function.variant = title.substr(0, slash);
  function.entry = slash == title.npos ? "" : title.substr(slash + 1);
  function.scale.calls = fields.Amount("calls");
  function.scale.nanoseconds = fields.Amount("ns");
  double in_steps = 0;
  for (const Json& step : fields.List("steps")) {
    function.steps.push_back(StepOf(step, name + ", step " + std::to_string(function.steps.size()), problem));
    in_steps += function.steps.back().work.nanoseconds;
  }
  // Steps follow one another, so their times add up to less than the function's.
  constexpr double kRounding = 1.001;
  if (in_steps > kRounding * function.scale.nanoseconds) fields.Fail("takes less time than its steps");
  return function;
}

}  // namespace

Result<MeasuredProfile> ReadProfile(std::string_view text) {
  const JsonInput input = NestedBeyond(text, kDeepest) ? JsonInput{} : ParseJson(text);
  if (!input.problem.empty()) return Error{"is no JSON: " + input.problem};
  if (!input.json.is_object() || !input.json.contains("heed_profile"))
    return Error{"is no profile; `OUT profile COMMAND ... -o FILE.json` of a built program writes one"};
  if (input.json["heed_profile"] != 1)
    return Error{
        "is a profile in another version of its form; profile again with a program that this heed built"};
  std::string problem;
  const Fields whole(input.json, "the profile", problem);
  MeasuredProfile profile;
  for (const auto& [name, value] : whole.Object("set").items()) {
    const double number = value.is_number() ? value.get<double>() : NAN;
    if (name.empty() || !IsPlain(name)) {
      whole.Fail("sets what is no name");
      continue;
    }
    if (!std::isfinite(number)) whole.Fail("sets `" + name + "` to what is no number");
    profile.set.emplace_back(name, number);
  }
  const double peak_flops = whole.Amount("peak_flops"), peak_bytes = whole.Amount("peak_bytes");
  for (const Json& json : whole.List("functions")) {
    ProfiledFunction function =
        FunctionOf(json, "function " + std::to_string(profile.functions.size()), problem);
    function.scale.peak_flops = peak_flops;
    function.scale.peak_bytes = peak_bytes;
    if (function.scale.calls > 0) profile.functions.push_back(std::move(function));
  }
  if (profile.functions.empty()) whole.Fail("has no function with calls that count; run more of them");
  if (!problem.empty()) return Error{"is damaged, or of another version of Heed: " + problem};
  return profile;
}

}  // namespace heed::drawing
