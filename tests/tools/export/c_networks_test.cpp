// Networks of every kind as C99: what compilers make of them says what the deployed arithmetic says, bit for bit, with
// any of their options; and the check of a file finds what is wrong with it.
#include "engine/deployed/deployed_run.h"
#include "engine/files/atomic_file.h"
#include "tests/support/files.h"
#include "tests/tools/export/onnx/deployed_support.h"
#include "tools/export/c/c_compiler.h"

#include <bit>

namespace bsq::test {
namespace {

namespace fs = std::filesystem;

using Flags = std::vector<std::string>;

/// Those of them that are installed.
std::vector<fs::path> installed(const std::vector<std::string>& names) {
  std::vector<fs::path> found;
  for (const std::string& name : names) {
    for (const std::string folder : {"/usr/bin/", "/usr/local/bin/"})
      if (fs::exists(folder + name)) found.emplace_back(folder + name);
  }
  return found;
}

std::vector<fs::path> c_compilers() {
  return installed({"gcc", "clang"});
}

std::vector<Flags> flag_sets(const fs::path& compiler) {
  const Flags strict = {"-Wall", "-Wextra", "-Werror", "-pedantic"};
  std::vector<Flags> sets = {{"-O2"}, {"-O3", "-march=native", "-ffp-contract=fast"}};
  if (compiler.filename() == "gcc")
    sets.push_back({"-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"});
#ifdef __x86_64__
  if (compiler.filename() == "gcc") sets.push_back({"-O2", "-mfpmath=387"});  // whose registers hold 80 bits
#endif
  for (Flags& set : sets) set.insert(set.end(), strict.begin(), strict.end());
  return sets;
}

/// In single bits, so that -0 is not 0 and NaN is NaN.
std::size_t count_different(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::max(a.size(), b.size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    different += std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i]);
  return different;
}

CAnswers answers_of(const CModel& model, const fs::path& compiler, const Flags& flags,
                    const std::vector<std::uint8_t>& pictures) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "net.c", model.source);
  write_file_atomically(folder / "net.h", model.header);
  return run_c_model(compiler, folder.path(), "net", model, pictures, flags);
}

/// The same with the first number of an array changed by 1.
CModel with_other_number(CModel model, const std::string& array) {
  std::size_t at = model.source.find(" " + array + "[");
  REQUIRE(at != std::string::npos);
  at = model.source.find("{\n    ", at) + 6;
  const std::size_t end = model.source.find_first_of(",}", at);
  const std::string number = model.source.substr(at, end - at);
  const bool is_word = number.starts_with("0x");
  const std::string other = is_word ? fmt::format("0x{:08x}", std::stoul(number, nullptr, 16) ^ 1U)
                                    : fmt::format("{}", std::stoi(number) + 1);
  model.source.replace(at, end - at, other);
  return model;
}

}  // namespace

TEST_CASE("C of a deployed network answers bit for bit as the deployed arithmetic, whatever compiles it", "[slow]") {
  const std::vector<fs::path> compilers = c_compilers();
  if (compilers.empty()) {
    WARN("SKIPPED: neither gcc nor clang is here");
    return;
  }
  const std::string name = GENERATE(from_range(deployed_case_names()));
  const CGoal goal = GENERATE(CGoal::speed, CGoal::size);
  const DeployedCase made = deployed_case(name, ByteKind::any_zero, 16);
  const CModel model = c_model(made.deployment.network, {.goal = goal,
                                                         .name = name,
                                                         .file = "net",
                                                         .class_names = {"a \"b\"", "c\?\?/", "d\\n"},
                                                         .facts = {"*/ #error ends the comment"}});
  const std::vector<float> expected = run_deployed(made.deployment.network, made.pictures, 1);
  for (const fs::path& compiler : compilers) {
    for (const Flags& flags : flag_sets(compiler)) {
      INFO(name << (goal == CGoal::size ? ", size, " : ", speed, ") << compiler << " " << flags[1]);
      const CAnswers found = answers_of(model, compiler, flags, made.pictures);
      CHECK(found.fault.empty());
      if (!found.fault.empty()) WARN(found.fault);
      CHECK(count_different(expected, found.logits) == 0);
    }
  }
  CHECK(expected.size() == 48);
  CHECK(count_different(expected, std::vector<float>(48)) > 40);
}

TEST_CASE("the check of C of a deployed network finds one changed number, and names its layer") {
  const std::vector<fs::path> compilers = c_compilers();
  if (compilers.empty()) {
    WARN("SKIPPED: neither gcc nor clang is here");
    return;
  }
  const CGoal goal = GENERATE(CGoal::speed, CGoal::size);
  const DeployedCase made = deployed_case("mixed");
  const std::size_t layers = made.deployment.network.nodes.size();
  const CModel model =
      c_model(made.deployment.network, {.goal = goal, .name = "m", .file = "net", .class_names = {}, .facts = {}});
  const auto fault_of = [&](const CModel& changed) {
    return answers_of(changed, compilers[0], {"-O1"}, made.pictures).fault;
  };
  CHECK(fault_of(model).empty());
  const auto names_layer = [](std::size_t layer) {
    return Catch::Contains(fmt::format("its check finds layer {} to be another", layer));
  };
  CHECK_THAT(fault_of(with_other_number(model, "filter_1")), names_layer(1));
  CHECK_THAT(fault_of(with_other_number(model, "filter_2")), names_layer(2));  // of channels by themselves
  CHECK_THAT(fault_of(with_other_number(model, "bias_3")), names_layer(3));
  CHECK_THAT(fault_of(with_other_number(model, "head_filter")), names_layer(layers + 1));
  CModel other = model;  // a function that computes something else
  const std::string rounding = "12582912.0f", at_once = "first[x0[i]] + (double)second[x1[i]]";
  other.source.replace(other.source.find(rounding), rounding.size(), "8388608.0f");
  CHECK_THAT(fault_of(other), Catch::Contains("its check finds layer "));
  other = model;
  other.source.replace(other.source.find(at_once), at_once.size(), "second[x0[i]] + first[x1[i]]");
  CHECK_THAT(fault_of(other), Catch::Contains("its check finds layer "));
  other = model;
  other.source = "#define __FAST_MATH__ 1\n" + other.source;
  CHECK_THAT(fault_of(other), Catch::Contains("net.c"));
}

TEST_CASE("C of a deployed network compiles where there is no operating system") {
  const DeployedCase made = deployed_case("mixed");
  const CModel model = c_model(made.deployment.network,
                               {.goal = CGoal::size, .name = "m", .file = "net", .class_names = {}, .facts = {}});
  const TemporaryFolder folder;
  write_file_atomically(folder / "net.c", model.source);
  write_file_atomically(folder / "net.h", model.header);
  const auto run = [&](const std::string& command) {
    INFO(command);
    CHECK(std::system(("cd '" + folder.path().string() + "' && " + command).c_str()) == 0);
  };
  const std::string flags = " -std=c99 -ffreestanding -Os -Wall -Wextra -Werror -pedantic -c net.c -o net.o";
  for (const fs::path& compiler : c_compilers()) {
    run(compiler.string() + flags);
    run("! nm -u net.o | grep -v -w memset");  // what a compiler may make of a loop
  }
  for (const fs::path& compiler : installed({"arm-none-eabi-gcc"})) {
    run(compiler.string() + " -mcpu=cortex-m4 -mthumb" + flags);
    run("arm-none-eabi-size net.o");  // for who reads the log
  }
}

TEST_CASE("C of a deployed network for size holds about as many bytes as its weights have bits") {
  const DeployedCase made = deployed_case("resnet of 2 bits");
  const auto bytes_for = [&](CGoal goal) {
    return c_model(made.deployment.network, {.goal = goal, .name = "m", .file = "net", .class_names = {}, .facts = {}})
        .constant_bytes;
  };
  constexpr std::size_t kPixelLevels = 3 * 256;
  std::size_t bits = 0, numbers = 0;
  for (const DeployedNode& node : made.deployment.network.nodes) {
    const auto* c = std::get_if<LevelConvolution>(&node.operation);
    if (c == nullptr) continue;
    int most = 0;
    for (const std::int8_t k : c->k) most = std::max(most, std::abs(int{k}));
    bits += c->k.size() * (most == 0 ? 0 : std::bit_width(static_cast<unsigned>(most)) + 1U);
    numbers += 2 * c->scale.size();
  }
  const std::size_t checksums = 3 * (made.deployment.network.nodes.size() + 1);
  CHECK(bytes_for(CGoal::size) <= bits / 8 + 4 * (numbers + checksums) + kPixelLevels + 150);
  CHECK(bytes_for(CGoal::speed) > bits / 8 * 2);
}

}  // namespace bsq::test
