// See attention_maps.h. Head numbers count the static axes of a site row-major, as they are stored.
#include "runtime/commands/attention_maps.h"

#include <fnmatch.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "runtime/base/names.h"
#include "runtime/engine/program.h"

namespace heed {
namespace {

/// The first component that is a number.
int64_t LayerOf(const std::string& site) {
  for (size_t begin = 0; begin <= site.size();) {
    const size_t end = std::min(site.find_first_of(".@", begin), site.size());
    int64_t number = 0;
    const auto [stop, error] = std::from_chars(site.data() + begin, site.data() + end, number);
    if (error == std::errc() && stop == site.data() + end && end > begin && number >= 0) return number;
    if (end < site.size() && site[end] == '@') break;
    begin = end + 1;
  }
  return -1;
}

/// "0, 1, 2 and 9 more"
std::string Numbers(const std::set<int64_t>& numbers) {
  std::vector<std::string> names;
  for (int64_t number : numbers) names.push_back(std::to_string(number));
  return ListNames(names, 16);
}

/// Names of the elements of an axis.
std::vector<std::string> Labels(const HeedProgram& program, const AxisLabels& labels, const std::string& axis,
                                int64_t size) {
  const auto text = labels.find(RootOf(axis));
  if (text != labels.end() && static_cast<int64_t>(text->second.size()) == size) return text->second;
  const HeedAxis* declared = FindAxis(program, RootOf(axis));
  std::vector<std::string> names;
  for (int64_t i = 0; i < size; ++i) {
    const bool named = declared != nullptr && declared->enumerator_count == size;
    names.push_back(named ? declared->enumerators[i] : std::to_string(i));
  }
  return names;
}

}  // namespace

std::vector<AttentionSite> AttentionSites(const HeedFunction& weights) {
  std::vector<AttentionSite> sites;
  for (int64_t i = 0; i < weights.output_count; ++i) {
    const HeedTensorInfo& info = weights.outputs[i];
    AttentionSite& site = sites.emplace_back();
    const std::string output = info.name;
    site.info = &info;
    site.name = output.substr(2, output.rfind('[') - 2);
    site.layer = LayerOf(site.name);
    site.key = info.dims[info.rank - 1].axis;
    for (int64_t d = 0; d + 1 < info.rank; ++d) {
      const HeedDim& dim = info.dims[d];
      if (std::string_view(dim.axis) == "batch") continue;
      if (d + 2 == info.rank && dim.extent >= 0) {
        site.query = dim.axis;
        continue;
      }
      site.heads.push_back(dim);
      if (dim.extent < 0) site.head_count *= dim.size;
    }
  }
  return sites;
}

std::optional<NumberList> NumberList::Parse(std::string_view text) {
  NumberList list;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](int64_t& value) {
    const auto [stop, error] = std::from_chars(at, end, value);
    const bool good = error == std::errc() && *at != '-';
    at = stop;
    return good;
  };
  for (;;) {
    int64_t first = 0;
    if (at == end || !number(first)) return std::nullopt;
    int64_t last = first;
    if (at < end && *at == '-') {
      ++at;
      if (at == end || !number(last) || last < first) return std::nullopt;
    }
    list.ranges_.emplace_back(first, last);
    if (at == end) return list;
    if (*at++ != ',') return std::nullopt;
  }
}

bool NumberList::Has(int64_t number) const {
  return ranges_.empty() || std::ranges::any_of(ranges_, [&](const auto& range) {
           return number >= range.first && number <= range.second;
         });
}

std::optional<int64_t> NumberList::Beyond(int64_t count) const {
  for (const auto& [first, last] : ranges_)
    if (last >= count) return std::max(first, count);
  return std::nullopt;
}

Result<std::vector<AttentionSite>> ChooseSites(const std::vector<AttentionSite>& sites,
                                               const AttentionChoice& choice) {
  std::vector<AttentionSite> chosen;
  std::vector<std::string> names;
  for (const AttentionSite& site : sites) {
    names.push_back(site.name);
    if (choice.sites.empty() || site.name == choice.sites ||
        fnmatch(choice.sites.c_str(), site.name.c_str(), 0) == 0)
      chosen.push_back(site);
  }
  if (chosen.empty()) {
    const std::string closest = ClosestName(choice.sites, names);
    return UsageError(
        "no attention is called `" + choice.sites + "`; " +
        (closest.empty() ? "there are " + ListNames(names, 16) : "did you mean `" + closest + "`?"));
  }
  if (!choice.layers.empty()) {
    std::set<int64_t> layers;
    for (const AttentionSite& site : chosen)
      if (site.layer >= 0) layers.insert(site.layer);
    if (layers.empty()) return UsageError("--layers: the attention of this program is in no numbered layer");
    if (const auto beyond = choice.layers.Beyond(*layers.rbegin() + 1))
      return UsageError("there is no layer " + std::to_string(*beyond) + "; there are " + Numbers(layers));
    std::erase_if(
        chosen, [&](const AttentionSite& site) { return site.layer < 0 || !choice.layers.Has(site.layer); });
    if (chosen.empty()) return UsageError("--layers chooses none of the layers " + Numbers(layers));
  }
  int64_t heads = 1;
  for (const AttentionSite& site : chosen) heads = std::max(heads, site.head_count);
  if (const auto beyond = choice.heads.Beyond(heads)) {
    return UsageError("there is no head " + std::to_string(*beyond) + "; " +
                      (heads == 1 ? "there is one, 0" : "they are 0 to " + std::to_string(heads - 1)));
  }
  std::erase_if(chosen, [&](const AttentionSite& site) {
    for (int64_t head = 0; head < site.head_count; ++head)
      if (choice.heads.Has(head)) return false;
    return true;
  });
  return chosen;
}

std::vector<AttentionMap> AttentionMaps(const HeedProgram& program, std::span<const AttentionSite> sites,
                                        const NumberList& heads,
                                        const std::map<std::string, HostTensor>& results,
                                        const AxisLabels& labels) {
  std::vector<AttentionMap> maps;
  for (const AttentionSite& site : sites) {
    const HostTensor& tensor = results.at(site.info->name);
    const std::vector<int64_t>& shape = tensor.shape();
    const int64_t columns = shape.back();
    const int64_t rows = site.query.empty() ? 1 : shape[shape.size() - 2];
    const size_t first_head = shape.size() - 1 - (site.query.empty() ? 0 : 1) - site.heads.size();
    const int64_t count = tensor.count() / std::max<int64_t>(1, rows * columns);
    for (int64_t number = 0; number < count; ++number) {
      AttentionMap map;
      std::string parts;
      bool plain = site.heads.size() <= 1;  // the number says it all
      int64_t rest = number, stride = 1;
      for (size_t h = site.heads.size(); h-- > 0;) {
        const HeedDim& dim = site.heads[h];
        const int64_t size = shape[first_head + h], i = rest % size;
        rest /= size;
        if (dim.extent < 0) map.head += i * stride, stride *= size;
        const std::string label = Labels(program, labels, dim.axis, size)[static_cast<size_t>(i)];
        plain = plain && label == std::to_string(i);
        parts = std::string(dim.axis) + " " + label + (parts.empty() ? "" : ", ") + parts;
      }
      if (!heads.Has(map.head)) continue;
      map.site = map.title = site.name;
      if (site.head_count > 1) map.title += " head " + std::to_string(map.head);
      if (!plain) map.title += " (" + parts + ")";
      map.layer = site.layer;
      map.query = site.query;
      map.key = site.key;
      map.rows =
          site.query.empty() ? std::vector<std::string>{""} : Labels(program, labels, site.query, rows);
      map.columns = Labels(program, labels, site.key, columns);
      const auto from = tensor.floats().begin() + number * rows * columns;
      map.weights.assign(from, from + rows * columns);
      maps.push_back(std::move(map));
    }
  }
  return maps;
}

void KeepOnly(AttentionMap& map, const NumberList& rows, const NumberList& columns) {
  AttentionMap kept = map;
  kept.rows.clear();
  kept.columns.clear();
  kept.weights.clear();
  for (size_t c = 0; c < map.columns.size(); ++c)
    if (columns.Has(static_cast<int64_t>(c))) kept.columns.push_back(map.columns[c]);
  for (size_t r = 0; r < map.rows.size(); ++r) {
    if (!rows.Has(static_cast<int64_t>(r))) continue;
    kept.rows.push_back(map.rows[r]);
    for (size_t c = 0; c < map.columns.size(); ++c)
      if (columns.Has(static_cast<int64_t>(c)))
        kept.weights.push_back(map.weights[r * map.columns.size() + c]);
  }
  map = std::move(kept);
}

void HideOthers(AttentionMap& map, const NumberList& rows, const NumberList& columns) {
  for (size_t i = 0; i < map.weights.size(); ++i) {
    const bool row = rows.Has(static_cast<int64_t>(i / map.columns.size()));
    if (!row || !columns.Has(static_cast<int64_t>(i % map.columns.size()))) map.weights[i] = 0;
  }
}

}  // namespace heed
