// Types as text. What types mean stands in type.h; which types ops have, in the op records.
#include "ir/type.h"

namespace heed::ir {

std::string Text(DType dtype) {
  return dtype == DType::Float ? "float" : dtype == DType::Int ? "int" : "bool";
}

std::string Text(const Type& type) {
  std::string text = Text(type.dtype);
  if (type.indexes) text += "<" + type.indexes.text() + ">";
  return text + "[" + Text(type.axes) + "]";
}

}  // namespace heed::ir
