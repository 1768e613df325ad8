// The other ranks on this machine, as processes, and which of them are gone.
//
// Found out by looking at /proc, not by communication: nothing can be asked of a process that has died, and whoever
// waits for it in a collective call waits without end.
#pragma once

#include "kernels/ranks/communicator.h"

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace bsq {

struct Peer {
  int rank = 0;
  pid_t process = 0;
  std::uint64_t birth = 0;  // when it began, which tells it from another process that gets its number later

  /// A process that has ended but has not been waited for is no longer alive.
  bool is_alive() const;
};

/// This process as a peer.
Peer myself(int rank);

/// The other ranks that this process can see: those of other machines, and of containers that hide theirs, are left
/// out. To be called by all ranks.
std::vector<Peer> find_local_peers(Communicator& ranks);

}  // namespace bsq
