// The machine that pickles are programs for: a stack of values, marks on it, and a memo.
#include "data/pickle.h"

#include "data/files.h"
#include "kernels/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <utility>

namespace bsq {
namespace {

using Kind = PickleValue::Kind;

constexpr std::size_t kMostValues = 4'000'000;  // CIFAR-100 has 150,000
constexpr std::size_t kMostDimensions = 64;     // as in numpy
constexpr std::uintmax_t kMostPickleBytes = 512U << 20;

/// What a pickle may ask for, by module and name; numpy 2 has renamed its modules.
enum class Called : std::uint8_t { reconstruct, from_buffer, array, type, encode };

struct KnownName {
  std::string_view module;
  std::string_view name;
  Called called;
};

constexpr KnownName kKnownNames[] = {
    {"numpy.core.multiarray", "_reconstruct", Called::reconstruct},
    {"numpy._core.multiarray", "_reconstruct", Called::reconstruct},
    {"numpy.core.numeric", "_frombuffer", Called::from_buffer},
    {"numpy._core.numeric", "_frombuffer", Called::from_buffer},
    {"numpy", "ndarray", Called::array},
    {"numpy", "dtype", Called::type},
    {"_codecs", "encode", Called::encode},
};

}  // namespace

class PickleReader {
 public:
  PickleReader(Pickle& pickle, const std::filesystem::path& path)
      : pickle_(pickle), path_(path), end_(pickle.bytes_.size()) {}

  void run() {
    for (std::uint8_t code = byte(); code != '.'; code = byte())
      if (!read_number(code) && !read_text(code) && !gather(code) && !use_memo(code) && !make_object(code))
        refuse(fmt::format("an instruction 0x{:02x}, which plain data does not need", code));
    if (stack_.size() != 1 || !marks_.empty()) refuse("it does not end with one value");
    const PickleValue root = top();
    pickle_.values_.push_back(root);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    fail(ErrorKind::data, "{}: byte {}: {}; the file is damaged, or no pickle of numbers and texts", path_.string(),
         at_, what);
  }
  void demand(bool condition, const char* what) const {
    if (!condition) refuse(what);
  }

  // ---- the file ----
  std::size_t take(std::uint64_t count) {
    demand(count <= end_ - position_, "it ends in the middle");
    return std::exchange(position_, position_ + static_cast<std::size_t>(count));
  }
  std::uint8_t byte() {
    at_ = position_;
    return pickle_.bytes_[take(1)];
  }
  std::uint64_t number(int size_bytes) {
    const std::size_t begin = take(static_cast<std::uint64_t>(size_bytes));
    std::uint64_t value = 0;
    for (int i = size_bytes; i-- > 0;) value = value << 8 | pickle_.bytes_[begin + static_cast<std::size_t>(i)];
    return value;
  }
  std::string_view line() {
    const auto* begin = reinterpret_cast<const char*>(pickle_.bytes_.data()) + position_;
    const std::string_view rest(begin, end_ - position_);
    const std::size_t length = rest.find('\n');
    demand(length != std::string_view::npos, "it ends in the middle");
    take(length + 1);
    return rest.substr(0, length);
  }
  std::int64_t decimal(std::string_view text) const {
    if (text.ends_with('L')) text.remove_suffix(1);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    demand(error == std::errc() && end == text.data() + text.size(), "a number that is none");
    return value;
  }

  // ---- the stack ----
  void push_number_of(std::size_t value) {
    demand(++pushed_ <= kMostValues, "it has millions of values");
    stack_.push_back(value);
  }
  void push(PickleValue value) {
    pickle_.values_.push_back(std::move(value));
    push_number_of(pickle_.values_.size() - 1);
  }
  PickleValue& top() {
    demand(stack_.size() > (marks_.empty() ? 0 : marks_.back()), "it takes a value where there is none");
    return pickle_.values_[stack_.back()];
  }
  std::size_t pop() {
    top();
    const std::size_t value = stack_.back();
    stack_.pop_back();
    return value;
  }
  /// The values above the last `count`, or above the last mark if it is negative.
  std::vector<std::size_t> pop_many(int count) {
    std::size_t first = 0;
    if (count < 0) {
      demand(!marks_.empty(), "it takes values where there are none");
      first = marks_.back();
      marks_.pop_back();
    } else {
      const std::size_t floor = marks_.empty() ? 0 : marks_.back();
      demand(stack_.size() - floor >= static_cast<std::size_t>(count), "it takes values where there are none");
      first = stack_.size() - static_cast<std::size_t>(count);
    }
    std::vector<std::size_t> values(stack_.begin() + static_cast<std::ptrdiff_t>(first), stack_.end());
    stack_.resize(first);
    return values;
  }

  // ---- instructions, by kind ----
  bool read_number(std::uint8_t code) {
    PickleValue value{.kind = Kind::number};
    switch (code) {
      case 'J': value.number = static_cast<std::int32_t>(number(4)); break;
      case 'K': value.number = static_cast<std::int64_t>(number(1)); break;
      case 'M': value.number = static_cast<std::int64_t>(number(2)); break;
      case 'I':
      case 'L': value.number = decimal(line()); break;
      case 0x88: value.number = 1; break;  // True
      case 0x89: break;                    // False
      case 0x8a: value.number = long_number(static_cast<int>(number(1))); break;
      case 'N': value.kind = Kind::none; break;
      default: return false;
    }
    push(value);
    return true;
  }

  std::int64_t long_number(int size_bytes) {
    demand(size_bytes <= 8, "a number beyond 64 bits");
    const std::uint64_t value = number(size_bytes);
    const int unused = 64 - 8 * size_bytes;
    return size_bytes == 0 ? 0 : static_cast<std::int64_t>(value << unused) >> unused;
  }

  bool read_text(std::uint8_t code) {
    int size_bytes = 0;
    switch (code) {
      case 'U':                          // short string of Python 2
      case 'C':                          // short bytes
      case 0x8c: size_bytes = 1; break;  // short unicode
      case 'T':                          // string of Python 2
      case 'B':                          // bytes
      case 'X': size_bytes = 4; break;   // unicode
      case 0x8d:                         // long unicode
      case 0x8e:                         // long bytes
      case 0x96: size_bytes = 8; break;  // bytearray
      default: return false;
    }
    const std::uint64_t size = number(size_bytes);
    const std::size_t begin = take(size);
    push({.kind = Kind::text, .begin = begin, .size = static_cast<std::size_t>(size)});
    return true;
  }

  bool gather(std::uint8_t code) {
    switch (code) {
      case '(':
        marks_.push_back(stack_.size());
        demand(++pushed_ <= kMostValues, "it has millions of values");
        break;
      case '}': push({.kind = Kind::dictionary}); break;
      case ']': push({.kind = Kind::list}); break;
      case ')': push({.kind = Kind::tuple}); break;
      case 't': push_members(Kind::tuple, pop_many(-1)); break;
      case 0x85: push_members(Kind::tuple, pop_many(1)); break;
      case 0x86: push_members(Kind::tuple, pop_many(2)); break;
      case 0x87: push_members(Kind::tuple, pop_many(3)); break;
      case 'l': push_members(Kind::list, pop_many(-1)); break;
      case 'd': push_members(Kind::dictionary, pop_many(-1)); break;
      case 'a': extend(Kind::list, pop_many(1)); break;
      case 'e': extend(Kind::list, pop_many(-1)); break;
      case 's': extend(Kind::dictionary, pop_many(2)); break;
      case 'u': extend(Kind::dictionary, pop_many(-1)); break;
      default: return false;
    }
    return true;
  }
  void push_members(Kind kind, std::vector<std::size_t> members) {
    demand(kind != Kind::dictionary || members.size() % 2 == 0, "a key without a value");
    push({.kind = kind, .members = std::move(members)});
  }
  void extend(Kind kind, const std::vector<std::size_t>& more) {
    PickleValue& value = top();
    demand(value.kind == kind, "it adds members to what has none");
    demand(kind != Kind::dictionary || more.size() % 2 == 0, "a key without a value");
    value.members.insert(value.members.end(), more.begin(), more.end());
  }

  bool use_memo(std::uint8_t code) {
    switch (code) {
      case 0x80: demand(number(1) <= 5, "a protocol of the future"); break;
      case 0x95: number(8); break;  // how long a frame is
      case 'q': remember(number(1)); break;
      case 'r': remember(number(4)); break;
      case 'p': remember(static_cast<std::uint64_t>(decimal(line()))); break;
      case 0x94: remember(memo_.size()); break;
      case 'h': recall(number(1)); break;
      case 'j': recall(number(4)); break;
      case 'g': recall(static_cast<std::uint64_t>(decimal(line()))); break;
      default: return false;
    }
    return true;
  }
  void remember(std::uint64_t place) {
    top();
    memo_[place] = stack_.back();
    demand(memo_.size() <= kMostValues, "it has millions of values");
  }
  void recall(std::uint64_t place) {
    const auto found = memo_.find(place);
    demand(found != memo_.end(), "it recalls what it has not kept");
    push_number_of(found->second);
  }

  bool make_object(std::uint8_t code) {
    switch (code) {
      case 'c': {
        const std::string_view module = line();
        push_name(module, line());
        break;
      }
      case 0x93: {
        const std::vector<std::size_t> names = pop_many(2);
        push_name(text(names[0]), text(names[1]));
        break;
      }
      case 'R': {
        const std::vector<std::size_t> call = pop_many(2);
        push(result_of(value(call[0]), value(call[1])));
        break;
      }
      case 'b': {
        const std::size_t state = pop();
        if (top().kind == Kind::array)
          fill(top(), value(state));
        else
          demand(top().kind == Kind::type, "it changes what is no array");
        break;
      }
      default: return false;
    }
    return true;
  }

  // ---- objects ----
  PickleValue& value(std::size_t number) { return pickle_.values_[number]; }
  const PickleValue& member(const PickleValue& of, std::size_t index, Kind kind) {
    demand(index < of.members.size() && value(of.members[index]).kind == kind, "an array of another make");
    return value(of.members[index]);
  }
  std::string_view text(std::size_t number) {
    demand(value(number).kind == Kind::text, "it asks for something without a name");
    return pickle_.text(value(number));
  }

  void push_name(std::string_view module, std::string_view name) {
    for (const KnownName& known : kKnownNames)
      if (known.module == module && known.name == name) {
        push({.kind = Kind::name, .number = static_cast<std::int64_t>(known.called)});
        return;
      }
    refuse(fmt::format("it asks for {}.{}", module.substr(0, 60), name.substr(0, 60)));
  }

  PickleValue result_of(const PickleValue& name, const PickleValue& arguments) {
    demand(name.kind == Kind::name && arguments.kind == Kind::tuple, "it calls what is no function");
    switch (static_cast<Called>(name.number)) {
      case Called::reconstruct: return {.kind = Kind::array};
      case Called::type: {
        PickleValue type = member(arguments, 0, Kind::text);
        type.kind = Kind::type;
        return type;
      }
      case Called::encode: return decoded(member(arguments, 0, Kind::text));
      case Called::from_buffer: {
        PickleValue array{.kind = Kind::array};
        set_array(array, member(arguments, 2, Kind::tuple), member(arguments, 1, Kind::type),
                  member(arguments, 0, Kind::text));
        demand(pickle_.text(member(arguments, 3, Kind::text)) == "C", "an array whose columns come first");
        return array;
      }
      case Called::array: break;
    }
    refuse("it makes an array in another way");
  }

  /// The state of numpy's arrays: version, shape, type, whether columns come first, numbers.
  void fill(PickleValue& array, const PickleValue& state) {
    demand(state.kind == Kind::tuple && state.members.size() == 5, "an array of another make");
    demand(member(state, 3, Kind::number).number == 0, "an array whose columns come first");
    set_array(array, member(state, 1, Kind::tuple), member(state, 2, Kind::type), member(state, 4, Kind::text));
  }

  void set_array(PickleValue& array, const PickleValue& shape, const PickleValue& type, const PickleValue& numbers) {
    demand(pickle_.text(type) == "u1" || pickle_.text(type) == "|u1", "an array of numbers that are not uint8");
    demand(shape.members.size() <= kMostDimensions, "an array of more dimensions than there are");
    array.members.clear();
    std::size_t count = 1;
    for (std::size_t i = 0; i < shape.members.size(); ++i) {
      const std::int64_t length = member(shape, i, Kind::number).number;
      demand(length >= 0 && (length == 0 || count <= end_ / static_cast<std::size_t>(length)),
             "an array beyond the file");
      count *= static_cast<std::size_t>(length);
      array.members.push_back(static_cast<std::size_t>(length));
    }
    demand(count == numbers.size, "an array whose numbers do not fill its shape");
    array.begin = numbers.begin;
    array.size = numbers.size;
  }

  /// Bytes that Python 3 has written for Python 2: each is a character below 256, in UTF-8. Half of a picture's bytes
  /// take two, in no order: no branch depends on them, and no place to read from.
  PickleValue decoded(const PickleValue& written) {
    const std::size_t begin = pickle_.bytes_.size();
    demand(begin + written.size <= 2 * end_, "it writes the same bytes again and again");
    pickle_.bytes_.resize(begin + written.size);
    std::uint8_t* const bytes = pickle_.bytes_.data();
    const std::size_t end = written.begin + written.size;
    std::size_t to = begin;
    unsigned first_before = 0, before = 0, wrong = 0;  // wrong: not 0 if a byte is out of place
    for (std::size_t from = written.begin; from < end; ++from) {
      const unsigned byte = bytes[from], high = byte >> 7, next = byte >> 6 & 1;
      const unsigned is_first = high & next, is_second = high & (next ^ 1);
      wrong |= (is_second ^ first_before) | (is_first * ((byte & 0xfe) ^ 0xc2));
      bytes[to] = static_cast<std::uint8_t>((byte & ~(is_second << 7)) | is_second * (before << 6));
      to += 1 - is_first;
      first_before = is_first;
      before = byte;
    }
    demand((wrong | first_before) == 0, "a byte that is no character below 256");
    pickle_.bytes_.resize(to);
    return {.kind = Kind::text, .begin = begin, .size = to - begin};
  }

  Pickle& pickle_;
  const std::filesystem::path& path_;
  std::size_t end_;           // of the file
  std::size_t position_ = 0;  // of the next byte
  std::size_t at_ = 0;        // of the instruction
  std::size_t pushed_ = 0;
  std::vector<std::size_t> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, std::size_t> memo_;
};

Pickle::Pickle(std::vector<std::uint8_t> bytes, const std::filesystem::path& path) : bytes_(std::move(bytes)) {
  PickleReader(*this, path).run();
}

Pickle Pickle::read(const std::filesystem::path& path) {
  if (const std::uintmax_t size = file_size_of(path); size > kMostPickleBytes)
    fail(ErrorKind::data, "{}: {} bytes; more than any pickle of CIFAR has", path.string(), size);
  return {read_file(path), path};
}

std::string_view Pickle::text(const PickleValue& value) const {
  return {reinterpret_cast<const char*>(bytes_.data()) + value.begin, value.size};
}

std::span<const std::uint8_t> Pickle::bytes_of(const PickleValue& value) const {
  return std::span(bytes_).subspan(value.begin, value.size);
}

const PickleValue* Pickle::find(const PickleValue& dictionary, std::string_view key) const {
  for (std::size_t i = 0; i + 1 < dictionary.members.size(); i += 2) {
    const PickleValue& found = values_[dictionary.members[i]];
    if (found.kind == PickleValue::Kind::text && text(found) == key) return &values_[dictionary.members[i + 1]];
  }
  return nullptr;
}

}  // namespace bsq
