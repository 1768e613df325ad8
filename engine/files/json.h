// JSON of files that somebody may have damaged. Everything here throws nlohmann::json::exception, as the library does,
// so that a reader catches one kind of exception and names its file.
#pragma once

#include <nlohmann/json.hpp>

#include <concepts>
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

/// `Json`: nlohmann::json, or nlohmann::ordered_json.
template <typename Json = nlohmann::json>
Json parse_json(std::string_view text, int max_depth = kMaxJsonDepth) {
  return Json::parse(text, [max_depth](int depth, typename Json::parse_event_t event, Json&) {
    const bool opens = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= max_depth) throw JsonError("nested deeper than " + std::to_string(max_depth));
    return true;
  });
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
