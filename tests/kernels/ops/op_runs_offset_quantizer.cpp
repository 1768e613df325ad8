// Runs of the quantizer of LSQ+. See op_runs.h.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/random_tensors.h"

namespace bsq::test {

OffsetQuantizerInputs make_inputs(const cases::OffsetQuantizerCase& c) {
  RandomTensors random("offset quantizer " + c.name);
  const std::int64_t count = c.batch * c.numel;
  return {random.normal(count, 0, 1), random.normal(count, 0, 1), random.normal(count, 0, 1), {c.step}, {c.offset}};
}

Outputs run_offset_quantizer_forward(Backend& backend, const OffsetQuantizerGeometry& geometry,
                                     const OffsetQuantizerInputs& inputs) {
  RunMemory memory(backend);
  const OffsetQuantizerParameters parameters{memory.input("step", inputs.step), memory.input("offset", inputs.offset)};
  const void* input = memory.input("input", geometry.dtype, inputs.input);
  backend.offset_quantizer_forward(
      {geometry, parameters, input, memory.output("output", geometry.dtype, geometry.numel)});
  return memory.finish();
}

Outputs run_offset_quantizer_backward(Backend& backend, const OffsetQuantizerGeometry& geometry,
                                      const OffsetQuantizerInputs& inputs, GradMode mode) {
  RunMemory memory(backend);
  OffsetQuantizerBackwardArgs args{
      .geometry = geometry,
      .parameters = {memory.input("step", inputs.step), memory.input("offset", inputs.offset)},
      .gain = inputs.gain,
      .mode = mode};
  args.input = memory.input("input", geometry.dtype, inputs.input);
  args.d_output = memory.input("d_output", geometry.dtype, inputs.d_output);
  args.d_input = memory.in_out("d_input", geometry.dtype, inputs.d_input_before);
  args.d_step = memory.output<float>("d_step", 1);
  args.d_offset = memory.output<float>("d_offset", 1);
  args.scratch = memory.scratch(backend.offset_quantizer_scratch_bytes(geometry));
  backend.offset_quantizer_backward(args);
  return memory.finish();
}

}  // namespace bsq::test
