# cmake -DSOURCE=<tree> -DOUTPUT=<file> -P: writes the commit of the tree as `bsq::kCommit` (empty where there is no git),
# and leaves the file alone where it says so already.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
namespace bsq {
extern const char* const kCommit;
const char* const kCommit = "@commit@";
}  // namespace bsq
]])
