// Memory, copies and capture of every backend.
#include "kernels/error.h"
#include "tests/support/backends.h"
#include "tests/support/guarded_buffer.h"

#include <cstdint>
#include <limits>

namespace bsq::test {

TEST_CASE("memory is 64-byte aligned, whatever the size") {
  for_each_backend([](Backend& backend) {
    for (const std::size_t size_bytes : {0, 1, 63, 64, 65, 1000003}) {
      void* data = backend.allocate(size_bytes);
      CHECK(reinterpret_cast<std::uintptr_t>(data) % 64 == 0);
      backend.release(data);
    }
  });
}

TEST_CASE("what is uploaded can be downloaded, and fill_zero clears no more than it was asked to") {
  for_each_backend([](Backend& backend) {
    GuardedBuffer buffer(backend, 7 * sizeof(float));
    buffer.set(std::vector<float>{1, 2, 3, 4, 5, 6, 7});
    CHECK(buffer.get<float>() == std::vector<float>{1, 2, 3, 4, 5, 6, 7});
    backend.fill_zero(buffer.data(), 5 * sizeof(float));
    CHECK(buffer.get<float>() == std::vector<float>{0, 0, 0, 0, 0, 6, 7});
    CHECK(buffer.guards_intact());
  });
}

TEST_CASE("asking for more memory than there is names what was wanted and what is free") {
  for_each_backend([](Backend& backend) {
    for (const std::size_t too_many_bytes : {std::size_t{1} << 60, std::numeric_limits<std::size_t>::max()}) {
      try {
        backend.allocate(too_many_bytes);
        FAIL("allocated 2^60 bytes");
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::device);
        CHECK_THAT(error.what(),
                   Catch::Matches("out of (device )?memory: wanted (1099511627776|17592186044416)\\.0 MiB, "
                                  "[0-9]+\\.[0-9] MiB are free of [0-9]+\\.[0-9]; "
                                  "try a smaller data\\.batch_size(, or end .*)?"));
      }
    }
  });
}

TEST_CASE("captured work runs at each replay and reads what memory holds then") {
  for_each_backend([](Backend& backend) {
    GuardedBuffer inputs(backend, sizeof(StepInputs));
    GuardedBuffer gradient(backend, sizeof(float));
    GuardedBuffer parameter(backend, sizeof(float));
    GuardedBuffer momentum(backend, sizeof(float));
    gradient.set(std::vector<float>{1});
    parameter.set(std::vector<float>{10});
    momentum.set(std::vector<float>{0});
    StepInputs step;
    step.learning_rate = 1;
    inputs.set(std::vector<StepInputs>{step});

    const SgdRule plain_descent{0, 0};
    const auto work = backend.capture([&] {
      backend.sgd_step(1, plain_descent, static_cast<const StepInputs*>(inputs.data()),
                       static_cast<const float*>(gradient.data()), static_cast<float*>(parameter.data()),
                       static_cast<float*>(momentum.data()));
    });
    backend.synchronize();
    CHECK(parameter.get<float>() == std::vector<float>{10});
    work->replay();
    CHECK(parameter.get<float>() == std::vector<float>{9});
    step.learning_rate = 4;
    inputs.set(std::vector<StepInputs>{step});
    work->replay();
    CHECK(parameter.get<float>() == std::vector<float>{5});
  });
}

TEST_CASE("the device's time of twenty times the work is longer, and none is next to nothing") {
  for_each_backend([](Backend& backend) {
    const std::vector<float> values(1 << 20, 1.0F);
    GuardedBuffer buffer(backend, values.size() * sizeof(float));
    const auto clear = [&](int times) {
      for (int i = 0; i < times; ++i) backend.fill_zero(buffer.data(), buffer.size_bytes());
    };
    buffer.set(values);
    const double once = backend.device_seconds([&] { clear(1); });
    CHECK(buffer.get<float>() == std::vector<float>(values.size(), 0.0F));
    CHECK(once > 0);
    CHECK(backend.device_seconds([&] { clear(20); }) > once / 2);  // the first one may find cold memory
    CHECK(backend.device_seconds([] {}) < 0.5);
  });
}

TEST_CASE("every backend convolves in f32, and says why not where it does not") {
  for_each_backend([](Backend& backend) {
    std::string why;
    CHECK(backend.supports(Precision::fp32, why));
    CHECK(backend.supports(Precision::tf32, why) == (backend.name() == "cuda"));
    CHECK(why.empty() == (backend.name() == "cuda"));
    CHECK_FALSE(backend.describe().empty());
  });
}

TEST_CASE("make_backend knows the reference, and refuses what is not built in with the way out") {
  CHECK(make_backend("reference", {})->name() == "reference");
  CHECK(make_backend("cpu", {})->name() == "cpu");
  try {
    make_backend("abacus", {});
    FAIL("made an abacus");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::device);
    CHECK_THAT(error.what(), Catch::Contains("abacus") && Catch::Contains("use"));
  }
}

}  // namespace bsq::test
