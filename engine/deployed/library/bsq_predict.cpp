// The C interface: exceptions end here.
#include "engine/deployed/library/bsq_predict.h"

#include "engine/deployed/check_vectors.h"
#include "engine/deployed/deployed_file.h"
#include "engine/deployed/deployed_run.h"
#include "kernels/base/error.h"

#include <nlohmann/json.hpp>

#include <cstring>
#include <memory>
#include <new>

struct bsq_model {
  explicit bsq_model(const bsq::TensorFile& file)
      : network(bsq::read_deployed(file)), vectors(bsq::read_check(network, file)), program(network) {
    const auto text = [&](const char* key) {
      const auto found = file.metadata.find(key);
      return found == file.metadata.end() ? std::string() : found->second;
    };
    name = text("name");
    const auto names = nlohmann::json::parse(text("class_names"), nullptr, /*allow_exceptions=*/false);
    for (int i = 0; i < network.head.classes(); ++i) {
      const auto place = static_cast<std::size_t>(i);
      const bool is_named = names.is_array() && names.size() > place && names[place].is_string();
      class_names.push_back(is_named ? names[place].get<std::string>() : std::to_string(i));
    }
  }

  bsq::DeployedNetwork network;
  std::optional<bsq::CheckVectors> vectors;
  bsq::DeployedProgram program;
  std::string name;
  std::vector<std::string> class_names;
};

namespace {

void say(const char* text, char* error, size_t error_size) {
  if (error == nullptr || error_size == 0) return;
  const size_t length = std::min(std::strlen(text), error_size - 1);
  std::memcpy(error, text, length);
  error[length] = '\0';
}

template <typename Read>
bsq_model* opened(char* error, size_t error_size, Read read) {
  try {
    return std::make_unique<bsq_model>(read()).release();
  } catch (const std::bad_alloc&) {
    say("out of memory", error, error_size);
  } catch (const std::exception& exception) {
    say(exception.what(), error, error_size);
  }
  return nullptr;
}

/// What `work` returns, or what an exception is.
template <typename Work>
int guarded(Work work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return BSQ_ERROR_MEMORY;
  } catch (const std::exception&) {
    return BSQ_ERROR_ARGUMENT;
  }
}

}  // namespace

bsq_model* bsq_open(const void* bytes, size_t size, char* error, size_t error_size) {
  if (bytes == nullptr) {
    say("no bytes", error, error_size);
    return nullptr;
  }
  return opened(error, error_size, [&] {
    return bsq::parse_safetensors({static_cast<const std::byte*>(bytes), size}, "model in memory");
  });
}

bsq_model* bsq_open_file(const char* path, char* error, size_t error_size) {
  if (path == nullptr) {
    say("no path", error, error_size);
    return nullptr;
  }
  return opened(error, error_size, [&] { return bsq::read_safetensors(path); });
}

void bsq_close(bsq_model* model) {
  delete model;
}

int bsq_info(const bsq_model* model, bsq_model_info* info) {
  if (model == nullptr || info == nullptr) return BSQ_ERROR_ARGUMENT;
  const bsq::DeployedTensor& image = model->network.tensors[0];
  *info = {image.height, image.width, model->network.head.classes(), model->name.c_str()};
  return BSQ_OK;
}

int bsq_channels(const bsq_model* model) {
  return model == nullptr ? 0 : model->network.tensors[0].channels;
}

const char* bsq_class_name(const bsq_model* model, int number) {
  if (model == nullptr || number < 0 || number >= model->network.head.classes()) return nullptr;
  return model->class_names[static_cast<std::size_t>(number)].c_str();
}

int bsq_predict(const bsq_model* model, const uint8_t* pixels, int images, float* logits) {
  if (model == nullptr || pixels == nullptr || logits == nullptr || images < 1) return BSQ_ERROR_ARGUMENT;
  return guarded([&] {
    const std::size_t bytes = static_cast<std::size_t>(images) * model->network.tensors[0].numel();
    const std::vector<float> found = model->program.run({pixels, bytes}, 1);
    std::memcpy(logits, found.data(), found.size() * sizeof(float));
    return BSQ_OK;
  });
}

int bsq_check(const bsq_model* model, char* error, size_t error_size) {
  if (model == nullptr) return BSQ_ERROR_ARGUMENT;
  return guarded([&] {
    const std::string name = model->vectors ? bsq::first_difference(model->network, *model->vectors) : "";
    if (name.empty()) return BSQ_OK;
    say(("computes something else here, from " + name + " on").c_str(), error, error_size);
    return BSQ_ERROR_MODEL;
  });
}

const char* bsq_version(void) {
  return BSQ_VERSION;
}
