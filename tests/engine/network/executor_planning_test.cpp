// What an executor has its backend plan before anything runs, and what it tells it of what runs.
#include "engine/network/executor.h"
#include "tests/support/engine.h"
#include "tests/support/guarding_backend.h"

#include <map>

namespace bsq::test {

TEST_CASE("every convolution is planned before it is run: all together, the passes that will be run and no others") {
  class Listening final : public GuardingBackend {
   public:
    using GuardingBackend::GuardingBackend;
    void plan_convolutions(std::span<const ConvRequest> requests) override {
      calls.emplace_back(requests.begin(), requests.end());
      GuardingBackend::plan_convolutions(requests);
    }
    std::vector<std::vector<ConvRequest>> calls;
  };
  const auto oracle = make_reference_backend();
  for (const ExecutionMode mode : {ExecutionMode::training, ExecutionMode::inference}) {
    const bool training = mode == ExecutionMode::training;
    INFO((training ? "training" : "inference"));
    Listening backend(*oracle);
    TestModel test(backend, make_resnet(tiny_resnet()));
    const Executor executor(test.memory, test.model.network(), test.model.parameters(), 8, DType::f32, mode, {7, 3});
    REQUIRE(backend.calls.size() == 1);
    std::map<int, int> by_batch;
    for (const auto& [geometry, passes] : backend.calls.front()) {
      const bool is_stem = geometry.in_channels == 3;
      INFO(geometry.batch << " images, " << geometry.in_channels << " channels");
      CHECK(passes.forward);
      CHECK(passes.backward_weight == training);
      CHECK(passes.backward_data == (training && !is_stem));  // nobody needs the gradient of the images
      ++by_batch[geometry.batch];
    }
    const int convolutions = by_batch[8];
    CHECK(convolutions > 1);
    CHECK(by_batch == std::map<int, int>{{8, convolutions}, {7, convolutions}, {3, convolutions}});
  }
}

TEST_CASE("a batch of a size that was not announced is refused, and so is a pass that was not planned") {
  for_each_device([](Backend& backend) {
    TestModel test(backend, make_resnet(tiny_resnet()));
    Executor executor(test.memory, test.model.network(), test.model.parameters(), 8, DType::f32,
                      ExecutionMode::inference, {6});
    executor.forward(6);
    CHECK_THROWS_WITH(executor.forward(7), Catch::Contains("convolution 7x8x8x3 -> ") &&
                                               Catch::Contains("the pass forward was not planned; name it"));
    backend.synchronize();
  });
}

TEST_CASE("whoever profiles sees the nodes of a network by their names, one after the other") {
  class Listening final : public GuardingBackend {
   public:
    using GuardingBackend::GuardingBackend;
    void begin_range(const char* name) override { open.emplace_back(name); }
    void end_range() noexcept override {
      closed.push_back(open.back());
      open.pop_back();
    }
    std::vector<std::string> open, closed;
  };
  const auto oracle = make_reference_backend();
  Listening backend(*oracle);
  TestModel test(backend, make_resnet(tiny_resnet()));
  Executor executor(test.memory, test.model.network(), test.model.parameters(), 2, DType::f32, ExecutionMode::training);
  backend.closed.clear();
  executor.forward(2);
  executor.backward(2);
  CHECK(backend.open.empty());
  const auto& nodes = test.model.network().nodes();
  std::vector<std::string> expected;
  for (const Node& node : nodes) expected.push_back(node.name);
  for (std::size_t i = nodes.size(); i-- > 0;) expected.push_back(nodes[i].name + " backward");
  CHECK(backend.closed == expected);
}

TEST_CASE("scratch memory planned for the largest batch is enough for every smaller one") {
  for_each_device([](Backend& backend) {
    for (const int channels : {3, 16, 64}) {
      for (const int stride : {1, 2}) {
        ConvGeometry geometry{.height = 16, .width = 16, .in_channels = channels, .out_channels = 32, .stride = stride};
        geometry.batch = 24;
        const std::size_t planned = backend.conv2d_scratch_bytes({geometry, kAllPasses});
        for (geometry.batch = 1; geometry.batch < 24; ++geometry.batch) {
          INFO(channels << " channels, stride " << stride << ", batch " << geometry.batch);
          CHECK(backend.conv2d_scratch_bytes({geometry, kAllPasses}) <= planned);
        }
      }
    }
  });
}

TEST_CASE("scratch is planned for every batch size that is announced, whichever wants most") {
  class Hungry final : public GuardingBackend {
   public:
    using GuardingBackend::GuardingBackend;
    std::size_t conv2d_scratch_bytes(const ConvRequest& request) override {
      GuardingBackend::conv2d_scratch_bytes(request);
      return request.geometry.batch == 3 ? 1 << 20 : 0;
    }
  };
  const auto oracle = make_reference_backend();
  Hungry backend(*oracle);
  TestModel test(backend, make_resnet(tiny_resnet()));
  const auto scratch_bytes = [&](const std::vector<int>& other_batches) {
    return Executor(test.memory, test.model.network(), test.model.parameters(), 8, DType::f32, ExecutionMode::training,
                    other_batches)
        .plan()
        .scratch_bytes;
  };
  CHECK(scratch_bytes({}) < 1 << 20);
  CHECK(scratch_bytes({5, 3, 2}) == 1 << 20);
}

}  // namespace bsq::test
