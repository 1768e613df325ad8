// Model files in every form that weights have: from the bytes to opened weights, and all that is asked of these.
#include "engine/methods/weight_forms.h"
#include "engine/model/bit_summary.h"
#include "tests/fuzz/foreign_bytes.h"
#include "tools/report/level_counts.h"
#include "tools/session/open_model.h"

namespace {

using namespace bsq;

/// What evaluation, conversion, export and reports ask of a model.
void use(const OpenModel& model) {
  for (std::size_t slot = 0; slot < model.weights->size(); ++slot) {
    const auto numel = static_cast<std::size_t>(model.layout.slots[slot].spec.shape.numel());
    fuzz::must_hold(model.weights->values(slot).size() == numel, "weights fill their parameter");
    if (const auto levels = model.weights->levels(slot))
      fuzz::must_hold(levels->k.size() == numel, "levels fill their parameter");
  }
  summarize_bits(*model.weights, model.network);
  width_conflict(*model.weights, model.layout);
  count_levels(model);
  with_weights(model, *convert_weights(kFloatForm, model.weights));
  if (model.weights->is_quantized()) {
    const std::string scheme = scheme_to_json(*model.weights, model.layout);
    fuzz::must_hold(scheme_from_json(scheme, model.layout, "scheme").size() == model.weights->size(),
                    "a scheme can be read again");
    with_weights(model, *convert_weights(kQuantizedForm, model.weights));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::filesystem::path path = fuzz::put("model.safetensors", fuzz::text_of(data, size));
  fuzz::ends_well({ErrorKind::checkpoint}, [&] {
    ModelFile file = describe_model(read_safetensors(path));
    title_of(file.spec);
    const Quantizer quantizer = quantizer_of(file.card);
    use(open_model(std::move(file), quantizer));
  });
  return 0;
}
