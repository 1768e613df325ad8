// A configuration as text: resolved YAML, hash, differences, help, schema; and the configurations that are shipped.
#include "tests/engine/config/config_support.h"

#include "engine/config/config_schema.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

using namespace bsq;

namespace {

/// A Config in which every key has another value than by default.
Config unusual_config() {
  Config config = test::default_config();
  config.name = "a: b \"c\" \\ # d\n\t~";
  config.seed = 18446744073709551615ULL;
  config.device = "reference";
  config.threads = 3;
  config.precision = "bf16";
  config.stages = {"convert", "bsq"};
  // `arch` stays: other families have other keys
  config.model = {
      .arch = "resnet", .network = "n.yaml", .sync_batch_norm = true, .init = "null", .init_classifier = "fresh"};
  config.set_family("depth", 11);
  config.set_family("width", 5);
  config.set_family("block", std::string("bottleneck"));
  config.data = {.kind = "image_folder",
                 .root = "/d/\xc3\xa4 \xe2\x82\xac",
                 .train_per_class = 1,
                 .test_per_class = 2,
                 .holdout = 0.125,
                 .train = "fold 1",
                 .test = "held out",
                 .cache = "lists",
                 .on_error = "skip",
                 .batch_size = 5,
                 .eval_batch_size = 6,
                 .crop = "random_resized",
                 .crop_area = 0.25,
                 .crop_decode = "reduced",
                 .flip = false,
                 .mixup = 0.25,
                 .cutmix = 1.5,
                 .memory = 1.5,
                 .readers = 3,
                 .image_size = 24,
                 .resize = 30,
                 .interpolation = "bicubic",
                 .channels = 1,
                 .mean = {1. / 3},
                 .std = {1e22}};
  config.quant = {.weight_bits = 3,
                  .max_bits = 4,
                  .act_bits = 2,
                  .activation = "relu",
                  .act_scale = "calibrated",
                  .calibration_batches = 7,
                  .deployed = true,
                  .scheme = {{{{.pattern = "conv1", .weight_bits = 5, .fixed = true},
                               {.pattern = "l*", .weight_bits = 3, .max_bits = 4}}}},
                  .layers = {{{.pattern = "conv*", .weight_bits = 2, .fixed = true},
                              {.pattern = "layer*", .max_bits = 3, .act_bits = 0, .fixed = false},
                              {.pattern = "fc", .stays_float = true}}},
                  .projections = true};
  config.distill = {.model = "t.safetensors", .weight = 0.25, .temperature = 2, .stages = {"bsq"}};
  const StageConfig stage = {.epochs = 9,
                             .lr = 1e-5,
                             .schedule = "cosine",
                             .warmup_epochs = 2,
                             .momentum = 0.1,
                             .nesterov = true,
                             .weight_decay = 1e-300,
                             .no_decay = {"norms", "pact"},
                             .milestones = {1, 2},
                             .gamma = 0.3,
                             .label_smoothing = 0.25,
                             .clip_norm = 5,
                             .ema = 0.5};
  for (const char* name : {"pretrain", "bsq", "csq", "lsq", "dorefa", "msq", "finetune"}) config.stage(name) = stage;
  config.part<SyntheticConfig>() = {3, 4};
  config.part<PolicyConfig>() = {"rand_augment", 3, 11};
  config.part<ColorJitterConfig>().color_jitter = {0.5, 0.25, 1, 0.125};
  config.part<RandomErasingConfig>().random_erasing = 0.75;
  config.part<PretrainConfig>() = {3};
  config.part<BsqConfig>() = {{}, 0.1 + 0.2, 4, 2.5, "bops"};
  config.part<CsqConfig>() = {1.5, 0.25, 100, 2, "masks", false};
  config.part<MsqConfig>() = {{}, 0.25, 3, 5};
  config.stage("finetune").milestones = {};
  config.stage("csq").schedule = "milestones";
  config.stage("dorefa").schedule = "milestones";
  config.stage("msq").schedule = "milestones";
  config.part<LsqConfig>().steps = "channel";
  config.part<LsqConfig>().range = "asymmetric";
  config.part<FinetuneConfig>() = {.method = "lsq", .steps = "channel", .range = "asymmetric"};
  config.stage("lsq").schedule = "milestones";  // whose default the others do not have
  config.checkpoint = {.every_epochs = 2, .keep_last = 3};
  config.run.dir = "true";
  config.log = {.every_steps = 10, .tensorboard = true, .tensorboard_layers = true};
  return config;
}

const std::filesystem::path kConfigs = std::filesystem::path(BSQ_SOURCE_DIR) / "configs";

}  // namespace

TEST_CASE("the resolved text of a configuration reads back as the same configuration and the same text") {
  Config unusual = unusual_config();
  const auto& keys = test::schema().keys();
  const auto applies = [&](const ConfigKey& key) { return key.applies_to(unusual); };
  CHECK(static_cast<std::int64_t>(differences(test::default_config(), unusual).size()) ==
        std::count_if(keys.begin(), keys.end(), applies) - 1);  // all but model.arch: nothing is left out
  for (const Config& config : {test::default_config(), unusual}) {
    const std::string text = to_yaml(config);
    INFO(text);
    const Config again = load_text(text);
    CHECK(differences(config, again).empty());
    CHECK(to_yaml(again) == text);
    CHECK(again.name == config.name);
    CHECK(again.data.mean == config.data.mean);
    CHECK(again.part<BsqConfig>().alpha == config.part<BsqConfig>().alpha);
    CHECK(again.stage("bsq").weight_decay == config.stage("bsq").weight_decay);
  }
}

TEST_CASE("a configuration has an alpha or a budget, and its text has that one alone") {
  CHECK(to_yaml(test::default_config()).find("budget_bits") == std::string::npos);
  Config config = test::default_config();
  BsqConfig& bsq = config.part<BsqConfig>();
  bsq.budget_bits = 2.75;
  bsq.budget_count = "published";
  bsq.budget_alpha = 0.125;
  const std::string text = to_yaml(config);
  INFO(text);
  CHECK(text.find("\n  alpha:") == std::string::npos);
  const Config again = load_text(text);
  CHECK(differences(config, again).empty());
  CHECK(to_yaml(again) == text);
  CHECK(again.part<BsqConfig>().budget_bits == 2.75);
  CHECK(again.part<BsqConfig>().budget_count == "published");
  CHECK(again.part<BsqConfig>().budget_alpha == 0.125);
  CHECK(differences(test::default_config(), config).size() == 3);
  std::set<std::string> hashes = {config_hash(test::default_config()), config_hash(config)};
  for (const char* key : {"bsq.budget_bits", "bsq.budget_alpha"}) {
    Config other = config;
    test::schema().find(key)->field.set(other, 0.75);
    CHECK(hashes.insert(config_hash(other)).second);
  }
  bsq.budget_count = "stored";
  CHECK(hashes.insert(config_hash(config)).second);
}

TEST_CASE("what becomes of signed numbers is in the text where steps of activations are learned, and nowhere else") {
  Config config = test::default_config();
  config.quant.signed_numbers = "lsq_plus";
  CHECK(to_yaml(config).find("signed") == std::string::npos);
  CHECK(config_hash(config) == config_hash(test::default_config()));
  config.quant.activation = "lsq";
  const std::string text = to_yaml(config);
  INFO(text);
  const Config again = load_text(text);
  CHECK(again.quant.quantizes_signed());
  CHECK(to_yaml(again) == text);
  Config plain = config;
  plain.quant.signed_numbers = "float";
  CHECK(config_hash(plain) != config_hash(config));
  CHECK(differences(plain, config) == std::vector<std::string>{"quant.signed float in the run, lsq_plus now"});
}

TEST_CASE("numbers in the resolved text are numbers to every YAML reader") {
  // YAML 1.1 takes 1e-05 for a text: it wants a dot before the exponent.
  CHECK(to_yaml(unusual_config()).find("lr: 1.0e-05") != std::string::npos);
}

TEST_CASE("the hash is six hexadecimal digits that never change, and follows every value") {
  CHECK(config_hash(test::default_config()) == "e31aed");  // changes only with a key's name, default or addition
  std::set<std::string> hashes = {config_hash(test::default_config())};
  const Config unusual = unusual_config();
  for (const ConfigKey& key : test::schema().keys()) {
    if (key.name == "model.arch" || !key.applies_to(unusual)) continue;
    Config config = test::default_config();
    key.field.set(config, key.field.get(unusual));
    INFO(key.name);
    if (!key.applies_to(config)) continue;  // of another kind of data
    const std::string hash = config_hash(config);
    CHECK(hash.size() == 6);
    CHECK(hash.find_first_not_of("0123456789abcdef") == std::string::npos);
    CHECK(hashes.insert(hash).second);
  }
}

TEST_CASE("differences name key, old value and new value") {
  Config run = test::default_config(), now = run;
  CHECK(differences(run, now).empty());
  now.part<BsqConfig>().alpha = 0.01;
  now.stage("finetune").milestones = {};
  now.threads = 4;
  now.run.dir = "elsewhere";
  now.checkpoint.keep_last = 5;
  now.log = {.every_steps = 1, .tensorboard = true, .tensorboard_layers = true};
  CHECK(differences(run, now, CompareKeys::fixed_on_resume) ==
        std::vector<std::string>{"bsq.alpha 0.005 in the run, 0.01 now",
                                 "finetune.milestones [150, 250] in the run, [] now"});
  CHECK(differences(run, now).size() == 8);
}

TEST_CASE("help names every key with its default, range and old flag") {
  const std::string help = describe_keys(test::schema());
  for (const ConfigKey& key : test::schema().keys()) {
    INFO(key.name);
    CHECK(help.find("  " + key.name + "=" + to_text(key.field.get(test::default_config()))) != std::string::npos);
    CHECK_FALSE(key.meaning.empty());
    if (!key.old_flag.empty()) CHECK(help.find("(" + key.old_flag + ")") != std::string::npos);
  }
  CHECK(help.find("  quant.weight_bits=8                bits of every layer where its quantization begins, beside "
                  "a sign; of dorefa with the sign; an integer in 1..8 (--Nbits)\n") != std::string::npos);
}

TEST_CASE("keys are unique, have at most one dot, and lie together with their section") {
  std::set<std::string> names;
  for (const ConfigKey& key : test::schema().keys()) {
    INFO(key.name);
    CHECK(names.insert(key.name).second);
    CHECK(key.leaf().find('.') == std::string::npos);
  }
  const std::vector<std::string> sections = test::schema().sections();
  CHECK(std::set<std::string>(sections.begin(), sections.end()).size() == sections.size());
}

TEST_CASE("every default is one that its own key allows") {
  for (const ConfigKey& key : test::schema().keys()) {
    INFO(key.name);
    const std::string text = to_text(key.field.get(test::default_config()));
    std::vector<Problem> problems;
    const ConfigValue value = read_config_value(
        key, read_yaml(text).root, [](Position) { return ""; }, problems);
    CHECK(to_text(value) == text);
    CHECK(problems.empty());
  }
}

TEST_CASE("the schema that is shipped is the one of the program") {
  INFO("regenerate with: bsq validate --schema > configs/config.schema.json");
  CHECK(test::text_of(kConfigs / "config.schema.json") == config_json_schema(test::schema()));
}

TEST_CASE("the schema describes every key with type, default and limits") {
  const auto schema = nlohmann::json::parse(config_json_schema(test::schema()));
  CHECK(schema["$schema"] == "http://json-schema.org/draft-07/schema#");
  for (const ConfigKey& key : test::schema().keys()) {
    INFO(key.name);
    const auto& properties =
        key.section().empty() ? schema["properties"] : schema["properties"][key.section()]["properties"];
    REQUIRE(properties.contains(key.leaf()));
    CHECK(properties[key.leaf()].contains("type"));
    CHECK(properties[key.leaf()].contains("default"));
  }
  const auto& weight_bits = schema["properties"]["quant"]["properties"]["weight_bits"];
  CHECK(weight_bits["type"] == "integer");
  CHECK(weight_bits["minimum"] == 1);
  CHECK(weight_bits["maximum"] == 8);
  CHECK(schema["properties"]["device"]["enum"] == std::vector<std::string>{"auto", "cpu", "reference", "cuda"});
  CHECK(schema["properties"]["stages"]["items"]["enum"].size() == 8);
  CHECK(schema["additionalProperties"] == false);
}

TEST_CASE("every configuration that is shipped loads without a warning and says what it is for") {
  int num_files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kConfigs)) {
    const bool is_network = entry.path().parent_path().filename() == "networks";  // tests/models reads these
    if (entry.path().extension() != ".yaml" || is_network) continue;
    ++num_files;
    INFO(entry.path().filename().string());
    // The two things a person adds where the data or the trained model is his own.
    const std::vector<std::string> overrides = {"data.root=d", "model.init=m.safetensors"};
    const std::string text = test::text_of(entry.path());
    const bool is_sweep = text.find("\nsweep:\n") != std::string::npos;
    const ConfigUse use = is_sweep ? ConfigUse::sweep : ConfigUse::run;
    CHECK(config_warnings(load_config(test::schema(), entry.path(), overrides, use)).empty());
    CHECK(text.starts_with("# "));
    const std::string command = is_sweep ? "\n#   bsq sweep configs/" : "\n#   bsq train configs/";
    CHECK(text.find(command + entry.path().filename().string()) != std::string::npos);
    CHECK(text.find("# yaml-language-server: $schema=config.schema.json\n") != std::string::npos);
  }
  CHECK(num_files >= 3);
}

TEST_CASE("the quickstart needs no override, and the published recipe is the default but for the data") {
  CHECK_NOTHROW(load_config(test::schema(), kConfigs / "quickstart.yaml"));
  const Config recipe =
      load_config(test::schema(), kConfigs / "cifar10_resnet20.yaml", std::vector<std::string>{"data.root=d"});
  CHECK(differences(test::default_config(), recipe) ==
        std::vector<std::string>{"name bsq in the run, cifar10_resnet20 now",
                                 "data.kind synthetic in the run, cifar10 now", "data.root \"\" in the run, d now"});
}
