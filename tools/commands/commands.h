// The subcommands of `bsq`, one file each. A command gets the words after its name and returns the exit code; whatever
// goes wrong it throws as bsq::Error. Results go to stdout; log, progress and errors to stderr.
#pragma once

#include "tools/cli/arguments.h"

namespace bsq {

int train_command(const Arguments& arguments);
int sweep_command(const Arguments& arguments);
int eval_command(const Arguments& arguments);
int convert_command(const Arguments& arguments);
int export_command(const Arguments& arguments);
int predict_command(const Arguments& arguments);
int check_command(const Arguments& arguments);
int inspect_command(const Arguments& arguments);
int verify_command(const Arguments& arguments);
int report_command(const Arguments& arguments);
int validate_command(const Arguments& arguments);
int data_command(const Arguments& arguments);
int bench_command(const Arguments& arguments);
int scheme_command(const Arguments& arguments);
int sensitivity_command(const Arguments& arguments);
int what_if_command(const Arguments& arguments);
int info_command(const Arguments& arguments);

}  // namespace bsq
