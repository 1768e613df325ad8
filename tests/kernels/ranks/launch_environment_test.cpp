// Which variables make a process one of several.
#include "kernels/ranks/launch_environment.h"

#include "kernels/base/error.h"
#include "tests/support/catch.h"

#include <map>

namespace bsq::test {
namespace {

using Variables = std::map<std::string, std::string>;

std::optional<Launch> find_in(const Variables& variables) {
  return find_launch([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

}  // namespace

TEST_CASE("every launcher's variables say rank, number of ranks and rank on the machine") {
  const std::vector<Variables> launches = {
      {{"RANK", "5"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}},
      {{"PMI_RANK", "5"}, {"PMI_SIZE", "8"}, {"MPI_LOCALRANKID", "1"}},
      {{"SLURM_PROCID", "5"}, {"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_LOCALID", "1"}},
      {{"OMPI_COMM_WORLD_RANK", "5"}, {"OMPI_COMM_WORLD_SIZE", "8"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}},
  };
  for (const Variables& variables : launches) {
    const std::optional<Launch> launch = find_in(variables);
    INFO(variables.begin()->first);
    REQUIRE(launch);
    CHECK(launch->place.rank == 5);
    CHECK(launch->place.world == 8);
    CHECK(launch->place.local_rank == 1);
    CHECK(variables.at(launch->world_variable) == "8");
  }
}

TEST_CASE("a process started by hand, in a batch script of Slurm too, is alone") {
  CHECK_FALSE(find_in({}));
  CHECK_FALSE(find_in({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "0"}}));
  CHECK_FALSE(find_in({{"RANK", "3"}}));
  CHECK_FALSE(find_in({{"WORLD_SIZE", "3"}, {"LOCAL_RANK", "0"}}));
}

TEST_CASE("the first launcher whose variables are complete decides") {
  const std::optional<Launch> launch = find_in({{"RANK", "1"},
                                                {"PMI_RANK", "2"},
                                                {"PMI_SIZE", "4"},
                                                {"OMPI_COMM_WORLD_RANK", "3"},
                                                {"OMPI_COMM_WORLD_SIZE", "5"}});
  REQUIRE(launch);
  CHECK(launch->place.rank == 2);
  CHECK(launch->place.world == 4);
}

TEST_CASE("variables that make no sense are an error that names them") {
  const auto message = [](const Variables& variables) -> std::string {
    try {
      find_in(variables);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::device);
      return error.what();
    }
    return "no error";
  };
  CHECK_THAT(message({{"RANK", "one"}, {"WORLD_SIZE", "2"}}), Catch::StartsWith("RANK = 'one': "));
  CHECK_THAT(message({{"RANK", "0"}, {"WORLD_SIZE", "0"}}), Catch::StartsWith("WORLD_SIZE = '0': "));
  CHECK_THAT(message({{"RANK", "0"}, {"WORLD_SIZE", "2x"}}), Catch::StartsWith("WORLD_SIZE = '2x': "));
  CHECK_THAT(message({{"RANK", "-1"}, {"WORLD_SIZE", "2"}}), Catch::StartsWith("RANK = '-1': "));
  CHECK_THAT(message({{"RANK", "2"}, {"WORLD_SIZE", "2"}}), Catch::Contains("RANK = 2, WORLD_SIZE = 2"));
}

}  // namespace bsq::test
