// See curves.h. The page is curves.html, with the charts and their numbers put in.
#include "runtime/commands/curves.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/base/markup.h"
#include "runtime/base/names.h"
#include "runtime/commands/chart.h"
#include "runtime/commands/svg.h"
#include "runtime/text/labels.h"

namespace heed {
namespace {

constexpr const char* kPage =
#include "curves.html.inc"
    ;
constexpr const char* kLook =
#include "curves.css.inc"
    ;

constexpr double kWidth = 960, kMargin = 20, kLegendLine = 20;
constexpr ChartSize kLarge = {kWidth - 2 * kMargin, 340}, kSmall = {(kWidth - 3 * kMargin) / 2, 230};

/// What a chart may show of a log.
struct Quantity {
  const char* name;  ///< in the page's table
  Series TrainingLog::* series;
  CurveKind kind;
};
struct ChartKind {
  const char* title;
  bool logarithmic, from_zero;
  std::vector<Quantity> quantities;
};
const std::vector<ChartKind>& ChartKinds() {
  static const std::vector<ChartKind> kinds = {
      {"loss, nats per token: of training (line), held out (points)",
       false,
       false,
       {{"loss", &TrainingLog::loss, CurveKind::Noisy},
        {"held-out loss", &TrainingLog::valid_loss, CurveKind::Points}}},
      {"BLEU, held out", false, true, {{"BLEU", &TrainingLog::bleu, CurveKind::Points}}},
      {"learning rate", false, true, {{"rate", &TrainingLog::rate, CurveKind::Line}}},
      {"norm of the gradient",
       true,
       false,
       {{"gradient norm", &TrainingLog::gradient_norm, CurveKind::Noisy}}},
      {"tokens a second", false, true, {{"tokens/s", &TrainingLog::tokens_per_second, CurveKind::Noisy}}}};
  return kinds;
}

std::vector<Chart> ChartsOf(std::span<const TrainingLog> logs) {
  // All charts share their steps; a run that was taken up late does not begin at 0.
  double first = HUGE_VAL, last = 1;
  for (const TrainingLog& log : logs) {
    first = std::min(first, static_cast<double>(log.first_step));
    last = std::max(last, static_cast<double>(log.last_step));
  }
  if (first < 0.4 * last || first == last) first = 0;
  std::vector<Chart> charts;
  for (const ChartKind& kind : ChartKinds()) {
    Chart chart{kind.title, {}, kind.logarithmic, kind.from_zero, first, last};
    for (size_t i = 0; i < logs.size(); ++i)
      for (const Quantity& quantity : kind.quantities)
        if (const Series& series = logs[i].*quantity.series; !series.steps.empty())
          chart.curves.push_back({&series, quantity.kind, i});
    if (!chart.curves.empty()) charts.push_back(std::move(chart));
  }
  return charts;
}

std::string Short(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

/// "step 600, loss 2.312, held out 2.514, BLEU 31.2": where a run is.
std::string State(const TrainingLog& log) {
  std::string text = "step " + WithCommas(log.last_step);
  if (!log.loss.values.empty()) text += ", loss " + Short(RunningMean(log.loss).back());
  if (!log.valid_loss.values.empty()) text += ", held out " + Short(log.valid_loss.values.back());
  if (!log.bleu.values.empty()) text += ", BLEU " + Short(log.bleu.values.back());
  return text;
}

std::string Note(std::span<const TrainingLog> logs) {
  size_t most = 1;
  for (const TrainingLog& log : logs) most = std::max(most, MeanSteps(log.loss));
  if (most == 1) return "";
  return "Faint: every step. Strong: the mean of one step in fifty around it (" + std::to_string(most) + ").";
}

/// The numbers of a log, thinned: a page is looked at, not computed with.
nlohmann::ordered_json Numbers(const TrainingLog& log, const std::string& name) {
  constexpr size_t kMost = 2000;
  nlohmann::ordered_json json = {{"name", name}, {"series", nlohmann::ordered_json::object()}};
  for (const ChartKind& kind : ChartKinds()) {
    for (const Quantity& quantity : kind.quantities) {
      const Series& series = log.*quantity.series;
      if (series.steps.empty()) continue;
      const size_t every = series.steps.size() / kMost + 1;
      auto& out = json["series"][quantity.name];
      for (size_t i = 0; i < series.steps.size(); ++i) {
        if (i % every != 0 && i + 1 < series.steps.size()) continue;
        out["steps"].push_back(static_cast<int64_t>(series.steps[i]));
        out["values"].push_back(Short(series.values[i]));
      }
    }
  }
  return json;
}

}  // namespace

std::string CurvesSvg(std::span<const TrainingLog> logs, std::span<const std::string> names) {
  double y = kMargin;
  std::string body;
  int64_t widest = 0;
  for (const std::string& name : names) widest = std::max(widest, DisplayWidth(Shortened(name, 40)));
  for (size_t i = 0; i < logs.size(); ++i, y += kLegendLine) {
    body += "<path class=\"curve c" + std::to_string(i) + "\" d=\"M" + Pixels(kMargin) + " " + Pixels(y + 8) +
            "h24\"/>\n" + TextAt(kMargin + 32, y + 12, Shortened(names[i], 40), " class=\"title\"") +
            TextAt(kMargin + 48 + 8 * static_cast<double>(widest), y + 12, State(logs[i]), " class=\"tick\"");
  }
  if (const std::string note = Note(logs); !note.empty()) {
    body += TextAt(kMargin, y + 12, note, " class=\"tick\"");
    y += kLegendLine;
  }
  y += kMargin / 2;
  const std::vector<Chart> charts = ChartsOf(logs);
  size_t column = 0;
  for (size_t i = 0; i < charts.size(); ++i) {
    const ChartSize size = i == 0 ? kLarge : kSmall;
    body += DrawChart(charts[i], kMargin + static_cast<double>(column) * (kSmall.width + kMargin), y, size);
    column = i == 0 ? 0 : (column + 1) % 2;
    if (column == 0 || i + 1 == charts.size()) y += size.height + kMargin / 2;
  }
  const std::string width = Pixels(kWidth), height = Pixels(y + kMargin / 2);
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
         width + "\" height=\"" + height + "\" viewBox=\"0 0 " + width + " " + height + "\">\n<style>\n" +
         kLook + "</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n" + body + "</svg>\n";
}

std::string CurvesPage(std::span<const TrainingLog> logs, std::span<const std::string> names) {
  std::string legend, charts, title;
  nlohmann::ordered_json numbers = nlohmann::ordered_json::array();
  for (size_t i = 0; i < logs.size(); ++i) {
    legend += "<li><svg width=\"24\" height=\"12\" aria-hidden=\"true\"><path class=\"curve c" +
              std::to_string(i) + "\" d=\"M0 6h24\"/></svg> <b>" + Escaped(names[i]) + "</b> " +
              Escaped(State(logs[i])) + "</li>\n";
    numbers.push_back(Numbers(logs[i], names[i]));
    title += (i > 0 ? ", " : "") + names[i];
  }
  constexpr ChartSize size = {560, 320};
  for (const Chart& chart : ChartsOf(logs)) {
    charts += "<svg class=\"picture\" role=\"img\" aria-label=\"" + Escaped(chart.title) +
              "\" viewBox=\"0 0 " + Pixels(size.width) + " " + Pixels(size.height) + "\">\n" +
              DrawChart(chart, 0, 0, size) + "</svg>\n";
  }
  return FillPage(kPage, {{"STYLE", kLook},
                          {"TITLE", Escaped(title)},
                          {"LEGEND", legend},
                          {"NOTE", Note(logs)},
                          {"CHARTS", charts},
                          {"NUMBERS", ScriptData(numbers)}});
}

}  // namespace heed
