// The forms that weights at rest may have, as a table, and files in any of them.
#pragma once

#include "engine/model/weight_store.h"
#include "engine/network/network.h"

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bsq {

struct WeightForm {
  std::string_view name;  // what StoredWeights::form() and the metadata say
  /// What a parameter is called in files: `fc.weight` -> `fc.pweight`, `fc.nweight`, `fc.scale`. A file is of the form
  /// whose first name it has.
  std::vector<std::string> (*tensor_names)(const std::string& parameter);
  /// Those that a parameter may have besides; null: none.
  std::vector<std::string> (*optional_names)(const std::string& parameter);
  /// Throws Error(checkpoint).
  Weights (*read)(const TensorFile& file, const ArenaLayout& layout, int max_bits);
  /// Converts weights of any form; bits[slot] is for weights that are on no grid. Weights of this form stay as they
  /// are.
  Weights (*convert)(const Weights& from, const std::vector<int>& bits);
  /// A store that holds weights of this form as they are.
  std::unique_ptr<WeightStore> (*make_store)(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                             const StoredWeights& weights);
};

/// One line per form.
std::span<const WeightForm> weight_forms();

/// Recognizes the form by the names in the file. Throws Error(checkpoint).
Weights read_weights(const TensorFile& file, const ArenaLayout& layout, int max_bits);
/// These weights in the form of that name, which is in the table.
Weights convert_weights(std::string_view form, const Weights& from, const std::vector<int>& bits = {});
/// Makes the store that holds these weights as they are, for whoever only wants to run the network.
StoreMaker store_of(std::function<Weights(const ArenaLayout& layout)> make_weights);
/// The first tensor of a parameter in a file, whatever its form; null if there is none. A form may add axes behind
/// those of the parameter.
const HostTensor* find_parameter(const TensorFile& file, const std::string& parameter);
/// All names that the tensors of a parameter have in any form.
std::set<std::string> names_in_any_form(const std::string& parameter);
/// Throws Error(checkpoint) listing every missing and every unexpected tensor, as load_state_dict(strict=True) does.
void check_names(const TensorFile& file, const Network& network);

}  // namespace bsq
