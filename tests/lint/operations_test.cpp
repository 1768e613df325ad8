// The list of operations and the tree agree: a family has its header, and its files in every backend.
#include "tests/lint/source_files.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <filesystem>
#include <regex>

namespace bsq::lint {
namespace {

struct ListedOperation {
  std::string family, name;
};

std::vector<SourceFile> kernel_files() {
  std::vector<SourceFile> files;
  for (SourceFile& file : source_files(BSQ_SOURCE_DIR))
    if (file.path.starts_with("kernels/")) files.push_back(std::move(file));
  return files;
}

std::vector<ListedOperation> listed_operations(const std::vector<SourceFile>& files) {
  const auto list = std::find_if(files.begin(), files.end(),
                                 [](const SourceFile& file) { return file.path == "kernels/ops/operations.def"; });
  REQUIRE(list != files.end());
  static const std::regex line(R"(\nBSQ_(?:OPERATION|SCRATCH)\((\w+), (\w+), )");
  std::vector<ListedOperation> operations;
  for (std::sregex_iterator at(list->text.begin(), list->text.end(), line), end; at != end; ++at)
    operations.push_back({(*at)[1], (*at)[2]});
  return operations;
}

/// The families that a file of this folder may be of: "norm_act" and "norm_act_forward" for norm_act_forward.cpp.
bool is_of_family(const SourceFile& file, const std::string& folder, const std::string& family) {
  const std::string begin = folder + family;
  if (!file.path.starts_with(begin)) return false;
  const std::string_view rest = std::string_view(file.path).substr(begin.size());
  return rest.find('/') == std::string_view::npos && (rest.starts_with('.') || rest.starts_with('_'));
}

}  // namespace

TEST_CASE("every operation's contract is in the header of its family, and its code in the family's files") {
  const std::vector<SourceFile> files = kernel_files();
  const std::vector<ListedOperation> operations = listed_operations(files);
  CHECK(operations.size() > 20);  // the list was read at all
  for (const auto& [family, name] : operations) {
    INFO(family << ", " << name);
    const auto any_has = [&, &family = family, &name = name](std::initializer_list<const char*> folders) {
      return std::any_of(files.begin(), files.end(), [&](const SourceFile& file) {
        const bool is_here = std::any_of(folders.begin(), folders.end(),
                                         [&](const char* folder) { return is_of_family(file, folder, family); });
        return is_here && std::regex_search(file.text, std::regex("\\b" + name + "\\b"));
      });
    };
    CHECK(any_has({"kernels/ops/"}));
    CHECK(any_has({"kernels/reference/"}));
    CHECK(any_has({"kernels/cpu/", "kernels/cpu/simd/"}));
    CHECK(any_has({"kernels/cuda/ops/"}));
  }
}

}  // namespace bsq::lint
