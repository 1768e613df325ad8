// Checkpoints: state.json, a file of tensors beside it, and the list of both that makes a folder a checkpoint; and
// status.json and env.json of a run.
#include "engine/files/checkpoint_dir.h"
#include "engine/run/progress.h"
#include "engine/run/run_directory.h"
#include "tests/fuzz/foreign_bytes.h"
#include "tools/session/run_files.h"

namespace {

using namespace bsq;

void read_checkpoint(const std::filesystem::path& folder) {
  const CheckpointFiles files = load_checkpoint(folder);
  if (!files.state.is_object() || !files.state.contains("progress")) return;
  const Progress progress = progress_from_json(files.state.at("progress"), folder.string());
  const Progress again = progress_from_json(to_json(progress), folder.string());
  fuzz::must_hold(to_json(again) == to_json(progress), "progress is the same when it is written and read");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::filesystem::path folder = fuzz::scratch() / "epoch_0001";
  std::filesystem::create_directory(folder);
  const std::vector<std::string_view> files = fuzz::pieces(fuzz::text_of(data, size), 5);
  fuzz::put("epoch_0001/state.json", files[0]);
  fuzz::put("status.json", files[1]);
  fuzz::put("env.json", files[2]);
  fuzz::put("epoch_0001/model.safetensors", files[4]);
  for (const std::string& done : {std::string(files[3]), fmt::format("{} state.json\n", files[0].size())}) {
    fuzz::put("epoch_0001/DONE", done);
    fuzz::ends_well({ErrorKind::checkpoint}, [&] { read_checkpoint(folder); });
  }
  fuzz::ends_well({ErrorKind::checkpoint}, [&] { read_run_status(fuzz::scratch()); });
  fuzz::ends_well({ErrorKind::checkpoint}, [&] { start_folder_of(fuzz::scratch()); });
  return 0;
}
