// The packed format (engine/methods/packed_model.h): writing, and reading of what may be damaged.
#include "engine/methods/packed_model.h"

#include "engine/methods/bsq/stored_planes.h"
#include "engine/methods/lsq/stored_lsq.h"
#include "engine/methods/weight_forms.h"
#include "engine/model/model_card.h"
#include "kernels/base/error.h"
#include "kernels/published_rounding.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>

namespace bsq {
namespace {

constexpr const char* kScales = "scales";
constexpr const char* kFloat = "float";
constexpr std::string_view kZero = "zero";
constexpr std::string_view kOdd = "odd";
constexpr std::string_view kLow = "low";

/// How the levels of a tensor become numbers without a sign of their own.
enum class Coding { signs, odd, low };

Coding coding_of(const IntegerTensor& tensor) {
  return tensor.is_lopsided ? Coding::low : are_odd(tensor.levels) ? Coding::odd : Coding::signs;
}

/// Rows of a number: its bits without those of signs.
int number_rows(int bits, Coding coding) {
  return coding == Coding::low ? bits + 1 : bits;
}

std::string shape_words(const std::vector<std::int64_t>& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::int64_t row_bytes(std::int64_t numel) {
  return (numel + 7) / 8;
}

HostTensor packed_bits(const IntegerTensor& tensor, Coding coding) {
  const auto numel = static_cast<std::int64_t>(tensor.levels.size());
  const std::int64_t width = row_bytes(numel);
  const int signs = coding == Coding::signs ? 1 : 0, rows = number_rows(tensor.bits, coding);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>((signs + rows) * width));
  for (std::int64_t i = 0; i < numel; ++i) {
    const int level = tensor.levels[static_cast<std::size_t>(i)];
    const auto set = [&](int row, bool bit) {
      bytes[static_cast<std::size_t>(row * width + i / 8)] |= static_cast<std::uint8_t>(bit ? 1 << (i % 8) : 0);
    };
    const int number = coding == Coding::low   ? level - tensor.low()
                       : coding == Coding::odd ? (level - tensor.low()) / 2
                                               : std::abs(level);
    if (signs == 1) set(0, level < 0);
    for (int bit = 0; bit < rows; ++bit) set(signs + bit, ((number >> (rows - 1 - bit)) & 1) != 0);
  }
  return HostTensor::from<std::uint8_t>(tensor.name, {signs + rows, width}, bytes);
}

std::string plain_entry(const std::string& name, const std::vector<std::int64_t>& shape) {
  return fmt::format("{} {}", name, shape_words(shape));
}

std::string quantized_entry(const std::string& name, const std::vector<std::int64_t>& shape, int bits,
                            std::string_view word) {
  return fmt::format("{} {}{}{}", plain_entry(name, shape), bits, word.empty() ? "" : " ", word);
}

/// The metadata of a packed file of these entries.
std::map<std::string, std::string> packed_metadata(ModelCard card, const std::vector<std::string>& quantized,
                                                   const std::vector<std::string>& plain) {
  card.scheme.reset();  // the list says it
  card.form = "packed";
  card.quantized = fmt::format("{}", fmt::join(quantized, ","));
  card.plain = fmt::format("{}", fmt::join(plain, ","));
  return to_metadata(card);
}

/// An entry of one of the two lists.
struct Entry {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t numel = 1;
  int bits = 0;
  bool is_zero = false;
  Coding coding = Coding::signs;

  int signs() const { return coding == Coding::signs ? 1 : 0; }  // rows
  int rows() const { return signs() + number_rows(bits, coding); }
};

std::optional<std::int64_t> number_of(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// Reads the words of an entry; false if they are not one.
bool read_entry(const std::vector<std::string>& words, bool has_bits, Entry& entry) {
  constexpr std::int64_t kMostNumbers = std::int64_t{1} << 40;
  const std::size_t expected = has_bits ? 3 : 2;
  const bool has_word = has_bits && words.size() == expected + 1;
  entry.is_zero = has_word && words.back() == kZero;
  if (has_word && words.back() == kOdd) entry.coding = Coding::odd;
  if (has_word && words.back() == kLow) entry.coding = Coding::low;
  if (words.size() != expected && !entry.is_zero && entry.coding == Coding::signs) return false;
  entry.name = words[0];
  if (words[1] != shape_words({})) {
    for (const std::string& word : split(words[1], 'x')) {
      const auto dim = number_of(word);
      if (!dim || *dim < 1 || *dim > kMostNumbers / entry.numel) return false;
      entry.shape.push_back(*dim);
      entry.numel *= *dim;
    }
  }
  if (!has_bits) return true;
  const auto bits = number_of(words[2]);
  if (!bits || *bits > kMaxBits || (*bits == 0 && !entry.is_zero)) return false;
  entry.bits = static_cast<int>(*bits);
  return true;
}

template <typename... Args>
[[noreturn]] void refuse(const TensorFile& file, fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::checkpoint, "{}: packed model: {}; the file is damaged", file.path.string(),
       fmt::format(format, std::forward<Args>(args)...));
}

std::vector<Entry> read_list(const TensorFile& file, const char* key, const std::optional<std::string>& list,
                             bool has_bits) {
  if (!list) refuse(file, "no '{}' in the metadata", key);
  // They take no bytes: nothing else limits what a list asks for.
  constexpr std::int64_t kMostZeros = std::int64_t{1} << 24;
  std::int64_t zeros = 0;
  std::vector<Entry> entries;
  std::set<std::string> names;
  for (const std::string& text : split(*list, ',')) {
    Entry entry;
    if (!read_entry(split(text, ' '), has_bits, entry))
      refuse(file, "'{}' of '{}' is no entry", text.substr(0, 80), key);
    if (!names.insert(entry.name).second) refuse(file, "'{}' has {} twice", key, entry.name);
    if (entry.is_zero) zeros += entry.numel * std::max(entry.bits, 1);
    if (zeros > kMostZeros) refuse(file, "more than {} bits of weights that are zero", kMostZeros);
    entries.push_back(std::move(entry));
  }
  return entries;
}

/// The numbers of a tensor; refuses another count than the list says.
std::vector<float> read_floats(const TensorFile& file, const std::string& name, std::int64_t expected) {
  const HostTensor& tensor = file.at(name);
  if (tensor.numel() != expected) refuse(file, "{} numbers in '{}', {} by the list", tensor.numel(), name, expected);
  const auto values = tensor.values<float>();
  return {values.begin(), values.end()};
}

/// The levels of an entry; none if it is zero.
std::vector<int> read_levels(const TensorFile& file, const Entry& entry) {
  if (entry.is_zero) return {};
  const std::int64_t width = row_bytes(entry.numel);
  const HostTensor& packed = file.at(entry.name);
  // Before any memory is taken for what the list claims.
  if (packed.shape != std::vector<std::int64_t>{entry.rows(), width})
    refuse(file, "{} has shape ({}), its bits take ({}, {})", entry.name, fmt::join(packed.shape, ", "), entry.rows(),
           width);
  const auto bytes = packed.values<std::uint8_t>();
  const auto bit_at = [&](std::int64_t row, std::int64_t i) {
    return (bytes[static_cast<std::size_t>(row * width + i / 8)] >> (i % 8)) & 1;
  };
  std::vector<int> levels(static_cast<std::size_t>(entry.numel));
  for (std::int64_t i = 0; i < entry.numel; ++i) {
    int number = 0;
    for (int row = entry.signs(); row < entry.rows(); ++row) number = 2 * number + bit_at(row, i);
    int& level = levels[static_cast<std::size_t>(i)];
    if (entry.coding == Coding::odd)
      level = 2 * number - published::max_level(entry.bits);
    else if (entry.coding == Coding::low)
      level = number - (1 << entry.bits);
    else
      level = bit_at(0, i) != 0 ? -number : number;
  }
  return levels;
}

/// p and n as a model in bit planes has them: [..., bits], most significant first.
void add_planes(const TensorFile& file, const Entry& entry, float scale, std::vector<HostTensor>& tensors) {
  const std::int64_t planes = std::max(entry.bits, 1);
  const std::vector<int> levels = read_levels(file, entry);
  std::vector<float> positive(static_cast<std::size_t>(entry.numel * planes));
  std::vector<float> negative(positive.size());
  for (std::size_t i = 0; i < levels.size(); ++i)
    for (std::int64_t b = 0; b < planes; ++b)
      (levels[i] < 0 ? negative : positive)[i * static_cast<std::size_t>(planes) + static_cast<std::size_t>(b)] =
          static_cast<float>((std::abs(levels[i]) >> (planes - 1 - b)) & 1);
  std::vector<std::int64_t> shape = entry.shape;
  shape.push_back(planes);
  const std::vector<std::string> names = StoredPlanes::tensor_names(entry.name);
  tensors.push_back(HostTensor::from<float>(names[0], shape, positive));
  tensors.push_back(HostTensor::from<float>(names[1], shape, negative));
  tensors.push_back(HostTensor::from<float>(names[2], {1}, std::span(&scale, 1)));
}

/// w, step and least level as a model of LSQ has them.
void add_lsq(const TensorFile& file, const Entry& entry, float scale, std::vector<HostTensor>& tensors) {
  std::vector<int> levels = read_levels(file, entry);
  levels.resize(static_cast<std::size_t>(entry.numel));  // of zeros
  const auto low = static_cast<float>(entry.bits == 0 ? 0 : -(1 << entry.bits));
  const float step = scale > 0 ? scale / std::max(-low, 1.0F) : 1.0F;
  std::vector<float> w;
  for (const int level : levels) w.push_back(step * static_cast<float>(level));
  const std::vector<std::string> names = StoredLsq::tensor_names(entry.name);
  tensors.push_back(HostTensor::from<float>(names[0], entry.shape, w));
  tensors.push_back(HostTensor::from<float>(names[1], {1}, std::span(&step, 1)));
  tensors.push_back(HostTensor::from<float>(StoredLsq::low_name(entry.name), {1}, std::span(&low, 1)));
}

}  // namespace

bool is_packed(const TensorFile& file) {
  return read_card(file).is_packed();
}

TensorFile pack(const TensorFile& model, const std::vector<IntegerTensor>& weights) {
  TensorFile file;
  std::set<std::string> left_out;
  std::vector<std::string> quantized;
  std::vector<float> scales;
  for (const IntegerTensor& tensor : weights) {
    left_out.merge(names_in_any_form(tensor.name));
    const bool is_zero = tensor.is_empty();
    const Coding coding = coding_of(tensor);
    constexpr std::array<std::string_view, 3> kWords = {"", kOdd, kLow};  // in the order of codings
    quantized.push_back(quantized_entry(tensor.name, tensor.shape, tensor.bits,
                                        is_zero ? kZero : kWords.at(static_cast<std::size_t>(coding))));
    scales.push_back(tensor.scale);
    if (!is_zero) file.tensors.push_back(packed_bits(tensor, coding));
  }
  std::vector<std::string> names;
  std::vector<float> numbers;
  for (const HostTensor& tensor : model.tensors) {
    if (tensor.dtype != DType::f32 || left_out.contains(tensor.name)) continue;
    names.push_back(plain_entry(tensor.name, tensor.shape));
    const auto values = tensor.values<float>();
    numbers.insert(numbers.end(), values.begin(), values.end());
  }
  file.metadata = packed_metadata(read_card(model), quantized, names);
  const auto count = [](const std::vector<float>& values) { return static_cast<std::int64_t>(values.size()); };
  file.tensors.push_back(HostTensor::from<float>(kScales, {count(scales)}, scales));
  file.tensors.push_back(HostTensor::from<float>(kFloat, {count(numbers)}, numbers));
  return file;
}

std::int64_t packed_rest_bytes(const Network& network, const ModelCard& card) {
  TensorFile file;  // without any data, so that offsets and lengths of rows are digits too few in its header
  std::vector<std::string> quantized, plain;
  std::int64_t tensors = 0, numbers = 0, rows = 0, digits = 0;
  const auto digits_of = [](std::int64_t number) { return static_cast<std::int64_t>(std::to_string(number).size()); };
  for (const ParameterSpec& spec : network.parameters()) {
    const std::vector<std::int64_t> shape = file_shape(spec.shape);
    if (spec.group == ParameterGroup::plain) {
      plain.push_back(plain_entry(spec.name, shape));
      numbers += spec.shape.numel();
      continue;
    }
    quantized.push_back(quantized_entry(spec.name, shape, kMaxBits, kOdd));  // without a row of signs, which is more
    file.tensors.push_back(HostTensor::from<std::uint8_t>(spec.name, {kMaxBits + 1, 0}, {}));
    const std::int64_t width = row_bytes(spec.shape.numel());
    ++tensors;
    rows += (kMaxBits + 1) * width;
    digits += digits_of(width) - 1;
  }
  for (const StateSpec& state : network.states()) {
    plain.push_back(plain_entry(state.name, {state.numel}));
    numbers += state.numel;
  }
  file.metadata = packed_metadata(card, quantized, plain);
  for (const char* name : {kScales, kFloat}) file.tensors.push_back(HostTensor::from<float>(name, {0}, {}));
  constexpr std::int64_t kNumberBytes = sizeof(float), kAlignment = 8;
  const std::int64_t data = kNumberBytes * (tensors + numbers);
  digits += digits_of(tensors) + digits_of(numbers) - 2;
  digits += 2 * (tensors + 2) * (digits_of(data + rows) - 1);  // where each begins and ends
  return static_cast<std::int64_t>(safetensors_bytes(file)) + data +
         (digits + kAlignment - 1) / kAlignment * kAlignment;
}

TensorFile unpack(const TensorFile& packed) {
  ModelCard card = read_card(packed);
  const std::vector<Entry> quantized = read_list(packed, "quantized", card.quantized, true);
  const std::vector<Entry> plain = read_list(packed, "float", card.plain, false);
  card.quantized.reset();
  card.plain.reset();
  const auto is_low = [](const Entry& entry) { return entry.coding == Coding::low; };
  const bool is_lsq = std::ranges::any_of(quantized, is_low);
  for (const Entry& entry : quantized)
    if (is_lsq && !is_low(entry) && !entry.is_zero) refuse(packed, "{} has another grid than others", entry.name);
  card.form = is_lsq ? StoredLsq::kForm : StoredPlanes::kForm;
  std::vector<std::pair<std::string, int>> bits;
  for (const Entry& entry : quantized) bits.emplace_back(entry.name, entry.bits);
  if (is_lsq) card.scheme = scheme_to_json(bits);
  TensorFile file;
  file.path = packed.path;
  file.metadata = to_metadata(card);

  const std::vector<float> scales = read_floats(packed, kScales, static_cast<std::int64_t>(quantized.size()));
  for (std::size_t i = 0; i < quantized.size(); ++i)
    (is_lsq ? add_lsq : add_planes)(packed, quantized[i], scales[i], file.tensors);
  std::int64_t total = 0;
  for (const Entry& entry : plain) {
    if (__builtin_add_overflow(total, entry.numel, &total)) refuse(packed, "more numbers than there can be");
  }
  const std::vector<float> numbers = read_floats(packed, kFloat, total);
  std::size_t position = 0;
  for (const Entry& entry : plain) {
    const auto numel = static_cast<std::size_t>(entry.numel);
    file.tensors.push_back(
        HostTensor::from<float>(entry.name, entry.shape, std::span(numbers).subspan(position, numel)));
    position += numel;
  }
  std::sort(file.tensors.begin(), file.tensors.end(),
            [](const HostTensor& a, const HostTensor& b) { return a.name < b.name; });
  return file;
}

}  // namespace bsq
