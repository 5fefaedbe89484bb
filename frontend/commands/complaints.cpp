// See complaints.h.
#include "frontend/commands/complaints.h"

#include <string>
#include <vector>

namespace heed::commands {
namespace {

using frontend::DiagnosticKind;
using frontend::Diagnostics;
using frontend::Loc;
using frontend::SourceFile;

/// Where in the texts of `program` a place and its callers are, innermost first.
std::vector<Loc> Places(const frontend::Program& program, ir::Place place) {
  std::vector<Loc> places;
  for (; place; place = place.caller())
    for (const auto& file : program.files)
      if (const Loc loc = file->At(place.line(), place.column());
          file->short_name() == place.file() && loc.file != nullptr) {
        places.push_back(loc);
        break;
      }
  return places;
}

}  // namespace

void Report(const passes::Complaint& complaint, const frontend::Program& program,
            const frontend::Entry& entry, Diagnostics& diagnostics) {
  const std::vector<Loc> places = Places(program, complaint.where);
  const SourceFile* prelude = program.files.front().get();
  Loc at = entry.loc;
  for (const Loc& place : places) {
    if (place.file == prelude) continue;
    at = place;
    break;
  }
  const bool generates = complaint.kind == DiagnosticKind::NotCausal && entry.graph->generate != nullptr;
  std::string message = complaint.message;
  if (generates)
    message = "`" + entry.name + "` cannot be generated along " + entry.graph->generate->axis.text();
  frontend::Diagnostic& diagnostic = diagnostics.Report(complaint.kind, at, message);
  if (generates && !places.empty()) diagnostic.labels.push_back({places.front(), complaint.message});
  if (generates && places.empty()) diagnostic.notes.push_back(complaint.message);
  for (size_t i = 0; i < places.size(); ++i) {
    if (i == 0 && generates) continue;
    const bool is_at = places[i].file == at.file && places[i].offset == at.offset;
    diagnostic.labels.push_back({places[i], is_at    ? (i == 0 ? "" : "called here")
                                            : i == 0 ? "here"
                                                     : "called here"});
  }
  diagnostic.notes.insert(diagnostic.notes.end(), complaint.notes.begin(), complaint.notes.end());
}

}  // namespace heed::commands
