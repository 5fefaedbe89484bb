// See axis_words.h.
#include "ir/axis_words.h"

namespace heed::ir {

std::string Spoken(Axis axis) {
  if (axis.difference()) return axis.root().text() + "' - " + axis.root().text();
  const std::string name = axis.WithoutFresh().text();
  if (axis.ring() != 0)
    return name.substr(0, name.find('%')) + " in a ring of " + std::to_string(axis.ring());
  return axis.stored() ? name.substr(0, name.size() - 1) : name;
}

std::string Spoken(const AxisList& axes) {
  std::string text;
  for (Axis axis : axes) text += (text.empty() ? "" : ", ") + Spoken(axis);
  return text;
}

}  // namespace heed::ir
