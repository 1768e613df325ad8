// Checkpoint folders: round trips, the `last` link, and a loadable checkpoint after a crash at any step.
#include "engine/files/checkpoint_dir.h"

#include "engine/files/atomic_file.h"
#include "engine/files/links.h"

#include "tests/support/files.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

using namespace bsq;
using namespace bsq::test;

namespace {

CheckpointFiles checkpoint_of_epoch(int epoch) {
  CheckpointFiles files;
  const std::vector<float> weights = {static_cast<float>(epoch), 2, 3};
  files.tensors["model.safetensors"].tensors = {HostTensor::from<float>("w", {3}, weights)};
  files.tensors["optimizer.safetensors"].tensors = {HostTensor::from<float>("w.momentum_buffer", {3}, weights)};
  files.state = {{"epoch", epoch}, {"best", 0.1 + 0.2}};
  return files;
}

int epoch_in(const fs::path& folder) {
  const CheckpointFiles files = load_checkpoint(folder);
  const int epoch = files.state.at("epoch");
  CHECK(files.tensors.at("model.safetensors").at("w").values<float>()[0] == static_cast<float>(epoch));
  return epoch;
}

/// Content by path under a folder; links by their target.
std::map<std::string, std::string> snapshot(const fs::path& folder) {
  std::map<std::string, std::string> content;
  for (const auto& item : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(item.path().parent_path(), folder) / item.path().filename();
    if (item.is_symlink())
      content[name] = "-> " + fs::read_symlink(item.path()).string();
    else
      content[name] = item.is_directory() ? "folder" : text_of(item.path());
  }
  return content;
}

}  // namespace

TEST_CASE("a checkpoint comes back whole") {
  const TemporaryFolder folder;
  const CheckpointFiles saved = checkpoint_of_epoch(12);
  save_checkpoint(folder / "checkpoints/epoch_0012", saved);
  const CheckpointFiles loaded = load_checkpoint(folder / "checkpoints/epoch_0012");
  CHECK(loaded.state == saved.state);
  REQUIRE(loaded.tensors.size() == 2);
  CHECK(loaded.tensors.at("optimizer.safetensors").tensors[0].bytes ==
        saved.tensors.at("optimizer.safetensors").tensors[0].bytes);
  CHECK(names_in(folder / "checkpoints/epoch_0012") ==
        std::vector<std::string>{"DONE", "model.safetensors", "optimizer.safetensors", "state.json"});
}

TEST_CASE("saving again replaces the checkpoint and its list of files") {
  const TemporaryFolder folder;
  CheckpointFiles first = checkpoint_of_epoch(1);
  first.tensors["extra.safetensors"] = {};
  save_checkpoint(folder / "best", first);
  save_checkpoint(folder / "best", checkpoint_of_epoch(2));
  CHECK(epoch_in(folder / "best") == 2);
  CHECK_FALSE(fs::exists(folder / "best/extra.safetensors"));
  CHECK(names_in(folder.path()) == std::vector<std::string>{"best"});
}

TEST_CASE("a checkpoint that cannot be loaded says why") {
  const TemporaryFolder folder;
  save_checkpoint(folder / "epoch_0001", checkpoint_of_epoch(1));
  const auto message = [&](const char* name) {
    return error_of(ErrorKind::checkpoint, [&] { load_checkpoint(folder / name); });
  };
  CHECK_THAT(message("epoch_0002"), Catch::Contains("epoch_0002: no such checkpoint"));
  SECTION("no marker") {
    fs::remove(folder / "epoch_0001/DONE");
    CHECK_THAT(message("epoch_0001"), Catch::Contains("incomplete checkpoint (DONE"));
  }
  SECTION("a file cut short") {
    fs::resize_file(folder / "epoch_0001/optimizer.safetensors", 10);
    CHECK_THAT(message("epoch_0001"), Catch::Contains("incomplete checkpoint"));
  }
  SECTION("state that is not JSON") {
    std::string state = text_of(folder / "epoch_0001/state.json");
    state[0] = '?';
    put_text(folder / "epoch_0001/state.json", state);
    CHECK_THAT(message("epoch_0001"), Catch::Contains("state.json: is not JSON") && Catch::Contains("corrupt"));
  }
  SECTION("a folder of other things") {
    fs::create_directories(folder / "pictures/cat");
    put_text(folder / "pictures/notes.txt", "text");
    CHECK_THAT(message("pictures"), Catch::Contains("pictures: is not a checkpoint; give a checkpoint folder"));
  }
  SECTION("a model alone") {
    fs::create_directories(folder / "copied");
    fs::copy(folder / "epoch_0001/model.safetensors", folder / "copied");
    CHECK_THAT(message("copied"), Catch::Contains("incomplete checkpoint (DONE"));
  }
  SECTION("a file instead of a folder") {
    put_text(folder / "notes.txt", "text");
    CHECK_THAT(message("notes.txt"), Catch::Contains("notes.txt: is not a checkpoint; give a checkpoint folder"));
  }
}

TEST_CASE("a save that fails leaves the checkpoint before it") {
  const TemporaryFolder folder;
  save_checkpoint(folder / "best", checkpoint_of_epoch(1));
  CheckpointFiles large = checkpoint_of_epoch(2);
  large.state["notes"] =
      std::string(10000, 'x');  // state.json is the last file: both tensor files are written before it
  {
    const FileSizeLimit limit(4096);
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { save_checkpoint(folder / "best", large); }),
               Catch::Contains("state.json") && Catch::Contains("File too large"));
  }
  CHECK(epoch_in(folder / "best") == 1);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"best"});
}

TEST_CASE("last points at the newest and only the newest epochs stay") {
  const TemporaryFolder folder;
  save_checkpoint(folder / "best", checkpoint_of_epoch(1));
  save_checkpoint(folder / "epoch_final", checkpoint_of_epoch(1));
  for (const int epoch : {8, 9, 10, 11}) {
    const std::string name = fmt::format("epoch_{}", epoch);  // no leading zeros: 9 comes before 10 by number only
    save_checkpoint(folder / name, checkpoint_of_epoch(epoch));
    update_last(folder.path(), name, 2);
    CHECK(epoch_in(folder / "last") == epoch);
  }
  CHECK(names_in(folder.path()) == std::vector<std::string>{"best", "epoch_10", "epoch_11", "epoch_final", "last"});
}

TEST_CASE("a checkpoint of a later epoch than the newest is left alone") {
  const TemporaryFolder folder;
  for (const int epoch : {1, 2, 9}) {
    save_checkpoint(folder / fmt::format("epoch_{:04}", epoch), checkpoint_of_epoch(epoch));
  }
  update_last(folder.path(), "epoch_0002", 1);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"epoch_0002", "epoch_0009", "last"});
}

TEST_CASE("keeping no checkpoint, or pointing last at a broken one, is a mistake of the caller") {
  const TemporaryFolder folder;
  save_checkpoint(folder / "epoch_0001", checkpoint_of_epoch(1));
  error_of(ErrorKind::internal, [&] { update_last(folder.path(), "epoch_0001", 0); });
  error_of(ErrorKind::internal, [&] { update_last(folder.path(), "epoch_0002", 1); });
}

TEST_CASE("after a crash at any step last loads and the next save cleans up") {
  const TemporaryFolder folder;
  const fs::path checkpoints = folder / "checkpoints";
  for (const int epoch : {1, 2}) {
    const std::string name = fmt::format("epoch_{:04}", epoch);
    save_checkpoint(checkpoints / name, checkpoint_of_epoch(epoch));
    update_last(checkpoints, name, 2);
  }
  const auto finished_folder = [&](const char* name, int epoch) {
    save_checkpoint(folder / "elsewhere", checkpoint_of_epoch(epoch));
    fs::rename(folder / "elsewhere", checkpoints / name);
  };
  int expected = 2;
  SECTION("while the tensors are written") {
    fs::create_directory(checkpoints / "epoch_0003.tmp-99");
    put_text(checkpoints / "epoch_0003.tmp-99/model.safetensors.tmp-99", "half");
  }
  SECTION("before the marker") {
    finished_folder("epoch_0003.tmp-99", 3);
    fs::remove(checkpoints / "epoch_0003.tmp-99/DONE");
  }
  SECTION("before the folder is renamed") {
    finished_folder("epoch_0003.tmp-99", 3);
  }
  SECTION("before the link moves") {
    finished_folder("epoch_0003", 3);
  }
  SECTION("while the link moves") {
    finished_folder("epoch_0003", 3);
    fs::create_symlink("epoch_0003", checkpoints / "last.tmp-99");
  }
  SECTION("before the old epochs go") {
    save_checkpoint(checkpoints / "epoch_0003", checkpoint_of_epoch(3));
    replace_link(checkpoints / "last", "epoch_0003");
    expected = 3;
  }
  SECTION("while an old epoch goes") {
    save_checkpoint(checkpoints / "epoch_0003", checkpoint_of_epoch(3));
    replace_link(checkpoints / "last", "epoch_0003");
    fs::rename(checkpoints / "epoch_0001", checkpoints / "epoch_0001.tmp-99");
    fs::remove(checkpoints / "epoch_0001.tmp-99/model.safetensors");
    expected = 3;
  }
  SECTION("while the newest itself is replaced") {
    finished_folder("epoch_0002.tmp-99", 2);
    fs::rename(checkpoints / "epoch_0002", checkpoints / "epoch_0002.bsq-old");
  }
  CHECK(epoch_in(checkpoints / "last") == expected);
  CHECK(epoch_in(resolve_checkpoint(folder.path())) == expected);

  save_checkpoint(checkpoints / "epoch_0004", checkpoint_of_epoch(4));
  update_last(checkpoints, "epoch_0004", 1);
  CHECK(epoch_in(checkpoints / "last") == 4);
  CHECK(names_in(checkpoints) == std::vector<std::string>{"epoch_0004", "last"});
}

TEST_CASE("loading changes nothing on the disk") {
  const TemporaryFolder folder;
  save_checkpoint(folder / "checkpoints/epoch_0001", checkpoint_of_epoch(1));
  update_last(folder / "checkpoints", "epoch_0001", 1);
  fs::rename(folder / "checkpoints/epoch_0001", folder / "checkpoints/epoch_0001.bsq-old");
  const auto before = snapshot(folder.path());
  CHECK(epoch_in(resolve_checkpoint(folder.path())) == 1);
  CHECK(snapshot(folder.path()) == before);
}

TEST_CASE("a checkpoint is found by file, by folder, by run and by the name of the runs") {
  const TemporaryFolder folder;
  const fs::path run = folder / "runs/name/20260131-120000-abcdef";
  const fs::path epoch = run / "checkpoints/epoch_0005";
  save_checkpoint(epoch, checkpoint_of_epoch(5));
  update_last(run / "checkpoints", "epoch_0005", 3);
  replace_link(folder / "runs/name/latest", run.filename());

  CHECK(resolve_checkpoint(epoch / "model.safetensors") == epoch / "model.safetensors");
  CHECK(resolve_checkpoint(epoch) == epoch);
  CHECK(resolve_checkpoint(run / "checkpoints/last") == epoch);
  CHECK(resolve_checkpoint(run) == epoch);
  CHECK(epoch_in(resolve_checkpoint(folder / "runs/name/latest")) == 5);
  CHECK(epoch_in(resolve_checkpoint(folder / "runs/name")) == 5);
}

TEST_CASE("a path without a checkpoint is refused in words that fit it") {
  const TemporaryFolder folder;
  const auto message = [&](const fs::path& path) {
    return error_of(ErrorKind::checkpoint, [&] { resolve_checkpoint(path); });
  };
  fs::create_directories(folder / "run/checkpoints");
  CHECK_THAT(message(folder / "run"), Catch::Contains("run: the run has no finished checkpoint yet"));
  fs::create_symlink("epoch_0001", folder / "run/checkpoints/last");
  CHECK_THAT(message(folder / "run"), Catch::Contains("last: no such checkpoint"));
  CHECK_THAT(message(folder / "missing"), Catch::Contains("missing: no such checkpoint; check the path"));
  put_text(folder / "model.pth", "pickle");
  CHECK_THAT(message(folder / "model.pth"), Catch::Contains("model.pth: is not a checkpoint"));
}

TEST_CASE("a checkpoint folder that may not be entered says so") {
  const TemporaryFolder folder;
  save_checkpoint(folder / "best", checkpoint_of_epoch(1));
  fs::permissions(folder / "best", fs::perms::none);
  {
    BSQ_DROP_PRIVILEGES();
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { load_checkpoint(folder / "best"); }),
               Catch::Contains("Permission denied; check the owner and the permissions"));
  }
  fs::permissions(folder / "best", fs::perms::owner_all);
}
