// `bsq predict`: the classes of pictures, by a model in integers (METHOD 16).
#include "engine/files/json.h"
#include "kernels/base/error.h"
#include "kernels/base/thread_count.h"
#include "tools/cli/arguments.h"
#include "tools/report/table.h"
#include "tools/session/config_schema.h"
#include "tools/session/predictor.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace bsq {
namespace {

namespace fs = std::filesystem;

struct PredictOptions {
  std::string model;
  ModelWords words;
  std::vector<fs::path> pictures;
  std::string format = "text";
  int threads = 0;
  bool check = false;
  ConsoleFlags console;
};

bool parse(const Arguments& arguments, PredictOptions& options) {
  CommandLine app("Says what is on pictures, by a model in integers, as it is deployed.", "bsq predict");
  std::vector<std::string> words;
  app.add_option("words", words,
                 "a file of bsq export --format deployed, or a model that has that form; pictures and folders of them; "
                 "overrides such as data.root=DIR")
      ->option_text("MODEL PICTURES... [key=value ...]");
  app.add_option("--format", options.format, "text | csv | jsonl: a line per picture")
      ->one_of({"text", "csv", "jsonl"})
      ->option_text("F");
  app.add_flag("--check", options.check, "the folder that a picture lies in is its class: says how many are right");
  app.add_option("--threads", options.threads, "default: the cores there are")->between(1, 1024)->option_text("N");
  app.add_path("--config", options.words.config_file, "the data of a model that is no such file")->option_text("CFG");
  add_console_flags(app, options.console);
  if (!parse_arguments(app, arguments)) return false;
  std::vector<std::string> paths;
  for (const std::string& word : words) {
    const std::string key = word.substr(0, word.find('='));
    (key != word && is_config_key(key) ? options.words.overrides : paths).push_back(word);
  }
  if (paths.size() < 2)
    fail(ErrorKind::usage, "bsq predict: which {}? usage: bsq predict MODEL PICTURES...",
         paths.empty() ? "model" : "pictures");
  options.model = paths.front();
  options.pictures.assign(paths.begin() + 1, paths.end());
  return true;
}

std::string line_of(const Prediction& one, const Predictor& predictor, const std::string& format) {
  const auto label = static_cast<std::size_t>(one.label);
  const std::string& name = predictor.class_names[label];
  const double share = one.probabilities[label];
  if (format == "csv")
    return fmt::format("{},{},{},{:.6f}", csv_cell(one.picture.string()), one.label, csv_cell(name), share);
  if (format == "text") return fmt::format("{}  {}  {:.1f} %", one.picture.string(), name, 100 * share);
  const nlohmann::ordered_json record = {{"file", one.picture.string()},
                                         {"class", one.label},
                                         {"name", name},
                                         {"probability", share},
                                         {"logits", one.logits}};
  return record.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

/// The number of the class whose name the picture's folder has.
int labelled(const Prediction& one, const Predictor& predictor) {
  const std::string folder = fs::absolute(one.picture).parent_path().filename().string();
  const auto found = std::find(predictor.class_names.begin(), predictor.class_names.end(), folder);
  if (found == predictor.class_names.end())
    fail(ErrorKind::data, "{}: --check: its folder '{}' is no class of the model ({} .. {})", one.picture.string(),
         folder, predictor.class_names.front(), predictor.class_names.back());
  return static_cast<int>(found - predictor.class_names.begin());
}

}  // namespace

int predict_command(const Arguments& arguments) {
  PredictOptions options;
  if (!parse(arguments, options)) return 0;
  Console console = options.console.console();
  const std::vector<fs::path> pictures = find_pictures(options.pictures);
  const Predictor predictor = open_predictor(options.model, options.words, console);
  const int threads = options.threads > 0 ? options.threads : default_threads().threads;
  const std::vector<Prediction> predictions = predict(predictor, pictures, threads, console);
  std::size_t right = 0;
  if (options.check)
    for (const Prediction& one : predictions) right += labelled(one, predictor) == one.label ? 1 : 0;
  if (options.format == "csv") fmt::print("file,class,name,probability\n");
  for (const Prediction& one : predictions) fmt::print("{}\n", line_of(one, predictor, options.format));
  if (options.check)
    console.info(fmt::format("top-1 {:.2f} %: {} of {} pictures",
                             100.0 * static_cast<double>(right) / static_cast<double>(predictions.size()), right,
                             predictions.size()));
  return 0;
}

}  // namespace bsq
