// The float model that the stages of a run learn from (distill.model), opened as model.init is.
#pragma once

#include "engine/training/teacher.h"
#include "tools/session/open_model.h"

#include <optional>

namespace bsq {

/// Opens the teacher of a run, if a stage of the run learns from one. `opened`: the configuration with the paths by
/// which its files are found from here. Throws Error(checkpoint) if it is no float model, if it was trained on images
/// of another mean, deviation or size, or for another number of classes; where only the files of the data set tell the
/// latter two, that is left to teacher_for().
std::optional<OpenModel> open_teacher(const Config& opened, Console& console);
/// The teacher for these images. Throws Error(checkpoint) if their size, number or order of classes is another one.
TeacherModel teacher_for(OpenModel teacher, const DatasetInfo& images, Console& console);

}  // namespace bsq
