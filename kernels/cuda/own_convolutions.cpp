#include "kernels/cuda/own_convolutions.h"

#include "kernels/base/error.h"
#include "kernels/cuda/device/filter_cuts.h"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/planned_passes.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace bsq::cuda {
namespace {

/// Whether one of our own kernels runs this pass.
bool serves(const ConvGeometry& geometry, ConvPass pass) {
  switch (pass) {
    case ConvPass::forward: return own_forward_serves(geometry);
    case ConvPass::backward_data: return own_backward_data_serves(geometry);
    case ConvPass::backward_weight: return own_filter_gradient_serves(geometry);
  }
  return false;
}

/// Those of `passes` that are left to the vendor.
ConvPasses left_of(const ConvGeometry& geometry, const ConvPasses& passes) {
  const auto left = [&](ConvPass pass) { return passes.contains(pass) && !serves(geometry, pass); };
  return {left(ConvPass::forward), left(ConvPass::backward_data), left(ConvPass::backward_weight)};
}

class OwnConvolutions final : public DenseMath {
 public:
  OwnConvolutions(std::unique_ptr<DenseMath> vendor, const GridMemory& memory, cudaStream_t stream)
      : vendor_(std::move(vendor)), memory_(memory), stream_(stream) {}

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
      for (const ConvPass pass : kEveryPass)
        if (request.passes.contains(pass) && serves(request.geometry, pass)) plan_own(request.geometry, pass);
      left.push_back({request.geometry, left_of(request.geometry, request.passes)});
    }
    vendor_->plan_convolutions(left);
  }

  std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) const override {
    std::size_t most = vendor_->conv2d_scratch_bytes(geometry, left_of(geometry, passes));
    for (const ConvPass pass : kEveryPass)
      if (passes.contains(pass) && serves(geometry, pass)) most = std::max(most, own_scratch_bytes(geometry, pass));
    return most;
  }

  void conv2d_forward(const ConvForwardArgs& args) override {
    if (!is_own(args.geometry, ConvPass::forward)) return vendor_->conv2d_forward(args);
    ConvForwardArgs own = args;
    if (own.norm != nullptr && !leaves_statistics(args.geometry, *own.norm)) own.norm = nullptr;
    if (own.input_norm != nullptr && !applies_norm(args.geometry, *own.input_norm)) own.input_norm = nullptr;
    own_conv2d_forward(own, memory_, stream_);
  }
  void conv2d_backward_data(const ConvBackwardDataArgs& args) override {
    if (!is_own(args.geometry, ConvPass::backward_data)) return vendor_->conv2d_backward_data(args);
    ConvBackwardDataArgs own = args;
    if (own.norm != nullptr && !leaves_sums(args.geometry, *own.norm)) own.norm = nullptr;
    own_conv2d_backward_data(own, memory_, stream_);
  }
  void conv2d_backward_weight(const ConvBackwardWeightArgs& args) override {
    if (!is_own(args.geometry, ConvPass::backward_weight)) return vendor_->conv2d_backward_weight(args);
    ConvBackwardWeightArgs own = args;
    if (own.input_norm != nullptr && !applies_norm(args.geometry, *own.input_norm)) own.input_norm = nullptr;
    own_filter_gradient(own, stream_, memory_.multiprocessors);
  }
  int gradient_parts(const ConvGeometry& geometry) const override {
    if (!serves(geometry, ConvPass::backward_weight)) return 1;
    return filter_gradient_parts(geometry, memory_.multiprocessors);
  }
  bool leaves_statistics(const ConvGeometry& geometry, const NormActForwardArgs& norm) const override {
    return own_forward_leaves_statistics(geometry, norm);
  }
  bool applies_norm(const ConvGeometry& geometry, const NormActForwardArgs& norm) const override {
    const bool is_known = norm.x_from != nullptr && leaves_statistics(*norm.x_from, norm) && norm.shortcut == nullptr &&
                          norm.act_scale == nullptr &&  // statistics, S and the unit are there when x is
                          !norm.ranges.any();           // which these kernels do not round to
    return is_known && geometry.in_channels != kImageChannels && serves(geometry, ConvPass::forward) &&
           serves(geometry, ConvPass::backward_weight);
  }
  bool leaves_sums(const ConvGeometry& geometry, const NormActBackwardArgs& norm) const override {
    return own_backward_data_leaves_sums(geometry, norm);
  }

  void plan_gemm(const GemmGeometry& geometry, GradMode mode) override { vendor_->plan_gemm(geometry, mode); }
  void gemm(const GemmGeometry& geometry, const float* factor, const float* a, const float* b, GradMode mode,
            float* c) override {
    vendor_->gemm(geometry, factor, a, b, mode, c);
  }

 private:
  std::size_t own_scratch_bytes(const ConvGeometry& geometry, ConvPass pass) const {
    switch (pass) {
      case ConvPass::forward: return own_forward_scratch_bytes(geometry);
      case ConvPass::backward_data: return own_backward_data_scratch_bytes(geometry);
      case ConvPass::backward_weight: return own_filter_gradient_scratch_bytes(geometry, memory_.multiprocessors);
    }
    return 0;
  }

  void plan_own(const ConvGeometry& geometry, ConvPass pass) {
    if (planned_.contains(geometry, pass)) return;
    planned_.add(geometry, pass);
    EngineNote note;
    note.geometry = geometry;
    note.pass = pass;
    note.engine = "own";
    note.workspace_bytes = own_scratch_bytes(geometry, pass);
    own_engines_.push_back(std::move(note));
  }

  /// Throws Error(internal) for one that was not planned.
  bool is_own(const ConvGeometry& geometry, ConvPass pass) const {
    if (!serves(geometry, pass)) return false;
    planned_.check(geometry, pass);
    return true;
  }

  std::unique_ptr<DenseMath> vendor_;
  GridMemory memory_;
  cudaStream_t stream_;
  PlannedPasses planned_;
  std::vector<EngineNote> own_engines_;
};

}  // namespace

std::unique_ptr<DenseMath> with_own_convolutions(std::unique_ptr<DenseMath> vendor, const GridMemory& memory,
                                                 cudaStream_t stream) {
  const char* const setting = std::getenv("BSQ_CONVOLUTION");
  const std::string_view choice = setting == nullptr ? "own" : setting;
  if (choice == "vendor") return vendor;
  if (choice != "own") fail(ErrorKind::usage, "BSQ_CONVOLUTION={}: use own (the default) or vendor", choice);
  return std::make_unique<OwnConvolutions>(std::move(vendor), memory, stream);
}

}  // namespace bsq::cuda
