// Schemes and measured sensitivities, two files that people edit.
#include "engine/config/config_keys.h"
#include "engine/config/scheme.h"
#include "tests/fuzz/foreign_bytes.h"
#include "tools/scheme/sensitivity_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bsq;
  const std::vector<std::string_view> files = fuzz::pieces(fuzz::text_of(data, size), 2);
  const std::filesystem::path file = fuzz::put("scheme.yaml", files[0]);
  Scheme scheme;
  if (fuzz::ends_well({ErrorKind::usage}, [&] { scheme = read_scheme_file(file); })) {
    const std::filesystem::path copy = fuzz::put("copy.yaml", to_text(ConfigValue(scheme)));
    fuzz::must_hold(fuzz::ends_well({ErrorKind::usage},
                                    [&] {
                                      fuzz::must_hold(scheme.layers.rules.empty() || read_scheme_file(copy) == scheme,
                                                      "a scheme is the same when it is printed and read");
                                    }),
                    "a scheme that was printed can be read");
  }
  const std::filesystem::path measured = fuzz::put("measured.json", files[1]);
  Sensitivity sensitivity;
  if (!fuzz::ends_well({ErrorKind::usage}, [&] { sensitivity = read_sensitivity(measured); })) return 0;
  const std::string text = to_json_text(sensitivity);
  fuzz::must_hold(to_json_text(read_sensitivity(fuzz::put("copy.json", text))) == text,
                  "a sensitivity is the same when it is written and read");
  sensitivity_table(sensitivity).text();
  sensitivity_csv(sensitivity);
  sensitivity_figure(sensitivity).file();
  return 0;
}
