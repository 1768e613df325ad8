// Everything is prepared before a fork; between fork and exec only system calls are made.
#include "tools/export/c/c_compiler.h"

#include "engine/files/atomic_file.h"
#include "kernels/base/error.h"
#include "tools/export/c/c_text.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <system_error>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr int kCouldNotStart = 127;

/// Files that a program reads and writes.
struct Streams {
  fs::path input = "/dev/null";
  fs::path output = "/dev/null";
  fs::path errors = "/dev/null";
};

/// Runs a program to its end in a folder; returns its exit code.
int run_program(const std::vector<std::string>& words, const fs::path& folder, const Streams& streams) {
  std::vector<std::string> texts = words;
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  const std::string path = folder.string(), input = streams.input.string(), output = streams.output.string(),
                    errors = streams.errors.string();
  constexpr int kWrites = O_WRONLY | O_CREAT | O_TRUNC;
  constexpr mode_t kMode = 0600;
  const pid_t id = ::fork();
  if (id == 0) {
    if (::chdir(path.c_str()) == 0 && ::dup2(::open(input.c_str(), O_RDONLY), STDIN_FILENO) >= 0 &&
        ::dup2(::open(output.c_str(), kWrites, kMode), STDOUT_FILENO) >= 0 &&
        ::dup2(::open(errors.c_str(), kWrites, kMode), STDERR_FILENO) >= 0)
      ::execv(pointers[0], pointers.data());
    ::_exit(kCouldNotStart);
  }
  if (id < 0) fail(ErrorKind::internal, "cannot start a process: {}", std::generic_category().message(errno));
  int status = 0;
  while (::waitpid(id, &status, 0) < 0)
    if (errno != EINTR) return kCouldNotStart;
  return WIFEXITED(status) ? WEXITSTATUS(status) : kCouldNotStart;
}

/// Reads pictures, writes logits.
std::string main_text(const std::string& name, const CModel& model) {
  const std::string includes = fmt::format("#include \"{}.h\"\n\n#include <stdio.h>\n", name);
  const std::string &prefix = model.prefix, upper = upper_case(prefix);
  return includes + fmt::format(R"(
static {0}_workspace work;
static uint8_t picture[{1}_HEIGHT * {1}_WIDTH * 3];
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
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path program = fs::absolute(fs::path(folder.empty() ? "." : folder) / "cc");
    std::error_code ignored;
    if (fs::is_regular_file(program, ignored) && ::access(program.c_str(), X_OK) == 0) return program;
  }
  return std::nullopt;
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
