// The table of keys, and how a value of each type is spelled.
#include "engine/model/model_card.h"

#include "engine/files/json.h"

#include <type_traits>

namespace bsq {
namespace {

/// Calls visit(key, field) for every key that bsq writes.
template <typename Card, typename Visit>
void visit_keys(Card& card, Visit&& visit) {
  visit("format", card.format);
  visit("form", card.form);
  visit("scheme", card.scheme);
  visit("quantized", card.quantized);
  visit("float", card.plain);
  visit("network", card.network);
  visit("arch", card.arch);
  visit("depth", card.depth);
  visit("width", card.width);
  visit("num_classes", card.num_classes);
  visit("class_names", card.class_names);
  visit("mean", card.mean);
  visit("std", card.std);
  visit("image_size", card.image_size);
  visit("resize", card.resize);
  visit("interpolation", card.interpolation);
  visit("eval_batch_size", card.eval_batch_size);
  visit("activation", card.activation);
  visit("act_bits", card.act_bits);
  visit("signed", card.signed_numbers);
  visit("act_scale", card.act_scale);
  visit("deployed", card.deployed);
  visit("stage", card.stage);
  visit("bsq_version", card.bsq_version);
}

void read_text(const std::string& text, std::optional<std::string>& field) {
  field = text;
}

/// A number or a list is JSON.
template <typename T>
void read_text(const std::string& text, std::optional<T>& field) {
  field.reset();
  try {
    field = parse_json(text).get<T>();
  } catch (const nlohmann::json::exception&) {
    field.reset();
  }
}

std::string text_of(const std::string& value) {
  return value;
}

template <typename T>
std::string text_of(const T& value) {
  return nlohmann::json(value).dump();
}

}  // namespace

void ModelCard::describe(const StoredWeights& weights, const ArenaLayout& layout) {
  format = "pt";
  form = std::string(weights.form());
  scheme.reset();
  if (weights.is_quantized()) scheme = scheme_to_json(weights, layout);
}

ModelCard read_card(const TensorFile& file) {
  ModelCard card;
  card.texts = file.metadata;
  visit_keys(card, [&](const char* key, auto& field) {
    const auto found = card.texts.find(key);
    if (found != card.texts.end()) read_text(found->second, field);
  });
  return card;
}

const std::string* damaged_text(const ModelCard& card, const std::string& key) {
  const auto found = card.texts.find(key);
  if (found == card.texts.end()) return nullptr;
  bool is_set = true;  // a key of another program is never damaged
  visit_keys(card, [&](const char* other, const auto& field) {
    if (key == other) is_set = field.has_value();
  });
  return is_set ? nullptr : &found->second;
}

std::map<std::string, std::string> to_metadata(const ModelCard& card) {
  std::map<std::string, std::string> metadata = card.texts;
  visit_keys(card, [&](const char* key, const auto& field) {
    if (const auto found = metadata.find(key); found != metadata.end()) {
      auto as_read = field;
      read_text(found->second, as_read);
      if (as_read == field) return;
    }
    metadata.erase(key);
    if (field) metadata[key] = text_of(*field);
  });
  return metadata;
}

}  // namespace bsq
