// What a run directory says of its run, beside what training writes: whether it goes on, and what it ended by.
#pragma once

#include "engine/run/run_directory.h"

#include <string>

namespace bsq {

/// False for a run that was killed before its first checkpoint: it begins anew, from model.init.
bool has_checkpoint(const RunDirectory& directory);

/// Nothing if this process does not write the run.
void note_status(const RunDirectory& directory, RunState state, int exit_code);

/// Likewise: the last lines of a failed run's own log say why.
void note_failure(const RunDirectory& directory, int exit_code, const std::string& error);

/// In the words of a rank that sees another one dead, for rank 0 if that is the dead one. Nothing if the run has
/// been noted as failed: another rank has seen the same, or the dead one has said itself what it died of.
void report_dead_rank(const RunDirectory& directory, const std::string& what);

}  // namespace bsq
