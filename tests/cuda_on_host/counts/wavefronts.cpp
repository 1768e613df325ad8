#include "tests/cuda_on_host/counts/wavefronts.h"

#include <algorithm>

namespace bsq::cuda_on_host {
namespace {

/// What the lanes from `first` on, `count` of them, want of the banks.
class Banks {
 public:
  void want(std::uintptr_t word, bool by_itself) {
    const auto bank = static_cast<std::size_t>(word % kBanks);
    std::uintptr_t* const begin = words_[bank];
    std::uintptr_t* const end = begin + num_words_[bank];
    const bool is_new = std::find(begin, end, word) == end;
    if (is_new) {
      *end = word;
      ++num_words_[bank];
      ++distinct_words_;
    }
    if (is_new || by_itself) ++turns_[bank];
  }
  Wavefronts wavefronts() const {
    if (distinct_words_ == 0) return {};
    return {*std::max_element(turns_, turns_ + kBanks), (distinct_words_ + kBanks - 1) / kBanks};
  }

 private:
  static constexpr int kMostWords = 2 * kLanes;  // in one bank: an access that is not aligned touches one more
  std::uintptr_t words_[kBanks][kMostWords];
  int num_words_[kBanks] = {};
  int turns_[kBanks] = {};
  int distinct_words_ = 0;
};

}  // namespace

Wavefronts wavefronts_of(const WarpAccess& access) {
  const int together = access.size_bytes <= 4 ? kLanes : access.size_bytes <= 8 ? kLanes / 2 : kLanes / 4;
  Wavefronts sum;
  for (int first = 0; first < kLanes; first += together) {
    Banks banks;
    for (int lane = first; lane < first + together; ++lane) {
      if ((access.lanes >> lane & 1) == 0) continue;
      const std::uintptr_t begin = access.addresses[lane] / kBankBytes;
      const std::uintptr_t last = (access.addresses[lane] + access.size_bytes - 1) / kBankBytes;
      for (std::uintptr_t word = begin; word <= last; ++word) banks.want(word, access.is_atomic);
    }
    sum += banks.wavefronts();
  }
  return sum;
}

}  // namespace bsq::cuda_on_host
