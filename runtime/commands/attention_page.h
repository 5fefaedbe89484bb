// Maps of attention as a page that needs nothing else: all of them small, each to be opened, with values.
#pragma once

#include <span>
#include <string>

#include "runtime/commands/attention_maps.h"

namespace heed {

/// Sites are rows, their heads columns; pointer or arrow keys read the weights of the one that is open.
std::string AttentionPage(std::span<const AttentionMap> maps);

}  // namespace heed
