// The arguments of all operations.
#pragma once

#include "kernels/ops/operations.def"
