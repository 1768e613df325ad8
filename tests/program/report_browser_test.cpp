// The page of a report in a browser: headless Chromium lays it out, says nothing on its console and asks no network.
#include "tests/support/workspace.h"

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <set>

using namespace bsq::test;

namespace {

/// Empty where there is none that runs.
std::string browser() {
  for (const std::string name : {"chromium", "chromium-browser", "google-chrome"}) {
    Setup setup;
    setup.program = "/usr/bin/env";
    const Outcome outcome = run({"sh", "-c", "command -v " + name + " && " + name + " --version"}, setup);
    if (outcome.exit_code == 0 && contains(outcome.out, "Chrom")) return name;
  }
  return {};
}

struct Visit {
  std::string dom;
  std::string console;  // messages of the page
  std::string net_log;  // what the browser asked of the network
};

/// Opens a page of the workspace as a person would, in a window of that width, without its own background traffic.
Visit visit(const Workspace& here, const std::string& name, const std::string& page, int width) {
  Setup setup = here.setup();
  setup.program = "/usr/bin/env";
  const fs::path profile = here / "profile";
  const Outcome outcome = run({name, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                               "--no-first-run", "--disable-background-networking", "--disable-component-update",
                               "--disable-sync", "--disable-extensions", "--user-data-dir=" + profile.string(),
                               "--log-net-log=" + (here / "net.json").string(), "--host-resolver-rules=MAP * ~NOTFOUND",
                               "--enable-logging=stderr", "--window-size=" + std::to_string(width) + ",900",
                               "--timeout=30000", "--dump-dom", "file://" + (here / page).string()},
                              setup);
  INFO(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  Visit visit{outcome.out, "", text_of(here / "net.json")};
  for (const std::string& line : lines_of(outcome.err))
    if (contains(line, "CONSOLE")) visit.console += line + "\n";
  return visit;
}

/// Addresses on any network, but for those that the browser asks for itself, whatever the page.
std::set<std::string> asked_for(const std::string& net_log) {
  static const std::regex url("\"url\":\"(https?:[^\"]*)\"");
  static const std::regex own("https?://[a-z0-9.-]*\\.(google|googleapis|gvt1)\\.com/.*");
  std::set<std::string> found;
  for (auto match = std::sregex_iterator(net_log.begin(), net_log.end(), url); match != std::sregex_iterator(); ++match)
    if (!std::regex_match((*match)[1].str(), own)) found.insert((*match)[1]);
  return found;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("a browser shows every figure of a report, without a complaint and without a network") {
  const std::string name = browser();
  if (name.empty()) {
    WARN("SKIPPED: there is no Chromium here");
    return;
  }
  const Workspace here;
  here.train("runs/a");
  here.train("runs/b", {"bsq.alpha=4"});
  here.must({"report", "runs/a", "runs/b"});

  // That a page which does ask is found out.
  put_text(
      here / "asks.html",
      "<!DOCTYPE html><title>x</title><img src=\"http://example.org/x.png\"><script>console.error('oh')</script>\n");
  const Visit asking = visit(here, name, "asks.html", 900);
  CHECK(contains(asking.console, "oh"));
  CHECK(asked_for(asking.net_log) == std::set<std::string>{"http://example.org/x.png"});

  const std::vector<std::pair<std::string, std::vector<std::string>>> pages = {
      {"runs/a/report/index.html",
       {"accuracy", "bits", "loss", "penalty", "planes", "precision", "precision_history", "shares", "weights"}},
      {"runs/report/index.html", {"bops", "bytes", "pareto", "precision", "widths"}}};
  for (const auto& [page, figures] : pages) {
    const Visit found = visit(here, name, page, 390);
    INFO(page << "\n" << found.console);
    CHECK(found.console.empty());
    CHECK(asked_for(found.net_log) == std::set<std::string>{});
    CHECK(count(found.dom, "<svg ") == figures.size());
    for (const std::string& id : figures) {
      INFO(id);
      CHECK(contains(found.dom, "aria-labelledby=\"" + id + "-title " + id + "-desc\""));
      CHECK(contains(found.dom, "<title id=\"" + id + "-title\">"));
    }
  }
}
