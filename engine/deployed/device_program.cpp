#include "engine/deployed/device_program.h"

#include "engine/memory/memory_planner.h"
#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {
namespace {

constexpr std::size_t kAlignment = 64;  // of everything that an operation reads

/// Arrays one after the other, as they are to be uploaded.
class Constants {
 public:
  template <typename T>
  std::size_t add(const T* values, std::size_t count) {
    bytes.resize((bytes.size() + kAlignment - 1) / kAlignment * kAlignment);
    const std::size_t place = bytes.size();
    const auto* first = reinterpret_cast<const std::byte*>(values);
    bytes.insert(bytes.end(), first, first + count * sizeof(T));
    return place;
  }
  template <typename T>
  std::size_t add(const std::vector<T>& values) {
    return add(values.data(), values.size());
  }

  std::vector<std::byte> bytes;
};

/// bias - zero sum k, by output channel (ConvolveLevelsArgs).
std::vector<std::int32_t> starts_of(const LevelConvolution& convolution, int zero) {
  std::vector<std::int32_t> starts = convolution.bias;
  const std::size_t length = convolution.k.size() / starts.size();
  for (std::size_t i = 0; i < convolution.k.size(); ++i) starts[i / length] -= zero * convolution.k[i];
  return starts;
}

}  // namespace

DeviceProgram::DeviceProgram(const DeployedNetwork& network, Backend& backend, int batch, Keeps keeps)
    : network_(network), backend_(backend), keeps_(keeps) {
  upload_constants();
  for (batch_ = batch;; batch_ /= 2) {
    try {
      take_memory(batch_);
      return;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::device || batch_ == 1) throw;
    }
  }
}

void DeviceProgram::upload_constants() {
  Constants constants;
  pixels_.tables = constants.add(network_.pixels.front().data(), network_.pixels.size() * 256);
  for (const DeployedNode& node : network_.nodes) {
    Places& places = places_.emplace_back();
    if (const auto* convolution = std::get_if<LevelConvolution>(&node.operation)) {
      places.k = constants.add(convolution->k);
      places.numbers = constants.add(starts_of(*convolution, tensor(node.inputs[0]).grid.zero));
      places.factors = constants.add(convolution->multiplier);
    } else if (const auto* concat = std::get_if<LevelConcat>(&node.operation)) {
      places.tables = constants.add(concat->levels.front().data(), concat->levels.size() * 256);
    }
  }
  head_.k = constants.add(network_.head.k);
  head_.numbers = constants.add(network_.head.scale);
  head_.factors = constants.add(network_.head.offset);
  constants_ = Buffer(backend_, constants.bytes.size());
  upload_array(backend_, constants_.as<std::byte>(), constants.bytes);
  backend_.synchronize();  // the host's copy ends here
}

void DeviceProgram::take_memory(int batch) {
  const auto images = static_cast<std::size_t>(batch);
  const int end = static_cast<int>(network_.nodes.size()) + 1;  // the head's step; node i is step i + 1
  const bool keeps_all = keeps_ == Keeps::all;
  std::vector<PlannedBuffer> buffers;
  for (std::size_t i = 0; i < network_.tensors.size(); ++i) {
    const int made = static_cast<int>(i);
    buffers.push_back({network_.tensors[i].name, images * network_.tensors[i].numel(), made, keeps_all ? end : made});
  }
  for (std::size_t i = 0; i < network_.nodes.size(); ++i)
    for (const int input : network_.nodes[i].inputs) {
      int& last_use = buffers[static_cast<std::size_t>(input)].last_use;
      last_use = std::max(last_use, static_cast<int>(i) + 1);
    }
  buffers[static_cast<std::size_t>(network_.head.input)].last_use = end;
  buffers.push_back({"pictures", images * network_.tensors[0].numel(), 0, 0});
  buffers.push_back({"logits", images * network_.head.offset.size() * sizeof(float), end, end});
  arena_ = Buffer(backend_, plan_memory(buffers));
  offsets_.clear();
  for (const PlannedBuffer& buffer : buffers) offsets_.push_back(buffer.offset);
}

void DeviceProgram::enqueue_convolution(const LevelConvolution& convolution, std::size_t i, int count) {
  const int from = network_.nodes[i].inputs[0], to = static_cast<int>(i) + 1;
  const DeployedTensor &x = tensor(from), &y = tensor(to);
  backend_.convolve_levels({.geometry = {.batch = count,
                                         .height = x.height,
                                         .width = x.width,
                                         .in_channels = x.channels,
                                         .out_channels = y.channels,
                                         .kernel = convolution.kernel,
                                         .stride = convolution.stride,
                                         .padding = convolution.padding,
                                         .dtype = DType::u8,
                                         .groups = convolution.groups},
                            .input_zero = x.grid.zero,
                            .range = {y.grid.zero, y.grid.top},
                            .input = levels_of(from),
                            .k = constants<std::int8_t>(places_[i].k),
                            .start = constants<std::int32_t>(places_[i].numbers),
                            .multiplier = constants<float>(places_[i].factors),
                            .output = levels_of(to)});
}

void DeviceProgram::enqueue_concat(std::size_t i, int count) {
  const int to = static_cast<int>(i) + 1;
  const DeployedTensor& y = tensor(to);
  const std::int64_t pixels = std::int64_t{count} * y.height * y.width;
  const auto* table = constants<std::uint8_t>(places_[i].tables);
  int first = 0;
  for (const int input : network_.nodes[i].inputs) {
    const int channels = tensor(input).channels;
    backend_.concat_levels({pixels, channels, first, y.channels, table, levels_of(input), levels_of(to)});
    first += channels;
    table += 256;
  }
}

void DeviceProgram::enqueue_node(std::size_t i, int count) {
  const DeployedNode& node = network_.nodes[i];
  const int to = static_cast<int>(i) + 1;
  const DeployedTensor &x = tensor(node.inputs[0]), &y = tensor(to);
  const std::uint8_t* from = levels_of(node.inputs[0]);
  if (const auto* convolution = std::get_if<LevelConvolution>(&node.operation))
    return enqueue_convolution(*convolution, i, count);
  if (const auto* sum = std::get_if<LevelSum>(&node.operation))
    return backend_.add_levels({static_cast<std::int64_t>(y.numel()) * count, sum->a, sum->b, sum->c, y.grid.top, from,
                                levels_of(node.inputs[1]), levels_of(to)});
  if (const auto* pool = std::get_if<LevelMaximum>(&node.operation))
    return backend_.max_pool_levels({{.batch = count,
                                      .height = x.height,
                                      .width = x.width,
                                      .channels = x.channels,
                                      .kernel = pool->kernel,
                                      .stride = pool->stride,
                                      .padding = pool->padding,
                                      .out_height = y.height,
                                      .out_width = y.width,
                                      .dtype = DType::u8},
                                     from,
                                     levels_of(to)});
  if (std::holds_alternative<LevelConcat>(node.operation)) return enqueue_concat(i, count);
  backend_.flatten_levels({count, x.height * x.width, x.channels, from, levels_of(to)});
}

void DeviceProgram::enqueue_head(int count) {
  const DeployedHead& head = network_.head;
  const DeployedTensor& x = tensor(head.input);
  backend_.classify_levels({.batch = count,
                            .pixels = x.height * x.width,
                            .channels = x.channels,
                            .classes = head.classes(),
                            .input_zero = x.grid.zero,
                            .input = levels_of(head.input),
                            .k = constants<std::int16_t>(head_.k),
                            .scale = constants<float>(head_.numbers),
                            .offset = constants<float>(head_.factors),
                            .logits = reinterpret_cast<float*>(arena_.as<std::byte>() + offsets_.back())});
}

void DeviceProgram::run_batch(int count, const std::uint8_t* pictures, float* logits) {
  const DeployedTensor& picture = network_.tensors[0];
  std::uint8_t* bytes = arena_.as<std::uint8_t>() + offsets_[network_.tensors.size()];
  backend_.upload(bytes, pictures, static_cast<std::size_t>(count) * picture.numel());
  backend_.pixels_to_levels({std::int64_t{count} * picture.height * picture.width, picture.channels,
                             constants<std::uint8_t>(pixels_.tables), bytes, levels_of(0)});
  for (std::size_t i = 0; i < network_.nodes.size(); ++i) enqueue_node(i, count);
  enqueue_head(count);
  const std::size_t size_bytes = static_cast<std::size_t>(count) * network_.head.offset.size() * sizeof(float);
  backend_.download(logits, arena_.as<std::byte>() + offsets_.back(), size_bytes);
}

std::vector<float> DeviceProgram::run(std::span<const std::uint8_t> pictures) {
  const std::size_t bytes = network_.tensors[0].numel(), classes = network_.head.offset.size();
  require(pictures.size() % bytes == 0, "{} bytes are no pictures of {}", pictures.size(), bytes);
  const std::size_t images = pictures.size() / bytes;
  std::vector<float> logits(images * classes);
  for (std::size_t first = 0; first < images; first += static_cast<std::size_t>(batch_)) {
    const auto count = static_cast<int>(std::min(images - first, static_cast<std::size_t>(batch_)));
    run_batch(count, pictures.data() + first * bytes, logits.data() + first * classes);
  }
  return logits;
}

std::vector<std::vector<std::uint8_t>> DeviceProgram::levels() const {
  require(keeps_ == Keeps::all, "the levels of this program are not kept");
  std::vector<std::vector<std::uint8_t>> levels;
  for (std::size_t i = 0; i < network_.tensors.size(); ++i)
    levels.push_back(download_array(backend_, levels_of(static_cast<int>(i)),
                                    static_cast<std::size_t>(batch_) * network_.tensors[i].numel()));
  return levels;
}

}  // namespace bsq
