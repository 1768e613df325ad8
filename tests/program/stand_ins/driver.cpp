// The NVIDIA driver as far as CUDA's runtime asks it before it gives up: how old it is, and whether it starts.
// BSQ_STAND_IN_DRIVER="13000 100": it serves CUDA 13.0, and cuInit() fails with CUDA_ERROR_NO_DEVICE.
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

constexpr int kUnknownError = 999;

int word_of_environment(int index) {
  const char* text = std::getenv("BSQ_STAND_IN_DRIVER");
  if (text == nullptr) return 0;
  char* rest = nullptr;
  const long first = std::strtol(text, &rest, 10);
  return static_cast<int>(index == 0 ? first : std::strtol(rest, nullptr, 10));
}

int get_version(int* version) {
  *version = word_of_environment(0);
  return 0;
}

int initialize(unsigned /*flags*/) {
  return word_of_environment(1);
}

int anything_else() {
  return kUnknownError;
}

}  // namespace

/// How the runtime finds every function, this one too.
extern "C" int cuGetProcAddress_v2(const char* name, void** function, int /*version*/, std::uint64_t /*flags*/,
                                   int* found) {
  const std::string_view symbol = name;
  if (symbol == "cuGetProcAddress")
    *function = reinterpret_cast<void*>(&cuGetProcAddress_v2);
  else if (symbol == "cuDriverGetVersion")
    *function = reinterpret_cast<void*>(&get_version);
  else if (symbol == "cuInit")
    *function = reinterpret_cast<void*>(&initialize);
  else
    *function = reinterpret_cast<void*>(&anything_else);
  if (found != nullptr) *found = 0;
  return 0;
}
