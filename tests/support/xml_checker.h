// Is it well-formed XML? For tests of pictures, whose words come from users.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/base/utf8.h"

namespace heed::test {

/// Checks that XML is well-formed: elements nest, attributes are quoted and different, text has no character
/// that would need an entity, and there are only characters that XML knows. Returns what is wrong.
class XmlChecker {
 public:
  explicit XmlChecker(std::string text) : text_(std::move(text)) {}
  std::string Check() {
    if (FindInvalidUtf8(text_)) return "not UTF-8";
    for (size_t at = 0; at < text_.size();) {
      const CodePoint c = DecodeUtf8(text_, at);
      if ((c.value < 0x20 && c.value != '\n' && c.value != '\t') || (c.value & 0xFFFE) == 0xFFFE)
        return "a character that XML does not know";
      at += static_cast<size_t>(c.length);
    }
    if (text_.starts_with("<?xml ")) at_ = text_.find("?>") + 2;
    while (at_ < text_.size()) {
      if (text_[at_] != '<') {
        if (const std::string why = Text(text_.find('<', at_)); !why.empty()) return why;
      } else if (text_[at_ + 1] == '/') {
        const size_t end = text_.find('>', at_);
        if (open_.empty() || text_.substr(at_ + 2, end - at_ - 2) != open_.back())
          return "elements do not nest";
        open_.pop_back();
        at_ = end + 1;
      } else if (const std::string why = Element(); !why.empty()) {
        return why;
      }
    }
    if (!open_.empty()) return open_.back() + " is not closed";
    return elements_ > 0 ? "" : "nothing";
  }
  int elements() const { return elements_; }

 private:
  std::string Text(size_t end) {
    end = std::min(end, text_.size());
    const std::string part = text_.substr(at_, end - at_);
    at_ = end;
    if (open_.empty() && part.find_first_not_of(" \n") != std::string::npos)
      return "text outside the element";
    return Entities(part);
  }
  static std::string Entities(const std::string& part) {
    for (size_t at = 0; (at = part.find('&', at)) != std::string::npos; ++at) {
      bool known = false;
      for (const char* entity : {"&amp;", "&lt;", "&gt;", "&quot;"})
        known |= part.compare(at, std::strlen(entity), entity) == 0;
      if (!known) return "& that is no entity in " + part;
    }
    return "";
  }
  std::string Element() {
    const auto name_end = [&] {
      return text_.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:", at_);
    };
    ++at_;
    const size_t end = name_end();
    const std::string name = text_.substr(at_, end - at_);
    if (name.empty()) return "< that begins no element";
    at_ = end;
    ++elements_;
    std::vector<std::string> attributes;
    for (;;) {
      at_ = text_.find_first_not_of(" \n", at_);
      if (text_[at_] == '>') {
        open_.push_back(name);
        ++at_;
        return "";
      }
      if (text_.compare(at_, 2, "/>") == 0) {
        at_ += 2;
        return "";
      }
      const size_t equals = name_end();
      attributes.push_back(text_.substr(at_, equals - at_));
      if (std::count(attributes.begin(), attributes.end(), attributes.back()) > 1)
        return "an attribute twice";
      if (text_.compare(equals, 2, "=\"") != 0) return "an attribute without value in " + name;
      const size_t close = text_.find('"', equals + 2);
      const std::string value = text_.substr(equals + 2, close - equals - 2);
      if (value.find('<') != std::string::npos) return "< in an attribute";
      if (const std::string why = Entities(value); !why.empty()) return why;
      at_ = close + 1;
    }
  }

  std::string text_;
  size_t at_ = 0;
  int elements_ = 0;
  std::vector<std::string> open_;
};

}  // namespace heed::test
