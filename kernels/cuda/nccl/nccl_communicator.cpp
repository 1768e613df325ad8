// Reductions run on a second stream, beside the backward pass. Events tie it to the stream of the work: a reduction
// waits for what has been enqueued before it, and work after finish_reductions() waits for all reductions. Through
// these events a capture of the work includes the second stream: in the graph, reductions are a branch that forks off
// and joins again.
#include "kernels/cuda/nccl/nccl_communicator.h"

#include "kernels/base/error.h"
#include "kernels/cuda/nccl/nccl.h"
#include "kernels/cuda/stream.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

namespace bsq::cuda {
namespace {

constexpr std::chrono::seconds kPatience{300};

template <typename T>
std::vector<T> gather(Communicator& ranks, const T& own) {
  std::vector<T> all(static_cast<std::size_t>(ranks.world()));
  ranks.all_gather(&own, sizeof(own), all.data());
  return all;
}

void check_all_have_nccl(Communicator& ranks) {
  std::array<char, 512> missing{};
  try {
    nccl_version();
  } catch (const Error& error) {
    std::strncpy(missing.data(), error.what(), missing.size() - 1);
  }
  const auto all = gather(ranks, missing);
  const auto first = std::find_if(all.begin(), all.end(), [](const auto& text) { return text[0] != '\0'; });
  if (first != all.end())
    fail(
        ErrorKind::device,
        "device: cuda: {} ranks on GPUs need NCCL, and rank {} has none: {}; install NCCL 2 (and build bsq where it is "
        "found), start a single process, or set device: cpu",
        ranks.world(), first - all.begin(), first->data());
}

/// The GPU of a rank, and its machine.
struct Seat {
  std::array<char, 64> machine{};
  cudaUUID_t gpu{};

  bool shares_gpu_with(const Seat& other) const { return std::memcmp(&gpu, &other.gpu, sizeof(gpu)) == 0; }
};

/// Throws if two ranks have the same GPU. GPUs are compared by their ids: if every rank sees its own GPU alone, all
/// have the same number.
void check_gpu_each(Communicator& ranks, int device) {
  Seat own;
  ::gethostname(own.machine.data(), own.machine.size() - 1);
  cudaDeviceProp properties{};
  BSQ_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
  own.gpu = properties.uuid;
  const std::vector<Seat> all = gather(ranks, own);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const auto first =
        std::find_if(all.begin(), all.end(), [&](const Seat& seat) { return seat.shares_gpu_with(all[rank]); });
    const auto owner = static_cast<std::size_t>(first - all.begin());
    if (owner == rank) continue;
    std::vector<Seat> gpus;
    std::size_t on_machine = 0;
    for (const Seat& seat : all) {
      if (seat.machine != all[rank].machine) continue;
      ++on_machine;
      const bool is_known =
          std::any_of(gpus.begin(), gpus.end(), [&](const Seat& known) { return known.shares_gpu_with(seat); });
      if (!is_known) gpus.push_back(seat);
    }
    fail(
        ErrorKind::device,
        "device: cuda: {} ranks on {} see {} GPU{}, ranks {} and {} would share one; start one rank per GPU, make more "
        "GPUs visible to them (CUDA_VISIBLE_DEVICES, srun --gpus-per-task=1), or set device: cpu",
        on_machine, all[rank].machine.data(), gpus.size(), gpus.size() == 1 ? "" : "s", owner, rank);
  }
}

/// "; NCCL_DEBUG=INFO, ...": the variables that change how NCCL works. They are the user's and stay as they are.
std::string nccl_variables() {
  std::string text;
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (std::string_view(*variable).starts_with("NCCL_"))
      text += fmt::format("{}{}", text.empty() ? "; " : ", ", *variable);
  return text;
}

class NcclCommunicator final : public ForwardingCommunicator {
 public:
  NcclCommunicator(Communicator& ranks, const NcclId& id, int device, cudaStream_t stream)
      : ForwardingCommunicator(ranks),
        stream_(stream),
        nccl_(join_nccl(id, ranks.rank(), ranks.world(), device, kPatience)) {}

  std::string describe() const override {
    return fmt::format("{}, NCCL {}{}", ForwardingCommunicator::describe(), nccl_version(), nccl_variables());
  }

  std::string failure() const override {
    std::string text = ForwardingCommunicator::failure();
    return text.empty() ? nccl_->failure() : text;
  }

  void start_weighted_sum(float* device, std::size_t count, float weight) override {
    begin();
    nccl_->weighted_sum(device, count, weight, reductions_.get());
  }

  void start_maximum(float* device, std::size_t count) override {
    begin();
    nccl_->maximum(device, count, reductions_.get());
  }

  void finish_reductions() override {
    if (!are_begun_) return;
    done_.record(reductions_.get());
    done_.hold_back(stream_);
    are_begun_ = false;
  }

 private:
  void begin() {
    ready_.record(stream_);
    ready_.hold_back(reductions_.get());
    are_begun_ = true;
  }

  cudaStream_t stream_;  // that of the work
  Stream reductions_;
  Event ready_{cudaEventDisableTiming};
  Event done_{cudaEventDisableTiming};
  std::unique_ptr<NcclHandle> nccl_;
  bool are_begun_ = false;  // whether there are reductions that nothing waits for yet
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(Communicator& ranks, int device, cudaStream_t stream) {
  check_all_have_nccl(ranks);
  check_gpu_each(ranks, device);
  NcclId id{};
  if (ranks.rank() == 0) id = make_nccl_id();
  ranks.broadcast(id.data(), id.size());
  return std::make_unique<NcclCommunicator>(ranks, id, device, stream);
}

}  // namespace bsq::cuda
