// Memory, copies and capture of every backend.
#include "kernels/base/error.h"
#include "kernels/devices.h"
#include "tests/support/backends.h"
#include "tests/support/guarded_buffer.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <thread>

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

TEST_CASE("memory is zeros, also where it has been in use before") {
  for_each_backend([](Backend& backend) {
    for (const std::size_t size_bytes : {1, 4096, 1000003}) {
      const std::vector<std::uint8_t> used(size_bytes, 1);
      for (int round = 0; round < 3; ++round) {
        void* data = backend.allocate(size_bytes);
        std::vector<std::uint8_t> found(size_bytes, 2);
        backend.download(found.data(), data, size_bytes);
        CHECK(found == std::vector<std::uint8_t>(size_bytes, 0));
        backend.upload(data, used.data(), size_bytes);
        backend.synchronize();
        backend.release(data);
      }
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

TEST_CASE("a copy within the device is as long as was asked for, and comes after what was enqueued before it") {
  for_each_backend([](Backend& backend) {
    GuardedBuffer from(backend, 5 * sizeof(float));
    GuardedBuffer to(backend, 5 * sizeof(float));
    from.set(std::vector<float>{1, 2, 3, 4, 5});
    to.set(std::vector<float>{0, 0, 0, 0, 9});
    backend.copy(to.data(), from.data(), 4 * sizeof(float));
    backend.fill_zero(from.data(), from.size_bytes());
    CHECK(to.get<float>() == std::vector<float>{1, 2, 3, 4, 9});
    CHECK(to.guards_intact());
    backend.copy(to.data(), from.data(), 0);
    CHECK(to.get<float>() == std::vector<float>{1, 2, 3, 4, 9});
  });
}

TEST_CASE("nothing can be copied to and from nowhere: the arrays of a network without running statistics are empty") {
  for_each_backend([](Backend& backend) {
    void* data = backend.allocate(0);
    CHECK_NOTHROW(backend.upload(data, nullptr, 0));
    CHECK_NOTHROW(backend.download(nullptr, data, 0));
    CHECK_NOTHROW(backend.copy(data, data, 0));
    CHECK_NOTHROW(backend.fill_zero(data, 0));
    backend.release(data);
  });
}

TEST_CASE("another thread downloads what was there at a marker, while work goes on") {
  for_each_backend([](Backend& backend) {
    const std::vector<float> values(1 << 16, 3.0F);
    GuardedBuffer source(backend, values.size() * sizeof(float));
    GuardedBuffer other(backend, values.size() * sizeof(float));
    source.set(values);
    const std::unique_ptr<Marker> marker = backend.marker();
    std::vector<float> found(values.size());
    std::thread aside([&] {
      for (std::size_t i = 0; i < found.size(); i += found.size() / 4)
        backend.download_aside(marker.get(), found.data() + i, static_cast<const float*>(source.data()) + i,
                               found.size() / 4 * sizeof(float));
    });
    for (int i = 0; i < 20; ++i) backend.fill_zero(other.data(), other.size_bytes());
    CHECK(other.get<float>() == std::vector<float>(values.size(), 0.0F));
    aside.join();
    CHECK(found == values);
  });
}

TEST_CASE("what is uploaded beside the work comes after its marker, and before what is enqueued next") {
  for_each_backend([](Backend& backend) {
    constexpr std::size_t kCount = 1 << 18, kBytes = kCount * sizeof(float);
    GuardedBuffer buffer(backend, kBytes), before(backend, kBytes), behind(backend, kBytes);
    auto* host = static_cast<float*>(backend.allocate_host(kBytes));
    buffer.set(std::vector<float>(kCount, 1.0F));
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 20; ++i) backend.copy(before.data(), buffer.data(), kBytes);
      const std::unique_ptr<Marker> marker = backend.marker();
      const float value = 2.0F + static_cast<float>(round);
      std::fill_n(host, kCount, value);
      const std::unique_ptr<Marker> end = backend.upload_aside(marker.get(), buffer.data(), host, kBytes);
      backend.copy(behind.data(), buffer.data(), kBytes);
      if (end) backend.wait(*end);
      std::fill_n(host, kCount, -1.0F);
      CHECK(before.get<float>() == std::vector<float>(kCount, value - 1.0F));
      CHECK(behind.get<float>() == std::vector<float>(kCount, value));
      CHECK(buffer.guards_intact());
    }
    backend.release_host(host);
  });
}

TEST_CASE("captured work takes the inputs of one step after the other") {
  for_each_backend([](Backend& backend) {
    std::vector<StepInputs> steps(4);
    for (std::size_t i = 0; i < steps.size(); ++i)
      steps[i] = {.learning_rate = 0.5F * static_cast<float>(i),
                  .epoch = 7,
                  .first_sample = 100 * static_cast<std::int64_t>(i),
                  .metrics_slot = static_cast<std::int64_t>(i) + 1};
    GuardedBuffer queue(backend, steps.size() * sizeof(StepInputs));
    GuardedBuffer taken(backend, sizeof(std::int64_t));
    GuardedBuffer inputs(backend, sizeof(StepInputs));
    queue.set(steps);
    taken.set(std::vector<std::int64_t>{1});
    const auto take = [&] {
      backend.take_step_inputs({static_cast<const StepInputs*>(queue.data()), static_cast<std::int64_t*>(taken.data()),
                                static_cast<StepInputs*>(inputs.data())});
    };
    const auto work = backend.capture(take);
    const auto other_work = backend.capture(take);  // of another batch size, say
    for (std::size_t i = 1; i < steps.size(); ++i) {
      (i == 2 ? other_work : work)->replay();
      const StepInputs found = inputs.get<StepInputs>().front();
      CHECK(found.learning_rate == steps[i].learning_rate);
      CHECK(found.epoch == 7);
      CHECK(found.first_sample == steps[i].first_sample);
      CHECK(found.metrics_slot == steps[i].metrics_slot);
      CHECK(taken.get<std::int64_t>().front() == static_cast<std::int64_t>(i) + 1);
    }
    CHECK(queue.guards_intact());
    CHECK(taken.guards_intact());
    CHECK(inputs.guards_intact());
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
      backend.sgd_step({1, plain_descent, static_cast<const StepInputs*>(inputs.data()),
                        static_cast<const float*>(gradient.data()), static_cast<float*>(parameter.data()),
                        static_cast<float*>(momentum.data())});
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
