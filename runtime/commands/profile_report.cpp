// The tables; profile_json.cpp has the JSON.
#include "runtime/commands/profile_report.h"

#include <algorithm>
#include <functional>
#include <map>

#include "runtime/base/names.h"
#include "runtime/commands/step_names.h"

namespace heed {
namespace {

constexpr const char* kNoModule = "(outside all modules)";
constexpr const char* kNoLine = "(nowhere)";

void Add(ProfileRow& row, int64_t steps, const StepProfile& step) {
  row.steps += steps;
  row.sum.nanoseconds += step.nanoseconds;
  row.sum.busy += step.busy;
  row.sum.work.flops += step.work.flops;
  row.sum.work.bytes_read += step.work.bytes_read;
  row.sum.work.bytes_written += step.work.bytes_written;
}

bool TookLonger(const ProfileRow& a, const ProfileRow& b) { return a.sum.nanoseconds > b.sum.nanoseconds; }

/// Where the name of the module that this one is a part of ends; layers (`.*`) belong to what they are of.
size_t ParentEnd(const std::string& module) {
  const size_t end = module.ends_with(".*") ? module.size() - 2 : module.size();
  const size_t dot = end == 0 ? std::string::npos : module.rfind('.', end - 1);
  return dot == std::string::npos ? 0 : dot;
}

/// A module after the one that it is a part of, longest first among its siblings.
std::vector<ProfileRow> AsTree(const std::map<std::string, ProfileRow>& rows) {
  std::map<std::string, std::vector<ProfileRow>> parts;
  for (const auto& [name, row] : rows) parts[name.substr(0, ParentEnd(name))].push_back(row);
  std::vector<ProfileRow> tree;
  const std::function<void(const std::string&)> visit = [&](const std::string& parent) {
    std::vector<ProfileRow>& below = parts[parent];
    std::stable_sort(below.begin(), below.end(), TookLonger);
    for (const ProfileRow& row : below) {
      tree.push_back(row);
      if (row.name != kNoModule) visit(row.name);
    }
  };
  visit("");
  return tree;
}

std::string Formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// One line of a table: its share, milliseconds a call, and what is known of the work.
class Line {
 public:
  Line(const Profile& profile, const FunctionProfile& function) : profile_(profile), function_(function) {}
  static std::string Head(const char* what) {
    return "   share  ms a call  steps   GFLOP/s of peak      GB/s of peak  threads  " + std::string(what) +
           "\n";
  }
  std::string Of(const ProfileRow& row, const std::string& name) const {
    const StepProfile& sum = row.sum;
    std::string text = Time(sum.nanoseconds) + Formatted("%7.0f", static_cast<double>(row.steps));
    text += Rate(Per(sum.work.flops, sum.nanoseconds), profile_.peak.flops);
    text += Rate(Per(sum.work.bytes_read + sum.work.bytes_written, sum.nanoseconds), profile_.peak.bytes);
    text += Formatted("%9.2f", Per(static_cast<double>(sum.busy), sum.nanoseconds));
    return text + "  " + name + "\n";
  }
  std::string Time(int64_t nanoseconds) const {
    return Formatted("%6.1f %%", 100 * Per(static_cast<double>(nanoseconds), function_.nanoseconds)) +
           Formatted("%11.3f", static_cast<double>(nanoseconds) / 1e6 / static_cast<double>(function_.calls));
  }

 private:
  static double Per(double value, int64_t nanoseconds) {
    return value / static_cast<double>(std::max<int64_t>(nanoseconds, 1));
  }
  /// Amounts a nanosecond are thousands of millions a second.
  static std::string Rate(double rate, double peak) {
    return Formatted("%10.2f", rate) + (peak > 0 ? Formatted("%6.0f %%", 100e9 * rate / peak) : "       -");
  }

  const Profile& profile_;
  const FunctionProfile& function_;
};

}  // namespace

std::vector<ProfileRow> RowsOf(const FunctionProfile& function, ProfileBy by) {
  std::map<std::string, ProfileRow> rows;
  const auto add = [&](const std::string& name, int64_t depth, const StepProfile& step) {
    ProfileRow& row = rows[name];
    row.name = name;
    row.depth = depth;
    Add(row, 1, step);
  };
  for (size_t i = 0; i < function.steps.size(); ++i) {
    const StepProfile& profile = function.steps[i];
    static constexpr HeedStep kUnknown{};
    const bool known = static_cast<int64_t>(i) < function.function->step_count;
    const HeedStep& step = known ? function.function->steps[i] : kUnknown;
    if (by == ProfileBy::Kernel) {
      add(step.kernel ? step.kernel : "(unknown)", 0, profile);
    } else if (by == ProfileBy::Line) {
      const std::string line = LineOf(step);
      add(line.empty() ? kNoLine : line, 0, profile);
    } else {
      const std::string module = ModuleOf(step);
      if (module.empty()) add(kNoModule, 0, profile);
      std::vector<std::string> path;
      for (std::string name = module; !name.empty(); name.resize(ParentEnd(name)))
        path.insert(path.begin(), name);
      for (size_t depth = 0; depth < path.size(); ++depth)
        add(path[depth], static_cast<int64_t>(depth), profile);
    }
  }
  if (by == ProfileBy::Module) return AsTree(rows);
  std::vector<ProfileRow> sorted;
  for (const auto& [name, row] : rows) sorted.push_back(row);
  std::stable_sort(sorted.begin(), sorted.end(), TookLonger);
  return sorted;
}

namespace {

std::string TableText(const Profile& profile, const FunctionProfile& function, ProfileBy by, int64_t most) {
  const char* const what = by == ProfileBy::Kernel ? "kernel" : by == ProfileBy::Module ? "module" : "line";
  const Line line(profile, function);
  std::string text = Line::Head(what);
  const std::vector<ProfileRow> rows = RowsOf(function, by);
  ProfileRow rest;
  int64_t shown = 0, left = 0;
  for (const ProfileRow& row : rows) {
    if (shown++ < most) {
      std::string name = row.name;
      if (row.depth > 0)
        name = std::string(2 * static_cast<size_t>(row.depth), ' ') + name.substr(ParentEnd(name) + 1);
      text += line.Of(row, name);
      continue;
    }
    ++left;
    Add(rest, row.steps, row.sum);
  }
  // Parts of modules are counted in their modules: the rest of a tree is no sum.
  if (left > 0 && by != ProfileBy::Module) text += line.Of(rest, std::to_string(left) + " others");
  if (left > 0 && by == ProfileBy::Module) text += "  and " + std::to_string(left) + " parts more\n";
  return text;
}

std::string ExtentsText(const FunctionProfile& function) {
  std::string text;
  for (size_t i = 0; i < function.extents.size(); ++i)
    text += (i > 0 ? ", " : "") + std::string(function.function->extents[i]) + " " +
            std::to_string(function.extents[i]);
  return text;
}

std::string WholeText(const Profile& profile) {
  const double wall = static_cast<double>(std::max<int64_t>(profile.profiler->wall(), 1));
  const auto share = [&](int64_t nanoseconds) {
    return Formatted("%.1f %%", 100 * static_cast<double>(nanoseconds) / wall);
  };
  std::string text = Formatted("%.3f s in all", wall / 1e9) + ": compiled functions " +
                     share(profile.profiler->in_functions());
  int64_t elsewhere = profile.profiler->wall() - profile.profiler->in_functions();
  for (const SpanProfile& span : profile.profiler->spans()) {
    text += ", " + span.name + " " + share(span.nanoseconds);
    elsewhere -= span.nanoseconds;
  }
  return text + ", elsewhere " + share(elsewhere) + "\n";
}

}  // namespace

std::string ProfileText(const Profile& profile, const std::vector<ProfileBy>& by, int64_t rows) {
  std::string text = std::string(profile.program->source_name) + ", " + profile.command + ": " +
                     std::to_string(profile.threads) + (profile.threads == 1 ? " thread" : " threads");
  if (profile.peak.flops > 0) text += Formatted("; peak here %.1f GFLOP/s", profile.peak.flops / 1e9);
  if (profile.peak.bytes > 0) text += Formatted(", %.1f GB/s from memory", profile.peak.bytes / 1e9);
  text += "\n" + WholeText(profile);
  for (const FunctionProfile& function : profile.functions) {
    if (function.calls == 0) continue;
    int64_t in_steps = 0;
    for (const StepProfile& step : function.steps) in_steps += step.nanoseconds;
    const double each = static_cast<double>(function.nanoseconds) / 1e6 / static_cast<double>(function.calls);
    text +=
        "\n" + std::string(function.function->name) + ", at most " + ExtentsText(function) + ": " +
        WithCommas(function.calls) + (function.calls == 1 ? " call" : " calls") +
        (function.skipped > 0 ? " after " + std::to_string(function.skipped) + " that does not count" : "") +
        Formatted(", %.3f ms each", each) +
        Formatted(", of which kernels %.1f %%\n",
                  100.0 * static_cast<double>(in_steps) / static_cast<double>(function.nanoseconds));
    for (const ProfileBy one : by) text += TableText(profile, function, one, rows);
  }
  return text;
}

}  // namespace heed
