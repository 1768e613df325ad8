// The page of one run, and that of several.
#pragma once

#include "tools/report/report_page.h"

namespace bsq {

Page run_page(const RunReport& report);

}  // namespace bsq
