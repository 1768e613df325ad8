// quant.scheme: a file, or what stands in one; how a configuration keeps it, and what is refused with its place.
#include "engine/config/scheme.h"

#include "engine/config/config_schema.h"
#include "tests/engine/config/config_support.h"

using namespace bsq;

namespace {

std::string scheme_text_of(const Config& config) {
  return to_text(config.schema().find("quant.scheme")->field.get(config));
}

/// The lines that a scheme with this text is refused with, but for the last one; without the folder of the file.
std::string refused_file(const std::string& text) {
  const TemporaryFolder folder;
  const std::filesystem::path file = write_file(folder, "s.yaml", text);
  std::string message = test::error_of(ErrorKind::usage, [&] { read_scheme_file(file); });
  const std::string prefix = folder.path().string() + "/";
  for (std::size_t at; (at = message.find(prefix)) != std::string::npos;) message.erase(at, prefix.size());
  return message.substr(0, message.rfind('\n'));
}

}  // namespace

TEST_CASE("a scheme is read from its file, in its order, with the places of its keys") {
  const TemporaryFolder folder;
  const auto file = write_file(folder, "s.yaml",
                               "# of a test\n"
                               "conv1: {weight_bits: 8, fixed: true}  # 432 weights\n"
                               "\"layer*\":\n"
                               "  weight_bits: 3\n"
                               "  max_bits: 4\n");
  const std::vector<LayerRule> rules = read_scheme_file(file).layers.rules;
  REQUIRE(rules.size() == 2);
  CHECK(rules[0].pattern == "conv1");
  CHECK(rules[0].weight_bits == 8);
  CHECK(rules[0].fixed == true);
  CHECK(rules[0].places.at("fixed") == file.string() + ":2:25");
  CHECK(rules[1].weight_bits == 3);
  CHECK(rules[1].max_bits == 4);
  CHECK(rules[1].places.at("") == file.string() + ":3:1");
}

TEST_CASE("a configuration keeps what the file of its scheme says, not its name") {
  const TemporaryFolder folder;
  const auto file = write_file(folder, "s.yaml", "conv1: {weight_bits: 8, fixed: true}\nfc: {weight_bits: 2}\n");
  const std::string word = "quant.scheme=" + file.string();
  const Config config = load_text("quant: {layers: {fc: {max_bits: 4}}}\n", {word});
  const std::string written_out = "{conv1: {weight_bits: 8, fixed: true}, fc: {weight_bits: 2}}";
  CHECK(scheme_text_of(config) == written_out);
  CHECK(config.quant.layers.rules.size() == 1);
  std::filesystem::remove(file);
  const std::string text = to_yaml(config);
  const Config again = load_text(text);
  CHECK(differences(config, again).empty());
  CHECK(to_yaml(again) == text);
  CHECK(config_hash(again) == config_hash(config));
  CHECK(
      differences(config, load_text("", {"quant.scheme=" + written_out, "quant.layers={fc: {max_bits: 4}}"})).empty());
  CHECK(scheme_text_of(load_text(text, {"quant.scheme={fc: {weight_bits: 1}}"})) == "{fc: {weight_bits: 1}}");
  for (const char* none : {"quant.scheme=", "quant.scheme={}", "quant.scheme=\"\""})
    CHECK(scheme_text_of(load_text(text, {none})) == "{}");
  CHECK(scheme_text_of(load_text("quant:\n  scheme:\n")) == "{}");
}

TEST_CASE("a scheme is refused with file, line and layer") {
  CHECK(refused_file("conv1: {weight_bits: 8}\nconv1: {weight_bits: 4}\n") ==
        "s.yaml:2:1: duplicate key 'conv1' (first at line 1)");
  CHECK(refused_file("conv1: {weight_bits: 9}\n") ==
        "s.yaml:1:9: scheme: 'conv1' weight_bits = 9; must be an integer in 1..8");
  CHECK(refused_file("conv1: {bits: 3}\n") ==
        "s.yaml:1:9: scheme: 'conv1' has no key 'bits', they are weight_bits, max_bits, act_bits, fixed, float");
  CHECK(refused_file("conv1: 3\n") == "s.yaml:1:1: scheme: 'conv1' = 3; expected keys, such as {weight_bits: 8}");
  CHECK(refused_file("conv1: {fixed: true}\n") ==
        "s.yaml:1:1: scheme: 'conv1' says no weight_bits; a scheme says those of every layer");
  CHECK(refused_file("conv1: {weight_bits: 3}\nfc: {weight_bits: 3, act_bits: 4}\n") ==
        "s.yaml:2:22: scheme: 'fc' says act_bits; a scheme has widths of weights alone, this goes into quant.layers");
  CHECK(refused_file("fc: {float: true}\n") ==
        "s.yaml:1:6: scheme: 'fc' says float; a scheme has widths of weights alone, this goes into quant.layers");
  CHECK(refused_file("- conv1\n") ==
        "s.yaml:1:1: is no scheme; expected a line per layer, such as `conv1: {weight_bits: 8, fixed: true}`");
  CHECK(refused_file("# nothing\n") ==
        "s.yaml:1:1: is no scheme; expected a line per layer, such as `conv1: {weight_bits: 8, fixed: true}`");
  CHECK(refused_file("fc: {weight_bits: 0}\nconv1: {weight_bits: 2, max_bits: 1}\n") ==
        "s.yaml:1:6: scheme: 'fc' weight_bits = 0; must be an integer in 1..8\n"
        "s.yaml:2:25: scheme: 'conv1' max_bits = 1; must be at least weight_bits = 2");
}

TEST_CASE("what is wrong with a scheme is said at its key as well") {
  const TemporaryFolder folder;
  write_file(folder, "s.yaml", "conv1: {weight_bits: 9}\nfc: 1\n");
  const std::string file = (folder / "s.yaml").string(), gone = (folder / "gone.yaml").string();
  CHECK(error_of_text("quant:\n  scheme: " + file + "\n") ==
        "c.yaml:2:3: quant.scheme = " + file + "; " + file +
            ":1:9: scheme: 'conv1' weight_bits = 9; must be an integer in 1..8; " + file +
            ":2:1: scheme: 'fc' = 1; expected keys, such as {weight_bits: 8}\n1 error; nothing was written");
  CHECK_THAT(error_of_text("", {"quant.scheme=" + gone}),
             Catch::StartsWith("override 1: quant.scheme = " + gone + "; " + gone + ": "));
  CHECK_THAT(error_of_text("", {"quant.scheme=" + folder.path().string()}), Catch::Contains("quant.scheme = "));
  CHECK(error_of_text("quant: {scheme: [a]}\n") ==
        "c.yaml:1:9: quant.scheme = [a]; expected the name of a file\n1 error; nothing was written");
  CHECK(error_of_text("quant: {scheme: {fc: {act_bits: 2}}}\n") ==
        "c.yaml:1:23: scheme: 'fc' says act_bits; a scheme has widths of weights alone, this goes into quant.layers\n"
        "1 error; nothing was written");
}
