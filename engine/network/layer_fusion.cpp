// Groups of nodes that become one, then the list of these, then what convolutions need behind them.
#include "engine/network/layer_fusion.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace bsq {
namespace {

using nlohmann::ordered_json;
using Origin = FusedNetwork::Origin;

constexpr const char* kNorm = "batch_norm";
constexpr const char* kActivation = "activation";

bool is_true(const NodeSpec& node, const char* option) {
  const auto found = node.options.find(option);
  return found != node.options.end() && *found == true;
}

bool is_biased_convolution(const NodeSpec& node) {
  return node.layer == "conv2d" && is_true(node, "bias");
}

bool is_any_of(const std::string& layer, std::initializer_list<const char*> kinds) {
  return std::any_of(kinds.begin(), kinds.end(), [&](const char* kind) { return layer == kind; });
}

/// Which of these nodes read which.
class Readers {
 public:
  explicit Readers(const std::vector<NodeSpec>& nodes) : of_(nodes.size()) {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      for (const std::string& input : nodes[i].inputs)
        if (const int number = find(input); number >= 0) of_[static_cast<std::size_t>(number)].push_back(i);
      numbers_.emplace(nodes[i].name, static_cast<int>(i));
    }
  }

  /// -1: no node before the reader has this name.
  int find(const std::string& name) const {
    const auto found = numbers_.find(name);
    return found == numbers_.end() ? -1 : found->second;
  }
  /// Once for each input.
  const std::vector<std::size_t>& of(std::size_t node) const { return of_[node]; }

 private:
  std::map<std::string, int> numbers_;
  std::vector<std::vector<std::size_t>> of_;
};

/// Refuses what is wrong with the layers that will not be seen any more.
void check_plain_nodes(const NetworkSpec& written, const Readers& readers) {
  for (std::size_t i = 0; i < written.nodes.size(); ++i) {
    const NodeSpec& node = written.nodes[i];
    if (!is_any_of(node.layer, {kNorm, kActivation})) continue;
    const int number = static_cast<int>(i);
    if (node.inputs.size() != 1)
      throw SpecError(number, node.name, "inputs", fmt::format("has {}, {} reads 1", node.inputs.size(), node.layer));
    NodeOptions options(number, node);
    if (node.layer == kNorm) {
      options.number("epsilon", 0, 1, 0);
      options.number("momentum", 0, 1, 0);
    } else {
      options.one_of("kind", {"relu", "relu6", "pact", "lsq", "configured"}, "relu");
      options.flag("quantized", false);
    }
    options.finish();
    if (readers.of(i).empty() && i + 1 < written.nodes.size())
      throw SpecError(number, node.name, "", "is read by no other node");
  }
}

class Fusion {
 public:
  explicit Fusion(const NetworkSpec& written)
      : written_(written), readers_(written.nodes), groups_(written.nodes.size()) {}

  FusedNetwork run() {
    check_plain_nodes(written_, readers_);
    group();
    result_.spec = written_;
    result_.spec.nodes.clear();
    for (std::size_t i = 0; i < written_.nodes.size(); ++i) {
      result_.written_names.push_back(written_.nodes[i].name);
      const Group& group = groups_[i];
      const int number = static_cast<int>(i);
      if (!group.is_any())
        put(written_.nodes[i], {number, number, -1, number}, {i});
      else if (group.last() == number)
        put_group(group);
    }
    return std::move(result_);
  }

 private:
  /// Parts of a node to be, by number; -1: none.
  struct Group {
    int norm = -1;
    int add = -1;
    int activation = -1;

    bool is_any() const { return last() >= 0; }
    int first() const { return norm >= 0 ? norm : add >= 0 ? add : activation; }
    int last() const { return activation >= 0 ? activation : add >= 0 ? add : norm; }
  };

  const NodeSpec& node(int number) const { return written_.nodes[static_cast<std::size_t>(number)]; }
  bool is_free(int number) const { return !groups_[static_cast<std::size_t>(number)].is_any(); }

  /// The only reader of a node, if it is of this layer; else -1.
  int sole_reader(int number, const char* layer) const {
    const auto& readers = readers_.of(static_cast<std::size_t>(number));
    const bool fits = readers.size() == 1 && written_.nodes[readers[0]].layer == layer;
    return fits ? static_cast<int>(readers[0]) : -1;
  }

  void put_together(const Group& group) {
    for (const int part : {group.norm, group.add, group.activation})
      if (part >= 0) groups_[static_cast<std::size_t>(part)] = group;
  }

  void group() {
    const int count = static_cast<int>(written_.nodes.size());
    for (int i = 0; i < count; ++i)  // sums first: they choose which of two norms takes them in
      if (is_plain_sum(node(i))) group_sum(i);
    for (int i = 0; i < count; ++i)
      if (node(i).layer == kNorm && is_free(i)) put_together({i, -1, sole_reader(i, kActivation)});
    for (int i = 0; i < count; ++i)
      if (node(i).layer == kActivation && is_free(i)) put_together({-1, -1, i});
  }

  static bool is_plain_sum(const NodeSpec& node) {
    return node.layer == "add" && node.options.empty() && node.inputs.size() == 2 && node.inputs[0] != node.inputs[1];
  }

  /// A norm_act cannot read one tensor twice.
  bool takes_sum(int norm, int sum) const {
    if (node(norm).layer != kNorm || sole_reader(norm, "add") != sum) return false;
    return !std::ranges::count(node(sum).inputs, node(norm).inputs[0]);
  }

  void group_sum(int sum) {
    Group group{-1, sum, sole_reader(sum, kActivation)};
    for (const std::string& input : node(sum).inputs) {
      const int number = readers_.find(input);
      if (group.norm < 0 && number >= 0 && takes_sum(number, sum)) group.norm = number;
    }
    if (group.norm >= 0 || group.activation >= 0) put_together(group);
  }

  void put(NodeSpec made, const Origin& origin, const std::vector<std::size_t>& parts) {
    for (std::string& input : made.inputs)
      if (const auto found = names_.find(input); found != names_.end()) input = found->second;
    for (const std::size_t part : parts) names_[written_.nodes[part].name] = made.name;
    result_.spec.nodes.push_back(std::move(made));
    result_.origins.push_back(origin);
  }

  void put_group(const Group& group) {
    NodeSpec made;
    if (group.norm >= 0) {
      made = node(group.norm);
      made.layer = "norm_act";
      if (group.add >= 0) made.inputs.push_back(other_input(group));
    } else {
      made = node(group.last());
      made.layer = "bias_act";
      made.options.clear();
      if (group.add >= 0) made.inputs = node(group.add).inputs;
    }
    describe_activation(group.activation, made.options);
    std::vector<std::size_t> parts;
    for (const int part : {group.norm, group.add, group.activation})
      if (part >= 0) parts.push_back(static_cast<std::size_t>(part));
    put(std::move(made), {group.first(), group.add, group.activation, group.last()}, parts);
  }

  /// What the sum adds to the norm.
  const std::string& other_input(const Group& group) const {
    const std::vector<std::string>& inputs = node(group.add).inputs;
    return inputs[inputs[0] == node(group.norm).name ? 1 : 0];
  }

  void describe_activation(int number, ordered_json& options) const {
    if (number < 0) {
      options["activation"] = "none";
      return;
    }
    const NodeSpec& activation = node(number);
    std::string kind = activation.options.value("kind", "relu");
    if (is_true(activation, "quantized")) kind = kind == "relu6" ? "configured_relu6" : kind == "relu" ? "" : kind;
    for (const auto& [key, value] : activation.options.items())
      if (key != "kind") options[key] = value;
    if (!kind.empty()) options["activation"] = kind;  // else the default of what is quantized
    options["activation_name"] = activation.name;
  }

  const NetworkSpec& written_;
  Readers readers_;
  std::vector<Group> groups_;                 // by node, the same one for all of its parts
  std::map<std::string, std::string> names_;  // of the node that took one in
  FusedNetwork result_;
};

/// The output of a convolution lacks its bias, and its integers have a unit of two factors: whoever cannot take that
/// reads a sum of one.
class ConvolutionOutputs {
 public:
  explicit ConvolutionOutputs(FusedNetwork network) : network_(std::move(network)), readers_(network_.spec.nodes) {
    for (const NodeSpec& node : network_.spec.nodes) taken_.insert(node.name);
  }

  FusedNetwork run() {
    std::vector<std::optional<NodeSpec>> sums(nodes().size());  // to be put behind these nodes
    for (std::size_t i = 0; i < nodes().size(); ++i) {
      const NodeSpec& node = nodes()[i];
      const bool keeps_unit = node.layer == "dropout" && with_unit_.count(node.inputs.front()) > 0;
      const bool has_unit = node.layer == "conv2d" || keeps_unit;
      if (needs_sum(node, has_unit, readers_.of(i)))
        sums[i] = sum_behind(i);
      else if (has_unit)
        with_unit_.insert(node.name);
    }
    float_biases_before_norms();
    put_in(std::move(sums));
    return std::move(network_);
  }

 private:
  std::vector<NodeSpec>& nodes() { return network_.spec.nodes; }

  /// Null if it is none of those that are there, as the image and sums that are to be put in.
  NodeSpec* find(const std::string& name) {
    const int number = readers_.find(name);
    return number < 0 ? nullptr : &nodes()[static_cast<std::size_t>(number)];
  }

  bool is_biased(const std::string& name) {
    const NodeSpec* node = find(name);
    return node != nullptr && is_biased_convolution(*node);
  }

  bool needs_sum(const NodeSpec& node, bool has_unit, const std::vector<std::size_t>& readers) {
    const bool has_bias = is_biased_convolution(node);
    if (has_bias && readers.size() > 1) return true;  // only one of them could have its gradient
    return std::ranges::any_of(readers, [&](std::size_t reader) {
      const NodeSpec& other = nodes()[reader];
      return (has_unit && is_any_of(other.layer, {"conv2d", "max_pool", "quantize"})) ||
             (has_bias && !adds_bias(other, node.name));
    });
  }

  /// A norm adds that of its first input, a sum that of one input.
  bool adds_bias(const NodeSpec& reader, const std::string& input) {
    const bool is_first = reader.inputs.front() == input;
    if (reader.layer == "norm_act") return is_first;
    return is_any_of(reader.layer, {"bias_act", "add"}) && (is_first || !is_biased(reader.inputs.front()));
  }

  NodeSpec sum_behind(std::size_t number) {
    const std::string input = nodes()[number].name;
    std::string name = input + ".out";
    while (!taken_.insert(name).second) name += "_";
    for (const std::size_t reader : readers_.of(number)) std::ranges::replace(nodes()[reader].inputs, input, name);
    return {name, "bias_act", {input}, {{"activation", "none"}}};
  }

  void put_in(std::vector<std::optional<NodeSpec>> sums) {
    const std::vector<NodeSpec> before = std::move(network_.spec.nodes);
    const std::vector<Origin> origins = std::move(network_.origins);
    network_.spec.nodes.clear();
    network_.origins.clear();
    for (std::size_t i = 0; i < before.size(); ++i) {
      network_.spec.nodes.push_back(before[i]);
      network_.origins.push_back(origins[i]);
      if (!sums[i]) continue;
      network_.spec.nodes.push_back(std::move(*sums[i]));
      network_.origins.push_back(origins[i]);
    }
  }

  /// A bias before a norm has no effect: it gets no bit widths, unless it is said that it does.
  void float_biases_before_norms() {
    for (const NodeSpec& node : nodes()) {
      if (node.layer != "norm_act") continue;
      NodeSpec* input = find(node.inputs[0]);
      if (input != nullptr && is_biased_convolution(*input) && !input->options.contains("bias_quantized"))
        input->options["bias_quantized"] = false;
    }
  }

  FusedNetwork network_;
  Readers readers_;                  // of its nodes as they were handed in
  std::set<std::string> taken_;      // names
  std::set<std::string> with_unit_;  // nodes whose output has the unit of a convolution
};

}  // namespace

SpecError FusedNetwork::as_written(const SpecError& error) const {
  if (error.node() < 0) return error;
  const auto made = static_cast<std::size_t>(error.node());
  const Origin& origin = origins[made];
  const bool is_of_activation =
      origin.activation >= 0 && is_any_of(error.key(), {"activation", "activation_name", "quantized", "act_bits"});
  int number = origin.first;
  std::string key = error.key();
  if (is_of_activation) {
    number = origin.activation;
    if (key == "activation") key = "kind";
  } else if (key.empty() || key == "inputs") {
    const bool is_result = made + 1 == spec.nodes.size();
    if (origin.add >= 0) number = origin.add;
    if (is_result) number = origin.last;
  }
  return {number, written_names[static_cast<std::size_t>(number)], key, error.problem()};
}

FusedNetwork fuse_layers(const NetworkSpec& written) {
  return ConvolutionOutputs(Fusion(written).run()).run();
}

}  // namespace bsq
