// Lists of pictures that somebody has damaged or made up: none of them counts, and the set is what it is.
#include "data/listing_cache.h"
#include "kernels/base/hash.h"
#include "tests/data/images_on_disk.h"
#include "tests/data/kept_lists.h"
#include "tests/support/catch.h"

#include <sys/stat.h>

#include <fmt/format.h>

#include <cstring>
#include <limits>
#include <span>
#include <utility>
#include <vector>

using namespace bsq;
using namespace bsq::test;

namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();

void write_with_hash(const fs::path& list, std::span<const std::uint8_t> content) {
  const std::uint64_t hash = mix_bytes(mix_word(kEmptyHash, content.size()), std::as_bytes(content));
  std::vector<std::uint8_t> bytes(sizeof(hash));
  std::memcpy(bytes.data(), &hash, sizeof(hash));
  bytes.insert(bytes.end(), content.begin(), content.end());
  write_bytes(list, bytes);
}

std::string names(const std::vector<std::string>& all) {
  return joined_names(all);
}

}  // namespace

TEST_CASE("a file of lists that is damaged, or no such file, counts as none") {
  const TemporaryFolder root;
  const fs::path set = root / "set", lists = root / "lists";
  write_folders(set);
  grow_old();
  const std::vector<Listed> plain = listed(open_folders(set, lists));
  const fs::path list = list_of(lists);
  const std::vector<std::uint8_t> whole = read_bytes(list);
  const auto check_plain = [&] {
    CHECK(listed(open_folders(set, lists)) == plain);
    CHECK(read_bytes(list) == whole);
  };
  const std::span<const std::uint8_t> content = std::span(whole).subspan(8);
  for (std::size_t length = 0; length < content.size(); length += 1 + content.size() / 20) {
    write_bytes(list, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
    check_plain();
    write_with_hash(list, content.first(length));
    check_plain();
  }
  for (std::size_t place = 0; place < whole.size(); place += 23) {
    std::vector<std::uint8_t> bent = whole;
    bent[place] ^= 4;
    write_bytes(list, bent);
    check_plain();
  }
  for (std::size_t place = 0; place < content.size(); place += 5) {
    std::vector<std::uint8_t> bent(content.begin(), content.end());
    bent[place] ^= 0x84;
    write_with_hash(list, bent);
    CHECK_NOTHROW(listed(open_folders(set, lists)));
  }
  write_with_hash(list, std::vector<std::uint8_t>(1 << 20, 0x91));  // MessagePack of a list in a list in a list
  check_plain();
  std::vector<std::uint8_t> twice(content.begin(), content.end());
  const std::size_t title = 8 + content[0];
  twice.insert(twice.end(), content.begin() + static_cast<std::ptrdiff_t>(title), content.end());
  write_with_hash(list, twice);
  check_plain();

  fs::remove(list);
  REQUIRE(::mkfifo(list.c_str(), 0600) == 0);  // which would be waited for
  check_plain();
  fs::resize_file(list, std::uintmax_t{1} << 40);
  check_plain();
  fs::copy_file(list_of(lists, "test"), list, fs::copy_options::overwrite_existing);
  check_plain();
}

TEST_CASE("a list of a folder that cannot be so counts as none") {
  const TemporaryFolder root;
  const fs::path set = root / "set", lists = root / "lists", train = root / "set/train";
  write_folders(set);
  grow_old();
  const std::vector<Listed> plain = listed(open_folders(set, lists));
  const std::vector<std::uint8_t> whole = read_bytes(list_of(lists));
  const std::string both = names({"0.png", "1.png"});
  const std::vector<std::pair<const char*, KeptList>> of_class = {
      {"nothing", {}},
      {"one text", {{both}, {75, 75}}},
      {"three texts", {{"", both, ""}, {75, 75}}},
      {"no end of a name", {{"", "0.png"}, {75}}},
      {"no name", {{"", names({"", "1.png"})}, {75, 75}}},
      {"hidden", {{"", names({".0.png"})}, {75}}},
      {"the folder above", {{names({".."}), both}, {75, 75}}},
      {"a path", {{"", names({"../dog/0.png"})}, {75}}},
      {"a path within", {{"", names({"x/../../dog/0.png"})}, {75}}},
      {"an absolute path", {{"", names({"/etc/0.png"})}, {75}}},
      {"not sorted", {{"", names({"1.png", "0.png"})}, {75, 75}}},
      {"twice", {{"", names({"0.png", "0.png"})}, {75, 75}}},
      {"a folder twice", {{names({"a", "a"}), both}, {75, 75}}},
      {"a file and a folder", {{names({"0.png"}), both}, {75, 75}}},
      {"too few lengths", {{"", both}, {75}}},
      {"too many lengths", {{"", both}, {75, 75, 75}}},
      {"less than nothing", {{"", both}, {75, -2}}},
      {"a folder that is not there", {{names({"deep"}), both}, {75, 75}}},
      {"no pictures", {{"", ""}, {}}},
      {"other files", {{"", names({"0.txt"})}, {75}}},
      {"files that are not there", {{"", names({"7.png"})}, {75}}},
  };
  for (const auto& [what, list] : of_class) {
    INFO(what);
    forge(lists, "image_folder", train, train / "cat", list);
    forge(lists, "image_folder", train, train / "dog", list);
    CHECK(listed(open_folders(set, lists)) == plain);
    CHECK(read_bytes(list_of(lists)) == whole);
  }
  const std::vector<std::pair<const char*, KeptList>> of_split = {
      {"one class", {{names({"cat"}), ""}, {}}},
      {"no class", {{"", ""}, {}}},
      {"a class that the other split has not", {{names({"cat", "cow", "dog"}), ""}, {}}},
      {"another class", {{names({"cat", "cow"}), ""}, {}}},
      {"classes elsewhere", {{names({"../test/cat", "../test/dog"}), ""}, {}}},
  };
  for (const auto& [what, list] : of_split) {
    INFO(what);
    forge(lists, "image_folder", train, train, list);
    CHECK(listed(open_folders(set, lists)) == plain);
    CHECK(read_bytes(list_of(lists)) == whole);
  }
}

TEST_CASE("a list of an archive that cannot be so counts as none") {
  const TemporaryFolder root;
  const fs::path set = root / "set", lists = root / "lists", train = root / "set/train", archive = train / "0.tar";
  write_archives(set);
  grow_old();
  const std::vector<Listed> plain = listed(open_archives(set, lists));
  const std::vector<std::uint8_t> whole = read_bytes(list_of(lists));
  ListingCache cache(lists, "webdataset", train);
  const KeptList* kept = cache.find(archive);
  REQUIRE(kept != nullptr);
  const KeptList good = *kept;
  REQUIRE(good.texts == std::vector<std::string>{names({"a.png", "b.png"}), names({"cat", "dog"}), names({".txt"})});
  const std::vector<std::int64_t>& n = good.numbers;  // offset and length of each, then how many .txt
  REQUIRE(n.size() == 5);

  std::vector<std::pair<std::string, KeptList>> unsound = {{"nothing", {}}};
  const auto with_texts = [&](const std::vector<std::string>& texts) { unsound.push_back({texts[0], {texts, n}}); };
  with_texts({good.texts[0], good.texts[1]});
  with_texts({"a.png", good.texts[1], good.texts[2]});
  with_texts({names({"a.png"}), good.texts[1], good.texts[2]});
  with_texts({names({"a.png", ".b.png"}), good.texts[1], good.texts[2]});
  with_texts({names({"a.png", ""}), good.texts[1], good.texts[2]});
  with_texts({names({"a.png", "b"}), good.texts[1], good.texts[2]});
  with_texts({names({"a.png", "b.txt"}), good.texts[1], good.texts[2]});
  with_texts({names({"a.png", "b.mask.png"}), good.texts[1], good.texts[2]});
  with_texts({good.texts[0], names({"cat"}), good.texts[2]});
  with_texts({good.texts[0], names({"cat", ""}), good.texts[2]});
  with_texts({good.texts[0], names({"cat", "cow"}), good.texts[2]});  // which the test set has not
  with_texts({good.texts[0], names({"1000000", "0"}), good.texts[2]});
  with_texts({good.texts[0], good.texts[1], ""});
  with_texts({good.texts[0], good.texts[1], names({".txt", ".txt"})});
  const auto with_numbers = [&](std::vector<std::int64_t> numbers) {
    unsound.push_back({fmt::format("{}", numbers[0]), {good.texts, std::move(numbers)}});
  };
  for (const std::int64_t wrong :
       {kLeast, std::int64_t{-512}, std::int64_t{0}, n[0] + 1, n[2], n[2] + 512, kMost - 511})
    with_numbers({wrong, n[1], n[2], n[3], n[4]});
  for (const std::int64_t wrong : {kLeast, std::int64_t{-1}, n[2] - n[0], std::int64_t{1} << 29, kMost})
    with_numbers({n[0], wrong, n[2], n[3], n[4]});
  for (const std::int64_t wrong : {kLeast, std::int64_t{-1}, std::int64_t{0}, std::int64_t{1} << 31, kMost})
    with_numbers({n[0], n[1], n[2], n[3], wrong});
  unsound.push_back({"an ending twice",
                     {{good.texts[0], good.texts[1], names({".txt", ".txt"})}, {n[0], n[1], n[2], n[3], n[4], 1}}});
  with_numbers({n[0], n[1], n[2], kMost, n[4]});
  with_numbers({n[0], n[1], n[2], n[3]});
  with_numbers({n[0], n[1], n[2], n[3], n[4], 1});
  for (const auto& [what, list] : unsound) {
    INFO(what);
    forge(lists, "webdataset", train, archive, list);
    CHECK(listed(open_archives(set, lists)) == plain);
    CHECK(read_bytes(list_of(lists)) == whole);
  }
}
