// The source of an exported network: the functions that it needs, its constants, a call per layer.
#include "tools/export/c/c_model.h"

#include "kernels/base/error.h"
#include "tools/export/c/c_source.h"
#include "tools/export/c/c_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

namespace bsq {

extern const char* const kCConvolutions;  // made of convolutions.c when the program is built
extern const char* const kCOperations;    // and of operations.c

namespace {

constexpr std::int64_t kMostHeadPixels = std::int64_t{1} << 22;  // sums of their levels are 32-bit numbers

bool are_bytes(const PixelLevels& pixels) {
  for (const auto& color : pixels)
    for (std::size_t byte = 0; byte < color.size(); ++byte)
      if (color[byte] != byte) return false;
  return true;
}

CScratch scratch_of(const DeployedNetwork& network, CGoal goal) {
  CScratch scratch;
  const auto grow = [](std::size_t& most, std::size_t count) { most = std::max(most, count); };
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const DeployedNode& node = network.nodes[i];
    scratch.has_additions |= std::holds_alternative<LevelSum>(node.operation);
    const auto* c = std::get_if<LevelConvolution>(&node.operation);
    if (c == nullptr) continue;
    const DeployedTensor& x = network.tensors[static_cast<std::size_t>(node.inputs[0])];
    const FilterRows filter = filter_rows(*c, x, goal);
    const auto length = static_cast<std::size_t>(filter.length);
    if (is_by_channel(*c, x)) {
      grow(scratch.sums, length);
      if (goal == CGoal::size) grow(scratch.rows, length * static_cast<std::size_t>(filter.rows));
      continue;
    }
    int rows = network.tensors[i + 1].channels / c->groups;
    if (goal == CGoal::size) rows = std::min(rows, kRowsAtOnce);
    const auto columns = static_cast<std::size_t>(x.width + 2 * c->padding);
    const auto of_column = static_cast<std::size_t>(c->kernel) * static_cast<std::size_t>(x.channels / c->groups);
    grow(scratch.windows, columns * of_column + length - static_cast<std::size_t>(filter.count));
    grow(scratch.sums, 2 * static_cast<std::size_t>(rows));
    if (goal == CGoal::size) grow(scratch.rows, length * static_cast<std::size_t>(rows));
  }
  const DeployedTensor& last = network.tensors[static_cast<std::size_t>(network.head.input)];
  grow(scratch.sums, static_cast<std::size_t>(last.channels));
  if (goal == CGoal::size) grow(scratch.rows, static_cast<std::size_t>(last.channels));
  return scratch;
}

/// The text between a line `/* [name] */` and the next of such lines.
std::string section(const std::string& name) {
  for (const std::string text : {kCConvolutions, kCOperations}) {
    const std::string mark = "/* [" + name + "] */\n";
    const std::size_t begin = text.find(mark);
    if (begin == std::string::npos) continue;
    const std::size_t from = begin + mark.size();
    return text.substr(from, text.find("/* [", from) - from);
  }
  fail(ErrorKind::internal, "no section {} of C functions", name);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

class SourceWriter {
 public:
  explicit SourceWriter(const CSource& source) : source_(source), network_(source.network) {}

  std::string write() {
    add_tensors_and_calls();
    const std::string& file = source_.options.file;
    return fmt::format("/* See {}.h; made by bsq. */\n#include {}\n\n#include <stddef.h>\n", c_comment(file),
                       fmt::format("\"{}.h\"", file)) +
           functions() + constants_ + run_text() + public_text();
  }
  std::size_t constant_bytes() const { return bytes_; }

 private:
  const DeployedTensor& tensor(std::size_t i) const { return network_.tensors[i]; }

  /// Where its levels are.
  std::string place(std::size_t i) const {
    if (i == 0 && source_.reads_bytes) return "picture";
    return levels_at(source_.memory.offsets[i]);
  }

  static std::string levels_at(std::size_t offset) {
    return offset == 0 ? "work->levels" : fmt::format("work->levels + {}", offset);
  }

  static std::string image(const DeployedTensor& tensor) {
    return fmt::format("{{{}, {}, {}, {}, {}}}", tensor.height, tensor.width, tensor.channels, tensor.grid.zero,
                       tensor.grid.top);
  }

  template <typename Number>
  void constant(const std::string& name, const std::vector<Number>& numbers) {
    constants_ += c_array(name, std::span<const Number>(numbers));
    bytes_ += numbers.size() * sizeof(Number);
  }

  void add_tensors_and_calls() {
    needed_ = {"head"};
    if (!source_.reads_bytes) {
      needed_.insert("pixels");
      add_pixels();
    }
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
      constants_ += fmt::format("\n/* {}: {} */\n", i + 1, c_comment(tensor(i + 1).name));
      add_node(i);
      const std::string to = place(i + 1);
      calls_ +=
          fmt::format("  if (differ(expected, {}, {}, {})) return {};\n", i + 1, to, tensor(i + 1).numel(), i + 1);
    }
    add_head();
  }

  void add_pixels() {
    constants_ += fmt::format("\nstatic const uint8_t pixel_levels[{}][256] = {{\n", network_.pixels.size());
    for (const auto& color : network_.pixels) {
      const std::string array = c_array("", std::span<const std::uint8_t>(color));
      const std::size_t begin = array.find('{'), end = array.rfind(';');
      constants_ += "    " + array.substr(begin, end - begin) + ",\n";
      bytes_ += color.size();
    }
    constants_ += "};\n";
    const DeployedTensor& picture = tensor(0);
    calls_ += fmt::format("  look_up(picture, {}, {}, pixel_levels, {});\n",
                          std::int64_t{picture.height} * picture.width, picture.channels, place(0));
  }

  void add_node(std::size_t i) {
    const DeployedNode& node = network_.nodes[i];
    std::vector<std::size_t> inputs(node.inputs.begin(), node.inputs.end());
    if (const auto* convolution = std::get_if<LevelConvolution>(&node.operation))
      return add_convolution(*convolution, i, inputs[0]);
    if (const auto* sum = std::get_if<LevelSum>(&node.operation)) return add_sum(*sum, i, inputs);
    if (const auto* pool = std::get_if<LevelMaximum>(&node.operation)) return add_maximum(*pool, i, inputs[0]);
    if (const auto* concat = std::get_if<LevelConcat>(&node.operation)) return add_concat(*concat, i, inputs);
    require(std::holds_alternative<LevelFlatten>(node.operation), "{}: an operation that C lacks", tensor(i + 1).name);
    needed_.insert("vectors");
    const DeployedTensor& x = tensor(inputs[0]);
    calls_ += fmt::format("  flatten({}, {}, {}, {});\n", place(inputs[0]), std::int64_t{x.height} * x.width,
                          x.channels, place(i + 1));
  }

  void add_convolution(const LevelConvolution& c, std::size_t i, std::size_t input) {
    const DeployedTensor &x = tensor(input), &y = tensor(i + 1);
    const bool by_channel = is_by_channel(c, x);
    needed_.insert({"levels", "convolutions", by_channel ? "channels" : "windows"});
    const FilterRows filter = filter_rows(c, x, source_.options.goal);
    const std::size_t number = i + 1;
    constants_ += filter.definition(fmt::format("filter_{}", number));
    bytes_ += filter.bytes();
    constant(fmt::format("bias_{}", number), c.bias);
    constant(fmt::format("multiplier_{}", number), c.multiplier);
    constants_ += fmt::format(
        "static const struct convolution layer_{0} = {{\n    {1}, {2}, {3}, {4}, {5}, {6},\n    {7}, bias_{0}, "
        "multiplier_{0}}};\n",
        number, image(x), image(y), c.kernel, c.stride, c.padding, c.groups,
        filter.initializer(fmt::format("filter_{}", number)));
    calls_ += fmt::format("  {}(&layer_{}, {}, {}, work);\n", by_channel ? "convolve_channels" : "convolve", number,
                          place(input), place(number));
    std::uint32_t sum = filter.checksum();
    for (std::size_t o = 0; o < c.bias.size(); ++o)
      sum = mixed_checksum(mixed_checksum(sum, static_cast<std::uint32_t>(c.bias[o])),
                           std::bit_cast<std::uint32_t>(c.multiplier[o]));
    checks_ += fmt::format("  if (constants_of(&layer_{0}) != 0x{1:08x}u) return {0};\n", number, sum);
  }

  void add_sum(const LevelSum& sum, std::size_t i, const std::vector<std::size_t>& inputs) {
    needed_.insert({"levels", "sums"});
    constants_ += fmt::format("static const struct addition layer_{} = {{{}, {}, {}, {}}};\n", i + 1, c_float(sum.a),
                              c_float(sum.b), c_float(sum.c), tensor(i + 1).grid.top);
    calls_ += fmt::format("  add(&layer_{}, {}, {}, {}, {}, work);\n", i + 1, tensor(i + 1).numel(), place(inputs[0]),
                          place(inputs[1]), place(i + 1));
  }

  void add_maximum(const LevelMaximum& pool, std::size_t i, std::size_t input) {
    needed_.insert("maxima");
    constants_ += fmt::format("static const struct maximum layer_{} = {{{}, {}, {}, {}, {}}};\n", i + 1,
                              image(tensor(input)), image(tensor(i + 1)), pool.kernel, pool.stride, pool.padding);
    calls_ += fmt::format("  find_maximum(&layer_{}, {}, {});\n", i + 1, place(input), place(i + 1));
  }

  /// An input's table ends with its largest level.
  void add_concat(const LevelConcat& concat, std::size_t i, const std::vector<std::size_t>& inputs) {
    needed_.insert("joints");
    const DeployedTensor& y = tensor(i + 1);
    std::size_t channel = 0;
    for (std::size_t input = 0; input < inputs.size(); ++input) {
      const DeployedTensor& x = tensor(inputs[input]);
      const std::string name = fmt::format("levels_{}_{}", i + 1, input + 1);
      constant(name,
               std::vector<std::uint8_t>(concat.levels[input].begin(), concat.levels[input].begin() + x.grid.top + 1));
      const std::string from = place(inputs[input]);
      const std::size_t to = source_.memory.offsets[i + 1] + channel;
      calls_ += fmt::format("  put_channels({}, {}, {}, {}, {}, {});\n", from, std::int64_t{x.height} * x.width,
                            x.channels, name, levels_at(to), y.channels);
      channel += static_cast<std::size_t>(x.channels);
    }
  }

  void add_head() {
    const DeployedHead& head = network_.head;
    const DeployedTensor& x = tensor(static_cast<std::size_t>(head.input));
    require(std::int64_t{x.height} * x.width <= kMostHeadPixels, "{}: too many pixels for a sum", x.name);
    const FilterRows filter = filter_rows(head, source_.options.goal);
    constants_ += fmt::format("\n/* {}: logits */\n", network_.nodes.size() + 1);
    constants_ += filter.definition("head_filter");
    bytes_ += filter.bytes();
    constant("head_scale", head.scale);
    constant("head_offset", head.offset);
    constants_ += fmt::format("static const struct head last_layer = {{{}, {}, head_scale, head_offset}};\n", image(x),
                              filter.initializer("head_filter"));
    calls_ += fmt::format("  write_logits(&last_layer, {}, work);\n", place(static_cast<std::size_t>(head.input)));
    std::uint32_t sum = filter.checksum();
    for (std::size_t o = 0; o < head.scale.size(); ++o)
      sum = mixed_checksum(mixed_checksum(sum, std::bit_cast<std::uint32_t>(head.scale[o])),
                           std::bit_cast<std::uint32_t>(head.offset[o]));
    checks_ +=
        fmt::format("  if (constants_of_head(&last_layer) != 0x{:08x}u) return {};\n", sum, network_.nodes.size() + 1);
  }

  std::string functions() const {
    const std::string filter = source_.options.goal == CGoal::speed ? "filter of speed" : "filter of size";
    std::string text = section("numbers");
    for (const std::string name : {"levels", "filter", "convolutions", "windows", "channels", "sums", "maxima",
                                   "joints", "vectors", "pixels", "head"})
      if (name == "filter")
        text += section(filter);
      else if (needed_.contains(name))
        text += section(name);
    text += section("check");
    return replaced(text, "model_workspace", source_.prefix + "_workspace");
  }

  std::string run_text() {
    const std::size_t layers = network_.nodes.size();
    std::string text = "\n/* Checksums of the pictures that the check makes up: layers, then logits. */\n";
    text += fmt::format("static const uint32_t expected_checksums[{}][{}] = {{\n", kCheckedPictures, layers + 1);
    for (const std::vector<std::uint32_t>& sums : expected_checksums(network_)) {
      const std::string array = c_array("", std::span<const std::uint32_t>(sums));
      text += "    " + array.substr(array.find('{'), array.rfind(';') - array.find('{')) + ",\n";
      bytes_ += sums.size() * 4;
    }
    text += fmt::format(R"(}};

/* Runs layer after layer. Returns the number of the first one that does not give what is expected, or 0. */
static int run(const uint8_t* picture, {}_workspace* work, const uint32_t* expected) {{
{}  if (expected != NULL) {{
    uint32_t sum = 2166136261u;
    int i;
    for (i = 0; i < {}; ++i) sum = mixed(sum, bits_of(work->logits[i]));
    if (sum != expected[{}]) return {};
  }}
  return 0;
}}
)",
                        source_.prefix, calls_, network_.head.classes(), layers, layers + 1);
    return text;
  }

  std::string public_text() const {
    const std::string &prefix = source_.prefix, upper = upper_case(prefix);
    std::string text;
    if (!source_.options.class_names.empty()) {
      text += fmt::format("\nconst char* const {}_class_names[{}_CLASSES] = {{\n", prefix, upper);
      for (const std::string& name : source_.options.class_names) text += "    " + c_string(name) + ",\n";
      text += "};\n";
    }
    return text + fmt::format(R"(
int {0}_predict(const uint8_t* picture, {0}_workspace* work, float* logits) {{
  int best = 0, i;
  run(picture, work, NULL);
  for (i = 0; i < {1}_CLASSES; ++i) {{
    if (work->logits[i] > work->logits[best]) best = i;
    if (logits != NULL) logits[i] = work->logits[i];
  }}
  return best;
}}

int {0}_check({0}_workspace* work) {{
  int picture, row, column, color;
{2}  for (picture = 0; picture < {3}; ++picture) {{
    uint8_t* const bytes = {4};
    uint8_t* to = bytes;
    int layer;
    for (row = 0; row < {1}_HEIGHT; ++row)
      for (column = 0; column < {1}_WIDTH; ++column)
        for (color = 0; color < {1}_CHANNELS; ++color) *to++ = made_up(picture, row, column, color);
    layer = run(bytes, work, expected_checksums[picture]);
    if (layer != 0) return layer;
  }}
  return 0;
}}
)",
                              prefix, upper, checks_, kCheckedPictures, levels_at(source_.memory.offsets[0]));
  }

  const CSource& source_;
  const DeployedNetwork& network_;
  std::set<std::string> needed_;  // sections
  std::string constants_;
  std::string calls_;
  std::string checks_;
  std::size_t bytes_ = 0;
};

std::size_t filled_up(std::size_t bytes, std::size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

std::size_t CScratch::alignment() const {
  return has_additions ? sizeof(double) : sizeof(float);
}

std::size_t CScratch::bytes() const {
  constexpr std::size_t kAdditionBytes = 256 * (sizeof(double) + sizeof(float));
  const std::size_t convolution = (2 * (windows + rows) + 3) / 4 * 4 + 4 * sums;
  return filled_up(std::max(convolution, has_additions ? kAdditionBytes : 0), alignment());
}

CModel c_model(const DeployedNetwork& network, const CModelOptions& options) {
  const CSource source{.network = network,
                       .options = options,
                       .prefix = c_identifier(options.name),
                       .memory = plan_memory(network),
                       .scratch = scratch_of(network, options.goal),
                       .reads_bytes = are_bytes(network.pixels)};
  CModel model{.prefix = source.prefix, .source = {}, .header = c_header(source)};
  SourceWriter writer(source);
  model.source = writer.write();
  model.constant_bytes = writer.constant_bytes();
  const std::size_t alignment = source.scratch.alignment();
  model.workspace_bytes = filled_up(
      filled_up(source.memory.bytes, alignment) + source.scratch.bytes() + sizeof(float) * network.head.offset.size(),
      alignment);
  return model;
}

}  // namespace bsq
