// What a run directory says of its run, beside what training writes: whether it goes on, and why it ended.
#pragma once

#include "engine/run/run_directory.h"

#include <string>

namespace bsq {

/// Whether the run can go on from a checkpoint. One that was killed before its first begins anew, from model.init.
bool has_checkpoint(const RunDirectory& directory);

/// Writes status.json; does nothing if this process does not write the run.
void note_status(const RunDirectory& directory, RunState state, int exit_code);

/// Writes why a run failed to the end of its log, under the same condition.
void note_failure(const RunDirectory& directory, int exit_code, const std::string& error);

/// Notes that another rank has died, in place of rank 0 if that is the dead one. Does nothing if the run has been noted
/// as failed: another rank has seen the same, or the dead one has written itself why it died.
void report_dead_rank(const RunDirectory& directory, const std::string& what);

}  // namespace bsq
