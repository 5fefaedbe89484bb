// Tokenizers in the format of Hugging Face's library: tokenizer.json, or vocab.json with merges.txt. Read for
// byte-pair encoding; what is not supported is named.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/tokenizer.h"

namespace heed {

/// What a tokenizer_config.json tells about the tokens that begin and end a text. Empty: there is none.
struct SpecialTokens {
  std::string bos, eos;
};

/// `name` is for messages. Without `special` the begin and end tokens are those of the post-processor, or
/// what special tokens of usual names there are. Also reads what Serialize wrote.
Result<TokenizerPtr> ParseTokenizerJson(std::string_view bytes, const std::string& name,
                                        const std::optional<SpecialTokens>& special);
/// GPT-2's files: pieces in a JSON object with their ids, merges in lines. The text is cut by GPT-2's rules;
/// `<|endoftext|>`, if it is a piece, ends texts unless `special` says otherwise.
Result<TokenizerPtr> ParseVocabulary(std::string_view vocabulary, const std::string& vocabulary_name,
                                     std::string_view merges, const std::string& merges_name,
                                     const std::optional<SpecialTokens>& special);

}  // namespace heed
