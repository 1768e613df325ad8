// Atomic files, folders and links: what is on the disk after success, after failure and after every possible crash.
#include "engine/files/atomic_file.h"
#include "engine/files/links.h"

#include "tests/support/files.h"

#include <string>

using namespace bsq;
using namespace bsq::test;

TEST_CASE("an atomic write makes, replaces and leaves nothing else behind") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a.txt", "first");
  CHECK(text_of(folder / "a.txt") == "first");
  write_file_atomically(folder / "a.txt", "second");
  CHECK(text_of(folder / "a.txt") == "second");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"a.txt"});
}

TEST_CASE("two at once write one file, each as a whole, and the last one to be done wins") {
  const TemporaryFolder folder;
  AtomicFile first(folder / "a.txt"), second(folder / "a.txt");
  first.write("fir");
  second.write("second");
  second.commit();
  CHECK(text_of(folder / "a.txt") == "second");
  first.write("st");
  first.commit();
  CHECK(text_of(folder / "a.txt") == "first");
  CHECK(temporary_name("a.txt") != temporary_name("a.txt"));

  const AtomicFile left(folder / "a.txt");  // as if its process was killed
  remove_leftovers(folder.path());
  CHECK(names_in(folder.path()) == std::vector<std::string>{"a.txt"});
}

TEST_CASE("an atomic write to a bare file name works in the current folder") {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_file_atomically("bare.txt", "text");
  replace_link("link", "bare.txt");
  fs::current_path(before);
  CHECK(text_of(folder / "link") == "text");
}

TEST_CASE("a write that fails half way leaves the old file and no temporary one") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a.txt", "old");
  std::string message;
  {
    const FileSizeLimit limit(1000);
    message = error_of(ErrorKind::checkpoint, [&] { write_file_atomically(folder / "a.txt", std::string(5000, 'x')); });
  }
  CHECK_THAT(message, Catch::Contains((folder / "a.txt").string()));
  CHECK_THAT(message, Catch::Contains("cannot write: File too large; raise the limit on file sizes"));
  CHECK(text_of(folder / "a.txt") == "old");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"a.txt"});
}

TEST_CASE("a full disk is named with the file and what to do") {
  PosixFile file = PosixFile::open_append("/dev/full", ErrorKind::checkpoint);
  CHECK(error_of(ErrorKind::checkpoint, [&] { file.write("text"); }) ==
        "/dev/full: cannot write: No space left on device; free some space on that disk");
}

TEST_CASE("the kind of the error is the caller's choice") {
  const std::string message =
      error_of(ErrorKind::data, [] { write_file_atomically("/nonexistent/a.txt", "text", ErrorKind::data); });
  CHECK_THAT(message, Catch::Contains("/nonexistent/a.txt") &&
                          Catch::Contains("cannot create: No such file or directory; check the path"));
}

TEST_CASE("a folder without write permission is refused with advice") {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms(0555));
  {
    BSQ_DROP_PRIVILEGES();
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { write_file_atomically(folder / "a.txt", "text"); }),
               Catch::Contains("Permission denied; check the owner and the permissions"));
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { AtomicDirectory(folder / "a"); }),
               Catch::Contains("Permission denied; check the owner and the permissions"));
  }
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("an uncommitted file or folder vanishes") {
  const TemporaryFolder folder;
  {
    AtomicFile file(folder / "a.txt");
    file.write("text");
    AtomicDirectory building(folder / "b");
    write_file_atomically(building.path() / "c.txt", "text");
    CHECK(names_in(folder.path()).size() == 2);
  }
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("a committed folder has a marker that lists its files") {
  const TemporaryFolder folder;
  AtomicDirectory building(folder / "b/");  // the slash must not end up inside the temporary name
  write_file_atomically(building.path() / "c.txt", "12345");
  write_file_atomically(building.path() / "two words", "1");
  CHECK_FALSE(fs::exists(folder / "b"));
  building.commit();
  CHECK(names_in(folder.path()) == std::vector<std::string>{"b"});
  CHECK(text_of(folder / "b/DONE") == "5 c.txt\n1 two words\n");
  CHECK(complete_directory(folder / "b") == folder / "b");
  CHECK(complete_directory(folder / "b/") == folder / "b");
}

TEST_CASE("a folder is complete only with its marker and every listed file at its length") {
  const TemporaryFolder folder;
  {
    AtomicDirectory building(folder / "b");
    write_file_atomically(building.path() / "c.txt", "12345");
    building.commit();
  }
  SECTION("a file is cut short") {
    fs::resize_file(folder / "b/c.txt", 4);
  }
  SECTION("a file is missing") {
    fs::remove(folder / "b/c.txt");
  }
  SECTION("the marker is missing") {
    fs::remove(folder / "b/DONE");
  }
  CHECK_FALSE(complete_directory(folder / "b").has_value());
}

TEST_CASE("a folder replaces the one before it, and a crash leaves one of the two") {
  const TemporaryFolder folder;
  const auto write_version = [&](const std::string& text) {
    AtomicDirectory building(folder / "b");
    write_file_atomically(building.path() / "version", text);
    building.commit();
  };
  const auto version_found = [&] {
    const auto complete = complete_directory(folder / "b");
    return complete ? text_of(*complete / "version") : std::string("none");
  };
  write_version("one");
  write_version("two");
  CHECK(version_found() == "two");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"b"});

  SECTION("crash while building") {
    fs::create_directory(folder / "b.tmp-1");
    put_text(folder / "b.tmp-1/version", "three");
    CHECK(version_found() == "two");
  }
  SECTION("crash after stepping aside") {
    fs::copy(folder / "b", folder / "b.tmp-1");
    fs::rename(folder / "b", folder / "b.bsq-old");
    CHECK(version_found() == "two");
  }
  SECTION("crash after moving into place, before the old one is removed") {
    fs::copy(folder / "b", folder / "b.bsq-old");
    put_text(folder / "b.bsq-old/version", "one");
    CHECK(version_found() == "two");
  }
  write_version("four");
  CHECK(version_found() == "four");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"b"});
}

TEST_CASE("a folder or file of somebody else is never replaced") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "thesis");
  put_text(folder / "thesis/chapter", "text");
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { AtomicDirectory(folder / "thesis"); }),
             Catch::Contains("exists and was not written by bsq (no DONE in it); move it away"));
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { AtomicDirectory(folder / "thesis/chapter"); }),
             Catch::Contains("exists and was not written by bsq"));
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { replace_link(folder / "thesis", "elsewhere"); }),
             Catch::Contains("is not a link"));
  CHECK(text_of(folder / "thesis/chapter") == "text");
}

TEST_CASE("a link moves, may dangle or loop, and is followed to a folder that stepped aside") {
  const TemporaryFolder folder;
  replace_link(folder / "last", "a");
  CHECK_FALSE(complete_directory(folder / "last").has_value());
  replace_link(folder / "last", "b");
  CHECK(fs::read_symlink(folder / "last") == "b");
  {
    AtomicDirectory building(folder / "b");
    building.commit();
  }
  CHECK(complete_directory(folder / "last") == folder / "b");
  fs::rename(folder / "b", folder / "b.bsq-old");
  CHECK(complete_directory(folder / "last") == folder / "b.bsq-old");
  replace_link(folder / "last", "last");
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { complete_directory(folder / "last"); }),
             Catch::Contains("Too many levels of symbolic links; check the path"));
}

TEST_CASE("leftovers are told from a person's files by the number at the end") {
  const TemporaryFolder folder;
  for (const char* name : {"a.tmp-12", "b.tmp-7", "a.tmp-", "a.tmp-x1", "a.tmp", "tmp-12"}) put_text(folder / name, "");
  remove_leftovers(folder.path(), "a");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"a.tmp", "a.tmp-", "a.tmp-x1", "b.tmp-7", "tmp-12"});
  remove_leftovers(folder.path());
  CHECK(names_in(folder.path()) == std::vector<std::string>{"a.tmp", "a.tmp-", "a.tmp-x1", "tmp-12"});
}
