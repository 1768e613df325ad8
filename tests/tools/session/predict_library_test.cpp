// The C interface of libbsq_predict, as programs of others call it.
#include "engine/deployed/library/bsq_predict.h"

#include "engine/deployed/check_vectors.h"
#include "engine/deployed/deployed_file.h"
#include "engine/deployed/deployed_run.h"
#include "tests/engine/deployed/small_deployed.h"
#include "tests/support/files.h"

#include <thread>

namespace bsq::test {
namespace {

/// The bytes of a model with names and check vectors.
std::string model_bytes(const std::function<void(TensorFile&)>& change = {}) {
  const DeployedNetwork network = read_deployed(deployed_file(small_deployed()));
  TensorFile file = deployed_file(network);
  add_check(network, make_check(network, small_pictures()), file);
  file.metadata["name"] = "small";
  file.metadata["class_names"] = R"(["cat", "dog"])";
  if (change) change(file);
  const TemporaryFolder folder;
  write_safetensors(folder / "m.safetensors", file);
  return text_of(folder / "m.safetensors");
}

struct Closes {
  void operator()(bsq_model* model) const { bsq_close(model); }
};
using OpenedModel = std::unique_ptr<bsq_model, Closes>;

OpenedModel open(const std::string& bytes) {
  char error[200] = "";
  OpenedModel model(bsq_open(bytes.data(), bytes.size(), error, sizeof(error)));
  INFO(error);
  REQUIRE(model != nullptr);
  return model;
}

std::string refusal(const std::string& bytes, std::size_t room = 200) {
  std::string error(room, '?');
  CHECK(bsq_open(bytes.data(), bytes.size(), error.data(), error.size()) == nullptr);
  return error.substr(0, error.find('\0'));
}

}  // namespace

TEST_CASE("the library says what the deployed arithmetic says, in any number of threads") {
  const OpenedModel model = open(model_bytes());
  bsq_model_info info{};
  REQUIRE(bsq_info(model.get(), &info) == BSQ_OK);
  CHECK(info.height == 6);
  CHECK(info.width == 6);
  CHECK(info.classes == 2);
  CHECK(bsq_channels(model.get()) == 3);
  CHECK(bsq_channels(nullptr) == 0);
  CHECK(std::string(info.name) == "small");
  CHECK(std::string(bsq_class_name(model.get(), 1)) == "dog");
  CHECK(bsq_class_name(model.get(), 2) == nullptr);
  CHECK(bsq_class_name(model.get(), -1) == nullptr);
  const std::vector<std::uint8_t> pictures = small_pictures();
  const std::vector<float> expected = run_deployed(read_deployed(deployed_file(small_deployed())), pictures, 1);
  std::vector<std::vector<float>> found(4, std::vector<float>(expected.size()));
  {
    std::vector<std::jthread> threads;
    for (std::vector<float>& logits : found)
      threads.emplace_back([&] { bsq_predict(model.get(), pictures.data(), 2, logits.data()); });
  }
  for (const std::vector<float>& logits : found) CHECK(logits == expected);
  CHECK(bsq_check(model.get(), nullptr, 0) == BSQ_OK);
  CHECK(std::string(bsq_version()).find('.') != std::string::npos);
}

TEST_CASE("the library refuses what is no model, in words, and null pointers") {
  const std::string whole = model_bytes();
  CHECK_THAT(refusal("nothing"), Catch::Contains("model in memory: "));
  CHECK_THAT(refusal(whole.substr(0, whole.size() - 9)), Catch::Contains("model in memory: "));
  CHECK_THAT(refusal(model_bytes([](TensorFile& file) { file.metadata.erase("deployed"); })),
             Catch::Contains("is no deployed model: its metadata lack 'deployed'"));
  CHECK(refusal("nothing", 5).size() == 4);
  CHECK(bsq_open(nullptr, 3, nullptr, 0) == nullptr);
  CHECK(bsq_open_file("gone.safetensors", nullptr, 0) == nullptr);
  CHECK(bsq_open_file(nullptr, nullptr, 0) == nullptr);
  const OpenedModel model = open(whole);
  float logits[2];
  const std::uint8_t picture[108] = {};
  CHECK(bsq_predict(nullptr, picture, 1, logits) == BSQ_ERROR_ARGUMENT);
  CHECK(bsq_predict(model.get(), nullptr, 1, logits) == BSQ_ERROR_ARGUMENT);
  CHECK(bsq_predict(model.get(), picture, 0, logits) == BSQ_ERROR_ARGUMENT);
  CHECK(bsq_predict(model.get(), picture, 1, nullptr) == BSQ_ERROR_ARGUMENT);
  CHECK(bsq_info(model.get(), nullptr) == BSQ_ERROR_ARGUMENT);
  CHECK(bsq_check(nullptr, nullptr, 0) == BSQ_ERROR_ARGUMENT);
  bsq_close(nullptr);
}

TEST_CASE("the library's check names the tensor from which on a model computes something else") {
  const OpenedModel model = open(model_bytes([](TensorFile& file) {
    for (HostTensor& tensor : file.tensors)
      if (tensor.name == "b.bias") tensor.bytes[1] ^= std::byte{15};
  }));
  char error[100] = "";
  CHECK(bsq_check(model.get(), error, sizeof(error)) == BSQ_ERROR_MODEL);
  CHECK(std::string(error) == "computes something else here, from b on");
}

}  // namespace bsq::test
