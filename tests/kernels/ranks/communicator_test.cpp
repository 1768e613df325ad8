// Reductions of device memory by one rank: what a device's own library does with them, in a capture too. With several
// ranks: tests/ranks.
#include "kernels/ranks/communicator.h"

#include "tests/support/backends.h"
#include "tests/support/catch.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>

#include <vector>

namespace bsq::test {
namespace {

constexpr std::size_t kCount = 100000;

/// Floats of a device that free themselves.
class Floats {
 public:
  explicit Floats(Backend& backend)
      : backend_(backend), data_(static_cast<float*>(backend.allocate(kCount * sizeof(float)))) {}
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  ~Floats() { backend_.release(data_); }
  float* data() const { return data_; }
  void fill(float value) {
    const std::vector<float> values(kCount, value);
    backend_.upload(data_, values.data(), kCount * sizeof(float));
    backend_.synchronize();
  }
  std::vector<float> values() const {
    std::vector<float> values(kCount);
    backend_.download(values.data(), data_, kCount * sizeof(float));
    return values;
  }

 private:
  Backend& backend_;
  float* data_;
};

/// NCCL wants one, even for a process alone.
bool has_network_interface() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return false;
  bool found = false;
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next)
    found |= (each->ifa_flags & IFF_UP) != 0 && each->ifa_addr != nullptr && each->ifa_addr->sa_family != AF_PACKET;
  ::freeifaddrs(first);
  return found;
}

/// Null, and said, where the device is a GPU and there is no NCCL, or no network for it.
std::unique_ptr<Communicator> connect(Backend& backend, Communicator& ranks) {
  try {
    return backend.connect(ranks);
  } catch (const Error& error) {
    const std::string what = error.what();
    const bool lacks_network = what.starts_with("NCCL: ") && !has_network_interface();
    if (!lacks_network && !what.starts_with("device: cuda: 1 ranks on GPUs need NCCL")) throw;
    WARN("SKIPPED: NCCL: " << (lacks_network ? "no network interface is up; " : "") << what);
    return nullptr;
  }
}

}  // namespace

TEST_CASE("a reduction sees what was enqueued before it, and what is enqueued after its end sees the sum") {
  for_each_backend([](Backend& backend) {
    const auto alone = make_single_process();
    const auto ranks = connect(backend, *alone);
    if (ranks == nullptr) return;
    CHECK(ranks->world() == 1);
    CHECK(ranks->failure().empty());
    // A single process is the whole; a GPU's library takes any weight, which shows whether it has done anything at all.
    const float weight = backend.name() == "cuda" ? 0.25F : 1.0F;
    Floats gradient(backend), step(backend), parameter(backend), momentum(backend);
    Floats inputs(backend);
    const StepInputs step_inputs{.learning_rate = 1};
    backend.upload(inputs.data(), &step_inputs, sizeof(step_inputs));
    const auto* rate = reinterpret_cast<const StepInputs*>(inputs.data());
    const SgdRule rule{.momentum = 0, .weight_decay = 0};
    // step = -gradient; step becomes its sum; parameter = 7 - step.
    const auto enqueue = [&] {
      for (int bucket = 0; bucket < 2; ++bucket) {
        const std::size_t half = kCount / 2;
        const std::size_t first = bucket == 0 ? half : 0;
        backend.sgd_step({static_cast<std::int64_t>(half), rule, rate, gradient.data() + first, step.data() + first,
                          momentum.data() + first});
        ranks->start_weighted_sum(step.data() + first, half, weight);
      }
      ranks->finish_reductions();
      backend.sgd_step({static_cast<std::int64_t>(kCount), rule, rate, step.data(), parameter.data(), momentum.data()});
    };
    const auto prepare = [&](float value) {
      gradient.fill(value);
      step.fill(0);
      parameter.fill(7);
      momentum.fill(0);
    };
    const auto check = [&](float value) {
      CHECK(step.values() == std::vector<float>(kCount, -value * weight));
      CHECK(parameter.values() == std::vector<float>(kCount, 7 + value * weight));
    };
    prepare(3);
    enqueue();
    check(3);
    prepare(0);
    const auto captured = backend.capture(enqueue);
    for (const float value : {8.0F, 20.0F}) {
      prepare(value);
      captured->replay();
      check(value);
    }
    ranks->finish_reductions();  // of none
  });
}

}  // namespace bsq::test
