// The edit distance, and what is suggested for a mistyped word.
#include "engine/base/suggest.h"
#include "tests/support/catch.h"

#include <string>
#include <vector>

using namespace bsq;

TEST_CASE("edit distance counts inserted, deleted, replaced and swapped letters") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("train", "train") == 0);
  CHECK(edit_distance("train", "Train") == 0);  // letter case is ignored
  CHECK(edit_distance("train", "trin") == 1);
  CHECK(edit_distance("trin", "train") == 1);
  CHECK(edit_distance("train", "brain") == 1);
  CHECK(edit_distance("trian", "train") == 1);  // a swap is one
  CHECK(edit_distance("rtian", "train") == 2);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("ca", "abc") == 3);  // optimal string alignment: 2 would edit between swapped letters
}

TEST_CASE("the nearest word is suggested only where it is near") {
  const std::vector<std::string> commands = {"train", "eval", "report", "validate"};
  CHECK(did_you_mean("trian", commands) == "; did you mean 'train'?");
  CHECK(did_you_mean("validat", commands) == "; did you mean 'validate'?");
  CHECK(did_you_mean("EVAL", commands) == "; did you mean 'eval'?");
  CHECK(did_you_mean("convert", commands) == "");
  CHECK(did_you_mean("", commands) == "");
  CHECK(nearest_word("trian", {}) == "");
}
