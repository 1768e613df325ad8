// The template (tools/report/report_page.html) filled in by mustache, which escapes everything in {{two}} braces.
#include "tools/report/report_page.h"

#include "tools/cli/build_info.h"
#include "tools/report/charts/xml_text.h"

#include <kainjow/mustache.hpp>

#include <fmt/format.h>

namespace bsq {

extern const char* const kPageTemplate;  // made of report_page.html when the program is built

namespace {

using kainjow::mustache::data;
using kainjow::mustache::mustache;

constexpr const char* kGenerator = "<meta name=\"generator\" content=\"bsq ";

data text_data(const std::string& text) {
  return data(charts::clean_text(text));
}

/// A list as mustache sees it; an empty one leaves its section out.
template <typename Items, typename Convert>
data list_of(const Items& items, Convert convert) {
  data list(data::type::list);
  for (const auto& item : items) list.push_back(convert(item));
  return list;
}

data pair_data(const std::pair<std::string, std::string>& pair) {
  data object;
  object.set("name", text_data(pair.first));
  object.set("value", text_data(pair.second));
  return object;
}

data table_data(const PageTable& table) {
  const std::vector<Column>& columns = table.table.columns();
  const auto column_class = [&](std::size_t i) { return columns[i].align == Align::left ? "left" : "right"; };
  data header(data::type::list), rows(data::type::list);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    data cell;
    cell.set("text", text_data(columns[i].title));
    cell.set("class", column_class(i));
    header.push_back(cell);
  }
  for (std::size_t row = 0; row < table.table.rows().size(); ++row) {
    data cells(data::type::list);
    for (std::size_t i = 0; i < columns.size(); ++i) {
      data cell;
      cell.set("text", text_data(table.table.rows()[row][i]));
      cell.set("class", column_class(i));
      if (i == 0 && row < table.links.size() && !table.links[row].empty())
        cell.set("link", text_data(table.links[row]));
      cells.push_back(cell);
    }
    data line;
    line.set("cells", cells);
    rows.push_back(line);
  }
  data object;
  object.set("title", text_data(table.title));
  object.set("note", text_data(table.note));
  object.set("data_file", text_data(table.data_file));
  object.set("header", header);
  object.set("rows", rows);
  return object;
}

data figure_data(const ReportFigure& figure) {
  data object;
  object.set("svg", figure.svg.inlined());
  object.set("file", figure.svg.id() + ".svg");
  object.set("note", text_data(figure.note));
  object.set("has_layer", figure.layer.has_value());
  if (!figure.layer) return object;
  object.set("switch", "with-" + figure.svg.id());
  object.set("layer_svg", figure.layer->svg.inlined());
  object.set("layer_file", figure.layer->svg.id() + ".svg");
  object.set("layer_label", text_data(figure.layer->label));
  object.set("layer_note", text_data(figure.layer->note));
  return object;
}

data section_data(const PageSection& section) {
  data object;
  object.set("title", text_data(section.title));
  object.set("paragraphs", list_of(section.paragraphs, text_data));
  object.set("has_facts", !section.facts.empty());
  object.set("facts", list_of(section.facts, pair_data));
  object.set("tables", list_of(section.tables, table_data));
  object.set("figures", list_of(section.figures, figure_data));
  object.set("texts", list_of(section.texts, pair_data));
  return object;
}

}  // namespace

std::string html_of(const Page& page) {
  data all;
  all.set("generator", std::string(kGenerator) + charts::xml_text(full_version()) + "\">");
  all.set("style", charts::style_sheet(":root"));
  all.set("title", text_data(page.title));
  all.set("subtitle", text_data(page.subtitle));
  all.set("notices", list_of(page.notices, text_data));
  all.set("has_numbers", !page.numbers.empty());
  all.set("numbers", list_of(page.numbers, pair_data));
  all.set("sections", list_of(page.sections, section_data));
  all.set("version", text_data(full_version()));
  mustache page_template(kPageTemplate);
  return page_template.render(all);
}

void add_figures(FileSet& files, const Page& page) {
  for (const PageSection& section : page.sections)
    for (const ReportFigure& figure : section.figures) {
      files.add(figure.svg.id() + ".svg", figure.svg.file());
      if (figure.layer) files.add(figure.layer->svg.id() + ".svg", figure.layer->svg.file());
    }
}

bool is_report_page(const std::string& html) {
  return html.find(kGenerator) != std::string::npos;
}

}  // namespace bsq
