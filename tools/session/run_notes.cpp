// status.json and the last lines of train.log.
#include "tools/session/run_notes.h"

#include "engine/files/links.h"
#include "engine/run/console.h"
#include "kernels/base/error.h"
#include "tools/cli/failure.h"

#include <fmt/format.h>

#include <sstream>

namespace bsq {

bool has_checkpoint(const RunDirectory& directory) {
  return is_link(directory.checkpoints() / "last");
}

void note_status(const RunDirectory& directory, RunState state, int exit_code) {
  if (!directory.writes()) return;
  RunStatus status = directory.read_status();
  status.state = state;
  status.exit_code = exit_code;
  directory.write_status(status);
}

void note_failure(const RunDirectory& directory, int exit_code, const std::string& error) {
  if (!directory.writes()) return;
  note_status(directory, RunState::failed, exit_code);
  std::ostringstream nowhere;
  Console log(nowhere, {});
  log.log_to(directory.train_log());
  std::istringstream lines(error);
  for (std::string line; std::getline(lines, line);) log.error(line);
}

void report_dead_rank(const RunDirectory& directory, const std::string& what) {
  if (directory.read_status().state != RunState::running) return;
  const std::string how_to_go_on = has_checkpoint(directory) ? fmt::format("The last checkpoint is {}, go on with",
                                                                           (directory.checkpoints() / "last").string())
                                                             : "There is no checkpoint yet, begin again with";
  const Failure failure{
      fmt::format("{}; the run ends. {}: bsq train --resume {}", what, how_to_go_on, directory.path().string()),
      static_cast<int>(ErrorKind::device)};
  print_failure(failure);
  if (directory.writes()) return note_failure(directory, failure.exit_code, failure.message);
  const RunDirectory written = RunDirectory::in_place_of_rank_0(directory.path());
  if (written.read_status().state == RunState::running)  // or another survivor was faster
    note_failure(written, failure.exit_code, failure.message);
}

}  // namespace bsq
