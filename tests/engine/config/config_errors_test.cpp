// Bad configurations: one table of inputs with the exact line each of them prints.
#include "tests/engine/config/config_support.h"

using namespace bsq;

namespace {

struct BadInput {
  std::string text;
  std::string message;  // without the last line
};

std::string one_error(const std::string& message) {
  return message + "\n1 error; nothing was written";
}

}  // namespace

TEST_CASE("a bad file is refused with place, reason and remedy") {
  const std::vector<BadInput> table = {
      // unknown keys
      {"bsq:\n  alhpa: 0.1\n", "c.yaml:2:3: unknown key 'bsq.alhpa'; did you mean 'bsq.alpha'?"},
      {"bqs: {alpha: 1}\n", "c.yaml:1:1: unknown key 'bqs'; did you mean 'bsq'?"},
      {"nmae: x\n", "c.yaml:1:1: unknown key 'nmae'; did you mean 'name'?"},
      {"alpha: 1\n", "c.yaml:1:1: unknown key 'alpha'; did you mean 'bsq.alpha'?"},
      {"Prun_Int: 50\n", "c.yaml:1:1: unknown key 'Prun_Int'; did you mean 'bsq.requant_interval'?"},
      {"finetune: {wd: 0}\n", "c.yaml:1:12: unknown key 'finetune.wd'; did you mean 'finetune.weight_decay'?"},
      {"optim: {lr: 0}\n", "c.yaml:1:1: unknown key 'optim'; bsq train --help-keys lists all"},
      {"lr: 1\n",
       "c.yaml:1:1: unknown key 'lr'; did you mean 'pretrain.lr', 'bsq.lr', 'csq.lr', 'lsq.lr', 'dorefa.lr', 'msq.lr' "
       "or "
       "'finetune.lr'?"},
      {"bsq.alpha: 1\n", "c.yaml:1:1: unknown key 'bsq.alpha'; write alpha: below bsq:"},
      {"bsq: {_base_: x}\n", "c.yaml:1:7: unknown key 'bsq._base_'; bsq train --help-keys lists all"},
      // structure
      {"seed: 1\nseed: 1\n", "c.yaml:2:1: duplicate key 'seed' (first at line 1)"},
      {"bsq:\n  lr: 1\nquant: {}\nbsq:\n  lr: 2\n", "c.yaml:4:1: duplicate key 'bsq' (first at line 1)"},
      {"x: &a {lr: 1}\nbsq:\n  <<: *a\n",
       "c.yaml:1:1: unknown key 'x'; bsq train --help-keys lists all\n"
       "c.yaml:3:3: merge key '<<' is not supported; inherit a file with _base_, or repeat the keys\n"
       "2 errors; nothing was written"},
      {"[1, 2]: 3\n", "c.yaml:1:1: a key must be a word"},
      {"- 1\n- 2\n", "c.yaml:1:1: expected `key: value` lines, found [1, 2]"},
      {"seed: 1\n---\nseed: 2\n", "c.yaml:2:1: a second YAML document; expected one"},
      {", seed: 1\n", "c.yaml:1:1: not valid YAML: nothing begins with this character"},
      {"bsq: 3\n", "c.yaml:1:1: bsq = 3; expected keys below it"},
      {"bsq: {lr: {x: 1}}\n", "c.yaml:1:7: bsq.lr = {...}; expected a number"},
      {"bsq: {lr: 1\n", "c.yaml:2:1: not valid YAML: end of map flow not found"},
      {"seed: 1\n name: x\n", "c.yaml:2:6: not valid YAML: illegal map value"},
      {"bsq: *sgd\n", "c.yaml:1:6: not valid YAML: the referenced anchor is not defined"},
      {"bsq: &self\n  lr: *self\n", "c.yaml:1:6: not valid YAML: nested too deeply, or an alias inside its own anchor"},
      {std::string("\xff\xfe\0s", 4), "c.yaml:1:1: not a text file; expected YAML in UTF-8"},
      // numbers
      {"bsq: {lr: 1e-4x}\n", "c.yaml:1:7: bsq.lr = 1e-4x; expected a number"},
      {"bsq: {lr: \"0.1\"}\n", "c.yaml:1:7: bsq.lr = \"0.1\"; expected a number, without quotes"},
      {"bsq: {lr: }\n", "c.yaml:1:7: bsq.lr = nothing; expected a number"},
      {"bsq: {lr: [0.1]}\n", "c.yaml:1:7: bsq.lr = [0.1]; expected a number"},
      {"bsq: {lr: .nan}\n", "c.yaml:1:7: bsq.lr = .nan; must be finite"},
      {"bsq: {lr: nan}\n", "c.yaml:1:7: bsq.lr = nan; must be finite"},
      {"bsq: {lr: -inf}\n", "c.yaml:1:7: bsq.lr = -inf; must be finite"},
      {"bsq: {lr: 1e999}\n", "c.yaml:1:7: bsq.lr = 1e999; out of the range of a double"},
      {"bsq: {lr: -0.1}\n", "c.yaml:1:7: bsq.lr = -0.1; must be a number >= 0"},
      {"bsq: {gamma: 1.5}\n", "c.yaml:1:7: bsq.gamma = 1.5; must be a number in 0..1"},
      {"bsq: {lr: 010}\n", "c.yaml:1:7: bsq.lr = 010; leading zero is ambiguous, write 10 or 8"},
      // integers
      {"bsq: {epochs: 010}\n", "c.yaml:1:7: bsq.epochs = 010; leading zero is ambiguous, write 10 or 8"},
      {"bsq: {epochs: 09}\n", "c.yaml:1:7: bsq.epochs = 09; leading zero is ambiguous, write 9"},
      {"bsq: {epochs: 3.0}\n", "c.yaml:1:7: bsq.epochs = 3.0; expected an integer"},
      {"bsq: {epochs: 0x10}\n", "c.yaml:1:7: bsq.epochs = 0x10; expected an integer"},
      {"bsq: {epochs: 1_000}\n", "c.yaml:1:7: bsq.epochs = 1_000; expected an integer"},
      {"bsq: {epochs: 9999999999}\n", "c.yaml:1:7: bsq.epochs = 9999999999; too large for 32 bits"},
      {"seed: -1\n", "c.yaml:1:1: seed = -1; must not be negative"},
      {"seed: 18446744073709551616\n", "c.yaml:1:1: seed = 18446744073709551616; too large for 64 bits"},
      {"quant: {weight_bits: 9}\n", "c.yaml:1:9: quant.weight_bits = 9; must be an integer in 1..8"},
      {"quant: {act_bits: -1}\n", "c.yaml:1:9: quant.act_bits = -1; must be an integer in 0..8"},
      {"data: {batch_size: 0}\n", "c.yaml:1:8: data.batch_size = 0; must be an integer in 1..65536"},
      // other values
      {"data: {flip: yes}\n", "c.yaml:1:8: data.flip = yes; use true or false"},
      {"data: {flip: 1}\n", "c.yaml:1:8: data.flip = 1; use true or false"},
      {"device: gpu\n", "c.yaml:1:1: device = gpu; must be one of auto, cpu, reference, cuda; did you mean 'cpu'?"},
      {"data: {policy: auto_augment}\n",
       "c.yaml:1:8: data.policy = auto_augment; must be one of none, rand_augment; did you mean 'rand_augment'?"},
      {"data: {rand_augment_magnitude: 31}\n",
       "c.yaml:1:8: data.rand_augment_magnitude = 31; must be an integer in 0..30"},
      {"data: {color_jitter: 0.4}\n", "c.yaml:1:8: data.color_jitter = 0.4; expected a list, such as [0, 0, 0, 0]"},
      {"data: {color_jitter: [0.4, 0.4, 0.4, 0.6]}\n",
       "c.yaml:1:8: data.color_jitter = [0.4, 0.4, 0.4, 0.6]; the last number, of the hue, must be at most 0.5"},
      {"data: {random_erasing: 1.5}\n", "c.yaml:1:8: data.random_erasing = 1.5; must be a number in 0..1"},
      {"data: {kind: imagenet}\n",
       "c.yaml:1:8: data.kind = imagenet; must be one of synthetic, cifar10, cifar100, image_folder, webdataset"},
      {"name: ~\n", "c.yaml:1:1: name = nothing; expected text; put it in quotes, or write \"\" for none"},
      {"bsq: {milestones: 250}\n", "c.yaml:1:7: bsq.milestones = 250; expected a list, such as [250]"},
      {"bsq: {milestones: [1, x]}\n", "c.yaml:1:7: bsq.milestones = [1, x]; element 2: expected an integer"},
      {"bsq: {milestones: [0]}\n", "c.yaml:1:7: bsq.milestones = [0]; element 1: must be an integer >= 1"},
      {"data: {std: [1, 1]}\n",
       "c.yaml:1:8: data.std = [1, 1]; data.channels = 3 needs a list of 3; bsq data CFG computes mean and deviation "
       "of "
       "the training images"},
      {"data: {std: [1, 1, 0]}\n", "c.yaml:1:8: data.std = [1, 1, 0]; element 3: must be a number >= 0.001"},
      {"stages: [pretrian]\n",
       "c.yaml:1:1: stages = [pretrian]; element 1: must be one of pretrain, convert, bsq, csq, lsq, dorefa, msq, "
       "finetune; "
       "did you "
       "mean "
       "'pretrain'?"},
  };
  for (const BadInput& bad : table) {
    INFO(bad.text);
    const bool whole = bad.message.ends_with("nothing was written");
    CHECK(error_of_text(bad.text) == (whole ? bad.message : one_error(bad.message)));
  }
}

TEST_CASE("values that contradict each other are refused at the place that set them") {
  const std::vector<BadInput> table = {
      {"stages: []\n",
       "c.yaml:1:1: stages = []; list at least one of pretrain, convert, bsq, csq, lsq, dorefa, msq, finetune"},
      {"stages: [pretrain, bsq, convert]\n",
       "c.yaml:1:1: stages = [pretrain, bsq, convert]; convert cannot follow bsq, the order is pretrain, convert, bsq, "
       "csq, lsq, dorefa, msq, finetune"},
      {"data: {batch_size: 1, mixup: 0.2}\n",
       "c.yaml:1:23: data.mixup = 0.2; mixes images of a batch with each other, and data.batch_size is 1"},
      {"data: {batch_size: 1, cutmix: 1}\n",
       "c.yaml:1:23: data.cutmix = 1; mixes images of a batch with each other, and data.batch_size is 1"},
      {"stages: [pretrain, pretrain]\n",
       "c.yaml:1:1: stages = [pretrain, pretrain]; pretrain is listed twice, the order is pretrain, convert, bsq, "
       "csq, lsq, dorefa, msq, finetune"},
      {"seed: 1\nbsq:\n  epochs: 0\n",
       "c.yaml:3:3: bsq.epochs = 0; must be an integer >= 1, or leave bsq out of stages"},
      {"bsq: {warmup_epochs: 350}\n", "c.yaml:1:7: bsq.warmup_epochs = 350; must be less than bsq.epochs = 350"},
      {"bsq: {schedule: steps}\n", "c.yaml:1:7: bsq.schedule = steps; must be one of milestones, cosine"},
      {"bsq: {nesterov: true, momentum: 0}\n", "c.yaml:1:7: bsq.nesterov = true; needs bsq.momentum above 0"},
      {"bsq: {label_smoothing: 1.5}\n", "c.yaml:1:7: bsq.label_smoothing = 1.5; must be a number in 0..1"},
      {"bsq: {clip_norm: -1}\n", "c.yaml:1:7: bsq.clip_norm = -1; must be a number >= 0"},
      {"bsq: {no_decay: [norms, pact, norms]}\n",
       "c.yaml:1:7: bsq.no_decay = [norms, pact, norms]; norms is listed twice"},
      {"bsq: {no_decay: [weights]}\n",
       "c.yaml:1:7: bsq.no_decay = [weights]; element 1: must be one of norms, biases, pact, scales"},
      {"bsq: {milestones: [250, 150]}\n", "c.yaml:1:7: bsq.milestones = [250, 150]; must increase"},
      {"bsq: {milestones: [150, 150]}\n", "c.yaml:1:7: bsq.milestones = [150, 150]; must increase"},
      {"model: {depth: 21}\n", "c.yaml:1:9: model.depth = 21; must be 6n+2, such as 20 or 26"},
      {"model: {depth: 25}\n", "c.yaml:1:9: model.depth = 25; must be 6n+2, such as 20 or 26"},
      {"quant: {max_bits: 4}\n", "c.yaml:1:9: quant.max_bits = 4; must be at least quant.weight_bits = 8"},
      {"data: {kind: cifar10}\n", "c.yaml:1:8: data.kind = cifar10 needs data.root, the folder it lies in"},
      {"stages: [convert, bsq]\n",
       "c.yaml:1:1: stages begin with convert, which needs a trained model; set model.init to a checkpoint folder or a "
       ".safetensors file"},
      {"name: a/b\n", "c.yaml:1:1: name = a/b; must be a folder's name, without /"},
      {"name: ..\n", "c.yaml:1:1: name = \"..\"; must be a folder's name, without /"},
      {"run: {dir: \"\"}\n", "c.yaml:1:7: run.dir = \"\"; must be a folder, such as runs"},
  };
  for (const BadInput& bad : table) {
    INFO(bad.text);
    CHECK(error_of_text(bad.text) == one_error(bad.message));
  }
}

TEST_CASE("a stage that does not run may have zero epochs, and a chain may start from a checkpoint") {
  CHECK(error_of_text("stages: [pretrain]\nbsq: {epochs: 0}\n") == "");
  CHECK(error_of_text("stages: [finetune]\nmodel: {init: m.safetensors}\n") == "");
  for (const int depth : {8, 14, 20, 32, 44, 56, 110}) {
    CHECK(error_of_text("model: {depth: " + std::to_string(depth) + "}\n") == "");
  }
}

TEST_CASE("a bad override is refused by its number") {
  const std::vector<BadInput> table = {
      {"bsq.alhpa=1", "unknown key 'bsq.alhpa'; did you mean 'bsq.alpha'?"},
      {"--decay=1", "unknown key 'decay'; did you mean 'bsq.alpha'?"},
      {"bqs.alpha=1", "unknown key 'bqs.alpha'; did you mean 'bsq.alpha'?"},
      {"quant.weight_bits=9", "quant.weight_bits = 9; must be an integer in 1..8"},
      {"bsq.alpha=1e-3,3e-3", "bsq.alpha = 1e-3,3e-3; expected a number"},
      {"bsq.alpha=", "bsq.alpha = \"\"; expected a number"},
      {"bsq.milestones=[1, 2", "bsq.milestones = [1, 2; not valid YAML: end of sequence flow not found"},
      {"bsq.milestones=150 250", "bsq.milestones = 150 250; expected a list, such as [250]"},
      {"bsq={alpha: 1}", "'bsq' is a group of keys; set one of them, as in bsq.key=value"},
      {"name=a: b", "name = {...}; expected text; put it in quotes, or write \"\" for none"},
      {"+bsq.beta=1", "'+bsq.beta=1' adds a key; the keys are fixed, write bsq.beta=1"},
      {"~bsq.alpha", "'~bsq.alpha' removes a key; the keys are fixed, set its value instead"},
      {"bsq.alpha", "'bsq.alpha'; expected key=value"},
      {"=1", "'=1'; expected key=value"},
      {"--=1", "'--=1'; expected key=value"},
      {"_base_=a.yaml", "_base_ belongs into a file, not among the overrides"},
      {"bsq.epochs=0", "bsq.epochs = 0; must be an integer >= 1, or leave bsq out of stages"},
  };
  for (const BadInput& bad : table) {
    INFO(bad.text);
    CHECK(error_of_text("", {"seed=1", "threads=2", bad.text}) == one_error("override 3: " + bad.message));
  }
}

TEST_CASE("all problems of file and overrides come in one error, in order of place") {
  CHECK(error_of_text("bsq:\n  lr: x\n  lr: 2\n  alhpa: 1\n  epochs: 0\n", {"seed=x", "device=tpu"}) ==
        "c.yaml:2:3: bsq.lr = x; expected a number\n"
        "c.yaml:3:3: duplicate key 'bsq.lr' (first at line 2)\n"
        "c.yaml:4:3: unknown key 'bsq.alhpa'; did you mean 'bsq.alpha'?\n"
        "override 1: seed = x; expected an integer\n"
        "override 2: device = tpu; must be one of auto, cpu, reference, cuda; did you mean 'cpu'?\n"
        "c.yaml:5:3: bsq.epochs = 0; must be an integer >= 1, or leave bsq out of stages\n"
        "6 errors; nothing was written");
}

TEST_CASE("a refused value is not blamed a second time for contradicting others") {
  CHECK(error_of_text("data: {kind: cifar10, root: [x]}\n") ==
        one_error("c.yaml:1:23: data.root = [x]; expected text; put it in quotes, or write \"\" for none"));
}

TEST_CASE("a missing file, a folder and a missing base are named") {
  const TemporaryFolder folder;
  CHECK(error_of(folder.path() / "none.yaml", {}, folder) ==
        one_error("none.yaml: cannot open: No such file or directory; check the path"));
  write_file(folder, "sub/x", "");
  CHECK(error_of(folder.path() / "sub", {}, folder) == one_error("sub: is a folder; give a file"));
  const auto large = write_file(folder, "large.yaml", std::string((1 << 20) + 1, '#'));
  CHECK(error_of(large, {}, folder) == one_error("large.yaml: too large for a configuration; expected a YAML file"));
  const auto file = write_file(folder, "c.yaml", "seed: 1\n_base_: [no/base.yaml, 3: x]\nstages: [bsq]\n");
  CHECK(error_of(file, {}, folder) ==
        "c.yaml:2:1: _base_ 'no/base.yaml' not found; looked for no/base.yaml\n"
        "c.yaml:2:1: _base_: expected a file name, or a list of them\n"
        "2 errors; nothing was written");
}

TEST_CASE("a cycle of bases is refused with its chain") {
  const TemporaryFolder folder;
  const auto file = write_file(folder, "a.yaml", "_base_: sub/b.yaml\n");
  write_file(folder, "sub/b.yaml", "_base_: ../a.yaml\n");
  CHECK(error_of(file, {}, folder) == one_error("sub/b.yaml:1:1: _base_ cycle a.yaml -> sub/b.yaml -> a.yaml"));
  const auto self = write_file(folder, "self.yaml", "_base_: ./self.yaml\n");
  CHECK(error_of(self, {}, folder) == one_error("self.yaml:1:1: _base_ cycle self.yaml -> self.yaml"));
}

TEST_CASE("a problem in a base is reported in the base") {
  const TemporaryFolder folder;
  write_file(folder, "base.yaml", "seed: 1\nbsq:\n  alhpa: 1\n");
  const auto file = write_file(folder, "c.yaml", "_base_: base.yaml\n");
  CHECK(error_of(file, {}, folder) == one_error("base.yaml:3:3: unknown key 'bsq.alhpa'; did you mean 'bsq.alpha'?"));
}
