// usage: bsq_cuda_on_host_mistakes NAME wrong|right
#include "tests/cuda_on_host/mistakes/mistakes.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

int main(int argc, char** argv) {
  std::signal(SIGABRT, [](int) { std::_Exit(134); });  // ctest takes a signal for a crash, whatever was printed before
  if (argc != 3) return std::fputs("usage: bsq_cuda_on_host_mistakes NAME wrong|right\n", stderr), 2;
  for (const auto& mistakes : {bsq::test::execution_mistakes(), bsq::test::ordering_mistakes(),
                               bsq::test::last_block_mistakes(), bsq::test::memory_mistakes()}) {
    for (const bsq::test::Mistake& mistake : mistakes) {
      if (mistake.name != argv[1]) continue;
      std::string_view(argv[2]) == "wrong" ? mistake.wrong() : mistake.right();
      return 0;
    }
  }
  return std::fprintf(stderr, "no mistake is named '%s'\n", argv[1]), 2;
}
