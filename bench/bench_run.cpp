// What is measured, in which order, and where it goes: tables to stdout as they are done, notes to stderr, the file
// last.
#include "bench/bench_run.h"

#include "bench/peers.h"
#include "bench/result_table.h"
#include "bench/rows.h"
#include "bench/steps.h"
#include "engine/base/utc_time.h"
#include "engine/files/atomic_file.h"
#include "kernels/base/error.h"
#include "kernels/devices.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <regex>

namespace bsq::bench {
namespace {

/// The backends, and the precisions that are measured on them.
struct Devices {
  std::vector<std::unique_ptr<Backend>> backends;
  std::vector<Type> types;

  Backend& first() const { return *backends.front(); }
};

std::unique_ptr<Backend> open(const Options& options, bool allow_tf32) {
  std::string why_no_gpu;
  auto backend = make_backend(options.device, {.threads = options.threads, .allow_tf32 = allow_tf32}, &why_no_gpu);
  if (!why_no_gpu.empty() && !allow_tf32) fmt::print(stderr, "no GPU is used: {}\n", why_no_gpu);
  return backend;
}

Devices open_devices(const Options& options) {
  Devices devices;
  devices.backends.push_back(open(options, false));
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    if (!options.precision.empty() && options.precision != name_of(precision)) continue;
    std::string why;
    if (!devices.first().supports(precision, why)) {
      if (!options.precision.empty()) fail(ErrorKind::device, "--precision {}: {}", options.precision, why);
      continue;
    }
    if (precision == Precision::tf32) devices.backends.push_back(open(options, true));
    Backend& backend = precision == Precision::tf32 ? *devices.backends.back() : devices.first();
    devices.types.push_back({&backend, precision});
  }
  return devices;
}

/// `cpu, 2 threads, AMD EPYC ...` or `cuda, NVIDIA H100 ...`.
std::string place_of(const Backend& backend, const Options& options) {
  const std::string text = backend.describe();
  const std::string place = text.substr(0, text.find(',', text.find(',') + 1));
  return is_gpu(backend) ? place : place + ", " + options.machine;
}

class Filter {
 public:
  explicit Filter(const std::string& text) : text_(text) {
    try {
      pattern_.assign(text, std::regex::ECMAScript | std::regex::icase);
    } catch (const std::regex_error&) {
      fail(ErrorKind::usage, "bsq bench: '{}' is no regular expression; a special letter takes a \\ before it", text);
    }
  }
  bool matches(const std::string& name) const {
    return name.find(text_) != std::string::npos || std::regex_search(name, pattern_);
  }

 private:
  std::string text_;
  std::regex pattern_;
};

/// All rows that are to be measured.
struct Work {
  std::vector<Row> rows;
  std::vector<StepRow> steps;

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const Row& row : rows) all.push_back(row.name());
    for (const StepRow& step : steps) all.push_back(step.result.name());
    return all;
  }
};

/// Moves all rows of an operation behind its first one: together they make a table.
void sort_by_operation(std::vector<Row>& rows) {
  std::vector<std::string> order;
  for (const Row& row : rows)
    if (std::ranges::count(order, row.operation) == 0) order.push_back(row.operation);
  std::ranges::stable_sort(rows, {}, [&](const Row& row) { return std::ranges::find(order, row.operation); });
}

Work all_work(const Devices& devices, const Options& options) {
  Work work;
  const auto wants = [&](const char* suite) { return options.suite.empty() || options.suite == suite; };
  RowList list(devices.types, options.batch);
  if (wants("ops")) add_operators(list, options.shapes);
  if (wants("planes")) add_plane_sweep(list);
  work.rows = std::move(list.rows);
  sort_by_operation(work.rows);
  if (wants("step")) work.steps = step_rows(devices.types, options);
  return work;
}

Work chosen_work(const Devices& devices, const Options& options) {
  Work work = all_work(devices, options);
  const std::string example = work.names().front();
  const Filter filter(options.filter);
  std::erase_if(work.rows, [&](const Row& row) { return !filter.matches(row.name()); });
  std::erase_if(work.steps, [&](const StepRow& step) { return !filter.matches(step.result.name()); });
  if (work.names().empty())
    fail(ErrorKind::usage, "bsq bench: no row matches '{}'; rows have names like '{}', --list shows them all",
         options.filter, example);
  return work;
}

/// Measures, and prints each table as soon as it is full.
class Session {
 public:
  Session(Devices& devices, const Options& options, Report& report, const Report* before)
      : options_(options),
        report_(report),
        table_options_{options.columns, before},
        stopwatch_(devices.first(), options.seconds) {
    for (const auto& backend : devices.backends)
      if (backend.get() != &devices.first()) other_ = backend.get();
    if (other_ != nullptr) other_stopwatch_ = std::make_unique<Stopwatch>(*other_, options.seconds);
  }

  void run(Work& work, const std::map<std::string, double>& peers) {
    peers_ = peers;
    for (const Row& row : work.rows) {
      if (!open_.empty() && open_.front().operation != row.operation) print();
      add(measure(row));
    }
    if (!open_.empty()) print();
    run_steps(work.steps);
  }

 private:
  Result measure(const Row& row) {
    Result result;
    result.operation = row.operation;
    result.shape = row.shape;
    result.type = row.type;
    result.calls_per_step = row.calls_per_step;
    result.cost = row.cost;
    Stopwatch& stopwatch = row.backend == other_ ? *other_stopwatch_ : stopwatch_;
    try {
      Arguments arguments(*row.backend);
      const Call call = row.setup(arguments);
      if (options_.cache != "cold") result.warm = stopwatch.warm(call);
      if (options_.cache != "warm") result.cold = stopwatch.cold(call);
    } catch (const std::exception& error) {  // the others still run
      result.failure = error.what();
    }
    return result;
  }

  void run_steps(std::vector<StepRow>& steps) {
    for (std::size_t first = 0; first < steps.size();) {
      std::vector<StepRow> alike;  // of one type, which take turns
      for (; first < steps.size() && (alike.empty() || steps[first].result.type == alike.front().result.type); ++first)
        alike.push_back(steps[first]);
      try {
        measure_steps(alike, options_);
      } catch (const std::exception& error) {
        for (StepRow& step : alike) step.result.failure = error.what();
      }
      for (StepRow& step : alike) add(step.result);
    }
    if (!open_.empty()) print();
  }

  void add(Result result) {
    if (const auto peer = peers_.find(result.name()); peer != peers_.end()) result.peer_s = peer->second;
    open_.push_back(result);
    report_.results.push_back(std::move(result));
  }

  void print() {
    fmt::print("\n{}", table_of(report_, open_, table_options_));
    std::fflush(stdout);
    open_.clear();
  }

  const Options& options_;
  Report& report_;
  TableOptions table_options_;
  Stopwatch stopwatch_;
  Backend* other_ = nullptr;  // the one that allows tf32
  std::unique_ptr<Stopwatch> other_stopwatch_;
  std::map<std::string, double> peers_;
  std::vector<Result> open_;  // the rows so far of the table that is being filled
};

Report start_report(const Devices& devices, const Options& options) {
  Report report;
  report.version = options.version;
  report.date = utc_timestamp();
  report.backend = devices.first().describe();
  report.place = place_of(devices.first(), options);
  report.batch = options.batch;
  report.act_bits = options.act_bits;
  report.burst = options.burst;
  return report;
}

/// Measures PyTorch, before any row of ours. If nobody has named a python3, its lack of torch is no error.
std::map<std::string, double> measure_peers(const Work& work, bool gpu, const Options& options) try {
  if (!options.peers) return {};
  const Peers peers(options.python, gpu, options);
  fmt::print(stderr, "measuring {} first\n", peers.torch_version());
  std::map<std::string, double> seconds = peers.operators(work.rows);
  seconds.merge(peers.steps(work.steps));
  return seconds;
} catch (const Error& error) {
  if (!options.python.empty()) throw;
  fmt::print(stderr, "{}\n", error.what());
  return {};
}

}  // namespace

int run(const Options& options) {
  Devices devices = open_devices(options);
  Work work = chosen_work(devices, options);
  if (options.list) {
    for (const std::string& name : work.names()) fmt::print("{}\n", name);
    return 0;
  }
  Report report = start_report(devices, options);
  std::optional<Report> before;
  if (!options.against.empty()) {
    before = read_report(options.against);
    check_comparable(options.against, *before, report);
  }
  if (std::filesystem::is_directory(options.json))
    fail(ErrorKind::usage, "--json {}: is a folder; name a file in it", options.json.string());
  if (!options.json.empty()) AtomicFile(options.json, ErrorKind::usage);  // throws now, not after all the measuring
  const std::map<std::string, double> peers = measure_peers(work, is_gpu(devices.first()), options);
  if (options.seconds > 0) report.peaks = measure_peaks(devices.types, options.seconds);
  fmt::print("{}", heading(report));
  Session(devices, options, report, before ? &*before : nullptr).run(work, peers);
  if (before) fmt::print("\n{}", changes_text(*before, report));
  if (!options.json.empty()) write_file_atomically(options.json, to_json(report), ErrorKind::usage);
  const bool failed = std::ranges::any_of(report.results, [](const Result& r) { return !r.failure.empty(); });
  return failed ? static_cast<int>(ErrorKind::device) : 0;
}

}  // namespace bsq::bench
