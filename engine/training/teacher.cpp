#include "engine/training/teacher.h"

#include "kernels/base/error.h"

namespace bsq {

std::string teacher_from_json(const nlohmann::json& state, const std::string& where) {
  const auto found = state.find("teacher");
  if (found == state.end()) return "";
  if (!found->is_string())
    fail(ErrorKind::checkpoint, "{}: state.json is damaged (teacher is no text); take an older checkpoint", where);
  return found->get<std::string>();
}

void check_same_teacher(const std::string& then, const std::string& now, const std::string& path) {
  if (then == now) return;
  if (now.empty())
    fail(ErrorKind::checkpoint, "distill.model: the run has learned from a teacher (hash {}); say where it is", then);
  if (then.empty())
    fail(ErrorKind::checkpoint, "distill.model = {}: the run has begun without a teacher; start a new run", path);
  fail(ErrorKind::checkpoint,
       "distill.model = {}: not the model that the run has learned from (hash {}, and was {}); bring that one back, or "
       "start a new run",
       path, now, then);
}

}  // namespace bsq
