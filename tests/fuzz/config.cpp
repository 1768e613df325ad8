// Configurations: a file, the file `base.yaml` that it may inherit, and overrides, a line each.
#include "engine/config/config.h"
#include "models/families.h"
#include "tests/fuzz/foreign_bytes.h"
#include "tools/session/config_schema.h"

#include <sstream>

namespace {

using namespace bsq;

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::string_view> files = fuzz::pieces(fuzz::text_of(data, size), 3);
  const std::filesystem::path file = fuzz::put("config.yaml", files[0]);
  fuzz::put("base.yaml", files[1]);
  Config config;
  const bool is_read = fuzz::ends_well(
      {ErrorKind::usage}, [&] { config = load_config(config_schema(), file, lines_of(files[2]), ConfigUse::plan); });
  if (!is_read) return 0;
  const std::string text = to_yaml(config);
  config_hash(config);
  config_warnings(config);
  const std::filesystem::path copy = fuzz::put("copy.yaml", text);
  fuzz::must_hold(fuzz::ends_well({ErrorKind::usage},
                                  [&] {
                                    const Config again = load_config(config_schema(), copy, {}, ConfigUse::plan);
                                    fuzz::must_hold(to_yaml(again) == text && differences(config, again).empty(),
                                                    "a configuration is the same when it is printed and read");
                                  }),
                  "a configuration that was printed can be read");
  fuzz::ends_well({ErrorKind::usage}, [&] {
    check_layers(config);
    configured_network(config, {32, 32, 3}, 10);
  });
  return 0;
}
