// The number of a plug-in's interface, which the build makes (cmake/InterfaceNumber.cmake), moves with the code of the
// headers that make it.
#include "tests/lint/source_files.h"
#include "tests/support/catch.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <unistd.h>

namespace bsq::lint {
namespace {

namespace fs = std::filesystem;

/// A tree of two headers, a/plugin.h and b/table.h, which the first includes.
class Headers {
 public:
  Headers() : root_(fs::temp_directory_path() / ("bsq_interface_" + std::to_string(getpid()))) {
    fs::create_directories(root_ / "a");
    fs::create_directories(root_ / "b");
    put("a/plugin.h", "#include \"b/table.h\"\n\nint a;\n");
    put("b/table.h", "int b;\n");
  }
  Headers(const Headers&) = delete;
  Headers& operator=(const Headers&) = delete;
  ~Headers() { fs::remove_all(root_); }

  void put(const std::string& header, const std::string& text) const { std::ofstream(root_ / header) << text; }
  /// What is made of a/plugin.h.
  std::string source() const {
    const std::string root = root_.string();
    const std::string command = "cmake -DROOT=" + root + " -DHEADER=a/plugin.h -DNAMESPACE=n -DOUTPUT=" + root +
                                "/number.cpp -P " BSQ_SOURCE_DIR "/cmake/InterfaceNumber.cmake";
    REQUIRE(std::system(command.c_str()) == 0);
    return text_of("number.cpp");
  }
  std::string text_of(const std::string& file) const {
    std::ifstream stream(root_ / file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

 private:
  fs::path root_;
};

}  // namespace

TEST_CASE("the number of an interface is that of its code and of all it includes, not of comments and white space") {
  const Headers headers;
  const std::string before = headers.source();
  CHECK_THAT(before, Catch::Contains("kPluginAbi = 0x"));
  headers.put("b/table.h", "// about b\n\n  int  b;  // it is b\n/* and\n * no more */\n");
  CHECK(headers.source() == before);
  headers.put("a/plugin.h", "#include \"b/table.h\"\nint a;\n");
  CHECK(headers.source() == before);
  headers.put("b/table.h", "int b = 1;\n");
  const std::string after = headers.source();
  CHECK(after != before);
  headers.put("a/plugin.h", "#include \"b/table.h\"\nint c;\n");
  CHECK(headers.source() != after);
}

TEST_CASE("an interface is numbered anew when a header changes that it includes") {
  const Headers headers;
  headers.source();
  CHECK_THAT(headers.text_of("number.cpp.d"),
             Catch::Contains("/number.cpp: ") && Catch::Contains("/a/plugin.h") && Catch::Contains("/b/table.h"));
}

}  // namespace bsq::lint
