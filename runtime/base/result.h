// Errors in user input travel as values: a Result is a value or a message fit to be printed as it is. Nothing
// here prints, and nothing here is for bugs (those may throw).
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace heed {

struct Error {
  std::string message;  ///< where, what was found, what was expected, what to do
  bool usage = false;   ///< the command line itself was wrong: exit code 2 instead of 1
};
/// For options whose values make no sense together or for this program.
inline Error UsageError(std::string message) { return {std::move(message), true}; }

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : error_(std::move(error)) {}
  explicit operator bool() const { return value_.has_value(); }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  const Error& error() const { return error_; }

 private:
  std::optional<T> value_;
  Error error_;
};

/// Success without a value.
struct Done {};
using Status = Result<Done>;

}  // namespace heed
