// Base64 (RFC 4648, with padding): how a tokenizer's bytes travel in a checkpoint's metadata.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace heed {

std::string EncodeBase64(std::string_view bytes);
/// Nothing if the text is not base64.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace heed
