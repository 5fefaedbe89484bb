// Seconds by phase, for --time-passes.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace heed::commands {

struct Timer {
  std::vector<std::pair<std::string, double>> times;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();

  void Lap(const std::string& what) {
    const auto now = std::chrono::steady_clock::now();
    times.emplace_back(what, std::chrono::duration<double>(now - start).count());
    start = now;
  }
  /// Phases of one name are added up.
  void Print() const {
    std::vector<std::pair<std::string, double>> sums;
    double total = 0;
    for (const auto& [name, seconds] : times) {
      auto known = std::find_if(sums.begin(), sums.end(), [&](const auto& sum) { return sum.first == name; });
      if (known == sums.end()) {
        sums.emplace_back(name, seconds);
      } else {
        known->second += seconds;
      }
      total += seconds;
    }
    for (const auto& [name, seconds] : sums) std::fprintf(stderr, "%9.3f s  %s\n", seconds, name.c_str());
    std::fprintf(stderr, "%9.3f s  sum\n", total);
  }
};

}  // namespace heed::commands
