// See options.h.
#include "frontend/commands/options.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "ir/text.h"

namespace heed::commands {
namespace {

std::string CheckSet(const std::string& text) {
  const size_t equals = text.find('=');
  const char* number = text.c_str() + (equals == std::string::npos ? text.size() : equals + 1);
  char* end = nullptr;
  std::strtod(number, &end);
  const bool good = equals != std::string::npos && equals > 0 && *number != '\0' && *end == '\0';
  return good ? "" : "--set needs NAME=NUMBER, not " + text;
}

std::string CheckPass(const std::string& name) {
  std::string names;
  for (const std::string_view pass : passes::PassNames()) {
    if (pass == name) return "";
    names += (names.empty() ? "" : ", ") + std::string(pass);
  }
  return name == "all" ? "" : "no pass `" + name + "`; there are " + names;
}

}  // namespace

void ProgramOptions::Declare(CLI::App& app) {
  app.add_option("--set", set, "size of an axis or value of a constant; repeatable")
      ->type_name("NAME=N")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(CLI::Validator(CheckSet, "", ""));
  app.add_option("--entry", entry, "only this entry")->type_name("NAME");
}

void PassFlags::Declare(CLI::App& app) {
  app.add_option("--print-after", print_after, "print the graph after this pass, or `all`; repeatable")
      ->type_name("PASS")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(PassName());
  app.add_flag("--time-passes", time_passes, "print how long each pass and phase took");
  app.add_flag("--trace-rewrites", trace_rewrites, "name each optional rewrite as it is made");
  app.add_option("--bisect", bisect, "only the first N optional rewrites, to find a wrong one")
      ->type_name("N")
      ->check(CLI::Range(0, 2147483647));
}

passes::PassOptions PassFlags::Make(Timer& timer, const std::string& what) const {
  passes::PassOptions result;
  result.print_after = print_after;
  result.bisect = bisect;
  result.times = &timer.times;
  const bool all = std::find(print_after.begin(), print_after.end(), "all") != print_after.end();
  result.print = [what, all](std::string_view pass, const ir::Graph& graph, bool changed) {
    std::cout << "# " << what << " after " << pass
              << (changed || !all ? "\n" + ir::Print(graph) : std::string(": unchanged\n")) << std::flush;
  };
  if (trace_rewrites) {
    result.trace = [what](const passes::Rewrite& rewrite) {
      std::cout << "# " << what << ", rewrite " << rewrite.number << " (" << rewrite.pass
                << "): " << passes::Remark{rewrite.origin, std::string(rewrite.rule)}.Text() << "\n"
                << std::flush;
    };
  }
  return result;
}

CLI::Validator PassName() { return CLI::Validator(CheckPass, "", ""); }

void AddVariant(CLI::App& app, std::string& variant) {
  std::vector<std::string> names;
  for (const passes::Variant each : ir::kVariants) names.emplace_back(ir::Name(each));
  app.add_option("--variant", variant, "what is derived from the entry")->check(CLI::IsMember(names));
}

}  // namespace heed::commands
