// What a model file says of itself: its metadata as one struct, with one reader and one writer.
//
// A key that the file lacks is not set; neither is one whose text cannot be read. What is not changed here is written
// with the text that it was read from, whoever wrote that, and so are keys of other programs.
#pragma once

#include "engine/files/safetensors.h"
#include "engine/model/stored_weights.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

struct ModelCard {
  // How the weights are stored.
  std::optional<std::string> format;     // "pt": tensors have PyTorch's names
  std::optional<std::string> form;       // StoredWeights::form(), or packed
  std::optional<std::string> scheme;     // bits of every layer, see scheme_to_json
  std::optional<std::string> quantized;  // of a packed model: its quantized tensors, see packed_model.h
  std::optional<std::string> plain;      // likewise: all others

  // The network.
  std::optional<std::string> network;  // JSON of its NetworkSpec
  std::optional<std::string> arch;
  std::optional<int> depth;  // of a ResNet
  std::optional<int> width;  // likewise
  std::optional<int> num_classes;
  std::optional<std::vector<std::string>> class_names;

  // How it is run: names and meanings are those of the configuration.
  std::optional<std::vector<double>> mean;
  std::optional<std::vector<double>> std;
  std::optional<int> image_size;  // what pictures are fitted to; empty, as the next two, if they must have their size
  std::optional<int> resize;
  std::optional<std::string> interpolation;
  std::optional<int> eval_batch_size;
  std::optional<std::string> activation;  // of the blocks
  std::optional<int> act_bits;
  std::optional<std::string> signed_numbers;  // the key `signed`
  std::optional<std::string> act_scale;
  std::optional<bool> deployed;

  // Where it is from.
  std::optional<std::string> stage;
  std::optional<std::string> bsq_version;

  std::map<std::string, std::string> texts;  // the metadata that it was read from

  bool is_packed() const { return form == "packed"; }
  /// Sets the form and, if the weights have bit widths, the scheme.
  void describe(const StoredWeights& weights, const ArenaLayout& layout);
};

ModelCard read_card(const TensorFile& file);
/// The text of a key that is there and cannot be read, or null.
const std::string* damaged_text(const ModelCard& card, const std::string& key);
/// What a file of this card has for its metadata.
std::map<std::string, std::string> to_metadata(const ModelCard& card);

}  // namespace bsq
