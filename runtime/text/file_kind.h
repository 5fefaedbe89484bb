// What a file really is that was given as text, by what it begins with.
#pragma once

#include <string>
#include <string_view>

namespace heed {

/// Of bytes that are no UTF-8 text, for a message: "compressed by gzip: unpack it". Empty if they may be
/// text.
std::string OtherThanText(std::string_view bytes);

/// True for JSON: an object a line, or one document. As text it would teach braces and keys.
bool IsJson(std::string_view text);

}  // namespace heed
