// The header of an exported network: what it is, and its three functions.
#include "tools/export/c/c_source.h"
#include "tools/export/c/c_text.h"

#include <fmt/format.h>

namespace bsq {
namespace {

std::string workspace_text(const CSource& source) {
  const CScratch& scratch = source.scratch;
  std::string text = fmt::format(R"(
/** Memory of one call, which may hold anything before and holds nothing of use after. Threads need one each. */
typedef struct {{
  uint8_t levels[{}]; /* of tensors; of those that are not needed at the same time, in the same place */
  union {{
    struct {{
      int16_t windows[{}];
      int16_t rows[{}];
      int32_t sums[{}];
    }} convolution;
)",
                                 source.memory.bytes, scratch.windows, scratch.rows, scratch.sums);
  if (scratch.has_additions)
    text += "    struct {\n      double first[256];\n      float second[256];\n    } addition;\n";
  return text + fmt::format("  }} scratch;\n  float logits[{}];\n}} {}_workspace;\n", source.network.head.classes(),
                            source.prefix);
}

std::string pixels_text(const CSource& source) {
  const LevelGrid& grid = source.network.tensors[0].grid;
  return fmt::format("A byte of a picture {} a level that stands for {} (level - {}).",
                     source.reads_bytes ? "is" : "is looked up as", grid.unit, grid.zero);
}

std::string bytes_text(const DeployedTensor& picture) {
  return picture.channels == 1 ? "gray bytes of" : "red, green and blue bytes of";
}

}  // namespace

std::string c_header(const CSource& source) {
  const DeployedTensor& picture = source.network.tensors[0];
  const std::string &prefix = source.prefix, upper = upper_case(prefix);
  const std::string guard = upper + "_H";
  std::string text = fmt::format("/* {}, a network that classifies pictures of {} x {} pixels.\n\n",
                                 c_comment(source.options.name), picture.height, picture.width);
  for (const std::string& fact : source.options.facts) text += "   " + c_comment(fact) + "\n";
  text += fmt::format(R"(
   {}
   Arithmetic: integers from there to the last sums. A level is rounded once, half to even, from a 32-bit sum times a
   float32 multiplier; sums of two tensors and logits are double, rounded to float32.
   Every level and every logit has the same bits with any compiler of C99 whose float and double are those of IEEE 754
   and which does not run under -ffast-math; {}_check says whether that is so.
   Needs no library, allocates nothing, and has no state: threads may share it. */
#ifndef {}
#define {}

{}

#ifdef __cplusplus
extern "C" {{
#endif

#define {}_HEIGHT {}
#define {}_WIDTH {}
#define {}_CHANNELS {}
#define {}_CLASSES {}
)",
                      pixels_text(source), prefix, guard, guard, "#include <stdint.h>", upper, picture.height, upper,
                      picture.width, upper, picture.channels, upper, source.network.head.classes());
  text += workspace_text(source);
  text += fmt::format("#define {}_WORKSPACE_BYTES sizeof({}_workspace)\n", upper, prefix);
  if (!source.options.class_names.empty())
    text += fmt::format("\n/** What the classes are called. */\nextern const char* const {}_class_names[{}_CLASSES];\n",
                        prefix, upper);
  return text + fmt::format(R"(
/** The class of a picture: {2} pixel after pixel, row after row. `logits`: gets a number per
    class; may be a null pointer. Of equal logits the first is the larger. */
int {1}_predict(const uint8_t* picture, {1}_workspace* workspace, float* logits);

/** Whether what a compiler made of this computes what it should: by checksums of all filters, and of every level and
    logit of {3} pictures that it makes itself. Returns 0, or the number of the first layer that is not right, as the
    source numbers them; the last number is that of the logits. */
int {1}_check({1}_workspace* workspace);

#ifdef __cplusplus
}}
#endif

#endif
)",
                            upper, prefix, bytes_text(picture), kCheckedPictures);
}

}  // namespace bsq
