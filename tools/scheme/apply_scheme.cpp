#include "tools/scheme/apply_scheme.h"

#include "engine/methods/bsq/stored_planes.h"
#include "engine/methods/weight_forms.h"
#include "kernels/base/error.h"
#include "models/roles.h"

namespace bsq {

bool is_scheme_file(const std::filesystem::path& path) {
  return path.extension() == ".yaml" || path.extension() == ".yml";
}

Weights with_widths(const Weights& from, const ArenaLayout& layout, const std::vector<int>& bits) {
  const Weights anew = StoredPlanes::convert(StoredDense::convert(from), layout, bits);
  if (!from->is_quantized()) return anew;
  std::vector<BitPlanes> planes = dynamic_cast<const StoredPlanes&>(*anew).all();
  const Weights kept = convert_weights(kQuantizedForm, from);
  for (std::size_t slot = 0; slot < planes.size(); ++slot)
    if (kept->bits(slot) == bits[slot]) planes[slot] = dynamic_cast<const StoredPlanes&>(*kept).all()[slot];
  return std::make_shared<StoredPlanes>(std::move(planes));
}

std::vector<float> values_under(const StoredWeights& from, std::size_t slot, int bits) {
  std::vector<float> values = from.values(slot);
  if (from.bits(slot) <= bits) return values;
  return StoredPlanes::convert(std::make_shared<StoredDense>(DenseTensors{std::move(values)}), {bits})->values(0);
}

OpenModel with_scheme(OpenModel model, const Scheme& scheme) {
  if (are_soft(*model.weights))
    fail(ErrorKind::usage, "{}: {}", model.file.path.string(), width_conflict(*model.weights, model.layout));
  QuantConfig quant;
  quant.scheme = scheme;
  model.spec = with_roles(std::move(model.spec), quant);
  model.card.network = to_json(model.spec).dump();
  model.network = build_network(model.spec, model.quantizer);
  model.layout = lay_out(model.network.parameters(), ParameterGroup::quantized);
  model.weights = with_widths(model.weights, model.layout, start_bits(model.layout, kMaxBits));
  return model;
}

}  // namespace bsq
