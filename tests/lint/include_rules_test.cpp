// The check of #include lines finds every kind of fault, and only faults.
#include "tests/lint/include_rules.h"
#include "tests/support/catch.h"

namespace bsq::lint {
namespace {

using Faults = std::vector<std::string>;

bool is_allowed(std::string_view path, const std::string& header) {
  return check_includes(path, "#include \"" + header + "\"\n").empty();
}

bool library_is_allowed(std::string_view path, const std::string& header) {
  return check_includes(path, "#include <" + header + ">\n").empty();
}

TEST_CASE("an include that goes up or sideways is found, with its line") {
  CHECK(check_includes("engine/run/a.cpp", "// a\n#include \"models/resnet.h\"\n") ==
        Faults{"engine/run/a.cpp:2: models/resnet.h is above this room, beside it, or not written from the root"});
  CHECK_FALSE(is_allowed("kernels/a.h", "engine/config/config.h"));
  CHECK_FALSE(is_allowed("data/a.cpp", "models/resnet.h"));
  CHECK_FALSE(is_allowed("models/a.cpp", "data/files.h"));
  CHECK_FALSE(is_allowed("models/a.cpp", "tools/cli/arguments.h"));
  CHECK_FALSE(is_allowed("tools/cli/a.cpp", "tests/support/compare.h"));
}

TEST_CASE("an include that goes down or stays in its room is fine") {
  CHECK(is_allowed("tools/session/a.cpp", "models/resnet.h"));
  CHECK(is_allowed("tools/session/a.cpp", "kernels/base/error.h"));
  CHECK(is_allowed("data/a.cpp", "engine/input/image_set.h"));
  CHECK(is_allowed("data/a.cpp", "data/files.h"));
  CHECK(is_allowed("kernels/cpu/a.cpp", "kernels/cpu/onednn.h"));
  CHECK(is_allowed("engine/network/a.cpp", "engine/network/layers/conv2d.h"));
  CHECK(is_allowed("engine/network/layers/a.cpp", "engine/network/layer.h"));
  CHECK(check_includes("models/a.cpp", "// #include \"data/files.h\"\n").empty());
}

TEST_CASE("the rooms of a floor see those that the arrows lead to, directly or through others") {
  struct Arrow {
    std::string from, to;
    bool is_drawn;
  };
  // clang-format off
  const std::vector<Arrow> arrows = {
    {"kernels/devices.cpp",          "kernels/reference/reference_backend.h", true},
    {"kernels/backend.h",            "kernels/cpu/cpu_backend.h",             false},
    {"kernels/reference/a.cpp",      "kernels/cpu/onednn.h",                  false},
    {"kernels/cpu/a.cpp",            "kernels/cuda/check.h",                  false},
    {"kernels/cpu/a.cpp",            "kernels/ranks/communicator.h",          true},
    {"kernels/ranks/a.cpp",          "kernels/backend.h",                     false},
    {"kernels/base/a.cpp",           "kernels/types.h",                       false},
    {"kernels/cuda/ops/a.cu",        "kernels/cuda/device/port.h",            true},
    {"kernels/cuda/device/a.cuh",    "kernels/cuda/vendor/cudnn.h",           false},
    {"engine/base/a.cpp",            "kernels/types.h",                       false},
    {"engine/files/a.cpp",           "engine/model/model.h",                  false},
    {"engine/memory/a.cpp",          "engine/files/safetensors.h",            false},
    {"engine/config/a.cpp",          "engine/methods/methods.h",              false},
    {"engine/network/a.cpp",         "engine/model/model.h",                  false},
    {"engine/network/a.cpp",         "engine/files/safetensors.h",            true},
    {"engine/model/a.cpp",           "engine/methods/methods.h",              false},
    {"engine/model/a.cpp",           "engine/base/suggest.h",                 true},
    {"engine/methods/bsq/a.cpp",     "engine/methods/method.h",               true},
    {"engine/methods/bsq/a.cpp",     "engine/methods/dense/dense_method.h",   false},
    {"engine/methods/methods.cpp",   "engine/methods/dense/dense_weights.h",  true},
    {"engine/methods/bsq/a.cpp",     "engine/training/stage.h",               false},
    {"engine/input/a.cpp",           "engine/model/model.h",                  false},
    {"engine/ranks/a.cpp",           "engine/training/stage.h",               false},
    {"engine/run/a.cpp",             "engine/training/stage.h",               false},
    {"engine/training/a.cpp",        "engine/network/network.h",              true},
    {"models/a.cpp",                 "engine/model/model.h",                  false},
    {"data/a.cpp",                   "engine/training/stage.h",               false},
    {"data/a.cpp",                   "kernels/base/error.h",                  true},
    {"tools/cli/a.cpp",              "tools/session/device.h",                false},
    {"tools/cli/a.cpp",              "engine/training/stage.h",               false},
    {"tools/session/a.cpp",          "tools/commands/commands.h",             false},
    {"tools/export/a.cpp",           "tools/report/table.h",                  false},
    {"tools/report/a.cpp",           "tools/export/formats.h",                false},
    {"tools/report/charts/a.cpp",    "tools/report/table.h",                  false},
    {"tools/report/a.cpp",           "tools/report/charts/svg.h",             true},
    {"tools/commands/a.cpp",         "tools/cli/arguments.h",                 true},
    {"bench/a.cpp",                  "tools/commands/commands.h",             false},
  };
  // clang-format on
  for (const Arrow& arrow : arrows) {
    INFO(arrow.from << " includes " << arrow.to);
    CHECK(is_allowed(arrow.from, arrow.to) == arrow.is_drawn);
  }
}

TEST_CASE("a header that is not written from the root is found") {
  CHECK(check_includes("engine/model/a.cpp", "#include \"config.h\"\n").size() == 1);
  CHECK(check_includes("engine/model/a.cpp", "  #  include \"../kernels/types.h\"  // odd, but it compiles\n").size() ==
        1);
}

TEST_CASE("the backends stay inside kernels/") {
  CHECK(is_allowed("kernels/devices.cpp", "kernels/cpu/cpu_backend.h"));
  for (const std::string header : {"kernels/cpu/cpu_backend.h", "kernels/reference/reference_backend.h",
                                   "kernels/cuda/check.h", "kernels/ranks/mpi/plugin.h"}) {
    INFO(header);
    CHECK_FALSE(is_allowed("engine/training/a.cpp", header));
    CHECK_FALSE(is_allowed("tools/commands/a.cpp", header));
    CHECK_FALSE(is_allowed("bench/roofline_model.cpp", header));
  }
  const std::string rule = "kernels/cuda/device/own_geometries.h";  // a row names this header, for one file
  CHECK(is_allowed("bench/roofline_model.cpp", rule));
  CHECK_FALSE(is_allowed("bench/roofline.cpp", rule));
}

TEST_CASE("a kernel file includes the port header, never CUDA's own or what nvcc does not compile") {
  for (const std::string_view path : {"kernels/cuda/ops/a.cu", "kernels/cuda/device/a.cuh"}) {
    INFO(path);
    for (const std::string header : {"kernels/cuda/device/port.h", "kernels/types.h", "kernels/random.h"})
      CHECK(is_allowed(path, header));
    CHECK(library_is_allowed(path, "cstdint"));
    for (const std::string header : {"kernels/base/error.h", "kernels/backend.h", "tests/support/compare.h"})
      CHECK_FALSE(is_allowed(path, header));
    for (const std::string header : {"cuda_runtime.h", "cuda_runtime_api.h", "cuda_on_host.h", "fmt/format.h"})
      CHECK_FALSE(library_is_allowed(path, header));
  }
  CHECK(library_is_allowed("kernels/cuda/device/port.h", "cuda_runtime.h"));
  CHECK(is_allowed("kernels/cuda/check.cpp", "kernels/base/error.h"));
  CHECK_FALSE(library_is_allowed("kernels/cuda/check.cpp", "cuda_runtime.h"));
  CHECK_FALSE(library_is_allowed("kernels/reference/a.cpp", "cuda_runtime_api.h"));
  CHECK_FALSE(is_allowed("engine/training/a.cpp", "kernels/cuda/ops/launchers.h"));
}

TEST_CASE("a library's header is allowed in its one place and nowhere else") {
  CHECK(library_is_allowed("models/a.cpp", "vector"));
  CHECK(library_is_allowed("kernels/cpu/onednn.h", "oneapi/dnnl/dnnl.hpp"));
  CHECK_FALSE(library_is_allowed("kernels/reference/a.cpp", "omp.h"));
  CHECK_FALSE(library_is_allowed("engine/model/model.cpp", "oneapi/dnnl/dnnl.hpp"));
  CHECK(library_is_allowed("engine/config/yaml_reader.cpp", "yaml-cpp/yaml.h"));
  CHECK_FALSE(library_is_allowed("engine/config/config.h", "yaml-cpp/yaml.h"));
  CHECK(library_is_allowed("data/image_formats/png.cpp", "png.h"));
  CHECK_FALSE(library_is_allowed("data/image_file.cpp", "png.h"));
  CHECK_FALSE(library_is_allowed("tools/main.cpp", "png.h"));
  CHECK(library_is_allowed("tools/cli/arguments.cpp", "CLI/CLI.hpp"));
  CHECK_FALSE(library_is_allowed("tools/cli/arguments.h", "CLI/CLI.hpp"));
  CHECK_FALSE(library_is_allowed("engine/config/config.cpp", "CLI/CLI.hpp"));
}

TEST_CASE("a test includes the room it tests, what is below, the oracle and tests/support") {
  const auto faults = [](std::string_view path, const std::string& header) {
    return check_test_includes(path, "#include \"" + header + "\"\n");
  };
  for (const std::string header : {"engine/model/model.h", "engine/network/network.h", "tests/support/engine.h",
                                   "kernels/reference/reference_backend.h", "tests/engine/model/more.h"}) {
    INFO(header);
    CHECK(faults("tests/engine/model/a_test.cpp", header).empty());
  }
  CHECK(faults("tests/engine/model/a_test.cpp", "engine/training/stage.h") ==
        Faults{"tests/engine/model/a_test.cpp:1: engine/training/stage.h is above the room that is tested"});
  CHECK(faults("tests/engine/model/a_test.cpp", "tests/engine/training/more.h").size() == 1);
  CHECK(faults("tests/program/a_test.cpp", "tests/support/workspace.h").empty());
  CHECK(
      faults("tests/program/a_test.cpp", "engine/files/safetensors.h") ==
      Faults{"tests/program/a_test.cpp:1: engine/files/safetensors.h is no header of tests/program or tests/support"});
  CHECK(faults("tests/ranks/a_test.cpp", "engine/training/stage.h").empty());
}

TEST_CASE("whether a file includes its own header before all else is told") {
  CHECK(begins_with_own_header("data/a.cpp", "// What.\n#include \"data/a.h\"\n\n#include <map>\n"));
  CHECK_FALSE(begins_with_own_header("data/a.cpp", "#include <map>\n#include \"data/a.h\"\n"));
  CHECK_FALSE(begins_with_own_header("data/a.cpp", "#define A 1\n#include \"data/a.h\"\n"));
  CHECK_FALSE(begins_with_own_header("data/a.cpp", "#include \"data/b.h\"\n"));
  CHECK_FALSE(begins_with_own_header("data/a.cpp", "// No include.\n"));
}

TEST_CASE("a file in a folder without a rule is a fault, not a pass") {
  CHECK(check_includes("extras/a.cpp", "") ==
        Faults{"extras/a.cpp: no rule of tests/lint/include_rules.cpp is for this folder"});
}

}  // namespace
}  // namespace bsq::lint
