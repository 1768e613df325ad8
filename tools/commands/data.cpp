// `bsq data`: what a configuration's images are, before anything is trained on them.
#include "data/datasets.h"
#include "data/read_speed.h"
#include "data/survey.h"
#include "engine/base/text.h"
#include "engine/input/sampler.h"
#include "kernels/base/error.h"
#include "kernels/devices.h"
#include "tools/cli/arguments.h"
#include "tools/pictures/data_page.h"
#include "tools/report/file_set.h"
#include "tools/report/reports.h"
#include "tools/report/table.h"
#include "tools/session/config_schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace bsq {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostShown = 20;

/// Images a second that one thread reads.
struct ReadSpeeds {
  double train = 0;  // as training augments them on the host
  double test = 0;
};

struct SurveyedData {
  DataSplits splits;
  SetSurvey train, test;
  std::optional<SetSurvey> holdout;
  std::vector<ImagePair> in_both, twice;
  std::optional<ReadSpeeds> speeds = {};
};

std::string shares_text(const std::vector<double>& numbers) {
  return fmt::format("[{:.4f}]", fmt::join(numbers, ", "));
}

/// `data.mean is [0.1234]`; what is set for images of other channels means nothing.
std::string set_text(const std::string& key, const std::vector<double>& numbers, const DatasetInfo& info) {
  const bool fits = std::ssize(numbers) == info.channels;
  return fmt::format("{} is {}", key, fits ? shares_text(numbers) : "not set for so many channels");
}

Table classes_table(const SurveyedData& data) {
  std::vector<Column> columns = {{"class", Align::left}, {"train"}, {"test"}};
  std::vector<const SetSurvey*> sets = {&data.train, &data.test};
  if (data.holdout) {
    columns.insert(columns.begin() + 2, {"held out"});
    sets.insert(sets.begin() + 1, &*data.holdout);
  }
  Table table(columns);
  const auto add_row = [&](const std::string& name, const auto& count_in) {
    std::vector<std::string> row = {name};
    for (const SetSurvey* set : sets) row.push_back(with_thousands(static_cast<std::uint64_t>(count_in(*set))));
    table.add_row(std::move(row));
  };
  const std::vector<std::string>& names = data.splits.train->info().class_names;
  for (std::size_t i = 0; i < names.size(); ++i)
    add_row(names[i], [&](const SetSurvey& set) { return set.per_class[i]; });
  add_row("together", [](const SetSurvey& set) { return set.images; });
  return table;
}

std::string pairs_text(const std::vector<ImagePair>& pairs, const Dataset& first, const Dataset& second,
                       const std::string& one, const std::string& several) {
  if (pairs.empty()) return {};
  std::string text = fmt::format("\n{} {}:\n", with_thousands(pairs.size()), pairs.size() == 1 ? one : several);
  for (std::size_t i = 0; i < std::min(pairs.size(), kMostShown); ++i)
    text += fmt::format("  {} = {}\n", second.name(pairs[i].second), first.name(pairs[i].first));
  if (pairs.size() > kMostShown) text += fmt::format("  and {} more\n", with_thousands(pairs.size() - kMostShown));
  return text;
}

/// All but the classes.
std::string facts_text(const SurveyedData& data, const Config& config) {
  const DatasetInfo& info = data.splits.train->info();
  std::string text = fmt::format("images     {}x{} pixels of {}\n", info.width, info.height,
                                 info.channels == 1 ? "gray" : "red, green and blue");
  text += fmt::format("mean       {} of the training images; {}\n", shares_text(data.train.mean),
                      set_text("data.mean", config.data.mean, info));
  text += fmt::format("deviation  {} of the training images; {}\n", shares_text(data.train.deviation),
                      set_text("data.std", config.data.std, info));
  if (data.speeds)
    text += fmt::format("reading    {:.0f} training images a second by one thread, {:.0f} test images\n",
                        data.speeds->train, data.speeds->test);
  text += pairs_text(data.in_both, *data.splits.train, *data.splits.test,
                     "test image has the pixels of a training image, so that measured accuracies are too high",
                     "test images have the pixels of training images, so that measured accuracies are too high");
  text +=
      pairs_text(data.twice, *data.splits.train, *data.splits.train, "training image has the pixels of an earlier one",
                 "training images have the pixels of earlier ones");
  return text;
}

std::string survey_text(const SurveyedData& data, const Config& config) {
  return classes_table(data).text() + "\n" + facts_text(data, config);
}

/// What training would show, by the mean and deviation of the images where none are set for their channels.
SeenPictures seen_pictures(const SurveyedData& data, Config config, Backend& backend) {
  const auto channels = static_cast<std::size_t>(data.splits.train->info().channels);
  if (config.data.mean.size() == channels && config.data.std.size() == channels)
    return see_pictures(*data.splits.train, config, {}, backend);
  constexpr double kLeastDeviation = 1e-3;  // of images of one level
  config.data.mean = data.train.mean;
  config.data.std = data.train.deviation;
  for (double& deviation : config.data.std) deviation = std::max(deviation, kLeastDeviation);
  return see_pictures(*open_datasets(config).train, config, {}, backend);
}

void write_page(const fs::path& folder, const SurveyedData& data, const Config& config, Backend& backend) {
  const SeenPictures pictures = seen_pictures(data, config, backend);
  DataPageText text{
      .title = fmt::format("{}: {}", config.name, config.data.root.empty() ? config.data.kind : config.data.root),
      .notices = {},
      .classes = classes_table(data),
      .survey = facts_text(data, config)};
  for (const Dataset* set : {data.splits.train.get(), data.splits.test.get()})
    for (const std::string& note : set->notes()) text.notices.push_back(note);
  const Page page = data_page(text, data.splits, pictures);
  FileSet files(folder, "the page of the data");
  files.add("index.html", html_of(page));
  add_figures(files, page);
  files.commit();
}

nlohmann::ordered_json to_json(const SetSurvey& set, const std::vector<std::string>& names) {
  nlohmann::ordered_json classes = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < names.size(); ++i) classes[names[i]] = set.per_class[i];
  return {{"images", set.images},
          {"classes", classes},
          {"mean", set.mean},
          {"deviation", set.deviation},
          {"broken", set.broken}};
}

std::string survey_json(const SurveyedData& data) {
  const DatasetInfo& info = data.splits.train->info();
  const auto named = [](const std::vector<ImagePair>& pairs, const Dataset& first, const Dataset& second) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const ImagePair& pair : pairs) list.push_back({second.name(pair.second), first.name(pair.first)});
    return list;
  };
  nlohmann::ordered_json all = {{"height", info.height},
                                {"width", info.width},
                                {"channels", info.channels},
                                {"train", to_json(data.train, info.class_names)},
                                {"test", to_json(data.test, info.class_names)},
                                {"test_in_train", named(data.in_both, *data.splits.train, *data.splits.test)},
                                {"train_twice", named(data.twice, *data.splits.train, *data.splits.train)}};
  if (data.speeds) {
    all["train"]["images_per_second"] = data.speeds->train;
    all["test"]["images_per_second"] = data.speeds->test;
  }
  if (data.holdout) all["holdout"] = to_json(*data.holdout, info.class_names);
  return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

/// Why images of any set cannot be read.
std::vector<std::string> faults_of(const SurveyedData& data) {
  std::vector<std::string> faults = data.train.broken;
  if (data.holdout) faults.insert(faults.end(), data.holdout->broken.begin(), data.holdout->broken.end());
  faults.insert(faults.end(), data.test.broken.begin(), data.test.broken.end());
  return faults;
}

/// Throws Error(data) with the images that cannot be read.
void refuse_broken(std::vector<std::string> faults) {
  if (faults.empty()) return;
  const std::size_t count = faults.size();
  faults.resize(std::min(count, kMostShown));
  fail(ErrorKind::data, "{}\n{} image{} cannot be read{}", fmt::join(faults, "\n"), with_thousands(count),
       count == 1 ? "" : "s", count > kMostShown ? "; --json lists all" : "");
}

/// Of files that have just been read, and so are in memory where they fit.
ReadSpeeds measure_speeds(const DataSplits& splits, std::uint64_t seed) {
  constexpr double kSeconds = 1;
  constexpr int kFirstStage = 0;
  return {.train = images_per_second(*splits.train, kSeconds, AugmentKey{seed, augment_stream(kFirstStage), 0}),
          .test = images_per_second(*splits.test, kSeconds)};
}

}  // namespace

int data_command(const Arguments& arguments) {
  CommandLine app("Says what the images of a configuration are: counts, mean, duplicates, files that cannot be read.",
                  "bsq data");
  std::vector<std::string> words;
  bool json = false, measures = false;
  std::string folder;
  ConsoleFlags flags;
  app.add_option("words", words, "configuration file, and overrides such as data.root=DIR")
      ->option_text("CFG [key=value ...]");
  app.add_flag("--json", json, "print JSON");
  app.add_flag("--speed", measures, "also say how many images a second a thread reads");
  app.add_path("--out", folder, "write a page into this folder, with pictures as the network sees them")
      ->option_text("DIR");
  add_console_flags(app, flags);
  app.footer("\nExit code: 0; 3 if images cannot be read.");
  if (!parse_arguments(app, arguments)) return 0;
  const ConfigWords split = split_config_words(words, is_config_key);
  if (split.file.empty() && split.overrides.empty())
    fail(ErrorKind::usage, "bsq data: which data? usage: bsq data CFG [key=value ...]");
  if (std::error_code ignored; fs::is_directory(split.file, ignored))
    fail(ErrorKind::usage,
         "bsq data: {} is a folder; of a folder of pictures, one folder a class in train/ and test/, say: bsq data "
         "data.kind=image_folder data.root={}",
         split.file, split.file);
  if (!folder.empty()) refuse_foreign_page(folder);
  Config config = load_config(config_schema(), split.file, split.overrides, ConfigUse::survey);
  config.data.on_error = "stop";                                          // whatever cannot be read is to be said
  const auto backend = make_backend("cpu", {.threads = config.threads});  // whose threads read the images
  SurveyedData data{
      .splits = open_datasets(config), .train = {}, .test = {}, .holdout = {}, .in_both = {}, .twice = {}};
  data.train = survey(*data.splits.train);
  data.test = survey(*data.splits.test);
  if (data.splits.holdout) data.holdout = survey(*data.splits.holdout);
  data.in_both = images_in_both(data.train, data.test);
  data.twice = images_twice(data.train);
  const std::vector<std::string> faults = faults_of(data);
  if (measures && faults.empty()) data.speeds = measure_speeds(data.splits, config.seed);
  fmt::print("{}", json ? survey_json(data) : survey_text(data, config));
  Console console = flags.console();
  for (const Dataset* set : {data.splits.train.get(), data.splits.test.get()})
    for (const std::string& note : set->notes()) console.warning(note);
  refuse_broken(faults);
  if (!folder.empty()) {
    write_page(folder, data, config, *backend);
    console.info(fmt::format("page: {}", (fs::path(folder) / "index.html").string()));
  }
  return 0;
}

}  // namespace bsq
