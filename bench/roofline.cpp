// What a training step must cost at least on a GPU, on paper: prints the tables of bench/ROOFLINE.md. Needs no device.
//
//   roofline           every table
//   roofline FILE.md   writes them into FILE.md, between the marks that are there; what was measured stays
#include "bench/roofline_tables.h"
#include "kernels/base/error.h"

#include <fstream>
#include <iostream>
#include <sstream>

namespace bsq::bench {
namespace {

void rewrite(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) fail(ErrorKind::usage, "{}: cannot be read", path);
  const std::string result = with_tables(text.str(), roofline_tables());
  std::ofstream out(path);
  out << result;
  if (!out.flush()) fail(ErrorKind::usage, "{}: cannot be written", path);
}

void run(int argc, char** argv) {
  if (argc > 2) fail(ErrorKind::usage, "usage: roofline [FILE.md]");
  if (argc == 2) return rewrite(argv[1]);
  for (const Table& table : roofline_tables()) std::cout << table.name << "\n\n" << table.markdown() << '\n';
}

}  // namespace
}  // namespace bsq::bench

int main(int argc, char** argv) {
  try {
    bsq::bench::run(argc, argv);
    return 0;
  } catch (const bsq::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return error.exit_code();
  }
}
