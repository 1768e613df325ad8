#include "kernels/cuda/own_convolutions.h"

#include "kernels/base/error.h"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/planned_passes.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace bsq::cuda {
namespace {

class OwnConvolutions final : public DenseMath {
 public:
  OwnConvolutions(std::unique_ptr<DenseMath> vendor, cudaStream_t stream, int multiprocessors)
      : vendor_(std::move(vendor)), stream_(stream), multiprocessors_(multiprocessors) {}

  std::string describe() const override { return vendor_->describe(); }
  std::vector<std::string> notes() const override { return vendor_->notes(); }
  std::vector<EngineNote> engines() const override {
    std::vector<EngineNote> engines = own_engines_;
    for (EngineNote& note : vendor_->engines()) engines.push_back(std::move(note));
    return engines;
  }

  void plan_convolutions(std::span<const ConvRequest> requests) override {
    std::vector<ConvRequest> left;
    for (const ConvRequest& request : requests) {
      const bool is_own = own_filter_gradient_serves(request.geometry);
      if (is_own && request.passes.backward_weight) plan_own(request.geometry);
      ConvRequest rest = request;
      rest.passes.backward_weight = rest.passes.backward_weight && !is_own;
      left.push_back(rest);
    }
    vendor_->plan_convolutions(left);
  }

  std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) const override {
    ConvPasses left = passes;
    std::size_t own_bytes = 0;
    if (passes.backward_weight && own_filter_gradient_serves(geometry)) {
      own_bytes = own_filter_gradient_scratch_bytes(geometry, multiprocessors_);
      left.backward_weight = false;
    }
    return std::max(own_bytes, vendor_->conv2d_scratch_bytes(geometry, left));
  }

  void conv2d_forward(const ConvForwardArgs& args) override { vendor_->conv2d_forward(args); }
  void conv2d_backward_data(const ConvBackwardDataArgs& args) override { vendor_->conv2d_backward_data(args); }
  void conv2d_backward_weight(const ConvBackwardWeightArgs& args) override {
    if (!own_filter_gradient_serves(args.geometry)) return vendor_->conv2d_backward_weight(args);
    planned_.check(args.geometry, ConvPass::backward_weight);
    own_filter_gradient(args, stream_, multiprocessors_);
  }

  void plan_gemm(const GemmGeometry& geometry, GradMode mode) override { vendor_->plan_gemm(geometry, mode); }
  void gemm(const GemmGeometry& geometry, const float* a, const float* b, GradMode mode, float* c) override {
    vendor_->gemm(geometry, a, b, mode, c);
  }

 private:
  void plan_own(const ConvGeometry& geometry) {
    if (planned_.contains(geometry, ConvPass::backward_weight)) return;
    planned_.add(geometry, {.forward = false, .backward_data = false, .backward_weight = true});
    EngineNote note;
    note.geometry = geometry;
    note.pass = ConvPass::backward_weight;
    note.engine = "own";
    note.workspace_bytes = own_filter_gradient_scratch_bytes(geometry, multiprocessors_);
    own_engines_.push_back(std::move(note));
  }

  std::unique_ptr<DenseMath> vendor_;
  cudaStream_t stream_;
  int multiprocessors_;
  PlannedPasses planned_;
  std::vector<EngineNote> own_engines_;
};

}  // namespace

std::unique_ptr<DenseMath> with_own_convolutions(std::unique_ptr<DenseMath> vendor, cudaStream_t stream,
                                                 int multiprocessors) {
  const char* const setting = std::getenv("BSQ_CONVOLUTION");
  const std::string_view choice = setting == nullptr ? "own" : setting;
  if (choice == "vendor") return vendor;
  if (choice != "own") fail(ErrorKind::usage, "BSQ_CONVOLUTION={}: use own (the default) or vendor", choice);
  return std::make_unique<OwnConvolutions>(std::move(vendor), stream, multiprocessors);
}

}  // namespace bsq::cuda
