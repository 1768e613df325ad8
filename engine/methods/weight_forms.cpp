#include "engine/methods/weight_forms.h"

#include "engine/base/text.h"
#include "engine/methods/bsq/plane_weights.h"
#include "engine/methods/csq/csq_weights.h"
#include "engine/methods/dorefa/dorefa_weights.h"
#include "engine/methods/fixed_point/fixed_point_weights.h"
#include "engine/methods/lsq/lsq_weights.h"
#include "engine/methods/msq/msq_weights.h"
#include "engine/model/dense_weights.h"
#include "kernels/base/error.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace bsq {
namespace {

/// A line of the table: weights at rest and the store that is made of them.
template <typename Stored, typename Store>
constexpr WeightForm form_of() {
  std::vector<std::string> (*optional_names)(const std::string& parameter) = nullptr;
  if constexpr (requires { Stored::optional_names; }) optional_names = Stored::optional_names;
  return {Stored::kForm,
          Stored::tensor_names,
          optional_names,
          Stored::read,
          Stored::convert,
          [](DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
             const StoredWeights& weights) -> std::unique_ptr<WeightStore> {
            return std::make_unique<Store>(memory, layout, gradients, dynamic_cast<const Stored&>(weights));
          }};
}

constexpr WeightForm kForms[] = {
    form_of<StoredPlanes, PlaneWeights>(), form_of<StoredFixedPoint, FixedPointWeights>(),
    form_of<StoredLsq, LsqWeights>(),      form_of<StoredDorefa, DorefaWeights>(),
    form_of<StoredMsq, MsqWeights>(),      form_of<StoredCsq, CsqWeights>(),
    form_of<StoredDense, DenseWeights>(),
};

const WeightForm& form_named(std::string_view name) {
  for (const WeightForm& form : kForms)
    if (form.name == name) return form;
  fail(ErrorKind::internal, "no form of weights is called {}", name);
}

/// What a parameter may be called in files of a form.
std::vector<std::string> all_names(const WeightForm& form, const std::string& parameter) {
  std::vector<std::string> names = form.tensor_names(parameter);
  if (form.optional_names != nullptr)
    for (std::string& name : form.optional_names(parameter)) names.push_back(std::move(name));
  return names;
}

/// The form in which a file has a parameter: the one of whose tensors it has the most, since the names of one form may
/// be among those of another; null if the file lacks the parameter.
const WeightForm* form_in(const TensorFile& file, const std::string& parameter) {
  const WeightForm* best = nullptr;
  std::ptrdiff_t most = 0;
  for (const WeightForm& form : kForms) {
    const std::vector<std::string> names = form.tensor_names(parameter);
    if (file.find(names.front()) == nullptr) continue;
    const auto found =
        std::ranges::count_if(names, [&](const std::string& name) { return file.find(name) != nullptr; });
    if (found <= most) continue;
    most = found;
    best = &form;
  }
  return best;
}

}  // namespace

std::span<const WeightForm> weight_forms() {
  return kForms;
}

Weights read_weights(const TensorFile& file, const ArenaLayout& layout, int max_bits) {
  const WeightForm* form = form_in(file, layout.slots.front().spec.name);
  return form == nullptr ? StoredDense::read(file, layout, max_bits) : form->read(file, layout, max_bits);
}

Weights convert_weights(std::string_view form, const Weights& from, const std::vector<int>& bits) {
  return form_named(form).convert(from, bits);
}

StoreMaker store_of(std::function<Weights(const ArenaLayout& layout)> make_weights) {
  return [make_weights = std::move(make_weights)](DeviceMemory& memory, const ArenaLayout& layout,
                                                  const float* gradients) {
    const Weights weights = make_weights(layout);
    return form_named(weights->form()).make_store(memory, layout, gradients, *weights);
  };
}

const HostTensor* find_parameter(const TensorFile& file, const std::string& parameter) {
  const WeightForm* form = form_in(file, parameter);
  return form == nullptr ? nullptr : file.find(form->tensor_names(parameter).front());
}

std::set<std::string> names_in_any_form(const std::string& parameter) {
  std::set<std::string> names;
  for (const WeightForm& form : kForms)
    for (std::string& name : all_names(form, parameter)) names.insert(std::move(name));
  return names;
}

void check_names(const TensorFile& file, const Network& network) {
  std::set<std::string> expected;
  std::vector<std::string> missing;
  const auto expect = [&](const std::string& name, bool optional) {
    expected.insert(name);
    if (file.find(name) == nullptr && !optional) missing.push_back(name);
  };
  for (const std::string& name : network.batch_counters()) expect(name, true);
  for (const std::string& name : network.unused()) expect(name, true);
  for (const StateSpec& state : network.states()) expect(state.name, state.optional);
  for (const ParameterSpec& spec : network.parameters()) {
    const WeightForm* form = spec.group == ParameterGroup::plain ? nullptr : form_in(file, spec.name);
    for (const std::string& name :
         form == nullptr ? StoredDense::tensor_names(spec.name) : form->tensor_names(spec.name))
      expect(name, spec.optional);
    if (form != nullptr && form->optional_names != nullptr)
      for (const std::string& name : form->optional_names(spec.name)) expect(name, true);
  }
  std::set<std::string> unexpected;
  for (const HostTensor& tensor : file.tensors)
    if (!expected.contains(tensor.name)) unexpected.insert(tensor.name);
  if (missing.empty() && unexpected.empty()) return;
  std::string message = file.path.string() + ": not a checkpoint of this network";
  if (!missing.empty()) message += fmt::format("; missing: {}", fmt::join(missing, ", "));
  if (!unexpected.empty()) message += fmt::format("; unexpected: {}", fmt::join(unexpected, ", "));
  throw Error(ErrorKind::checkpoint, excerpt(message, 20'000));
}

}  // namespace bsq
