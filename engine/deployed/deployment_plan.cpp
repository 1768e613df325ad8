#include "engine/deployed/deployment_plan.h"

#include "engine/network/layers/average_pool.h"
#include "engine/network/layers/bias_act.h"
#include "engine/network/layers/norm_act.h"
#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {
namespace {

class Planner {
 public:
  explicit Planner(const Network& network)
      : nodes_(network.nodes()), specs_(network.tensors(1, DType::f32)), places_(nodes_.size() + 1) {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      for (const TensorId input : nodes_[i].inputs) readers_[static_cast<std::size_t>(input)].push_back(i);
  }

  DeploymentPlan plan() {
    places_[0].levels = 0;
    for (std::size_t i = 0; i < nodes_.size() && plan_.obstacle.empty(); ++i) visit(i);
    if (plan_.obstacle.empty() && plan_.head < 0)
      plan_.obstacle = fmt::format("it ends with {}, which is no linear layer", nodes_.back().name);
    return std::move(plan_);
  }

 private:
  /// Where the numbers of a tensor are.
  struct Place {
    int levels = -1;         // number of a level tensor
    int product = -1;        // a node whose norm or bias has not been applied yet
    bool is_pooled = false;  // the averages of `levels`
  };

  std::string_view kind(std::size_t node) const { return nodes_[node].layer->kind(); }
  Place& place(TensorId tensor) { return places_[static_cast<std::size_t>(tensor)]; }
  Place& output(std::size_t node) { return places_[node + 1]; }
  const std::vector<std::size_t>& readers(std::size_t node) const { return readers_[node + 1]; }
  const Shape& shape(TensorId tensor) const { return specs_[static_cast<std::size_t>(tensor)].shape; }

  void visit(std::size_t node) {
    const std::string_view k = kind(node);
    if (k == "conv2d" || k == "linear") return product(node);
    if (k == "norm_act") return norm(node);
    if (k == "bias_act") return bias(node);
    if (k == "dropout") return void(output(node) = place(nodes_[node].inputs[0]));
    if (k == "average_pool") return average(node);
    if (k == "max_pool" || k == "flatten" || k == "concat") return other(node);
    if (k == "quantize")
      plan_.obstacle =
          fmt::format("{} has levels from an offset on (quant.signed = lsq_plus), which have no form in integers",
                      nodes_[node].name);
    else
      plan_.obstacle = fmt::format("{} is a {}, which has no form in integers", nodes_[node].name, k);
  }

  /// Appends an operation; returns the number of the tensor that it writes.
  int add(PlannedLevels levels) {
    plan_.levels.push_back(std::move(levels));
    return static_cast<int>(plan_.levels.size());
  }

  /// The levels of an input.
  int levels(TensorId tensor) {
    const Place& from = place(tensor);
    if ((from.levels < 0 || from.is_pooled) && plan_.obstacle.empty())
      plan_.obstacle = fmt::format("{} is read by more than its norm or the last layer",
                                   nodes_[static_cast<std::size_t>(tensor) - 1].name);
    return std::max(from.levels, 0);
  }

  /// Whether one norm or bias reads the output, and nobody else: the two are one operation.
  bool is_applied_by_reader(std::size_t node) const {
    if (readers(node).size() != 1) return false;
    const std::size_t reader = readers(node)[0];
    const bool is_first = nodes_[reader].inputs[0] == static_cast<TensorId>(node) + 1;
    return kind(reader) == "bias_act" || (kind(reader) == "norm_act" && is_first);
  }

  void product(std::size_t node) {
    if (node + 1 == nodes_.size() && kind(node) == "linear") {
      plan_.head = static_cast<int>(node);
      plan_.head_input = std::max(place(nodes_[node].inputs[0]).levels, 0);
      return;
    }
    if (is_applied_by_reader(node)) return void(output(node).product = static_cast<int>(node));
    output(node).levels = add({.name = nodes_[node].name,
                               .inputs = {levels(nodes_[node].inputs[0])},
                               .product = static_cast<int>(node),
                               .activation = {},
                               .traced = static_cast<TensorId>(node) + 1});
  }

  /// A norm or a bias, and the convolution before it if it alone reads that.
  PlannedLevels applied(TensorId input, int affine) {
    const int product = place(input).product;
    const TensorId from = product < 0 ? input : nodes_[static_cast<std::size_t>(product)].inputs[0];
    return {.name = {},
            .inputs = {levels(from)},
            .product = product,
            .affine = affine,
            .activation = {},
            .traced = input,
            .is_before_affine = true};
  }

  int activated(PlannedLevels levels, std::size_t node, const ActivationPart& activation) {
    levels.name = nodes_[node].name;
    levels.activates = true;
    levels.activation = activation;
    levels.traced = static_cast<TensorId>(node) + 1;
    levels.is_before_affine = false;
    return add(std::move(levels));
  }

  int sum(int a, int b, std::size_t node, const ActivationPart& activation) {
    return activated({.name = {}, .kind = LevelKind::sum, .inputs = {a, b}, .activation = {}}, node, activation);
  }

  void norm(std::size_t node) {
    const std::vector<TensorId>& inputs = nodes_[node].inputs;
    const ActivationPart activation = dynamic_cast<const NormAct&>(*nodes_[node].layer).activation();
    PlannedLevels first = applied(inputs[0], static_cast<int>(node));
    if (inputs.size() == 1) return void(output(node).levels = activated(std::move(first), node, activation));
    first.name = nodes_[node].name + ".term";
    const int term = add(std::move(first));
    output(node).levels = sum(term, levels(inputs[1]), node, activation);
  }

  void bias(std::size_t node) {
    const std::vector<TensorId>& inputs = nodes_[node].inputs;
    const BiasActOptions& options = dynamic_cast<const BiasAct&>(*nodes_[node].layer).options();
    const auto affine_of = [&](std::size_t input) {
      return options.bias >= 0 && options.biased_input == static_cast<int>(input) ? static_cast<int>(node) : -1;
    };
    if (inputs.size() == 1) {
      const bool changes_nothing = options.bias < 0 && options.activation.activation == Activation::none;
      if (changes_nothing && place(inputs[0]).product < 0) return void(output(node) = place(inputs[0]));
      const PlannedLevels only = applied(inputs[0], affine_of(0));
      return void(output(node).levels = activated(only, node, options.activation));
    }
    std::vector<int> terms;
    for (std::size_t i = 0; i < 2; ++i) {
      const int product = place(inputs[i]).product;
      if (product < 0) {
        terms.push_back(levels(inputs[i]));
        continue;
      }
      PlannedLevels term = applied(inputs[i], affine_of(i));
      term.name = nodes_[static_cast<std::size_t>(product)].name;
      terms.push_back(add(std::move(term)));
    }
    output(node).levels = sum(terms[0], terms[1], node, options.activation);
  }

  /// Whether the last layer alone reads a tensor, perhaps through dropout.
  bool is_read_by_head(std::size_t node) const {
    if (readers(node).size() != 1) return false;
    const std::size_t reader = readers(node)[0];
    if (kind(reader) == "dropout") return is_read_by_head(reader);
    return reader + 1 == nodes_.size() && kind(reader) == "linear";
  }

  void average(std::size_t node) {
    const AveragePoolOptions& options = dynamic_cast<const AveragePool&>(*nodes_[node].layer).options();
    const int from = levels(nodes_[node].inputs[0]);
    if (options.is_global() && is_read_by_head(node)) {
      output(node) = {.levels = from, .is_pooled = true};
      return;
    }
    const Shape& image = shape(nodes_[node].inputs[0]);
    const bool is_even = options.out == 0 || (image[1] % options.out == 0 && image[2] % options.out == 0);
    if (!is_even || (options.kernel == 0 && image[1] != image[2]))
      plan_.obstacle = fmt::format("{} averages windows that are not squares of one size", nodes_[node].name);
    output(node).levels = add({.name = nodes_[node].name,
                               .inputs = {from},
                               .pool = static_cast<int>(node),
                               .activation = {},
                               .traced = static_cast<TensorId>(node) + 1});
  }

  void other(std::size_t node) {
    PlannedLevels planned{
        .name = nodes_[node].name, .inputs = {}, .activation = {}, .traced = static_cast<TensorId>(node) + 1};
    for (const TensorId input : nodes_[node].inputs) planned.inputs.push_back(levels(input));
    if (kind(node) == "flatten") {
      const Shape& image = shape(nodes_[node].inputs[0]);
      if (image[1] * image[2] == 1) return void(output(node) = place(nodes_[node].inputs[0]));
      planned.kind = LevelKind::flatten;
    } else {
      planned.kind = kind(node) == "concat" ? LevelKind::concat : LevelKind::maximum;
      planned.pool = kind(node) == "max_pool" ? static_cast<int>(node) : -1;
    }
    output(node).levels = add(std::move(planned));
  }

  const std::vector<Node>& nodes_;
  std::vector<TensorSpec> specs_;
  std::vector<std::vector<std::size_t>> readers_ = std::vector<std::vector<std::size_t>>(nodes_.size() + 1);
  std::vector<Place> places_;
  DeploymentPlan plan_;
};

}  // namespace

DeploymentPlan plan_deployment(const Network& network) {
  return Planner(network).plan();
}

}  // namespace bsq
