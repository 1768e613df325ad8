// Whether other processes live, by processes that do and do not.
#include "engine/ranks/local_peers.h"

#include "tests/support/catch.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace bsq::test {

TEST_CASE("a process is alive until it is killed, not until somebody has waited for it") {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const Peer self = myself(3);
    const ssize_t written = ::write(pipe[1], &self, sizeof(self));
    while (written == sizeof(self)) ::pause();
    ::_exit(1);
  }
  Peer peer;
  const bool is_told = ::read(pipe[0], &peer, sizeof(peer)) == sizeof(peer);
  for (const int end : pipe) ::close(end);
  const bool was_alive = peer.is_alive();
  Peer later = peer;
  ++later.birth;
  const bool was_another = !later.is_alive();
  REQUIRE(::kill(child, SIGKILL) == 0);
  siginfo_t ended{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) == 0);
  const bool is_gone = !peer.is_alive();
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  REQUIRE(is_told);
  CHECK(peer.rank == 3);
  CHECK(peer.process == child);
  CHECK(was_alive);
  CHECK(was_another);
  CHECK(is_gone);
  CHECK_FALSE(peer.is_alive());
}

TEST_CASE("a process by itself has no peers, and lives") {
  const auto alone = make_single_process();
  CHECK(find_local_peers(*alone).empty());
  CHECK(myself(0).is_alive());
}

}  // namespace bsq::test
