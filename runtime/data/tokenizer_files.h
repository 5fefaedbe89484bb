// Where tokenizers are found: by the names under which they are published, alone or in a folder, or in a
// checkpoint. What is in the files is read by runtime/text.
#pragma once

#include <string>

#include "runtime/text/tokenizer.h"

namespace heed {

/// A SentencePiece `.model` file (BPE or unigram); a tokenizer.json; vocab.json or merges.txt with the other
/// beside it; a folder that has one of these; or a checkpoint that carries a tokenizer. A
/// tokenizer_config.json beside the file tells which tokens begin and end a text.
Result<TokenizerPtr> LoadTokenizer(const std::string& path);
/// The file in `folder` that LoadTokenizer would read, or empty.
std::string TokenizerIn(const std::string& folder);

}  // namespace heed
