// What is put into XML and HTML: text, and pages that need nothing but themselves, with marks such as
// @TITLE@.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace heed {

/// Text that no character of ends a tag or a quoted attribute.
std::string EscapeMarkup(std::string_view text);
/// `page` with its marks replaced; what is put in is not looked at again. Marks without a value stay.
std::string FillPage(std::string_view page, const std::map<std::string, std::string>& values);
/// JSON that may stand within <script>, whatever its strings hold.
std::string ScriptData(const nlohmann::ordered_json& json);

}  // namespace heed
