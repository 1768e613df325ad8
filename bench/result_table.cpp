#include "bench/result_table.h"

#include "tools/report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

namespace bsq::bench {
namespace {

using Cell = std::function<std::string(const Result&)>;

struct Candidate {
  std::string title;
  Cell cell;
  int importance = 0;
  Align align = Align::right;
};

const std::string kNothing = "-";
constexpr int kNameWidth = 24;  // at least, so that tables below each other are alike

/// Three digits and a prefix: 1.23 m.
std::string with_prefix(double value) {
  constexpr std::array<const char*, 8> prefixes = {"n", "u", "m", "", "k", "M", "G", "T"};
  constexpr std::size_t one = 3;
  std::size_t prefix = 0;
  value *= 1e9;
  while (value >= 999.5 && prefix + 1 < prefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  const int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}{}", value, digits, prefix == one ? "" : " ", prefixes[prefix]);
}

std::string percent(double share) {
  return fmt::format("{:.0f}%", 100 * share);
}

using Pick = std::optional<Timing> Result::*;

Cell of_timing(Pick pick, std::function<std::string(const Result&, const Timing&)> text) {
  return [pick, text = std::move(text)](const Result& result) {
    return result.*pick ? text(result, *(result.*pick)) : kNothing;
  };
}

const Result* find(const Report& report, const Result& wanted) {
  const auto found = std::ranges::find(report.results, wanted.name(), &Result::name);
  return found == report.results.end() ? nullptr : &*found;
}

std::optional<Change> change_of(const Report& before, const Result& now, Pick pick) {
  const Result* old = find(before, now);
  if (old == nullptr || !(old->*pick) || !(now.*pick)) return std::nullopt;
  return change_between(*(old->*pick), *(now.*pick));
}

/// `+12%`, or `(+3%)` if that may be noise.
std::string change_text(const std::optional<Change>& change) {
  if (!change) return "new";
  const std::string text = fmt::format("{:+.0f}%", 100 * change->relative);
  return change->is_real ? text : "(" + text + ")";
}

/// Columns by their importance: if the terminal is narrow, the least important one goes first.
class Columns {
 public:
  static constexpr int kAlways = 10;

  void add(std::string title, int importance, Cell cell, Align align = Align::right) {
    Candidate& candidate = all.emplace_back();
    candidate.title = std::move(title);
    candidate.importance = importance;
    candidate.cell = std::move(cell);
    candidate.align = align;
  }

  std::vector<Candidate> all;
};

/// Time, spread, change and share of the peak for one state of the caches.
void add_timing(Columns& columns, const Report& report, const TableOptions& options, Pick pick, const char* title,
                int importance) {
  const bool cold = pick == &Result::cold;
  columns.add(title, importance, of_timing(pick, [](const Result&, const Timing& t) { return time_text(t.median_s); }));
  columns.add("+-", importance, of_timing(pick, [](const Result&, const Timing& t) { return percent(t.spread); }));
  if (options.before != nullptr)
    columns.add("change", importance, of_timing(pick, [before = options.before, pick](const Result& r, const Timing&) {
                  return change_text(change_of(*before, r, pick));
                }));
  columns.add("peak", importance - 1, of_timing(pick, [&report, cold](const Result& r, const Timing& t) {
                const auto floors = floors_of(r.cost, r.type, report.peaks, cold);
                return floors ? percent(floors->roof_s() / t.median_s) : kNothing;
              }));
}

void add_step_columns(Columns& columns, const Report& report) {
  columns.add("enqueue", 3, [](const Result& r) { return r.enqueue_s ? time_text(*r.enqueue_s) : kNothing; });
  columns.add("images/s", 9, of_timing(&Result::warm, [](const Result& r, const Timing& t) {
                return fmt::format("{:.0f}", r.cost.items / t.median_s);
              }));
  columns.add("x float", 8, [&report](const Result& r) {
    const auto times = times_float_step(report, r);
    return times ? fmt::format("{:.3f}", *times) : kNothing;
  });
}

/// The time of warm calls, or of cold ones if there are no others.
const std::optional<Timing>& main_timing(const Result& result) {
  return result.warm ? result.warm : result.cold;
}

/// An amount of the cost per second.
Cell rate_of(double Cost::*amount) {
  return [amount](const Result& r) {
    return main_timing(r) && r.cost.*amount > 0 ? rate_text(r.cost.*amount / main_timing(r)->median_s) : kNothing;
  };
}

std::vector<Candidate> candidates(const Report& report, const std::string& operation, const TableOptions& options) {
  Columns columns;
  const bool steps = operation == "step";
  columns.add(
      fmt::format("{:<{}}", operation, kNameWidth), Columns::kAlways, [](const Result& r) { return "  " + r.shape; },
      Align::left);
  columns.add(
      "type", Columns::kAlways, [](const Result& r) { return r.type; }, Align::left);
  add_timing(columns, report, options, &Result::warm, steps ? "time" : "warm", 9);
  add_timing(columns, report, options, &Result::cold, "cold", 5);
  if (steps) add_step_columns(columns, report);
  columns.add("B/s", 2, rate_of(&Cost::bytes));
  columns.add("FLOP/s", 1, rate_of(&Cost::flops));
  columns.add("PyTorch", 8, [](const Result& r) { return r.peer_s ? time_text(*r.peer_s) : kNothing; });
  columns.add("x bsq", 8, of_timing(&Result::warm, [](const Result& r, const Timing& t) {
                return r.peer_s ? fmt::format("{:.2f}", *r.peer_s / t.median_s) : kNothing;
              }));
  columns.add(
      "bound by", 7,
      [&report](const Result& r) {
        const auto floors = floors_of(r.cost, r.type, report.peaks, !r.warm);
        return std::string(name_of(floors ? floors->bound() : Bound::unknown));
      },
      Align::left);
  return std::move(columns.all);
}

std::string render(const std::vector<Candidate>& chosen, const std::vector<Result>& results) {
  std::vector<Column> columns;
  for (const Candidate& candidate : chosen) columns.push_back({candidate.title, candidate.align});
  Table table(std::move(columns));
  for (const Result& result : results) {
    std::vector<std::string> cells;
    for (const Candidate& candidate : chosen) cells.push_back(candidate.cell(result));
    table.add_row(std::move(cells));
  }
  return table.text();
}

int width_of(const std::string& text) {
  std::size_t widest = 0;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    widest = std::max(widest, end - from);
    from = end + 1;
  }
  return static_cast<int>(widest);
}

}  // namespace

std::string time_text(double seconds) {
  return with_prefix(seconds) + (seconds >= 0.9995 ? " s" : "s");
}

std::string rate_text(double per_second) {
  return with_prefix(per_second);
}

std::string heading(const Report& report) {
  std::string text = fmt::format("{}; batch {}\n", report.backend, report.batch);
  const Peaks& peaks = report.peaks;
  if (peaks.bandwidths.empty()) return text + "peaks: not measured\n";
  double cache = 0;
  for (const Peaks::Bandwidth& bandwidth : peaks.bandwidths) cache = std::max(cache, bandwidth.bytes_per_s);
  text += fmt::format("peaks measured now: memory {}B/s, cache {}B/s", rate_text(*peaks.memory_bytes_per_s()),
                      rate_text(cache));
  for (const auto& [type, flops_per_s] : peaks.flops_per_s)
    text += fmt::format(", {} {}FLOP/s", type, rate_text(flops_per_s));
  return text + fmt::format("; a call {}\n", time_text(peaks.call_s));
}

std::string table_of(const Report& report, const std::vector<Result>& results, const TableOptions& options) {
  std::vector<Candidate> chosen = candidates(report, results.front().operation, options);
  std::erase_if(chosen, [&](const Candidate& candidate) {
    return candidate.importance < Columns::kAlways &&
           std::ranges::all_of(results, [&](const Result& result) { return candidate.cell(result) == kNothing; });
  });
  std::string text = render(chosen, results);
  while (width_of(text) > options.columns) {
    const auto least = std::ranges::min_element(chosen, {}, &Candidate::importance);
    if (least->importance == Columns::kAlways) break;
    chosen.erase(least);
    text = render(chosen, results);
  }
  for (const Result& result : results)
    if (!result.failure.empty()) text += fmt::format("  {}: {}\n", result.name(), result.failure);
  return text;
}

std::string changes_text(const Report& before, const Report& now) {
  int slower = 0, faster = 0, same = 0, unknown = 0;
  for (const Result& result : now.results) {
    for (const Pick pick : {&Result::warm, &Result::cold}) {
      if (!(result.*pick)) continue;
      const std::optional<Change> change = change_of(before, result, pick);
      ++(!change ? unknown : !change->is_real ? same : change->relative > 0 ? slower : faster);
    }
  }
  return fmt::format("since {} ({}): {} slower, {} faster, {} within noise (in brackets), {} new\n", before.date,
                     before.version, slower, faster, same, unknown);
}

}  // namespace bsq::bench
