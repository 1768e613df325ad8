#include "engine/network/quantize_all.h"

#include <algorithm>
#include <map>
#include <set>

namespace bsq {
namespace {

/// What lies on one side of a sum, from the sum up to where the network forks or begins.
struct Side {
  std::vector<std::string> tensors;  // read on the way, the nearest first
  std::vector<int> convolutions;     // numbers of nodes, the nearest first
  std::vector<std::size_t> read_by;  // for each convolution, the place in `tensors` of what it reads
};

class Projections {
 public:
  explicit Projections(const NetworkSpec& spec) : spec_(spec) {
    for (std::size_t i = 0; i < spec.nodes.size(); ++i) numbers_[spec.nodes[i].name] = static_cast<int>(i);
  }

  std::set<int> find() const {
    std::set<int> found;
    for (std::size_t i = 0; i < spec_.nodes.size(); ++i) {
      const std::vector<std::string>& inputs = spec_.nodes[i].inputs;
      const std::string& layer = spec_.nodes[i].layer;
      const bool is_sum = inputs.size() == 2 && (layer == "add" || layer == "norm_act" || layer == "bias_act");
      if (!is_sum) continue;
      const Side a = side_of(inputs[0], static_cast<int>(i)), b = side_of(inputs[1], static_cast<int>(i));
      for (const auto& [one, other] : {std::pair(&a, &b), std::pair(&b, &a)})
        if (const int projection = projection_of(*one, *other); projection >= 0) found.insert(projection);
    }
    return found;
  }

 private:
  /// `reader`: its number; nodes read what is before them.
  Side side_of(const std::string& input, int reader) const {
    Side side;
    std::string tensor = input;
    while (true) {
      side.tensors.push_back(tensor);
      const auto found = numbers_.find(tensor);
      if (found == numbers_.end() || found->second >= reader) return side;
      reader = found->second;
      const NodeSpec& node = spec_.nodes[static_cast<std::size_t>(reader)];
      if (node.inputs.size() != 1) return side;
      if (node.layer == "conv2d") {
        side.convolutions.push_back(reader);
        side.read_by.push_back(side.tensors.size());
      }
      tensor = node.inputs[0];
    }
  }

  /// How many convolutions lie between the sum and the tensor at this place.
  static std::ptrdiff_t count(const Side& side, std::size_t place) {
    return std::ranges::count_if(side.read_by, [&](std::size_t read) { return read <= place; });
  }

  int projection_of(const Side& side, const Side& other) const {
    std::map<std::string, std::size_t> places;
    for (std::size_t i = 0; i < other.tensors.size(); ++i) places.emplace(other.tensors[i], i);
    for (std::size_t i = 0; i < side.tensors.size(); ++i) {
      const auto same = places.find(side.tensors[i]);
      if (same == places.end()) continue;
      const std::size_t place = same->second;
      if (count(side, i) != 1 || count(other, place) < 2) return -1;
      const int number = side.convolutions.front();
      const NodeSpec& node = spec_.nodes[static_cast<std::size_t>(number)];
      return node.options.value("kernel", nlohmann::ordered_json(3)) == 1 ? number : -1;
    }
    return -1;
  }

  const NetworkSpec& spec_;
  std::map<std::string, int> numbers_;
};

bool has_activation(const NodeSpec& node) {
  if (node.layer == "activation") return true;
  const auto found = node.options.find("activation");
  const bool is_none = found != node.options.end() && *found == "none";
  return (node.layer == "norm_act" || node.layer == "bias_act") && !is_none;
}

/// A relu becomes the activation of the stage, which is the default of quantized ones.
void quantize_activation(NodeSpec& node) {
  node.options["quantized"] = true;
  const auto found = node.options.find("activation");
  if (found == node.options.end()) return;
  if (*found == "relu")
    node.options.erase("activation");
  else if (*found == "relu6")
    *found = "configured_relu6";
}

}  // namespace

void quantize_all(NetworkSpec& spec) {
  const std::set<int> projections = Projections(spec).find();
  bool is_first = true;
  for (std::size_t i = 0; i < spec.nodes.size(); ++i) {
    NodeSpec& node = spec.nodes[i];
    const bool is_said = node.options.contains("quantized");
    if (has_activation(node)) {
      if (!is_first && !is_said) quantize_activation(node);
      is_first = false;
    } else if ((node.layer == "conv2d" || node.layer == "linear") && !is_said && !node.options.contains("projection")) {
      node.options[projections.count(static_cast<int>(i)) > 0 ? "projection" : "quantized"] = true;
    }
  }
}

}  // namespace bsq
