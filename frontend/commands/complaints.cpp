// See complaints.h.
#include "frontend/commands/complaints.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace heed::commands {
namespace {

using frontend::DiagnosticKind;
using frontend::Diagnostics;
using frontend::Loc;
using frontend::SourceFile;

/// The places of an Origin::where, innermost first.
std::vector<Loc> Places(const frontend::Program& program, const std::string& where) {
  std::vector<Loc> places;
  for (size_t begin = 0; begin < where.size();) {
    const size_t end = std::min(where.find(" < ", begin), where.size());
    const std::string place = where.substr(begin, end - begin);
    begin = end + 3;
    const size_t column_at = place.rfind(':');
    const size_t line_at =
        column_at == std::string::npos || column_at == 0 ? column_at : place.rfind(':', column_at - 1);
    if (line_at == std::string::npos) continue;
    const int line = std::atoi(place.c_str() + line_at + 1),
              column = std::atoi(place.c_str() + column_at + 1);
    for (const auto& file : program.files) {
      if (file->base_name() != place.substr(0, line_at) || file->Line(line).data() == nullptr) continue;
      const uint32_t offset =
          static_cast<uint32_t>(file->Line(line).data() - file->text().data()) + column - 1;
      uint32_t length = 0;
      while (offset + length < file->text().size() &&
             (std::isalnum(static_cast<unsigned char>(file->text()[offset + length])) ||
              std::strchr("_'", file->text()[offset + length]) != nullptr)) {
        ++length;
      }
      places.push_back({file.get(), offset, std::max(length, 1u)});
      break;
    }
  }
  return places;
}

DiagnosticKind KindOf(const std::string& name) {
  for (const DiagnosticKind kind : frontend::AllKinds()) {
    if (frontend::KindName(kind) == name) return kind;
  }
  throw ir::InternalError("no diagnostic " + name + " in diagnostics.def");
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
  const bool generates = complaint.kind == "NotCausal" && entry.graph->generate != nullptr;
  std::string message = complaint.message;
  if (generates)
    message = "`" + entry.name + "` cannot be generated along " + entry.graph->generate->axis.text();
  frontend::Diagnostic& diagnostic = diagnostics.Report(KindOf(complaint.kind), at, message);
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
