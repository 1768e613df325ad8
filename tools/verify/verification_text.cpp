#include "tools/verify/verification_text.h"

#include "tools/report/table.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace bsq {
namespace {

using nlohmann::ordered_json;

std::string epochs_text(const PassedOver& passed) {
  return passed.first == passed.last ? fmt::format("{} {}", passed.stage, passed.first)
                                     : fmt::format("{} {} to {}", passed.stage, passed.first, passed.last);
}

/// `a, b and 5 more`
std::string short_list_of(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 6;
  if (names.size() <= kMost) return fmt::format("{}", fmt::join(names, ", "));
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(kMost - 1);
  return fmt::format("{} and {} more", fmt::join(names.begin(), end, ", "), names.size() - kMost + 1);
}

std::ptrdiff_t count_same(const Verification& verification) {
  return std::ranges::count_if(verification.checked, [](const CheckedEpoch& epoch) { return epoch.fault.empty(); });
}

}  // namespace

std::string text_of(const Verification& verification) {
  Table table({{"epoch", Align::left}, {"repeated from", Align::left}, {"epochs"}, {"state"}, {"result", Align::left}});
  for (const CheckedEpoch& epoch : verification.checked)
    table.add_row({fmt::format("{} {}", epoch.place.stage, epoch.place.epoch), epoch.from,
                   std::to_string(epoch.repeated), epoch.hash, epoch.fault.empty() ? "the same" : epoch.fault});
  std::string text = verification.checked.empty() ? "" : table.text() + "\n";
  if (!verification.kept.empty()) text += fmt::format("as the log says: {}\n", short_list_of(verification.kept));
  for (const PassedOver& passed : verification.passed_over)
    text += fmt::format("not to be chosen: {}: {}\n", epochs_text(passed), passed.why);
  text += verification.other_here.empty()
              ? "version, libraries, processor, device, threads and ranks are those of the run\n"
              : fmt::format("not as in the run: {}\n", fmt::join(verification.other_here, "; "));
  text += fmt::format("{}: {} of the {} epochs of {} repeated with the same bits and numbers (--seed {})\n",
                      verification.is_verified() ? "verified" : "NOT verified", count_same(verification),
                      verification.epochs, verification.run.string(), verification.seed);
  return text;
}

ordered_json to_json(const Verification& verification) {
  ordered_json json = {{"run", verification.run.string()},
                       {"verified", verification.is_verified()},
                       {"seed", verification.seed},
                       {"epochs", verification.epochs},
                       {"checked", ordered_json::array()},
                       {"passed_over", ordered_json::array()},
                       {"kept", verification.kept},
                       {"faults", verification.faults},
                       {"other_here", verification.other_here}};
  for (const CheckedEpoch& epoch : verification.checked) {
    ordered_json entry = {{"stage", epoch.place.stage}, {"epoch", epoch.place.epoch}, {"from", epoch.from},
                          {"repeated", epoch.repeated}, {"state_hash", epoch.hash},   {"same", epoch.fault.empty()}};
    if (!epoch.fault.empty()) entry["fault"] = epoch.fault;
    json["checked"].push_back(std::move(entry));
  }
  for (const PassedOver& passed : verification.passed_over)
    json["passed_over"].push_back(
        {{"stage", passed.stage}, {"first", passed.first}, {"last", passed.last}, {"why", passed.why}});
  return json;
}

std::string fault_text(const Verification& verification) {
  std::string text;
  const auto add = [&](const std::string& line) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", verification.run.string(), line);
  };
  for (const std::string& fault : verification.faults) add(fault);
  if (!text.empty() && !verification.other_here.empty())
    add(fmt::format("bits are the same on the same machine alone, and this is another one: {}",
                    fmt::join(verification.other_here, "; ")));
  return text;
}

}  // namespace bsq
