// The check of #include lines finds every kind of fault, and only faults.
#include "tests/lint/include_rules.h"
#include "tests/support/catch.h"

namespace bsq::lint {
namespace {

using Faults = std::vector<std::string>;

TEST_CASE("an include that goes up or sideways is found, with its line") {
  CHECK(check_includes("engine/a.cpp", "// a\n#include \"models/resnet.h\"\n") ==
        Faults{"engine/a.cpp:2: models/resnet.h is above this floor, beside it, or not written from the root"});
  CHECK(check_includes("kernels/a.h", "#include \"engine/config.h\"\n").size() == 1);
  CHECK(check_includes("data/a.cpp", "#include \"models/resnet.h\"\n").size() == 1);
  CHECK(check_includes("models/a.cpp", "#include \"data/files.h\"\n").size() == 1);
  CHECK(check_includes("models/a.cpp", "#include \"tools/cli.h\"\n").size() == 1);
  CHECK(check_includes("tools/a.cpp", "#include \"tests/support/compare.h\"\n").size() == 1);
}

TEST_CASE("an include that goes down or stays on its floor is fine") {
  CHECK(check_includes("tools/a.cpp", "#include \"models/resnet.h\"\n#include \"data/files.h\"\n").empty());
  CHECK(check_includes("data/a.cpp", "#include \"engine/image_set.h\"\n#include \"data/files.h\"\n").empty());
  CHECK(check_includes("kernels/cpu/a.cpp", "#include \"kernels/cpu/onednn.h\"\n").empty());
  CHECK(check_includes("models/a.cpp", "// #include \"data/files.h\"\n").empty());
}

TEST_CASE("a header that is not written from the root is found") {
  CHECK(check_includes("engine/a.cpp", "#include \"config.h\"\n").size() == 1);
  CHECK(check_includes("engine/a.cpp", "  #  include \"../kernels/types.h\"  // odd, but it compiles\n").size() == 1);
}

TEST_CASE("the backend's own headers stay inside kernels/") {
  const std::string_view text = "#include \"kernels/cpu/cpu_backend.h\"\n";
  CHECK(check_includes("kernels/backend.cpp", text).empty());
  CHECK(check_includes("engine/a.cpp", text) ==
        Faults{"engine/a.cpp:1: kernels/cpu/cpu_backend.h is private to kernels/"});
}

TEST_CASE("a kernel file includes the port header, never CUDA's own or what nvcc does not compile") {
  const auto is_allowed = [](std::string_view path, const std::string& header) {
    return check_includes(path, "#include " + header + "\n").empty();
  };
  for (const std::string_view path : {"kernels/cuda/a.cu", "kernels/cuda/a.cuh"}) {
    INFO(path);
    for (const std::string header :
         {"\"kernels/cuda/port.h\"", "\"kernels/types.h\"", "\"kernels/random.h\"", "<cstdint>"})
      CHECK(is_allowed(path, header));
    for (const std::string header : {"\"kernels/error.h\"", "\"kernels/backend.h\"", "\"tests/support/compare.h\"",
                                     "<cuda_runtime.h>", "<cuda_runtime_api.h>", "<cuda_on_host.h>", "<fmt/format.h>"})
      CHECK_FALSE(is_allowed(path, header));
  }
  CHECK(is_allowed("kernels/cuda/port.h", "<cuda_runtime.h>"));
  CHECK(is_allowed("kernels/cuda/check.cpp", "\"kernels/error.h\""));
  CHECK_FALSE(is_allowed("kernels/cuda/check.cpp", "<cuda_runtime.h>"));
  CHECK_FALSE(is_allowed("kernels/reference.cpp", "<cuda_runtime_api.h>"));
  CHECK_FALSE(is_allowed("engine/a.cpp", "\"kernels/cuda/kernels.h\""));
}

TEST_CASE("a library's header is allowed in its one place and nowhere else") {
  const auto is_allowed = [](std::string_view path, const std::string& header) {
    return check_includes(path, "#include <" + header + ">\n").empty();
  };
  CHECK(is_allowed("models/a.cpp", "vector"));
  CHECK(is_allowed("kernels/cpu/onednn.h", "oneapi/dnnl/dnnl.hpp"));
  CHECK_FALSE(is_allowed("kernels/reference.cpp", "omp.h"));
  CHECK_FALSE(is_allowed("engine/model.cpp", "oneapi/dnnl/dnnl.hpp"));
  CHECK(is_allowed("engine/yaml_reader.cpp", "yaml-cpp/yaml.h"));
  CHECK_FALSE(is_allowed("engine/config.h", "yaml-cpp/yaml.h"));
  CHECK(is_allowed("data/image_file.cpp", "png.h"));
  CHECK_FALSE(is_allowed("tools/main.cpp", "png.h"));
  CHECK(is_allowed("tools/arguments.cpp", "CLI/CLI.hpp"));
  CHECK_FALSE(is_allowed("tools/arguments.h", "CLI/CLI.hpp"));
  CHECK_FALSE(is_allowed("engine/config.cpp", "CLI/CLI.hpp"));
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
