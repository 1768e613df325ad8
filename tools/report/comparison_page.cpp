// Sections and files.
#include "tools/report/comparison_page.h"

#include "tools/report/comparison_csv.h"
#include "tools/report/comparison_tables.h"
#include "tools/report/file_set.h"
#include "tools/report/pareto_figure.h"
#include "tools/report/report_tables.h"

#include <fmt/format.h>

namespace bsq {
namespace {

namespace fs = std::filesystem;

PageSection tables_of(const Comparison& comparison, const std::vector<RunReport>& reports,
                      const std::vector<std::string>& links) {
  PageSection section{.title = "Tables"};
  section.tables.push_back({"Settings", groups_table(comparison), kGroupsNotes, "groups.csv", {}});
  if (Table costs = group_costs_table(comparison); !costs.empty())
    section.tables.push_back({"Sizes and costs", std::move(costs), kGroupCostsNotes, "groups.csv", {}});
  section.tables.push_back({"Runs", comparison_table(reports), kComparisonNotes, "comparison.csv", links});
  if (const std::vector<PublishedRow> rows = published_rows_beside(comparison); !rows.empty())
    section.tables.push_back(
        {"Published by others (not ours)", published_table(rows), kPublishedNotes, "published.csv", {}});
  return section;
}

}  // namespace

Page comparison_page(const Comparison& comparison, const std::vector<RunReport>& reports,
                     const std::vector<std::string>& links) {
  Page page;
  page.title = fmt::format("{} runs compared", reports.size());
  page.subtitle = experiment_text(reports.front().config);
  if (!comparison.same_network || !comparison.same_data)
    page.subtitle = "of different experiments";
  else if (const std::size_t seed = page.subtitle.rfind("; seed"); seed != std::string::npos)
    page.subtitle.erase(seed);
  if (const fs::path shared = shared_folder(reports); !shared.empty()) page.subtitle += "; runs in " + shared.string();
  page.notices = comparison.remarks;
  PageSection figures{.title = "Figures", .figures = comparison_figures(comparison)};
  if (figures.figures.empty()) figures.paragraphs.emplace_back("No run has a quantized model yet.");
  if (compare_layers(comparison).groups.empty() && !comparison.same_network)
    figures.paragraphs.emplace_back("Layers of different networks are not set side by side.");
  page.sections.push_back(std::move(figures));
  page.sections.push_back(tables_of(comparison, reports, links));
  return page;
}

void write_comparison_files(const std::vector<RunReport>& reports, const std::vector<std::string>& links,
                            const fs::path& folder) {
  const Comparison comparison = compare(reports);
  const Page page = comparison_page(comparison, reports, links);
  FileSet files(folder, "the report");
  files.add("index.html", html_of(page));
  add_figures(files, page);
  files.add("comparison.csv", comparison_csv(reports));
  files.add("groups.csv", groups_csv(comparison));
  if (const LayerComparison layers = compare_layers(comparison); !layers.groups.empty())
    files.add("precision.csv", precision_csv(layers));
  if (const std::vector<BudgetPanel> panels = panels_of(comparison); !panels.empty())
    files.add("widths.csv", widths_csv(panels));
  if (const ShareComparison shares = compare_shares(comparison); !shares.groups.empty())
    files.add("shares.csv", shares_csv(shares));
  if (!published_rows_beside(comparison).empty()) files.add("published.csv", published_csv());
  files.commit();
}

}  // namespace bsq
