// Files of deployed networks: they come back as they were, and what is wrong with one is said.
#include "engine/deployed/deployed_file.h"

#include "engine/deployed/check_deployed.h"
#include "engine/deployed/check_vectors.h"
#include "engine/deployed/deployed_run.h"
#include "tests/engine/deployed/small_deployed.h"
#include "tests/support/files.h"

#include <nlohmann/json.hpp>

#include <functional>

namespace bsq::test {
namespace {

/// The file again, which has what follows from grids.
DeployedNetwork read_back(const DeployedNetwork& network) {
  return read_deployed(deployed_file(network));
}

}  // namespace

TEST_CASE("a deployed network comes back from its file as it was") {
  const DeployedNetwork network = read_back(small_deployed()), again = read_back(network);
  const std::vector<std::uint8_t> pictures = small_pictures();
  CHECK(run_deployed(again, pictures, 1) == run_deployed(network, pictures, 1));
  CHECK(fault_of(network).empty());
  CHECK(network.tensors[2].grid == small_deployed().tensors[2].grid);
  CHECK(std::get<LevelConvolution>(network.nodes[1].operation).groups == 4);
  CHECK(std::get<LevelConvolution>(network.nodes[0].operation).k ==
        std::get<LevelConvolution>(small_deployed().nodes[0].operation).k);
  CHECK(network.head.k == small_deployed().head.k);
  CHECK(std::get<LevelSum>(network.nodes[2].operation).a == 0.05F / 0.3F);
}

TEST_CASE("check vectors say from which tensor on a network computes something else") {
  DeployedNetwork network = read_back(small_deployed());
  TensorFile file = deployed_file(network);
  CHECK_FALSE(read_check(network, file).has_value());
  add_check(network, make_check(network, small_pictures()), file);
  const CheckVectors vectors = read_check(network, file).value();
  CHECK(first_difference(network, vectors).empty());
  CHECK(vectors.checksums.size() == 7);
  std::get<LevelConvolution>(network.nodes[1].operation).bias[2] += 3000;
  CHECK(first_difference(network, vectors) == "b");
  network = read_back(small_deployed());
  network.head.offset[1] += 1;
  CHECK(first_difference(network, vectors) == "logits");
}

TEST_CASE("checksums are those of zlib") {
  DeployedNetwork network = read_back(small_deployed());
  for (auto& color : network.pixels) color.fill(0);
  std::vector<std::uint8_t> picture(6 * 6 * 3, 9);
  CHECK(make_check(network, picture).checksums[0] == 0x0f7cfdf3U);  // python: zlib.crc32(bytes(108))
}

TEST_CASE("what is wrong with a file of a deployed network is said") {
  using nlohmann::json;
  const auto refused = [](const std::function<void(json&, TensorFile&)>& spoil) {
    TensorFile file = deployed_file(small_deployed());
    file.path = "m.safetensors";
    json network = json::parse(file.metadata.at("deployed"));
    spoil(network, file);
    if (file.metadata.count("deployed") > 0) file.metadata["deployed"] = network.dump();
    return error_of(ErrorKind::checkpoint, [&] { read_deployed(file); });
  };
  const auto set = [&](const json::json_pointer& place, const json& value) {
    return refused([&](json& network, TensorFile&) { network[place] = value; });
  };
  using namespace nlohmann::literals;
  CHECK_THAT(refused([](json&, TensorFile& file) { file.metadata.erase("deployed"); }),
             Catch::Equals("m.safetensors: is no deployed model: its metadata lack 'deployed'"));
  CHECK_THAT(set("/version"_json_pointer, 2), Catch::Contains("is of another version of the format"));
  CHECK_THAT(set("/nodes/0/kernel"_json_pointer, 0), Catch::Contains("'kernel' is 0"));
  CHECK_THAT(set("/nodes/0/kernel"_json_pointer, 5), Catch::Contains("a.k has another shape"));
  CHECK_THAT(set("/nodes/0/stride"_json_pointer, 2), Catch::Contains("a: it does not make an image of that size"));
  CHECK_THAT(set("/nodes/1/groups"_json_pointer, 3), Catch::Contains("b: its groups do not divide its channels"));
  CHECK_THAT(set("/nodes/1/groups"_json_pointer, 1), Catch::Contains("b: its filter has another size"));
  CHECK_THAT(set("/nodes/2/inputs/1"_json_pointer, 3), Catch::Contains("a node reads tensor 3"));
  CHECK_THAT(set("/nodes/2/inputs"_json_pointer, {1}), Catch::Contains("c: it reads another number of tensors"));
  CHECK_THAT(set("/nodes/2/inputs/0"_json_pointer, 0), Catch::Contains("c: what it adds differs in size"));
  CHECK_THAT(set("/nodes/3/stride"_json_pointer, 9), Catch::Contains("d: its windows do not fit"));
  CHECK_THAT(set("/nodes/4/inputs"_json_pointer, {4}), Catch::Contains("e: what it joins differs in size"));
  CHECK_THAT(set("/nodes/5/operation"_json_pointer, "turn"), Catch::Contains("an operation that there is not"));
  CHECK_THAT(set("/tensors/1/shape/2"_json_pointer, 1 << 20), Catch::Contains("a has a side of 1048576"));
  CHECK_THAT(set("/tensors/1/top"_json_pointer, 300), Catch::Contains("'top' is 300"));
  CHECK_THAT(set("/head/input"_json_pointer, 3), Catch::Contains("head.k has another size"));
  CHECK_THAT(set("/head"_json_pointer, 3), Catch::Contains("'input' is missing"));
  const auto numbers = [&](const std::string& name, auto value) {
    return refused([&](json&, TensorFile& file) {
      for (HostTensor& tensor : file.tensors)
        if (tensor.name == name) std::memcpy(tensor.bytes.data(), &value, sizeof(value));
    });
  };
  CHECK_THAT(numbers("a.scale", -1.0F), Catch::Contains("a: a scale is not above 0"));
  CHECK_THAT(numbers("a.bias", std::int32_t{2147483647}), Catch::Contains("a: its sums do not fit 32 bits"));
  CHECK_THAT(numbers("units", 0.0F), Catch::Contains("the unit of images is 0"));
  CHECK_THAT(numbers("head.k", std::int32_t{40000}), Catch::Contains("head.k has numbers of more than 16 bits"));
  CHECK_THAT(numbers("head.offset", std::numeric_limits<float>::infinity()), Catch::Contains("a number of the head"));
}

}  // namespace bsq::test
