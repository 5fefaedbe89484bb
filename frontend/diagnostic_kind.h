// The kinds of messages (diagnostics.def). Apart from diagnostics.h, so that passes can name them.
#pragma once

namespace heed::frontend {

enum class DiagnosticKind {
#define HEED_DIAG(Kind, Severity, doc) Kind,
#include "frontend/diagnostics.def"
#undef HEED_DIAG
};

}  // namespace heed::frontend
