// `auto` must not hide from a person that a GPU could not be used.
#include "tools/session/device.h"

#include "engine/ranks/ranks.h"
#include "kernels/base/thread_count.h"
#include "kernels/devices.h"
#include "tools/session/ranks.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace bsq {
namespace {

/// The text of the first rank whose `own` is not empty, on every rank; empty if all are.
std::string first_said(Communicator& ranks, const std::string& own) {
  using Text = std::array<char, 1024>;
  Text text{};
  std::strncpy(text.data(), own.c_str(), text.size() - 1);
  const std::vector<Text> all = gather(ranks, std::span<const Text>(&text, 1));
  const auto first = std::find_if(all.begin(), all.end(), [](const Text& said) { return said[0] != '\0'; });
  if (first == all.end()) return {};
  const auto rank = first - all.begin();
  return rank == 0 ? first->data() : fmt::format("rank {}: {}", rank, first->data());
}

}  // namespace

std::unique_ptr<Backend> open_device(const Config& config, Console& console, Communicator& ranks) {
  const BackendOptions options{.threads = threads_of(config, ranks),
                               .local_rank = ranks.local_rank(),
                               .allow_tf32 = config.precision == name_of(Precision::tf32)};
  std::string why_no_gpu;
  std::unique_ptr<Backend> backend = make_backend(config.device, options, &why_no_gpu);
  const std::string why = first_said(ranks, why_no_gpu);
  if (!why.empty()) {
    if (why_no_gpu.empty()) backend = make_backend("cpu", options);
    console.info("no GPU is used: " + why);
  }
  const ThreadCount count = default_threads();
  const bool says_limit = config.threads == 0 && ranks.world() == 1 && !count.limit.empty() && backend->name() == "cpu";
  console.info(
      "device: " + backend->describe() +
      (says_limit ? fmt::format("; {} of {} cores because of {}", count.threads, count.cores, count.limit) : ""));
  return backend;
}

}  // namespace bsq
