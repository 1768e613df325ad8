// Slices, sums and checksums.
#include "engine/ranks/ranks.h"

#include "kernels/base/error.h"
#include "kernels/base/hash.h"

#include <algorithm>

namespace bsq {

Slice slice_of(std::int64_t size, int rank, int world) {
  const std::int64_t least = size / world;
  const std::int64_t larger = size % world;  // ranks that take one more
  return {rank * least + std::min<std::int64_t>(rank, larger), least + (rank < larger ? 1 : 0)};
}

std::string broadcast_text(Communicator& communicator, const std::string& text) {
  std::uint64_t length = text.size();
  communicator.broadcast(&length, sizeof(length));
  std::string received = text;
  received.resize(length);
  communicator.broadcast(received.data(), length);
  return received;
}

void sum_over_ranks(Communicator& communicator, std::vector<StepMetrics>& metrics) {
  if (communicator.world() == 1) return;
  const std::vector<StepMetrics> parts = gather(communicator, std::span<const StepMetrics>(metrics));
  for (std::size_t step = 0; step < metrics.size(); ++step) {
    StepMetrics sum{.penalty = parts[step].penalty};
    for (std::size_t part = step; part < parts.size(); part += metrics.size()) {
      sum.loss_sum += parts[part].loss_sum;
      sum.top1 += parts[part].top1;
      sum.top5 += parts[part].top5;
      sum.samples += parts[part].samples;
    }
    metrics[step] = sum;
  }
}

std::uint64_t checksum(const HostTensor& tensor) {
  std::uint64_t hash = static_cast<std::uint64_t>(tensor.dtype);
  for (const std::int64_t dim : tensor.shape) hash = mix_word(hash, static_cast<std::uint64_t>(dim));
  return mix_bytes(hash, std::as_bytes(std::span(tensor.bytes)));
}

void check_same_on_ranks(Communicator& communicator, const std::vector<HostTensor>& tensors, std::string_view when) {
  if (communicator.world() == 1) return;
  std::vector<std::uint64_t> own;
  for (const HostTensor& tensor : tensors) own.push_back(checksum(tensor));
  const std::vector<std::uint64_t> all = gather(communicator, std::span<const std::uint64_t>(own));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::size_t tensor = i % own.size();
    if (all[i] == all[tensor]) continue;
    const auto differs = [&](std::size_t other) { return all[i / own.size() * own.size() + other] != all[other]; };
    std::size_t count = 0;
    for (std::size_t other = 0; other < own.size(); ++other) count += differs(other) ? 1 : 0;
    fail(ErrorKind::device,
         "rank {} and rank 0 do not hold the same bits {}: {} differs{}; train on machines of one kind, and look for a "
         "faulty one. The last checkpoint is from before",
         i / own.size(), when, tensors[tensor].name, count > 1 ? fmt::format(", and {} more tensors", count - 1) : "");
  }
}

}  // namespace bsq
