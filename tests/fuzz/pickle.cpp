// Python's pickles, all that they hold.
#include "data/pickle.h"
#include "tests/fuzz/foreign_bytes.h"

#include <algorithm>

namespace {

using namespace bsq;
using Kind = PickleValue::Kind;

constexpr int kDepth = 8;
constexpr std::size_t kMembers = 3;  // of each; a value may be a member of many

/// Uses a value as readers do, and the first of its members.
void look_at(const Pickle& pickle, const PickleValue& value, int depth) {
  switch (value.kind) {
    case Kind::text: fuzz::must_hold(pickle.text(value).size() == value.size, "a text has its length"); break;
    case Kind::array: {
      const auto bytes = pickle.bytes_of(value);
      std::size_t numbers = 1;
      for (const std::size_t extent : value.members) numbers *= extent;
      fuzz::must_hold(bytes.size() == numbers, "an array has as many bytes as its shape says");
      break;
    }
    case Kind::dictionary:
      fuzz::must_hold(value.members.size() % 2 == 0, "a dictionary has a value for every key");
      (void)pickle.find(value, "labels");
      [[fallthrough]];
    case Kind::list:
    case Kind::tuple:
      for (std::size_t i = 0; i < std::min(value.members.size(), kMembers) && depth < kDepth; ++i)
        look_at(pickle, pickle.value(value.members[i]), depth + 1);
      break;
    case Kind::none:
    case Kind::number:
    case Kind::name:
    case Kind::type: break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::ends_well({ErrorKind::data}, [&] {
    const Pickle pickle({data, data + size}, "file.pkl");
    look_at(pickle, pickle.root(), 0);
  });
  return 0;
}
