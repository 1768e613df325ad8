// Files of tensors as tests of the whole program read, change and write them.
#pragma once

#include "engine/files/safetensors.h"
