#include "tools/session/weight_sets.h"

#include "engine/base/text.h"
#include "engine/methods/weight_forms.h"
#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"
#include "models/families.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <vector>

namespace bsq {
namespace {

constexpr std::size_t kMostParts = 16;  // of a name, before the network begins

struct WeightSet {
  std::string prefix;  // with its dot, as the names of the file begin
  bool is_second = false;

  std::string name() const { return prefix.empty() ? "" : prefix.substr(0, prefix.size() - 1); }
  std::string shown() const { return prefix.empty() ? "its own" : excerpt(name(), 60); }
};

/// Whether a part of the prefix says that this is no model but an average, or what an optimizer keeps.
bool is_second(const std::string& prefix) {
  static const std::set<std::string> kWords = {"ema",     "swa",    "avg",      "average",  "averaged", "shadow",
                                               "teacher", "polyak", "momentum", "velocity", "grad",     "optimizer"};
  std::string word;
  for (const char letter : prefix) {
    if (letter != '.' && letter != '_') {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
      continue;
    }
    if (kWords.contains(word)) return true;
    word.clear();
  }
  return false;
}

/// All that may stand before the names of a network.
std::set<std::string> prefixes_of(const TensorFile& file) {
  std::set<std::string> prefixes = {""};
  for (const HostTensor& tensor : file.tensors) {
    std::size_t end = 0;
    for (std::size_t part = 0; part < kMostParts && (end = tensor.name.find('.', end)) != std::string::npos; ++part)
      prefixes.insert(tensor.name.substr(0, ++end));
  }
  return prefixes;
}

using TensorsByName = std::map<std::string, const HostTensor*>;

/// The tensors under a prefix by the names that they have in networks. A name that needs no change comes first.
TensorsByName tensors_under(const TensorsByName& all, const std::string& prefix) {
  TensorsByName found, changed;
  for (auto at = all.lower_bound(prefix); at != all.end() && at->first.starts_with(prefix); ++at) {
    const std::string rest = at->first.substr(prefix.size());
    const std::string name = usual_name(rest);
    (name == rest ? found : changed).emplace(name, at->second);
  }
  found.merge(changed);
  return found;
}

/// The first tensor of the network under a prefix; null: there is none that can be told.
const HostTensor* network_under(const TensorsByName& all, const std::string& prefix, const std::string& where) {
  const TensorsByName tensors = tensors_under(all, prefix);
  const HostTensor* first = nullptr;
  const auto find = [&](const std::string& parameter) -> const HostTensor* {
    for (const WeightForm& form : weight_forms()) {
      const auto found = tensors.find(form.tensor_names(parameter).front());
      if (found == tensors.end()) continue;
      if (first == nullptr) first = found->second;
      return found->second;
    }
    return nullptr;
  };
  try {
    recognize_network(find, where);
  } catch (const Error&) {
    return nullptr;
  }
  return first;
}

/// The sets of weights in a file, the model's own first. Those of several prefixes are called by the longest one.
std::vector<WeightSet> sets_in(const TensorFile& file) {
  TensorsByName all;
  for (const HostTensor& tensor : file.tensors) all.emplace(tensor.name, &tensor);
  std::map<const HostTensor*, std::string> longest;
  for (const std::string& prefix : prefixes_of(file)) {
    const HostTensor* first = network_under(all, prefix, file.path.string());
    if (first == nullptr) continue;
    std::string& known = longest[first];
    if (prefix.size() >= known.size()) known = prefix;
  }
  std::vector<WeightSet> sets;
  for (const auto& [first, prefix] : longest) sets.push_back({prefix, is_second(prefix)});
  std::ranges::sort(sets, [](const WeightSet& a, const WeightSet& b) {
    return std::pair(a.is_second, a.prefix) < std::pair(b.is_second, b.prefix);
  });
  return sets;
}

/// The set that a name is of; null: of none.
const WeightSet* set_of(const std::string& name, const std::vector<WeightSet>& sets) {
  const WeightSet* found = nullptr;
  for (const WeightSet& set : sets)
    if (name.starts_with(set.prefix) && (found == nullptr || set.prefix.size() > found->prefix.size())) found = &set;
  return found;
}

const WeightSet& wished(const std::vector<WeightSet>& sets, const std::string& wish, const TensorFile& file) {
  for (const WeightSet& set : sets)
    if (set.name() == wish) return set;
  std::vector<std::string> names;
  for (const WeightSet& set : sets) names.push_back(set.prefix.empty() ? "'' (its own)" : set.shown());
  fail(ErrorKind::usage, "--weights {}: {} has no such set of weights{}", wish, file.path.string(),
       names.empty() ? "" : fmt::format("; it has {}", fmt::join(names, ", ")));
}

bool is_statistic(const std::string& name) {
  return name.ends_with(".running_mean") || name.ends_with(".running_var") || name.ends_with(".num_batches_tracked");
}

/// The tensors of one set, by names without its prefix.
std::vector<HostTensor> tensors_of(const TensorFile& file, const std::vector<WeightSet>& sets, const WeightSet& set) {
  std::vector<HostTensor> tensors;
  for (const HostTensor& tensor : file.tensors) {
    if (set_of(tensor.name, sets) != &set) continue;
    tensors.push_back(tensor);
    tensors.back().name.erase(0, set.prefix.size());
  }
  return tensors;
}

}  // namespace

void take_weights(TensorFile& file, const std::optional<std::string>& wish,
                  const std::function<void(const std::string&)>& say) {
  const std::vector<WeightSet> sets = sets_in(file);
  if (sets.size() < 2) {
    if (wish) wished(sets, *wish, file);
    return;
  }
  const WeightSet& taken = wish ? wished(sets, *wish, file) : sets.front();
  std::vector<std::string> others, outside;
  for (const WeightSet& set : sets)
    if (&set != &taken) others.push_back(set.shown());
  for (const HostTensor& tensor : file.tensors)
    if (set_of(tensor.name, sets) == nullptr) outside.push_back(tensor.name);
  say(fmt::format("has {} sets of weights: {} is taken, not {}; bsq convert --weights NAME takes another", sets.size(),
                  taken.shown(), fmt::join(others, ", ")));
  if (!outside.empty())
    say(fmt::format("left out, since they are of no set of weights: {}",
                    excerpt(fmt::to_string(fmt::join(outside, ", ")), 200)));
  std::vector<HostTensor> tensors = tensors_of(file, sets, taken);
  const auto has_statistics = [](const std::vector<HostTensor>& of) {
    return std::ranges::any_of(of, [](const HostTensor& tensor) { return is_statistic(tensor.name); });
  };
  if (&taken != &sets.front() && !has_statistics(tensors)) {
    std::vector<HostTensor> own = tensors_of(file, sets, sets.front());
    std::erase_if(own, [](const HostTensor& tensor) { return !is_statistic(tensor.name); });
    if (!own.empty()) say(fmt::format("{} has no running statistics: those of the model are taken", taken.shown()));
    std::ranges::move(own, std::back_inserter(tensors));
  }
  file.tensors = std::move(tensors);
}

}  // namespace bsq
