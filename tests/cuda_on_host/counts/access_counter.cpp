#include "tests/cuda_on_host/counts/access_counter.h"

#include "tests/cuda_on_host/emulator/block.h"
#include "tests/cuda_on_host/emulator/launches.h"
#include "tests/cuda_on_host/emulator/runtime.h"

#include <link.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

namespace bsq::cuda_on_host {
namespace {

/// An access of a lane; in the order of `key` those of a warp's access are neighbours.
struct LaneAccess {
  std::uint64_t key = 0;
  std::uintptr_t address = 0;
};
// What a key is made of, from the highest bits down.
constexpr int kWarpBits = 5;
constexpr int kBarrierBits = 17;
constexpr int kPlaceBits = 13;
constexpr int kTimesBits = 24;
constexpr int kLaneBits = 5;
static_assert(kWarpBits + kBarrierBits + kPlaceBits + kTimesBits + kLaneBits == 64);

std::uint64_t append(std::uint64_t key, int bits, std::uint64_t value) {
  if (value >> bits != 0) report_mistake("a kernel too long for the counter of accesses (%d bits)", bits);
  return key << bits | value;
}

struct KernelSums {
  std::int64_t accesses = 0;
  std::int64_t early_accesses = 0;
  std::map<std::uintptr_t, Wavefronts> places;
};

class Counter final : public Observer {
 public:
  void begin_grid(const void* kernel) override {
    sums_ = &by_kernel_[kernel];
    barriers_at_begin_ = block().barriers();
  }
  void has_shared_memory(const void* data, std::size_t size_bytes) override {
    if (size_bytes > 0) shared_.push_back({reinterpret_cast<std::uintptr_t>(data), size_bytes});
  }
  void end_block() override;

  bool is_shared(std::uintptr_t address) const {
    return std::any_of(shared_.begin(), shared_.end(),
                       [&](const Range& range) { return address - range.begin < range.size_bytes; });
  }
  void note(std::uintptr_t address, std::size_t size_bytes, bool is_atomic, std::uintptr_t instruction,
            std::size_t piece);

  void note_early() { ++sums_->early_accesses; }

  const std::map<const void*, KernelSums>& by_kernel() const { return by_kernel_; }

 private:
  struct Range {
    std::uintptr_t begin = 0;
    std::size_t size_bytes = 0;
  };
  /// An instruction, or a piece of one.
  struct Place {
    std::uintptr_t instruction = 0;
    unsigned size_bytes = 0;
    bool is_atomic = false;
    struct Times {
      std::uint64_t barriers = 0;
      std::uint64_t count = 0;
    };
    std::vector<Times> times;  // of every thread
  };

  std::map<const void*, KernelSums> by_kernel_;
  KernelSums* sums_ = nullptr;
  unsigned barriers_at_begin_ = 0;  // of the block
  std::vector<Range> shared_;
  std::vector<LaneAccess> accesses_;
  std::vector<Place> places_;  // of the block
  std::unordered_map<std::uintptr_t, std::size_t> place_of_;
};

Counter* counter = nullptr;  // while somebody counts

class Counting {
 public:
  explicit Counting(Counter& own) {
    reset_launch_counts();
    counter = &own;
    set_observer(&own);
  }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;
  ~Counting() {
    set_observer(nullptr);
    counter = nullptr;
  }
};

void Counter::note(std::uintptr_t address, std::size_t size_bytes, bool is_atomic, std::uintptr_t instruction,
                   std::size_t piece) {
  constexpr int piece_shift = 56;  // above what addresses have
  const std::uintptr_t name = instruction | piece << piece_shift;
  const auto [found, is_new] = place_of_.try_emplace(name, places_.size());
  if (is_new) places_.push_back({instruction, static_cast<unsigned>(size_bytes), is_atomic, {}});
  Place& place = places_[found->second];
  place.times.resize(kMaxThreads);
  const int thread = block().thread();
  const std::uint64_t barriers = block().barriers() - barriers_at_begin_;
  Place::Times& times = place.times[static_cast<std::size_t>(thread)];
  if (times.barriers != barriers) times = {barriers, 0};
  std::uint64_t key = static_cast<std::uint64_t>(thread / kWarpSize);
  key = append(key, kBarrierBits, barriers);
  key = append(key, kPlaceBits, found->second);
  key = append(key, kTimesBits, times.count++);
  key = append(key, kLaneBits, static_cast<std::uint64_t>(thread % kWarpSize));
  accesses_.push_back({key, address});
}

void Counter::end_block() {
  std::sort(accesses_.begin(), accesses_.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  constexpr std::uint64_t place_mask = (1ULL << kPlaceBits) - 1;
  for (std::size_t i = 0; i < accesses_.size();) {
    const std::uint64_t together = accesses_[i].key >> kLaneBits;
    const Place& place = places_[together >> kTimesBits & place_mask];
    WarpAccess access{.size_bytes = place.size_bytes, .is_atomic = place.is_atomic};
    for (; i < accesses_.size() && accesses_[i].key >> kLaneBits == together; ++i) {
      const std::uint64_t lane = accesses_[i].key % kLanes;
      access.lanes |= 1U << lane;
      access.addresses[lane] = accesses_[i].address;
    }
    ++sums_->accesses;
    sums_->places[place.instruction] += wavefronts_of(access);
  }
  accesses_.clear();
  shared_.clear();
  places_.clear();
  place_of_.clear();
  barriers_at_begin_ = block().barriers();
}

std::uintptr_t load_address() {
  std::uintptr_t address = 0;  // of the program, which comes first
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* found) {
        *static_cast<std::uintptr_t*>(found) = info->dlpi_addr;
        return 1;
      },
      &address);
  return address;
}

CountedKernel counted(const LaunchCount& launch, const KernelSums& sums) {
  CountedKernel kernel{.name = launch.name,
                       .launches = launch.by_themselves + launch.in_graphs,
                       .nodes = launch.in_graphs,
                       .accesses = sums.accesses,
                       .early_accesses = sums.early_accesses};
  for (const auto& [instruction, wavefronts] : sums.places) {
    kernel.wavefronts += wavefronts;
    kernel.places.push_back({instruction - 1 - load_address(), wavefronts});  // it is where the call returns to
  }
  std::stable_sort(kernel.places.begin(), kernel.places.end(), [](const CountedPlace& a, const CountedPlace& b) {
    return a.wavefronts.taken - a.wavefronts.least > b.wavefronts.taken - b.wavefronts.least;
  });
  return kernel;
}

}  // namespace

void note_access(const volatile void* address, std::size_t size_bytes, bool is_atomic, const void* instruction) {
  if (counter == nullptr || !block().runs()) return;
  if (!block().has_waited() && touches_device_memory(const_cast<const void*>(address))) counter->note_early();
  auto at = reinterpret_cast<std::uintptr_t>(address);
  if (!counter->is_shared(at)) return;
  std::size_t width = 16;  // bytes, at most
  while (width > size_bytes || size_bytes % width != 0 || (width > kBankBytes && at % width != 0)) width /= 2;
  for (std::size_t piece = 0; piece * width < size_bytes; ++piece)
    counter->note(at + piece * width, width, is_atomic, reinterpret_cast<std::uintptr_t>(instruction), piece);
}

std::int64_t Counts::kernel_nodes() const {
  std::int64_t nodes = 0;
  for (const CountedKernel& counted_kernel : kernels) nodes += counted_kernel.nodes;
  return nodes;
}

Counts count(const std::function<void()>& run) {
  Counter own;
  {
    const Counting counting(own);
    run();
  }
  Counts counts;
  for (const LaunchCount& launch : launch_counts()) {
    if (launch.kernel == nullptr) {
      counts.other_nodes += launch.in_graphs;
      continue;
    }
    const auto sums = own.by_kernel().find(launch.kernel);
    counts.kernels.push_back(counted(launch, sums == own.by_kernel().end() ? KernelSums{} : sums->second));
  }
  return counts;
}

}  // namespace bsq::cuda_on_host
