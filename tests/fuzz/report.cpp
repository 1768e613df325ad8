// The logs of a run as reports read them: status.json, metrics.jsonl, metrics.csv, precision.jsonl, env.json.
#include "tests/fuzz/foreign_bytes.h"
#include "tools/report/run_report.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bsq;
  const std::vector<std::string_view> files = fuzz::pieces(fuzz::text_of(data, size), 5);
  fuzz::put("config.yaml", "stages: [pretrain, bsq, finetune]\ndata: {kind: synthetic}\nmodel: {depth: 8}\n");
  fuzz::put("status.json", files[0]);
  fuzz::put("metrics.jsonl", files[1]);
  fuzz::put("metrics.csv", files[2]);
  fuzz::put("precision.jsonl", files[3]);
  fuzz::put("env.json", files[4]);
  fuzz::ends_well({ErrorKind::checkpoint}, [&] {
    const RunReport report = read_run_report(fuzz::scratch());
    report_text(report);
    comparison_text({report, report});
    report_json(report).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  });
  return 0;
}
