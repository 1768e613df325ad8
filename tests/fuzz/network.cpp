// Network files: what can be run can be written as such a file, and that is the same network.
#include "engine/network/layer_kinds.h"
#include "models/network_file.h"
#include "tests/fuzz/foreign_bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bsq;
  const std::filesystem::path file = fuzz::put("network.yaml", fuzz::text_of(data, size));
  NetworkSpec spec;
  const bool is_network = fuzz::ends_well({ErrorKind::usage}, [&] {
    is_network_file(file);
    spec = read_network_file(file, {32, 32, 3});
    build_network(spec);
  });
  if (!is_network) return 0;
  const std::filesystem::path copy = fuzz::put("copy.yaml", network_text(spec));
  fuzz::must_hold(fuzz::ends_well({ErrorKind::usage},
                                  [&] {
                                    fuzz::must_hold(to_json(read_network_file(copy, {32, 32, 3})) == to_json(spec),
                                                    "a network is the same when it is written and read");
                                  }),
                  "a network that was written can be read");
  return 0;
}
