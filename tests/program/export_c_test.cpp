// `bsq export --format c` as a person uses it: two files in a folder of their own, a compiler, a main of ten lines.
#include "tests/support/synthetic_pictures.h"
#include "tests/support/workspace.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

using namespace bsq::test;

namespace {

using nlohmann::json;

constexpr int kPictures = 20;  // test images of tiny.yaml
constexpr unsigned kSeed = 3;

const char* const kMain = R"(#include "model.h"
#include <stdio.h>

int main(void) {
  static resnet8_workspace workspace;
  static unsigned char picture[RESNET8_HEIGHT * RESNET8_WIDTH * 3];
  float logits[RESNET8_CLASSES];
  if (resnet8_check(&workspace) != 0) return 1;
  while (fread(picture, sizeof picture, 1, stdin) == 1) {
    fprintf(stderr, "%s\n", resnet8_class_names[resnet8_predict(picture, &workspace, logits)]);
    fwrite(logits, sizeof logits, 1, stdout);
  }
  return 0;
}
)";

#define BSQ_NEEDS_CC()                                        \
  if (std::system("command -v cc > /dev/null") != 0) {        \
    WARN("SKIPPED: no C compiler (cc) is here to be called"); \
    return;                                                   \
  }

void train_calibrated(const Workspace& here) {
  here.train("run", {"quant.act_scale=calibrated", "seed=" + std::to_string(kSeed)});
}

/// Compiles model.c in its folder and runs it on the pictures; returns the logits.
std::vector<float> logits_of(const fs::path& folder, const std::string& flags, const std::vector<std::uint8_t>& bytes) {
  put_text(folder / "main.c", kMain);
  put_text(folder / "pictures", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const std::string command = "cd '" + folder.string() + "' && cc " + flags +
                              " -Wall -Wextra -Werror -o main main.c model.c && ./main < pictures > logits 2> classes";
  REQUIRE(std::system(command.c_str()) == 0);
  const std::string text = text_of(folder / "logits");
  std::vector<float> logits(text.size() / sizeof(float));
  std::memcpy(logits.data(), text.data(), logits.size() * sizeof(float));
  return logits;
}

double cross_entropy(const float* logits, std::size_t classes, std::int32_t label) {
  double largest = logits[0], sum = 0;
  for (std::size_t i = 0; i < classes; ++i) largest = std::max(largest, double{logits[i]});
  for (std::size_t i = 0; i < classes; ++i) sum += std::exp(double{logits[i]} - largest);
  return std::log(sum) + largest - double{logits[static_cast<std::size_t>(label)]};
}

/// A program named cc that does what `script` says.
Setup with_compiler(const Workspace& here, const std::string& script) {
  put_text(here / "bin/cc", "#!/bin/sh\n" + script + "\n");
  fs::permissions(here / "bin/cc", fs::perms(0755));
  Setup setup = here.setup();
  setup.environment["PATH"] = (here / "bin").string() + ":" + std::getenv("PATH");
  return setup;
}

}  // namespace

TEST_CASE("export writes C that any program can be linked with, and that answers as eval does") {
  BSQ_NEEDS_CC();
  const Workspace here;
  train_calibrated(here);
  const json expected = json::parse(here.must({"eval", "run", "--as", "deployed", "--json"}).out);
  const LabeledPictures pictures = synthetic_test_pictures(kSeed, kPictures);
  std::vector<std::vector<float>> answers;
  for (const std::string goal : {"speed", "size"}) {
    INFO(goal);
    fs::create_directories(here / goal);
    const std::string out =
        here.must({"export", "run", "--format=c", "--output=" + goal + "/model.c", "--optimize=" + goal}).out;
    CHECK_THAT(out, Catch::StartsWith(goal + "/model.c: ") && Catch::Contains(" bytes of constants; C99 for " + goal));
    CHECK_THAT(out, Catch::Contains("resnet8_predict reads bytes [32, 32, 3]; workspace of "));
    CHECK_THAT(out, Catch::Contains("\n  verified: compiled with ") &&
                        Catch::Contains(" on 20 test images of synthetic: its check, and every logit bit for bit\n"));
    CHECK_THAT(out, Catch::Contains("% in integers, ") && Catch::Contains("% with calibrated scales as trained\n"));
    CHECK(here.files(goal) == std::vector<std::string>{"model.c", "model.h"});
    CHECK_THAT(text_of(here / goal / "model.h"),
               Catch::Contains("optimized for " + goal) && Catch::Contains("Source: model.safetensors, SHA-256\n"));
    for (const std::string flags : {"-std=c99 -pedantic -O1", "-std=gnu11 -O3 -march=native -ffp-contract=fast"})
      answers.push_back(logits_of(here / goal, flags, pictures.bytes));
  }
  REQUIRE(answers[0].size() == kPictures * 10);
  double loss = 0;
  for (std::size_t i = 0; i < kPictures; ++i) loss += cross_entropy(answers[0].data() + i * 10, 10, pictures.labels[i]);
  CHECK(loss / kPictures == Approx(expected.at("loss").get<double>()).epsilon(1e-12));
  for (const std::vector<float>& other : answers)
    CHECK(std::memcmp(other.data(), answers[0].data(), answers[0].size() * sizeof(float)) == 0);
  const std::vector<std::string> classes = lines_of(text_of(here / "size/classes"));
  CHECK(classes.size() == kPictures);
  CHECK_THAT(text_of(here / "size/model.c"), Catch::Contains("\"" + classes[0] + "\""));
}

TEST_CASE("export of C says what is not for it, and replaces no file unasked") {
  const Workspace here;
  train_calibrated(here);
  put_text(here / "there.h", "precious");
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"run", "--format=c", "--output=there.c"}, "there.h exists; use --force to replace it"},
      {{"run", "--format=c", "--output=m.h"}, "m.h: name the output *.c"},
      {{"run", "--format=c", "--output=m?.c"}, "m?.c: a line of C cannot include a header of such a name"},
      {{"run", "--format=c", "--output=m.c", "--optimize=fast"}, "--optimize: fast not in {speed,size}"},
      {{"run", "--format=packed", "--output=m.safetensors", "--optimize=size"}, "--optimize: is for --format c"},
      {{"run", "--format=c", "--output=m.c", "--runtime=openvino"}, "are for --format onnx"},
      {{"run", "--format=c", "--output=m.c", "--opset=19"}, "--opset: is for the formats onnx and qonnx"},
      {{"run", "--format=c", "--output=m.c", "quant.act_bits=0"},
       "has no deployed form: its activations are not quantized"},
      {{"run/checkpoints/pretrain", "--format=c", "--output=m.c"},
       "has no deployed form: its activations are not quantized"},
      {{"run", "--format=c", "--output=m.c", "quant.act_scale=batch_max"},
       "has no deployed form: its activations are scaled by the maximum of each batch; calibrate it: bsq train "}};
  for (const auto& [words, message] : cases) {
    Words all = {"export", "-q"};
    all.insert(all.end(), words.begin(), words.end());
    check_error(here, all, 2, {message});
    for (const char* name : {"m.c", "m.h", "there.c"}) CHECK_FALSE(fs::exists(here / name));
  }
  CHECK(text_of(here / "there.h") == "precious");
}

TEST_CASE("C that was not compiled says so, and C that compiles to something else leaves the old files") {
  BSQ_NEEDS_CC();
  const Workspace here;
  train_calibrated(here);
  fs::create_directories(here / "out");
  const Words words = {"export", "run", "--format=c", "--output=out/m.c", "--force", "-q"};
  Setup setup = here.setup();
  setup.environment["PATH"] = (here / "nothing").string();
  const Outcome alone = run(words, setup);
  CHECK(alone.exit_code == 0);
  CHECK_THAT(alone.out, Catch::Contains("\n  not verified: no C compiler (cc) is here\n"));
  const std::string source = text_of(here / "out/m.c"), header = text_of(here / "out/m.h");
  put_text(here / "out/m.c", "old source");
  put_text(here / "out/m.h", "old header");
  const std::vector<std::pair<std::string, std::string>> compilers = {
      {"echo 'no space' >&2; exit 1", "bin/cc: no space"},
      {"exec /usr/bin/env PATH=/usr/bin:/bin cc -ffast-math \"$@\"", "-ffast-math"},
      {"sed -i s/12582912.0f/8388608.0f/ m.c; exec /usr/bin/env PATH=/usr/bin:/bin cc \"$@\"",
       "compiled, it ends with exit code 1: its check finds layer "},
      {"printf '#!/bin/sh\\nexit 0\\n' > m.main; chmod +x m.main",
       "200 of 200 logits are others than the deployed arithmetic's"}};
  for (const auto& [script, message] : compilers) {
    const Outcome outcome = run(words, with_compiler(here, script));
    INFO(script << describe(words, outcome));
    CHECK(outcome.exit_code == 7);
    CHECK_THAT(outcome.err, Catch::StartsWith("error: out/m.c: ") && Catch::Contains(message) &&
                                Catch::Contains("; nothing was written, please report it\n"));
    CHECK((text_of(here / "out/m.c") == "old source"));  // without the whole text of it
    CHECK((text_of(here / "out/m.h") == "old header"));
    CHECK(here.files("out") == std::vector<std::string>{"m.c", "m.h"});
  }
  here.must(words);
  CHECK_THAT(here.must({"export", "run", "--format=c", "--output=out/-a b.c"}).out,
             Catch::Contains("\n  verified: compiled with "));
  CHECK((text_of(here / "out/m.c") == source));
  CHECK((text_of(here / "out/m.h") == header));
}
