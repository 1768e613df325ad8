// What the tests of training share: small networks with their memory, small sets of pictures, and arrays in and out of
// a device.
#pragma once

#include "engine/input/image_set.h"
#include "engine/input/resident_source.h"
#include "engine/model/frozen_network.h"
#include "engine/model/model.h"
#include "engine/training/evaluator.h"
#include "engine/training/training_step.h"
#include "kernels/ranks/communicator.h"
#include "models/resnet.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random_tensors.h"
#include "tests/support/tolerances.h"
#include "tests/support/weights.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace bsq::test {

inline std::vector<double> to_doubles(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

inline std::vector<float> download_view(Backend& backend, const TensorView& view) {
  REQUIRE(view.dtype == DType::f32);
  return download_array(backend, view.as<float>(), static_cast<std::size_t>(view.shape.numel()));
}

/// for_each_backend with one thread: networks this small only wait for their threads, and tests run side by side. What
/// threads change is tested with the kernels and with whole experiments.
template <typename Check>
void for_each_device(Check&& check) {
  std::vector<std::unique_ptr<Backend>> backends;
  if (tests_gpu()) {
    backends.push_back(make_gpu());
  } else {
    for (const char* device : {"reference", "cpu"}) backends.push_back(make_backend(device, {.threads = 1}));
  }
  for (const auto& backend : backends) {
    if (backend == nullptr) continue;
    INFO("backend " << backend->name());
    check(*backend);
  }
}

/// 8 layers, 4 to 16 channels, 8x8 pixels: the smallest network that has everything a large one has.
inline ResNetOptions tiny_resnet(Activation activation = Activation::relu6, int act_bits = 0) {
  return {.depth = 8,
          .width = 4,
          .num_classes = 3,
          .image_height = 8,
          .image_width = 8,
          .activation = activation,
          .act_bits = act_bits};
}

/// The communicator of a process by itself. It has no state.
inline Communicator& alone() {
  static const std::unique_ptr<Communicator> communicator = make_single_process();
  return *communicator;
}

/// A model and the memory it lives in; start values unless `make_weights` says otherwise.
struct TestModel {
  using MakeWeights = std::function<Weights(const ArenaLayout&)>;

  explicit TestModel(Backend& backend, Network network, MakeWeights make_weights = {}, DType dtype = DType::f32,
                     const NoDecay& no_decay = {})
      : memory(backend),
        model(memory, std::move(network), dtype, 1,
              store_of(make_weights ? std::move(make_weights)
                                    : [](const ArenaLayout& layout) { return initial_weights(layout, 1); }),
              no_decay) {}

  DeviceMemory memory;
  Model model;
};

/// Start values as bit planes, for TestModel.
inline TestModel::MakeWeights start_as_planes(int bits = 8) {
  return [bits](const ArenaLayout& layout) {
    return StoredPlanes::convert(initial_weights(layout, 1), std::vector<int>(layout.slots.size(), bits));
  };
}

/// Start values as fixed-point weights of so many bits, for TestModel.
inline TestModel::MakeWeights start_as_fixed(int bits) {
  return [bits](const ArenaLayout& layout) { return StoredFixedPoint::convert(start_as_planes(bits)(layout), {}); };
}

/// Start values as LSQ's weights of so many bits, for TestModel.
inline TestModel::MakeWeights start_as_lsq(int bits) {
  return [bits](const ArenaLayout& layout) { return StoredLsq::convert(start_as_planes(bits)(layout), {}); };
}

/// A float network of random weights and plausible statistics, of which others may learn: wider than tiny_resnet().
inline ResNetOptions tiny_teacher() {
  ResNetOptions options = tiny_resnet(Activation::relu);
  options.width = 8;
  return options;
}

inline TensorFile teacher_file(Backend& backend, std::uint64_t seed = 5) {
  DeviceMemory memory(backend);
  Model model(memory, make_resnet(tiny_teacher()), DType::f32, seed,
              store_of([&](const ArenaLayout& layout) { return initial_weights(layout, seed); }));
  return model.save();
}

/// Noise on a colour that tells the class, except for a sixth of the pictures, whose colour is that of another class.
inline ImageSet tiny_pictures(const std::string& name, int count, int size = 8) {
  RandomTensors random(name);
  ImageSet set({size, size, {"red", "green", "blue"}});
  const std::vector<std::int32_t> noise = random.integers(count * size * size * 3, 100);
  const std::vector<std::int32_t> luck = random.integers(count, 6);
  for (int i = 0; i < count; ++i) {
    set.labels.push_back(i % 3);
    const int colour = luck[static_cast<std::size_t>(i)] == 0 ? (i + 1) % 3 : i % 3;
    for (int pixel = 0; pixel < size * size; ++pixel) {
      for (int channel = 0; channel < 3; ++channel) {
        const int base = channel == colour ? 150 : 50;
        set.pixels.push_back(static_cast<std::uint8_t>(base + noise[set.pixels.size()]));
      }
    }
  }
  return set;
}

inline InputOptions tiny_input() {
  return {.height = 8, .width = 8, .mean = {0.4F, 0.5F, 0.6F}, .std = {0.2F, 0.25F, 0.3F}};
}

/// The values a file holds under `name`.
inline std::vector<float> values_of(const TensorFile& file, const std::string& name) {
  const auto values = file.at(name).values<float>();
  return {values.begin(), values.end()};
}

/// The names of tensors whose bits, shape or presence differ.
inline std::vector<std::string> different_tensors(const std::vector<HostTensor>& a, const std::vector<HostTensor>& b) {
  std::vector<std::string> names;
  const auto differs = [](const HostTensor& tensor, const std::vector<HostTensor>& others) {
    const auto same = [&](const HostTensor& other) {
      return other.name == tensor.name && other.shape == tensor.shape && other.bytes == tensor.bytes;
    };
    return std::none_of(others.begin(), others.end(), same);
  };
  for (const HostTensor& tensor : a)
    if (differs(tensor, b)) names.push_back(tensor.name);
  for (const HostTensor& tensor : b)
    if (differs(tensor, a)) names.push_back(tensor.name);
  return names;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace bsq::test
