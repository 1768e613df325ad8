// A file of others with several sets of weights: one is taken, it is said which, and another can be had.
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

#include <functional>

using namespace bsq::test;
using bsq::HostTensor;
using bsq::TensorFile;

namespace {

bool is_statistic(const std::string& name) {
  return contains(name, ".running_") || contains(name, ".num_batches");
}

/// The float model of `run` twice in both.safetensors: each tensor under the first prefix, its half under the second.
void put_both(const Workspace& here, const std::string& first, const std::string& second,
              const std::function<bool(const std::string&)>& is_in_second) {
  const TensorFile own = bsq::read_safetensors(here / "run/checkpoints/pretrain/model.safetensors");
  TensorFile both;
  for (const HostTensor& tensor : own.tensors) {
    both.tensors.push_back(tensor);
    both.tensors.back().name = first + tensor.name;
    if (!is_in_second(tensor.name) || is_statistic(tensor.name)) {
      if (!is_in_second(tensor.name)) continue;
      both.tensors.push_back(tensor);
    } else {
      std::vector<float> half(tensor.values<float>().begin(), tensor.values<float>().end());
      for (float& value : half) value /= 2;
      both.tensors.push_back(HostTensor::from<float>(tensor.name, tensor.shape, half));
    }
    both.tensors.back().name = second + tensor.name;
  }
  bsq::write_safetensors(here / "both.safetensors", both);
}

/// The first weight of fc in a file, as a part of that of the run.
float share(const Workspace& here, const std::string& file) {
  const TensorFile own = bsq::read_safetensors(here / "run/checkpoints/pretrain/model.safetensors");
  return bsq::read_safetensors(here / file).at("fc.weight").values<float>()[0] / own.at("fc.weight").values<float>()[0];
}

Words converted(const std::vector<std::string>& more = {}) {
  Words words = {"convert", "both.safetensors", "out.safetensors", "--to", "float", "--force"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("of two sets of weights in a file the model's own is taken, or the one that is asked for") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  const auto all = [](const std::string&) { return true; };
  struct Case {
    std::string first, second, first_name, second_name;
  };
  for (const Case& c : {Case{"model.", "ema_model.", "model", "ema_model"}, Case{"", "ema.module.", "", "ema.module"},
                        Case{"net.", "avg.net.", "net", "avg.net"}, Case{"student.", "teacher.", "student", "teacher"},
                        Case{"module._orig_mod.", "swa_model.module.", "module._orig_mod", "swa_model.module"}}) {
    INFO(c.first << " and " << c.second);
    put_both(here, c.first, c.second, all);
    const std::string shown = c.first_name.empty() ? "its own" : c.first_name;
    const Outcome own = here.must(converted());
    CHECK_THAT(own.err, Catch::Contains("both.safetensors: has 2 sets of weights: " + shown + " is taken, not " +
                                        c.second_name + "; bsq convert --weights NAME takes another\n"));
    CHECK(share(here, "out.safetensors") == 1);
    const Outcome other = here.must(converted({"--weights", c.second_name}));
    CHECK_THAT(other.err, Catch::Contains(": " + c.second_name + " is taken, not " + shown));
    CHECK(share(here, "out.safetensors") == 0.5F);
    here.must(converted({"--weights", c.first_name}));
    CHECK(share(here, "out.safetensors") == 1);
  }
  const Outcome evaluated = here.must({"eval", "both.safetensors", "--config", "tiny.yaml"});
  CHECK_THAT(evaluated.err + evaluated.out, Catch::Contains("has 2 sets of weights: module._orig_mod is taken"));
  check_error(
      here, converted({"--weights", "ema"}), 2,
      {"--weights ema: both.safetensors has no such set of weights; it has module._orig_mod, swa_model.module"});
}

TEST_CASE("an average of parameters alone gets the statistics of the model") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  put_both(here, "", "ema.", [](const std::string& name) { return !is_statistic(name); });
  const Outcome outcome = here.must(converted({"--weights", "ema"}));
  CHECK_THAT(outcome.err, Catch::Contains("ema has no running statistics: those of the model are taken\n"));
  CHECK(share(here, "out.safetensors") == 0.5F);
  const TensorFile own = bsq::read_safetensors(here / "run/checkpoints/pretrain/model.safetensors");
  CHECK(bsq::read_safetensors(here / "out.safetensors").at("bn1.running_var").bytes == own.at("bn1.running_var").bytes);
}

TEST_CASE("a file of one set of weights has no other") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  put_both(here, "model.", "", [](const std::string&) { return false; });
  CHECK_FALSE(contains(here.must(converted()).err, "sets of weights"));
  here.must(converted({"--weights", "model"}));
  check_error(here, converted({"--weights", "ema"}), 2,
              {"--weights ema: both.safetensors has no such set of weights; it has model"});
  check_error(here, {"convert", "run", "o.safetensors", "--weights", "ema"}, 2,
              {"--weights: ", "model.safetensors is a model of bsq and has one set of weights"});
}
