// Drawings as a page that needs nothing else: modules open and fold, passes are tabs, and the program's text
// is beside its graph. The page itself is page.html with its styles and scripts; places are given by dagre,
// from Debian's package, when it is opened.
#pragma once

#include <string>
#include <vector>

#include "frontend/drawing/model.h"
#include "runtime/base/result.h"

namespace heed::drawing {

/// A graph after a pass.
struct PageTab {
  std::string name, says;  ///< the pass, and what it does
  Model model;             ///< with everything open
};
struct PageGraph {
  std::string title;
  std::vector<PageTab> tabs;  ///< in the order of the passes
};
struct PageSource {
  std::string name, text;  ///< as places name it
};

/// An error if Heed was built without dagre.
Result<std::string> Page(const std::string& title, const std::vector<PageGraph>& graphs,
                         const std::vector<PageSource>& sources);

}  // namespace heed::drawing
