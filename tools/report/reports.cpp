#include "tools/report/reports.h"

#include "kernels/base/error.h"
#include "tools/report/comparison_page.h"

#include <algorithm>

namespace bsq {
namespace {

namespace fs = std::filesystem;

fs::path normal(const fs::path& path) {
  const fs::path absolute = fs::absolute(path).lexically_normal();
  return absolute.has_filename() ? absolute : absolute.parent_path();
}

/// A path as a link: characters with a meaning in links are written as %XX.
std::string link_text(const fs::path& path) {
  std::string text;
  for (const char c : path.generic_string()) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          std::string_view("/-._~").find(c) != std::string_view::npos;
    text += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return text;
}

/// The innermost folder that holds all runs.
fs::path common_folder(const std::vector<RunReport>& reports) {
  fs::path common = normal(reports.front().path).parent_path();
  for (const RunReport& report : reports) {
    const fs::path run = normal(report.path).parent_path();
    while (common.has_relative_path() &&
           std::mismatch(common.begin(), common.end(), run.begin(), run.end()).first != common.end())
      common = common.parent_path();
  }
  if (!common.has_relative_path())
    fail(ErrorKind::usage, "the runs have no folder in common; say where their comparison goes with --out DIR");
  return common.lexically_proximate(fs::current_path());
}

}  // namespace

void refuse_foreign_page(const fs::path& folder) {
  const fs::path page = folder / "index.html";
  std::error_code ignored;
  if (!fs::exists(page, ignored) || is_report_page(read_text_file(page, ErrorKind::usage))) return;
  fail(ErrorKind::usage, "{}: is not a report of bsq; move it away or choose another folder with --out", page.string());
}

fs::path write_reports(const std::vector<RunReport>& reports, const fs::path& folder) {
  if (reports.size() == 1) {
    const fs::path own = folder.empty() ? reports.front().path / "report" : folder;
    refuse_foreign_page(own);
    write_report_files(reports.front(), own);
    return own / "index.html";
  }
  const fs::path common = folder.empty() ? common_folder(reports) / "report" : folder;
  refuse_foreign_page(common);
  std::vector<std::string> links;
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const fs::path own =
        folder.empty() ? reports[i].path / "report" : folder / fmt::format("{:02}-{}", i + 1, reports[i].config.name);
    write_report_files(reports[i], own);
    links.push_back(link_text(normal(own).lexically_proximate(normal(common)) / "index.html"));
  }
  write_comparison_files(reports, links, common);
  return (common / "index.html").lexically_normal();
}

}  // namespace bsq
