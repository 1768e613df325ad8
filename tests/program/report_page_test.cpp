// The page of `bsq report` and the figures beside it: complete, self-contained, escaped, and whole whatever goes wrong.
#include "tests/support/workspace.h"
#include "tests/support/xml.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <regex>
#include <set>

using namespace bsq::test;
using nlohmann::json;

namespace {

const std::vector<std::string> kAllFigures = {"accuracy",          "bits",   "loss",   "penalty", "planes", "precision",
                                              "precision_history", "shares", "weights"};

/// The figures of a page, each well-formed and the same as its file, by id.
std::set<std::string> check_figures(const fs::path& report) {
  const std::string page = text_of(report / "index.html");
  std::set<std::string> ids, files;
  for (std::size_t at = page.find("<svg "); at != std::string::npos; at = page.find("<svg ", at + 1)) {
    const std::string inlined = page.substr(at, page.find("</svg>", at) + 6 - at);
    const std::vector<XmlElement> elements = XmlReader::read(inlined);
    const std::string id = elements[0].attributes.at("id");
    INFO(id);
    CHECK(ids.insert(id).second);
    CHECK(elements[0].attributes.at("role") == "img");
    CHECK_FALSE(elements_named(elements, "title").at(0).text.empty());
    CHECK_FALSE(elements_named(elements, "desc").at(0).text.empty());
    const std::vector<XmlElement> in_file = XmlReader::read(text_of(report / (id + ".svg")));
    CHECK(elements_named(in_file, "style").size() == 1);
    CHECK(in_file.size() == elements.size() + 2);  // the style, and what is behind all
  }
  for (const auto& entry : fs::directory_iterator(report))
    if (entry.path().extension() == ".svg") files.insert(entry.path().stem().string());
  CHECK(files == ids);
  return ids;
}

/// Nothing that a browser would fetch; links are to files beside the page.
void check_self_contained(const fs::path& report) {
  const std::string page = text_of(report / "index.html");
  for (const char* fetching : {"<script", "<iframe", "<object", "<embed", "<img", " src=", "@import", "url(", "<base"})
    CHECK_FALSE(contains(page, fetching));
  static const std::regex link("href=\"([^\"]*)\"");
  for (auto found = std::sregex_iterator(page.begin(), page.end(), link); found != std::sregex_iterator(); ++found) {
    const std::string target = (*found)[1];
    INFO(target);
    CHECK((target == "data:," || fs::exists(report / target)));
  }
}

std::map<std::string, std::string> content_of(const fs::path& folder) {
  std::map<std::string, std::string> content;
  for (const auto& entry : fs::directory_iterator(folder)) content[entry.path().filename()] = text_of(entry.path());
  return content;
}

}  // namespace

TEST_CASE("the page of a whole run has every number, figure and word of it, and needs nothing else") {
  const Workspace here;
  here.train("run");
  const fs::path report = here / "run/report";
  const std::set<std::string> figures = check_figures(report);
  CHECK(figures == std::set<std::string>(kAllFigures.begin(), kAllFigures.end()));
  check_self_contained(report);
  const std::string page = text_of(report / "index.html");
  const json summary = json_of(report / "summary.json");
  for (const std::string& part :
       {fmt::format("<b>{:.2f} %</b>", summary.at("stages")[3].at("best_top1").get<double>()),
        fmt::format("<b>{:.3f}</b>", summary.at("precision").at("bits_per_parameter").get<double>()),
        std::string("bsq train tiny.yaml --run-dir run"), std::string("requant_interval: 1"),
        std::string("<dt>device</dt>"), std::string("<dt>commit</dt>"),
        std::string("<td class=\"left\">layer3.0.conv2</td>"), std::string("@media print"),
        std::string("prefers-color-scheme:dark"), std::string("name=\"viewport\"")}) {
    INFO(part);
    CHECK(contains(page, part));
  }
  CHECK_FALSE(contains(page, "class=\"notice\""));
}

TEST_CASE("a float run has no figures of bits, and its page says why") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  CHECK(check_figures(here / "run/report") == std::set<std::string>{"accuracy", "loss"});
  CHECK(contains(text_of(here / "run/report/index.html"), "The newest model is a float one"));
}

TEST_CASE("whatever a run is called and its files say comes out as text") {
  const Workspace here;
  here.train("run<b>&\"'", {"name=<script>alert(1)", "stages=[pretrain]"});
  const fs::path run = here / "run<b>&\"'";
  json environment = json_of(run / "env.json");
  environment["host"] = "</dd><script>alert(2)</script>";
  environment["evil <i>"] = "\x01{{title}}{{{style}}}";
  put_text(run / "env.json", environment.dump());
  put_text(run / "command.txt", "bsq train </pre><script>\xff\n");
  here.must({"report", "run<b>&\"'"});
  check_figures(run / "report");
  check_self_contained(run / "report");
  const std::string page = text_of(run / "report/index.html");
  CHECK(contains(page, "run&lt;b&gt;&amp;&quot;&apos;"));
  CHECK(contains(page, "&lt;/dd&gt;&lt;script&gt;alert(2)"));
  CHECK(contains(page, "evil &lt;i&gt;"));
  CHECK(contains(page, "{{title}}{{{style}}}"));
  CHECK(contains(page, "&lt;/pre&gt;&lt;script&gt;\xEF\xBF\xBD"));
}

TEST_CASE("the page of a run that is not done says so") {
  const Workspace here;
  Program training({"train", "tiny.yaml", "--run-dir", "run", "bsq.epochs=100000"}, here.setup());
  training.wait_for("[T] bsq");
  CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains("run  running"));
  CHECK(contains(text_of(here / "run/report/index.html"), "This run is still going on, in stage bsq after "));
  training.send(SIGTERM);
  CHECK(training.finish().exit_code == 143);
  here.must({"report", "run"});
  std::string page = text_of(here / "run/report/index.html");
  CHECK(contains(page, "This run was stopped (exit code 143), in stage bsq after "));
  CHECK(contains(page, "Go on with: bsq train --resume run"));
  edit_text(here / "run/status.json", "interrupted", "running");
  here.must({"report", "run"});
  CHECK(contains(text_of(here / "run/report/index.html"), "This run has crashed or was killed, in stage bsq after "));
  check_figures(here / "run/report");

  CHECK(here.run({"train", "tiny.yaml", "--run-dir", "nan", "pretrain.lr=1e30"}).exit_code == 6);
  here.must({"report", "nan"});
  page = text_of(here / "nan/report/index.html");
  CHECK(contains(page, "This run failed with exit code 6"));
  CHECK(contains(page, "No epoch is finished yet."));
  CHECK(check_figures(here / "nan/report").empty());
}

TEST_CASE("where a file cannot be written the old report stays whole") {
  const Workspace here;
  here.train("run");
  const std::map<std::string, std::string> before = content_of(here / "run/report");
  edit_text(here / "run/command.txt", "bsq train", "bsq  train");  // a new report would be another
  Setup setup = here.setup();
  std::uintmax_t largest = 0;
  for (const auto& [name, text] : before) largest = std::max<std::uintmax_t>(largest, text.size());
  for (const long limit : {8000L, 20000L, static_cast<long>(largest) - 1}) {
    INFO(limit);
    setup.file_size_limit_bytes = limit;
    const Outcome outcome = run({"report", "run"}, setup);
    CHECK(outcome.exit_code == 4);
    CHECK_THAT(outcome.err, Catch::StartsWith("error: run/report/") &&
                                Catch::EndsWith("(ulimit -f); or write elsewhere: --out DIR\n"));
    CHECK((content_of(here / "run/report") == before));
  }
  here.must({"report", "run"});
  CHECK((content_of(here / "run/report") != before));
}

TEST_CASE("a report of hundreds of epochs is below 2 MB") {
  const Workspace here;
  here.train("run", {"model.depth=20", "pretrain.epochs=1", "bsq.epochs=1", "finetune.epochs=1"});
  constexpr int kEpochs = 350;
  const std::vector<std::string> csv = lines_of(text_of(here / "run/metrics.csv"));
  std::string rows = csv[0] + "\n";
  for (std::size_t stage = 1; stage < csv.size(); ++stage) {
    const std::size_t name = csv[stage].find(',');
    const std::string after = csv[stage].substr(csv[stage].find(',', name + 1));
    for (int epoch = 1; epoch <= kEpochs; ++epoch)
      rows += csv[stage].substr(0, name + 1) + std::to_string(epoch) + after + "\n";
  }
  put_text(here / "run/metrics.csv", rows);
  std::vector<json> last;  // of the re-quantization at the end, repeated after every epoch
  for (const std::string& line : lines_of(text_of(here / "run/precision.jsonl")))
    if (json row = json::parse(line); row.at("epoch") == 1) last.push_back(std::move(row));
  REQUIRE(last.size() == 21);
  std::string history;
  for (int epoch = 0; epoch <= kEpochs; ++epoch)
    for (json& row : last) {
      row["epoch"] = epoch;
      row["bits_before"] = 8 - (epoch / 2) % 3;
      row["bits_after"] = 8 - ((epoch + 1) / 2) % 3;
      history += row.dump() + "\n";
    }
  put_text(here / "run/precision.jsonl", history);
  here.must({"report", "run"});
  check_figures(here / "run/report");
  CHECK(fs::file_size(here / "run/report/index.html") < 2'000'000);
}

TEST_CASE("runs that differ in alpha and seed are compared on a page of their own") {
  const Workspace here;
  for (const char* seed : {"1", "2"})
    for (const char* alpha : {"0.5", "4"})
      here.train(std::string("sweep/") + alpha + "-" + seed,
                 {std::string("bsq.alpha=") + alpha, std::string("seed=") + seed, "threads=2"});
  here.train("sweep/float", {"stages=[pretrain]"});
  const Outcome printed = here.must({"report", "sweep/0.5-1", "sweep/4-1", "sweep/0.5-2", "sweep/4-2", "sweep/float"});
  CHECK_THAT(printed.out, Catch::EndsWith("\npage: sweep/report/index.html\n"));
  const fs::path report = here / "sweep/report";
  CHECK(check_figures(report) == std::set<std::string>{"bops", "bytes", "pareto", "precision", "widths"});
  check_self_contained(report);
  const std::string page = text_of(report / "index.html");
  for (const char* part : {"bsq.alpha=0.5", "bsq.alpha=4", "single runs", "Mean and standard deviation", "± ",
                           "not in the figures: sweep/float (done)", "href=\"../4-2/report/index.html\""}) {
    INFO(part);
    CHECK(contains(page, part));
  }
  const std::vector<std::string> groups = lines_of(text_of(report / "groups.csv"));
  REQUIRE(groups.size() == 4);
  CHECK_THAT(groups[0], Catch::StartsWith("setting,method,runs,finished,top1_mean,top1_sd,top1_min,top1_max,") &&
                            Catch::Contains(",top1_last_mean,") && Catch::Contains(",top1_float_sd,") &&
                            Catch::Contains(",bops_mean,") && Catch::EndsWith(",pareto,pareto_of_series"));
  for (const std::string& line : groups)
    CHECK(std::count(line.begin(), line.end(), ',') == std::count(groups[0].begin(), groups[0].end(), ','));
  CHECK_THAT(groups[1] + "\n" + groups[2] + "\n" + groups[3],
             Catch::Contains("bsq.alpha=0.5,BSQ,2,2,") && Catch::Contains(",1,0,"));
  CHECK(lines_of(text_of(report / "comparison.csv")).size() == 6);
  CHECK(lines_of(text_of(report / "precision.csv")).size() == 1 + 2 * 9);
  CHECK(lines_of(text_of(report / "widths.csv")).size() == 1 + 4 * 9);
  CHECK(lines_of(text_of(report / "shares.csv")).size() == 1 + 2 * 10);
}

TEST_CASE("what cannot be compared is said, and left out") {
  const Workspace here;
  here.train("small");
  here.train("large", {"model.width=4"});
  here.train("other", {"data.synthetic_test=30"});
  here.must({"report", "small", "large"});
  std::string page = text_of(here / "report/index.html");
  CHECK(contains(page, "These are different networks (resnet depth 8, width 2; resnet depth 8, width 4)"));
  CHECK(check_figures(here / "report") == std::set<std::string>{"pareto"});
  here.must({"report", "small", "other", "--out", "apart"});
  page = text_of(here / "apart/index.html");
  CHECK(contains(page, "tested on different images (synthetic, 20 test images; synthetic, 30 test images)"));
  CHECK_FALSE(contains(page, "Pareto line</text>"));
  put_text(here / "mine/index.html", "<p>my own page</p>\n");
  for (const Words& words :
       {Words{"report", "small", "--out", "mine"}, {"report", "small", "other", "--out", "mine"}}) {
    const Outcome outcome = here.run(words);
    CHECK(outcome.exit_code == 2);
    CHECK(outcome.err ==
          "error: mine/index.html: is not a report of bsq; move it away or choose another folder with --out\n");
    CHECK(here.files("mine") == std::vector<std::string>{"index.html"});
  }
}
