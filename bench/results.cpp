#include "bench/results.h"

#include "engine/files/posix_file.h"
#include "kernels/base/error.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace bsq::bench {
namespace {

using nlohmann::ordered_json;

constexpr const char* kSchema = "bsq-bench 1";

ordered_json timing_json(const Timing& timing) {
  return {{"median_s", timing.median_s},
          {"spread", timing.spread},
          {"fastest_s", timing.fastest_s},
          {"samples", timing.samples}};
}

Timing timing_from(const ordered_json& json) {
  return {json.at("median_s"), json.at("spread"), json.at("fastest_s"), json.at("samples")};
}

/// A time with its rates and, if the peaks are known, its share of the roof.
ordered_json measured_json(const Result& result, const Timing& timing, const Peaks& peaks, bool cold) {
  ordered_json json = timing_json(timing);
  json["bytes_per_s"] = result.cost.bytes / timing.median_s;
  json["flops_per_s"] = result.cost.flops / timing.median_s;
  json["items_per_s"] = result.cost.items / timing.median_s;
  if (const auto floors = floors_of(result.cost, result.type, peaks, cold)) {
    json["share_of_peak"] = floors->roof_s() / timing.median_s;
    json["bound"] = name_of(floors->bound());
  }
  return json;
}

ordered_json result_json(const Report& report, const Result& result) {
  ordered_json json = {{"operation", result.operation}, {"shape", result.shape},
                       {"type", result.type},           {"calls_per_step", result.calls_per_step},
                       {"bytes", result.cost.bytes},    {"flops", result.cost.flops}};
  if (!result.failure.empty()) json["failure"] = result.failure;
  if (result.warm) json["warm"] = measured_json(result, *result.warm, report.peaks, false);
  if (result.cold) json["cold"] = measured_json(result, *result.cold, report.peaks, true);
  if (result.enqueue_s) json["enqueue_s"] = *result.enqueue_s;
  if (const auto times = times_float_step(report, result)) json["times_float_step"] = *times;
  if (result.peer_s) json["pytorch_s"] = *result.peer_s;
  return json;
}

ordered_json peaks_json(const Peaks& peaks) {
  ordered_json bandwidths = ordered_json::array();
  for (const Peaks::Bandwidth& bandwidth : peaks.bandwidths)
    bandwidths.push_back({{"footprint_bytes", bandwidth.footprint_bytes}, {"bytes_per_s", bandwidth.bytes_per_s}});
  return {{"bandwidths", bandwidths}, {"flops_per_s", peaks.flops_per_s}, {"call_s", peaks.call_s}};
}

Result result_from(const ordered_json& json) {
  Result result;
  json.at("operation").get_to(result.operation);
  json.at("shape").get_to(result.shape);
  json.at("type").get_to(result.type);
  if (json.contains("warm")) result.warm = timing_from(json.at("warm"));
  if (json.contains("cold")) result.cold = timing_from(json.at("cold"));
  return result;
}

}  // namespace

std::optional<double> times_float_step(const Report& report, const Result& result) {
  if (!result.warm || result.operation != "step" || result.shape.starts_with("float")) return std::nullopt;
  for (const Result& plain : report.results)
    if (plain.operation == "step" && plain.shape.starts_with("float") && plain.type == result.type && plain.warm)
      return result.warm->median_s / plain.warm->median_s;
  return std::nullopt;
}

std::string to_json(const Report& report) {
  ordered_json json = {{"schema", kSchema},           {"bsq", report.version}, {"date", report.date},
                       {"backend", report.backend},   {"place", report.place}, {"batch", report.batch},
                       {"act_bits", report.act_bits}, {"burst", report.burst}};
  if (!report.peaks.bandwidths.empty()) json["peaks"] = peaks_json(report.peaks);
  json["rows"] = ordered_json::array();
  for (const Result& result : report.results) json["rows"].push_back(result_json(report, result));
  return json.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Report read_report(const std::filesystem::path& path) try {
  const auto json = ordered_json::parse(read_text_file(path, ErrorKind::usage));
  if (json.value("schema", "") != kSchema)
    fail(ErrorKind::usage, "{}: its schema is '{}', not '{}'; measure anew with this bsq", path.string(),
         json.value("schema", ""), kSchema);
  Report report;
  json.at("bsq").get_to(report.version);
  json.at("date").get_to(report.date);
  json.at("place").get_to(report.place);
  json.at("batch").get_to(report.batch);
  json.at("act_bits").get_to(report.act_bits);
  json.at("burst").get_to(report.burst);
  for (const ordered_json& row : json.at("rows")) report.results.push_back(result_from(row));
  return report;
} catch (const nlohmann::json::exception&) {
  fail(ErrorKind::usage, "{}: is no file of `bsq bench --json`", path.string());
}

void check_comparable(const std::filesystem::path& path, const Report& before, const Report& now) {
  if (before.place != now.place)
    fail(ErrorKind::usage, "{}: was measured on {}, this is {}; times of different devices are no change",
         path.string(), before.place, now.place);
  if (before.batch != now.batch)
    fail(ErrorKind::usage, "{}: was measured with --batch {}; measure with that, or anew", path.string(), before.batch);
  if (before.act_bits != now.act_bits || before.burst != now.burst)
    fail(ErrorKind::usage, "{}: was measured with --act-bits {} --burst {}; measure with these, or anew", path.string(),
         before.act_bits, before.burst);
}

}  // namespace bsq::bench
