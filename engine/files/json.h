// JSON of files that somebody may have damaged. Everything here throws nlohmann::json::exception, as the library does,
// so that a reader catches one kind of exception and names its file.
#pragma once

#include <nlohmann/json.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace bsq {

/// Deeper than any file of bsq; the library itself recurses to the end of the stack.
inline constexpr int kMaxJsonDepth = 64;

class JsonError : public nlohmann::json::exception {
 public:
  explicit JsonError(const std::string& what) : exception(0, what.c_str()) {}
};

/// Looks at a text before values are made of it. The library's own way, a callback of the parser, looks at all that is
/// in a map or list again after each map or list in it, so that a file of some megabytes takes minutes.
template <typename Json>
class JsonLook : public nlohmann::json_sax<Json> {
 public:
  using typename nlohmann::json_sax<Json>::string_t;

  /// A map or list begins, inside of so many others.
  virtual void opens(bool is_map, int depth) = 0;
  virtual void names(const std::string& /*key*/) {}
  virtual void closes() {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(typename Json::number_integer_t) override { return true; }
  bool number_unsigned(typename Json::number_unsigned_t) override { return true; }
  bool number_float(typename Json::number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(typename Json::binary_t&) override { return true; }
  bool key(string_t& key) override { return names(key), true; }
  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  /// Left to the parser, which comes after this and has the better words.
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  bool open(bool is_map) {
    opens(is_map, depth_++);
    return true;
  }
  bool close() {
    --depth_;
    closes();
    return true;
  }

  int depth_ = 0;
};

/// `Json`: nlohmann::json, or nlohmann::ordered_json.
template <typename Json = nlohmann::json>
Json parse_json(std::string_view text, int max_depth = kMaxJsonDepth) {
  class DepthLook final : public JsonLook<Json> {
   public:
    explicit DepthLook(int most) : most_(most) {}
    void opens(bool, int depth) override {
      if (depth >= most_) throw JsonError("nested deeper than " + std::to_string(most_));
    }

   private:
    int most_;
  };
  DepthLook look(max_depth);
  Json::sax_parse(text, &look);
  return Json::parse(text);
}

/// The same; a discarded value (is_discarded()) if the text is no such JSON.
template <typename Json = nlohmann::json>
Json parse_json_or_discard(std::string_view text, int max_depth = kMaxJsonDepth) {
  try {
    return parse_json<Json>(text, max_depth);
  } catch (const nlohmann::json::exception&) {
    return Json(Json::value_t::discarded);
  }
}

/// An integer from 0 to `most`; the library turns a number that is too large into another one.
template <std::integral Count = int>
Count json_count(const nlohmann::json& value, Count most = std::numeric_limits<Count>::max()) {
  const bool counts = value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0);
  if (!counts || value.get<std::uint64_t>() > static_cast<std::uint64_t>(most))
    throw JsonError((value.is_structured() ? value.type_name() : value.dump()) + " is no count from 0 to " +
                    std::to_string(most));
  return value.get<Count>();
}

/// A number from 0 to `most`.
inline double json_measure(const nlohmann::json& value, double most = std::numeric_limits<double>::max()) {
  if (!value.is_number() || !(value.get<double>() >= 0 && value.get<double>() <= most))
    throw JsonError((value.is_structured() ? value.type_name() : value.dump()) + " is out of range");
  return value.get<double>();
}

}  // namespace bsq
