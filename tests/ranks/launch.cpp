// mpirun's settings, and finding the processes it has started.
#include "tests/ranks/launch.h"
#include "tests/support/catch.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

namespace bsq::test {
namespace {

namespace fs = std::filesystem;

fs::path find_mpirun() {
  const char* folders = std::getenv("PATH");
  std::istringstream stream(folders == nullptr ? "" : folders);
  for (std::string folder; std::getline(stream, folder, ':');) {
    const fs::path program = fs::path(folder) / "mpirun";
    if (::access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// Of /proc/PID/stat, whose second field, the name in parentheses, may hold anything.
pid_t parent_of(const fs::path& process) {
  const std::string stat = content_of(process / "stat");
  const std::size_t end = stat.rfind(')');
  if (end == std::string::npos) return -1;
  std::istringstream fields(stat.substr(end + 1));
  std::string state;
  pid_t parent = -1;
  fields >> state >> parent;
  return parent;
}

pid_t number_of(const fs::path& process) {
  return static_cast<pid_t>(std::stol(process.filename().string()));
}

std::vector<fs::path> children_of(pid_t parent) {
  std::vector<fs::path> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") == std::string::npos && parent_of(entry.path()) == parent)
      children.push_back(entry.path());
  }
  return children;
}

}  // namespace

std::string why_no_ranks() {
  if (find_mpirun().empty()) return "no mpirun on this machine";
  const fs::path library = fs::path(BSQ_PROGRAM).parent_path().parent_path() / "lib" / "libbsq_mpi.so";
  if (!fs::exists(library)) return "bsq is built without MPI";
  return "";
}

Setup mpirun_setup(const fs::path& folder) {
  Setup setup{.folder = folder, .program = find_mpirun(), .environment = {}};
  setup.environment = {
      {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
      {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
      {"OMPI_MCA_plm", "isolated"},  // no ssh
      {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
      {"OMPI_MCA_hwloc_base_binding_policy", "none"},  // tests run side by side, and all would sit on the same core
      {"OMPI_MCA_mpi_yield_when_idle", "1"},           // two ranks on one core
      {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"},  // containers forbid it, with a warning
      // Open MPI leaves memory behind, in libraries that are unloaded at its end and have no names to tell it by.
      {"ASAN_OPTIONS", "detect_leaks=0:handle_sigill=1"},
  };
  return setup;
}

Words ranks_of_bsq(int ranks, const Words& words, const fs::path& program) {
  Words all = {"-np", std::to_string(ranks), program};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

Outcome run_ranks(int ranks, const Words& words, const fs::path& folder) {
  return run(ranks_of_bsq(ranks, words), mpirun_setup(folder));
}

pid_t process_of_rank(const Program& mpirun, int rank) {
  const std::string variable = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
  for (const fs::path& process : children_of(mpirun.id())) {
    std::istringstream environment(content_of(process / "environ"));
    for (std::string line; std::getline(environment, line, '\0');)
      if (line == variable) return number_of(process);
  }
  return -1;
}

pid_t child_of(pid_t parent) {
  const std::vector<fs::path> children = children_of(parent);
  return children.empty() ? -1 : number_of(children[0]);
}

void check_on_ranks(int ranks, const std::string& hidden_test, const Setup& setup, const fs::path& program) {
  INFO(hidden_test << ", on " << ranks << " ranks");
  const Outcome outcome = run(ranks_of_bsq(ranks, {hidden_test}, program), setup);
  INFO(outcome.out << outcome.err);
  CHECK(outcome.exit_code == 0);
  std::size_t passed = 0;
  for (std::size_t at = outcome.out.find("All tests passed"); at != std::string::npos;
       at = outcome.out.find("All tests passed", at + 1))
    ++passed;
  CHECK(passed == static_cast<std::size_t>(ranks));
}

}  // namespace bsq::test
