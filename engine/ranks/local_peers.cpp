#include "engine/ranks/local_peers.h"

#include "engine/ranks/ranks.h"

#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

namespace bsq {
namespace {

/// When a living process began, in the kernel's units. /proc/PID/stat: the second field, a name in parentheses, may
/// hold anything; the third is the state, the 22nd the time.
std::optional<std::uint64_t> birth_of(pid_t process) {
  std::ifstream stream("/proc/" + std::to_string(process) + "/stat");
  const std::string stat{std::istreambuf_iterator<char>(stream), {}};
  const std::size_t end = stat.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  std::istringstream fields(stat.substr(end + 1));
  std::string state;
  std::string skipped;
  std::uint64_t birth = 0;
  fields >> state;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  if (!(fields >> birth) || state == "Z" || state == "X") return std::nullopt;
  return birth;
}

/// The space in which process numbers are valid: one start of a kernel, one namespace. Empty if it is not known.
std::string process_space() {
  std::ifstream stream("/proc/sys/kernel/random/boot_id");
  std::string kernel;
  stream >> kernel;
  std::error_code unreadable;
  const std::string space = std::filesystem::read_symlink("/proc/self/ns/pid", unreadable).string();
  return kernel.empty() || unreadable ? "" : kernel + " " + space;
}

}  // namespace

bool Peer::is_alive() const {
  return birth_of(process) == birth;
}

Peer myself(int rank) {
  return {rank, ::getpid(), birth_of(::getpid()).value_or(0)};
}

std::vector<Peer> find_local_peers(Communicator& ranks) {
  struct Seat {
    std::array<char, 128> space{};
    Peer peer;
  };
  Seat own{.peer = myself(ranks.rank())};
  std::strncpy(own.space.data(), process_space().c_str(), own.space.size() - 1);
  std::vector<Peer> peers;
  for (const Seat& seat : gather(ranks, std::span<const Seat>(&own, 1)))
    if (seat.peer.rank != own.peer.rank && own.space[0] != '\0' && seat.space == own.space && seat.peer.is_alive())
      peers.push_back(seat.peer);
  return peers;
}

}  // namespace bsq
