// What is told of a device's engines, and how often.
#include "engine/run/engine_notes.h"
#include "tests/support/catch.h"
#include "tests/support/guarding_backend.h"

#include "kernels/devices.h"
#include "kernels/reference/reference_backend.h"

#include <sstream>

namespace bsq::test {
namespace {

EngineNote note_of(ConvPass pass) {
  EngineNote note;
  note.geometry = {
      .batch = 128, .height = 32, .width = 32, .in_channels = 16, .out_channels = 16, .dtype = DType::bf16};
  note.pass = pass;
  note.engine = "cuDNN 40";
  note.found_by = "heuristics";
  note.numerics = "TENSOR_CORE";
  note.workspace_bytes = 3 << 19;
  return note;
}

class Noted final : public GuardingBackend {
 public:
  using GuardingBackend::GuardingBackend;
  std::vector<std::string> notes() const override { return notes_now; }
  std::vector<EngineNote> engines() const override { return engines_now; }
  std::vector<std::string> notes_now;
  std::vector<EngineNote> engines_now;
};

}  // namespace

TEST_CASE("an engine is told in a line: what, how, and at what price") {
  EngineNote note = note_of(ConvPass::forward);
  CHECK(engine_text(note) ==
        "convolution 128x32x32x16 -> 16 channels, kernel 3, stride 1, bf16: forward by cuDNN 40 (heuristics; "
        "TENSOR_CORE; "
        "1.5 MiB of workspace)");
  note.workspace_bytes = 288 << 10;
  CHECK_THAT(engine_text(note), Catch::EndsWith("; 288.0 KiB of workspace)"));
  note.workspace_bytes = 64;
  CHECK_THAT(engine_text(note), Catch::EndsWith("; 64 bytes of workspace)"));
  note.geometry.groups = 16;
  CHECK_THAT(engine_text(note), Catch::Contains("16 channels, kernel 3, stride 1, 16 groups, bf16: forward by"));
  note = {};
  note.geometry.batch = 1;
  note.pass = ConvPass::backward_weight;
  note.engine = "own loops";
  CHECK(engine_text(note) ==
        "convolution 1x0x0x0 -> 0 channels, kernel 3, stride 1, f32: backward weight by own loops");
  note.widens_operands = true;
  CHECK_THAT(engine_text(note), Catch::EndsWith("own loops (operands widened to float32)"));
}

TEST_CASE("files have everything that is known of an engine") {
  const auto list = to_json(std::vector{note_of(ConvPass::backward_data)});
  CHECK(list.dump() == R"([{"convolution":[128,32,32,16,16],"kernel":3,"stride":1,"padding":1,"groups":1,)"
                       R"("dtype":"bf16",)"
                       R"("pass":"backward data","engine":"cuDNN 40","found_by":"heuristics","numerics":"TENSOR_CORE",)"
                       R"("behavior":"","workspace_bytes":1572864,"widens_operands":false}])");
}

TEST_CASE("notes are warnings, engines are for the verbose, and each is told once") {
  const auto oracle = make_reference_backend();
  Noted backend(*oracle);
  EngineTeller teller;
  ConsoleOptions options;
  options.verbosity = Verbosity::verbose;
  std::ostringstream verbose;
  Console console(verbose, options);
  CHECK_FALSE(teller.tell(backend, console));
  backend.notes_now = {"something is slow"};
  backend.engines_now = {note_of(ConvPass::forward)};
  CHECK(teller.tell(backend, console));
  CHECK_FALSE(teller.tell(backend, console));
  CHECK(verbose.str() == "warning: something is slow\n" + engine_text(backend.engines_now[0]) + "\n");
  verbose.str("");
  backend.engines_now.push_back(note_of(ConvPass::backward_weight));
  CHECK(teller.tell(backend, console));
  CHECK(verbose.str() == engine_text(backend.engines_now[1]) + "\n");

  std::ostringstream normal;
  Console quieter(normal, {});
  CHECK(EngineTeller().tell(backend, quieter));
  CHECK(normal.str() == "warning: something is slow\n");
}

TEST_CASE("the CPU's engines are oneDNN's implementations") {
  const auto backend = make_backend("cpu", {.threads = 1});
  CHECK(backend->engines().empty());
  const ConvGeometry geometry{.batch = 1, .height = 8, .width = 8, .in_channels = 16, .out_channels = 16};
  backend->conv2d_scratch_bytes({geometry, kForwardPass});
  REQUIRE(backend->engines().size() == 1);
  CHECK_THAT(backend->engines()[0].engine, Catch::Matches("oneDNN .+"));
  backend->conv2d_scratch_bytes({geometry, kAllPasses});
  CHECK(backend->engines().size() == 3);
}

}  // namespace bsq::test
