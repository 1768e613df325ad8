// The copy is in the build tree, as a hard link: programs may not be allowed to run from a folder for temporary files.
#include "tests/support/program_tree.h"

#include <unistd.h>

#include <cstdlib>

namespace bsq::test {

fs::path stand_in(const std::string& folder) {
  return fs::path(BSQ_STAND_INS) / folder;
}

namespace {

/// The stand-in `name` is loaded before the C library, and finds `wish` in `variable`.
Setup with_stand_in(const Workspace& here, const std::string& name, const std::string& variable,
                    const std::string& wish) {
  Setup setup = here.setup();
  setup.environment["LD_PRELOAD"] = (stand_in(name) / ("lib" + name + ".so")).string();
  setup.environment[variable] = wish;
  const char* options = std::getenv("ASAN_OPTIONS");
  setup.environment["ASAN_OPTIONS"] = std::string(options == nullptr ? "" : options) + ":verify_asan_link_order=0";
  return setup;
}

}  // namespace

Setup with_disk(const Workspace& here, const std::string& disk, const std::string& wish) {
  return with_stand_in(here, disk, "BSQ_STAND_IN_DISK", wish);
}

Setup with_clock(const Workspace& here, const std::string& wish) {
  return with_stand_in(here, "other_clock", "BSQ_STAND_IN_CLOCK", wish);
}

ProgramTree::ProgramTree() {
  std::string name = stand_in("tree-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  path_ = fs::canonical(name);
  fs::create_directories(path_ / "lib");
  with_file("bin", BSQ_PROGRAM);
}

ProgramTree::~ProgramTree() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

ProgramTree& ProgramTree::with_plugin(const fs::path& library) {
  fs::copy_file(library, plugin());
  return *this;
}

ProgramTree& ProgramTree::with_file(const std::string& folder, const fs::path& file) {
  fs::create_directories(path_ / folder);
  std::error_code not_linked;
  fs::create_hard_link(file, path_ / folder / file.filename(), not_linked);
  if (not_linked) fs::copy_file(file, path_ / folder / file.filename());
  return *this;
}

ProgramTree& ProgramTree::with_variable(const std::string& name, const std::string& value) {
  environment_[name] = value;
  return *this;
}

Setup ProgramTree::setup(const Workspace& here) const {
  Setup setup = here.setup();
  setup.program = program();
  setup.environment = environment_;
  return setup;
}

void check_no_cuda(const Workspace& here, const Setup& setup, const std::vector<std::string>& parts) {
  const Words train = {"train", "tiny.yaml", "--run-dir", "run", "stages=[pretrain]"};
  const auto with = [&](const Words& more) {
    Words words = train;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  const Words wants_cuda = with({"device=cuda"});
  const Outcome refused = run(wants_cuda, setup);
  INFO(describe(wants_cuda, refused));
  CHECK(refused.exit_code == 5);
  CHECK_FALSE(fs::exists(here / "run"));
  const std::vector<std::string> lines = lines_of(refused.err);
  REQUIRE_FALSE(lines.empty());
  REQUIRE(lines.back().starts_with("error: "));
  const std::string why = lines.back().substr(std::string("error: ").size());
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) CHECK_FALSE(lines[i].starts_with("error: "));
  for (const std::string& part : parts) CHECK_THAT(why, Catch::Contains(part));

  const Outcome info = run({"info"}, setup);
  INFO(describe({"info"}, info));
  CHECK(info.exit_code == 0);
  CHECK_THAT(info.out,
             Catch::Contains("\ndevice     cpu, ") && Catch::Contains("\ncuda       " + why + "\nprecision  "));

  const Words takes_what_there_is = with({"--dry-run", "device=auto"});
  const Outcome taken = run(takes_what_there_is, setup);
  INFO(describe(takes_what_there_is, taken));
  CHECK(taken.exit_code == 0);
  CHECK_THAT(taken.err, Catch::Contains("\nno GPU is used: " + why + "\ndevice: cpu, "));
}

}  // namespace bsq::test
