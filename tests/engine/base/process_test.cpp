// Programs of others: found in PATH, run to their end.
#include "engine/base/process.h"

#include "tests/support/files.h"

namespace bsq::test {

TEST_CASE("a program of PATH is found, and runs to its end in a folder") {
  const auto shell = find_program("sh");
  REQUIRE(shell);
  CHECK(shell->is_absolute());
  CHECK(find_program(shell->string()) == shell);
  CHECK_FALSE(find_program("no program has this name"));
  CHECK_FALSE(find_program("/nowhere/sh"));
  const TemporaryFolder folder;
  CHECK_FALSE(find_program(folder.path().string()));  // a folder is none
  CHECK(run_program({shell->string(), "-c", "pwd; echo \"$1\" >&2; exit 3", "sh", "a b"}, folder.path(),
                    {.output = folder / "out", .errors = folder / "err"}) == 3);
  CHECK(text_of(folder / "out") == fs::canonical(folder.path()).string() + "\n");
  CHECK(text_of(folder / "err") == "a b\n");
  CHECK(run_program({shell->string(), "-c", "kill -9 $$"}, folder.path(), {}) == kCouldNotStart);
  CHECK(run_program({(folder / "gone").string()}, folder.path(), {}) == kCouldNotStart);
}

}  // namespace bsq::test
