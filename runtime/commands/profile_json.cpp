// A profile as JSON, which is a trace in Chrome's format as well: viewers of traces read `traceEvents` and
// leave the other fields alone.
#include <nlohmann/json.hpp>

#include "runtime/commands/memory_map.h"
#include "runtime/commands/profile_report.h"
#include "runtime/commands/step_names.h"

namespace heed {
namespace {

using Json = nlohmann::ordered_json;

Json Amounts(const StepProfile& step) {
  return {{"ns", step.nanoseconds},
          {"busy_ns", step.busy},
          {"flops", step.work.flops},
          {"bytes_read", step.work.bytes_read},
          {"bytes_written", step.work.bytes_written}};
}

const char* KindName(int64_t kind) {
  static constexpr const char* kNames[] = {
      "loop",    "matmul", "packed_matmul", "attention", "attention_backward",
      "scatter", "lookup", "grouped_matmul"};
  return kind >= 0 && kind < 7 ? kNames[kind] : "unknown";
}

Json StepJson(const HeedStep& step, const StepProfile& profile) {
  const HeedOrigin* const result = OriginOf(step);
  Json json = {
      {"kernel", step.kernel}, {"kind", KindName(step.kind)}, {"module", result ? result->instance : ""},
      {"line", LineOf(step)},  {"origins", Json::array()},    {"result", step.result}};
  for (int64_t i = 0; i < step.origin_count; ++i) {
    const HeedOrigin& origin = step.origins[i];
    json["origins"].push_back({{"op", origin.op},
                               {"instance", origin.instance},
                               {"where", origin.where},
                               {"gradient", origin.gradient != 0}});
  }
  json.update(Amounts(profile));
  return json;
}

Json MemoryJson(const FunctionProfile& function) {
  const Result<MemoryMap> map = MapMemory(*function.function, function.extents);
  if (!map) return nullptr;
  Json json = {{"bytes", map->bytes},
               {"peak_step", map->peak_step},
               {"peak_bytes", map->in_use},
               {"buffers", Json::array()}};
  for (const MemoryPiece& piece : map->pieces)
    json["buffers"].push_back({{"offset", piece.offset},
                               {"bytes", piece.bytes},
                               {"first", piece.first},
                               {"last", piece.last},
                               {"made_by", piece.made_by}});
  return json;
}

Json FunctionJson(const FunctionProfile& function) {
  Json json = {{"name", function.function->name}, {"calls", function.calls},   {"skipped", function.skipped},
               {"ns", function.nanoseconds},      {"extents", Json::object()}, {"steps", Json::array()}};
  for (size_t i = 0; i < function.extents.size(); ++i)
    json["extents"][function.function->extents[i]] = function.extents[i];
  for (size_t i = 0; i < function.steps.size(); ++i) {
    if (static_cast<int64_t>(i) < function.function->step_count)
      json["steps"].push_back(StepJson(function.function->steps[i], function.steps[i]));
  }
  json["memory"] = MemoryJson(function);
  return json;
}

Json EventJson(const Profiler& profiler, const TraceEvent& event) {
  constexpr double kMicrosecond = 1000;  // in nanoseconds
  Json json = {{"ph", "X"},
               {"pid", 1},
               {"tid", event.thread},
               {"ts", static_cast<double>(event.begin) / kMicrosecond},
               {"dur", static_cast<double>(event.end - event.begin) / kMicrosecond}};
  if (event.function == nullptr) {
    json["name"] = profiler.spans()[static_cast<size_t>(event.step)].name;
    json["cat"] = "runtime";
  } else if (event.step < event.function->step_count) {
    const HeedStep& step = event.function->steps[event.step];
    json["name"] = step.kernel;
    json["cat"] = event.function->name;
    json["args"] = {{"step", event.step}, {"what", NameOf(step)}};
  } else {
    json["name"] = "step " + std::to_string(event.step);
    json["cat"] = event.function->name;
  }
  return json;
}

/// Axes and constants that were given when the program was built: drawings of its graph need them again.
Json SetJson(const HeedProgram& program) {
  Json json = Json::object();
  for (int64_t i = 0; i < program.set_count; ++i) {
    const std::string_view name = program.set[i];
    for (int64_t a = 0; a < program.axis_count; ++a)
      if (name == program.axes[a].name) json[program.axes[a].name] = program.axes[a].size;
    for (int64_t c = 0; c < program.const_count; ++c)
      if (name == program.consts[c].name) json[program.consts[c].name] = program.consts[c].value;
  }
  return json;
}

}  // namespace

std::string ProfileJson(const Profile& profile) {
  const Profiler& profiler = *profile.profiler;
  Json json = {{"heed_profile", 1},
               {"program", profile.program->source_name},
               {"heed", profile.program->heed_version},
               {"cpu", profile.program->cpu_level},
               {"command", profile.command},
               {"set", SetJson(*profile.program)},
               {"threads", profile.threads},
               {"peak_flops", profile.peak.flops},
               {"peak_bytes", profile.peak.bytes},
               {"wall_ns", profiler.wall()},
               {"functions_ns", profiler.in_functions()},
               {"spans", Json::array()},
               {"functions", Json::array()},
               {"displayTimeUnit", "ns"},
               {"all_events", profiler.all_events()}};
  for (const SpanProfile& span : profiler.spans())
    json["spans"].push_back({{"name", span.name}, {"calls", span.calls}, {"ns", span.nanoseconds}});
  for (const FunctionProfile& function : profile.functions)
    json["functions"].push_back(FunctionJson(function));
  // Events go out one by one: as a tree of values there would be many of them.
  std::string text = json.dump(1, ' ', false, Json::error_handler_t::replace);
  text.resize(text.rfind('}'));
  while (text.ends_with('\n') || text.ends_with(' ')) text.pop_back();
  text += ",\n \"traceEvents\": [";
  for (size_t i = 0; i < profiler.events().size(); ++i)
    text += (i > 0 ? ",\n  " : "\n  ") +
            EventJson(profiler, profiler.events()[i]).dump(-1, ' ', false, Json::error_handler_t::replace);
  return text + "\n ]\n}\n";
}

}  // namespace heed
