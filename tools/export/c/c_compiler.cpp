#include "tools/export/c/c_compiler.h"

#include "engine/base/process.h"
#include "engine/files/atomic_file.h"
#include "tools/export/c/c_text.h"

#include <unistd.h>

#include <cstring>

namespace bsq {
namespace {

namespace fs = std::filesystem;

/// Reads pictures, writes logits.
std::string main_text(const std::string& name, const CModel& model) {
  const std::string includes = fmt::format("#include \"{}.h\"\n\n#include <stdio.h>\n", name);
  const std::string &prefix = model.prefix, upper = upper_case(prefix);
  return includes + fmt::format(R"(
static {0}_workspace work;
static uint8_t picture[{1}_HEIGHT * {1}_WIDTH * {1}_CHANNELS];
static float logits[{1}_CLASSES];

int main(void) {{
  const int layer = {0}_check(&work);
  if (layer != 0) {{
    fprintf(stderr, "its check finds layer %d to be another\n", layer);
    return 1;
  }}
  while (fread(picture, sizeof picture, 1, stdin) == 1) {{
    {0}_predict(picture, &work, logits);
    if (fwrite(logits, sizeof logits, 1, stdout) != 1) return 2;
  }}
  return 0;
}}
)",
                                prefix, upper);
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

std::optional<fs::path> find_c_compiler() {
  return find_program("cc");
}

CAnswers run_c_model(const fs::path& compiler, const fs::path& folder, const std::string& name, const CModel& model,
                     std::span<const std::uint8_t> pictures, const std::vector<std::string>& flags) {
  const ErrorKind kind = ErrorKind::checkpoint;
  const std::string program = name + ".main";
  write_file_atomically(folder / (program + ".c"), main_text(name, model), kind);
  write_file_atomically(folder / "pictures", std::as_bytes(pictures), kind);
  std::vector<std::string> words = {compiler.string(), "-std=c99"};
  words.insert(words.end(), flags.begin(), flags.end());
  // Names may begin with a dash.
  for (const std::string& word : {std::string("-o"), "./" + program, "./" + program + ".c", "./" + name + ".c"})
    words.push_back(word);
  const fs::path errors = folder / "errors", output = folder / "logits";
  CAnswers answers;
  if (run_program(words, folder, {.errors = "errors"}) != 0) {
    answers.fault = fmt::format("{}: {}", compiler.string(), first_line(read_text_file(errors, kind)));
    return answers;
  }
  answers.is_startable = ::access((folder / program).c_str(), X_OK) == 0;  // not where noexec is mounted
  if (!answers.is_startable) return answers;
  const int code = run_program({(fs::absolute(folder) / program).string()}, folder,
                               {.input = "pictures", .output = "logits", .errors = "errors"});
  if (code != 0) {
    answers.fault =
        fmt::format("compiled, it ends with exit code {}: {}", code, first_line(read_text_file(errors, kind)));
    return answers;
  }
  const std::string bytes = read_text_file(output, kind);
  answers.logits.resize(bytes.size() / sizeof(float));
  if (!answers.logits.empty()) std::memcpy(answers.logits.data(), bytes.data(), answers.logits.size() * sizeof(float));
  return answers;
}

}  // namespace bsq
