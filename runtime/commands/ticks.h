// Axes of charts: a range that ends on round numbers, and the round numbers on it. Pure arithmetic.
#pragma once

#include <string>
#include <vector>

namespace heed {

struct Tick {
  double value = 0;
  std::string label;  ///< "10,000", "0.0005", "2e-6"
};

/// From values to places between 0 and 1.
struct Scale {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<Tick> ticks;

  /// Below 0 or above 1 for what lies outside.
  double At(double value) const;
};

/// A scale over [low, high], widened to multiples of its step, which is 1, 2 or 5 times a power of ten;
/// `about` so many ticks.
Scale LinearScale(double low, double high, int about);
/// The same for numbers above 0: from and to 1, 2 or 5 times a power of ten. Where these are too many, ticks
/// are powers of ten alone.
Scale LogarithmicScale(double low, double high, int about);
/// A scale whose ends stay as they are, with ticks at whole numbers.
Scale StepScale(double first, double last, int about);

}  // namespace heed
