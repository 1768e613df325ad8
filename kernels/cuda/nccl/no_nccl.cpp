// In the place of nccl.cpp if NCCL was not found when bsq was built.
#include "kernels/base/error.h"
#include "kernels/cuda/nccl/nccl.h"

namespace bsq::cuda {
namespace {

[[noreturn]] void fail_without_nccl() {
  fail(ErrorKind::device, "this bsq is built without NCCL");
}

}  // namespace

std::string nccl_version() {
  fail_without_nccl();
}

NcclId make_nccl_id() {
  fail_without_nccl();
}

std::unique_ptr<NcclHandle> join_nccl(const NcclId& /*id*/, int /*rank*/, int /*world*/, int /*device*/,
                                      std::chrono::seconds /*patience*/) {
  fail_without_nccl();
}

}  // namespace bsq::cuda
