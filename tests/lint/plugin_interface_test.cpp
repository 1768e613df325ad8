// The number of a plug-in's interface moves with the headers that make it.
//
// bsq refuses a plug-in whose number is another one, since what passes between the two would be misread. So whoever
// changes such a header counts kPluginAbi up, and writes number and fingerprint in here.
#include "tests/lint/source_files.h"
#include "tests/support/catch.h"

#include <cctype>
#include <cstdint>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace bsq::lint {
namespace {

struct PluginInterface {
  std::string header;  // what plug-in and loader share
  int number;
  std::string fingerprint;  // of all code it includes
};

const std::vector<PluginInterface> kInterfaces = {{"kernels/cuda/plugin.h", 9, "284a9e53f71b499a"},
                                                  {"kernels/ranks/mpi/plugin.h", 3, "78209c4e9c29a16e"},
                                                  {"tools/export/onnx/plugin/plugin.h", 1, "ae85bab248f0bd3c"},
                                                  {"bench/plugin.h", 1, "ebfa21f840d3833c"}};

const std::string& text_of(const std::string& path) {
  static const std::map<std::string, std::string> texts = [] {
    std::map<std::string, std::string> all;
    for (SourceFile& file : source_files(BSQ_SOURCE_DIR)) all[file.path] = std::move(file.text);
    return all;
  }();
  return texts.at(path);
}

/// A header and those of the project that it includes, at any distance.
void add_closure(const std::string& header, std::set<std::string>& headers) {
  if (!headers.insert(header).second) return;
  static const std::regex include("#include \"([^\"]+)\"");
  const std::string& text = text_of(header);
  for (std::sregex_iterator at(text.begin(), text.end(), include), end; at != end; ++at) add_closure((*at)[1], headers);
}

/// Without comments and white space.
std::string code_of(const std::string& text) {
  std::string code;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    for (const char c : line.substr(0, line.find("//")))
      if (std::isspace(static_cast<unsigned char>(c)) == 0) code += c;
  return code;
}

std::string fingerprint_of(const std::string& header) {
  std::set<std::string> headers;
  add_closure(header, headers);
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
  static const std::regex number("kPluginAbi=[0-9]+;");
  for (const std::string& file : headers)
    for (const char c : std::regex_replace(code_of(text_of(file)), number, ""))
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  std::ostringstream digits;
  digits << std::hex << hash;
  return digits.str();
}

}  // namespace

TEST_CASE("the number of a plug-in's interface has been counted up with its headers") {
  for (const PluginInterface& interface : kInterfaces) {
    INFO(interface.header << ": its headers have changed; count kPluginAbi up, and write both in here");
    CHECK_THAT(text_of(interface.header), Catch::Contains("kPluginAbi = " + std::to_string(interface.number) + ";"));
    CHECK(fingerprint_of(interface.header) == interface.fingerprint);
  }
}

TEST_CASE("the fingerprint of an interface is that of its code, not of its comments") {
  CHECK(code_of("int a;  // one\n\n  int  b;\n") == "inta;intb;");
  std::set<std::string> headers;
  add_closure("kernels/ranks/mpi/plugin.h", headers);
  CHECK(headers.contains("kernels/ranks/communicator.h"));
}

}  // namespace bsq::lint
