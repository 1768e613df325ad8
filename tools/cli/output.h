// What a command has to say beside its result: words whose loss is no failure of the command.
#pragma once

#include <string>

namespace bsq {

/// From here on stdout leads to /dev/null.
void lead_stdout_nowhere();

/// Writes to stdout. False if it cannot be written, its reader gone or the disk full: then the text is lost, and stdout
/// leads nowhere from here on.
bool show_text(const std::string& text);

}  // namespace bsq
