// Loading a configuration: precedence, inheritance, overrides, and the values that good spellings give.
#include "tests/engine/config/config_support.h"

using namespace bsq;

TEST_CASE("an empty file is the published recipe") {
  for (const std::string text : {"", "# nothing but a comment\n", "bsq:\n  # all commented out\nmodel:\n"}) {
    const Config config = load_text(text);
    CHECK(differences(test::default_config(), config).empty());
    CHECK(config.stages == std::vector<std::string>{"pretrain", "convert", "bsq", "finetune"});
    CHECK(config.stage("pretrain").milestones == std::vector<int>{150, 250, 325});
    CHECK(config.stage("bsq").epochs == 350);
    CHECK(config.stage("bsq").lr == 0.1);
    CHECK(config.stage("bsq").milestones == std::vector<int>{250});
    CHECK(config.part<BsqConfig>().alpha == 5e-3);
    CHECK(config.part<BsqConfig>().requant_interval == 50);
    CHECK(config.stage("finetune").epochs == 300);
    CHECK(config.stage("finetune").lr == 0.01);
    CHECK(config.quant.act_bits == 4);
  }
}

TEST_CASE("every type of value is read as its key says") {
  const Config config = load_text(
      "name: 2024\n"  // text, since the key says so
      "seed: 18446744073709551615\n"
      "device: cuda\n"  // known to the schema; whether there is one is the backend's to say
      "stages: [pretrain]\n"
      "data:\n"
      "  flip: false\n"
      "  mean:\n"
      "    - 0\n"
      "    - .5\n"
      "    - 1.\n"
      "  root: \"a: b # c\"\n"
      "bsq: {lr: 1e-4, milestones: [], epochs: +7, alpha: 5E-3}\r\n");
  CHECK(config.name == "2024");
  CHECK(config.seed == 18446744073709551615ULL);
  CHECK(config.device == "cuda");
  CHECK(config.stages == std::vector<std::string>{"pretrain"});
  CHECK_FALSE(config.data.flip);
  CHECK(config.data.mean == std::vector<double>{0, 0.5, 1});
  CHECK(config.data.root == "a: b # c");
  CHECK(config.stage("bsq").lr == 1e-4);
  CHECK(config.stage("bsq").milestones.empty());
  CHECK(config.stage("bsq").epochs == 7);
  CHECK(config.part<BsqConfig>().alpha == 5e-3);
}

TEST_CASE("anchors and aliases give the same value twice") {
  const Config config = load_text("pretrain: &sgd {lr: 0.3, epochs: 5, milestones: [2, 3]}\nfinetune: *sgd\n");
  CHECK(config.stage("finetune").lr == 0.3);
  CHECK(config.stage("finetune").milestones == std::vector<int>{2, 3});
}

TEST_CASE("overrides win over the file, the last of two over the first, with or without dashes") {
  const Config config = load_text("bsq: {alpha: 1, lr: 0.5}\nname: from_file\nmodel: {init: x}\n",
                                  {"bsq.alpha=2", "--bsq.alpha=3e-3", "bsq.milestones=[150,250]", "name='a=b'",
                                   "model.init=", "data.flip=false", "stages=[pretrain, convert]"});
  CHECK(config.part<BsqConfig>().alpha == 3e-3);
  CHECK(config.stage("bsq").lr == 0.5);
  CHECK(config.stage("bsq").milestones == std::vector<int>{150, 250});
  CHECK(config.name == "a=b");
  CHECK(config.model.init.empty());  // what a shell makes of model.init=""
  CHECK_FALSE(config.data.flip);
  CHECK(config.stages.size() == 2);
}

TEST_CASE("a base is merged key by key, its lists are replaced, and paths are relative to the including file") {
  const TemporaryFolder folder;
  write_file(folder, "base/sgd.yaml", "bsq: {lr: 0.3, gamma: 0.5, milestones: [10, 20, 30]}\nname: sgd\n");
  write_file(folder, "base/all.yaml", "_base_: sgd.yaml\nbsq: {gamma: 0.25}\nquant: {act_bits: 3}\n");
  const auto file = write_file(folder, "c.yaml", "bsq: {milestones: [5]}\n_base_: base/all.yaml\n");
  const Config config = load_config(test::schema(), file);
  CHECK(config.stage("bsq").lr == 0.3);                          // from the base's base
  CHECK(config.stage("bsq").gamma == 0.25);                      // from the base
  CHECK(config.stage("bsq").milestones == std::vector<int>{5});  // from the file, though written before _base_
  CHECK(config.quant.act_bits == 3);
  CHECK(config.name == "sgd");
  CHECK(load_config(test::schema(), file, std::vector<std::string>{"bsq.lr=0.7"}).stage("bsq").lr == 0.7);
}

TEST_CASE("of several bases the later wins, and a base may be reached twice") {
  const TemporaryFolder folder;
  write_file(folder, "root.yaml", "bsq: {lr: 0.9, alpha: 9}\n");
  write_file(folder, "a.yaml", "_base_: root.yaml\nbsq: {lr: 0.1, gamma: 0.1}\n");
  write_file(folder, "b.yaml", "_base_: [root.yaml]\nbsq: {lr: 0.2}\n");
  const Config config = load_config(test::schema(), write_file(folder, "c.yaml", "_base_: [a.yaml, b.yaml]\n"));
  CHECK(config.stage("bsq").lr == 0.2);
  CHECK(config.stage("bsq").gamma == 0.1);
  CHECK(config.part<BsqConfig>().alpha == 9);
}

TEST_CASE("warnings name combinations that are legal but probably not meant") {
  Config config = test::default_config();
  CHECK(config_warnings(config).empty());
  config.part<BsqConfig>().requant_interval = 400;
  config.stage("finetune").epochs = 200;
  CHECK(config_warnings(config) ==
        std::vector<std::string>{
            "finetune.milestones: epoch 250 is beyond finetune.epochs = 200; lr does not change there",
            "bsq.requant_interval = 400, bsq.epochs = 350; no re-quantization before the final one"});
  config.stages = {"pretrain"};  // what does not run needs no warning
  CHECK(config_warnings(config).empty());
  config.stage("pretrain").no_decay = {"norms"};
  config.stage("pretrain").weight_decay = 0;
  CHECK(config_warnings(config) ==
        std::vector<std::string>{"pretrain.no_decay = [norms], pretrain.weight_decay = 0; nothing decays"});
  config.stage("pretrain").weight_decay = 1e-4;
  CHECK(config_warnings(config).empty());
}

TEST_CASE("auto takes PACT for one to three activation bits and ReLU6 otherwise") {
  for (int act_bits = 0; act_bits <= 8; ++act_bits) {
    CHECK(block_activation({.act_bits = act_bits}) == (act_bits >= 1 && act_bits <= 3 ? "pact" : "relu6"));
  }
  CHECK(block_activation({.act_bits = 2, .activation = "relu"}) == "relu");
}
