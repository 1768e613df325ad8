// Data that is missing, damaged or not what it is said to be: exit 3, the file and the place in it, and no run
// directory.
#include "tests/support/pictures.h"
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

#include <cstdint>

using namespace bsq::test;

namespace {

constexpr std::size_t kCifarRecord = 1 + 3 * 1024;

/// A CIFAR-10 file without images: zeros, which the file system does not even store.
void put_cifar_file(const fs::path& file, std::size_t records = 10000) {
  put_text(file, "");
  fs::resize_file(file, records * kCifarRecord);
}

void put_cifar(const fs::path& folder) {
  for (int i = 1; i <= 5; ++i) put_cifar_file(folder / ("data_batch_" + std::to_string(i) + ".bin"));
  put_cifar_file(folder / "test_batch.bin");
}

/// Writes one byte into a file at `position`.
void set_byte(const fs::path& file, std::size_t position, char value) {
  std::string text = text_of(file);
  text.at(position) = value;
  put_text(file, text);
}

void check_data_error(const Workspace& here, const Words& data, const std::vector<std::string>& parts) {
  Words words = {"train", "tiny.yaml", "--run-dir", "run"};
  words.insert(words.end(), data.begin(), data.end());
  check_error(here, words, 3, parts);
  CHECK_FALSE(fs::exists(here / "run"));
}

const Words kFolder = {"data.kind=image_folder", "data.root=pictures", "data.batch_size=4", "stages=[pretrain]"};

}  // namespace

TEST_CASE("CIFAR-10 that is missing, short, mislabelled or another version") {
  const Workspace here;
  const Words cifar = {"data.kind=cifar10", "data.root=cifar"};
  check_data_error(here, cifar, {"data.root 'cifar': no such folder"});
  fs::create_directory(here / "cifar");
  check_data_error(here, cifar,
                   {"data.root 'cifar': data_batch_1.bin not found; expected the CIFAR-10 binary version (6 files, "
                    "30,730,000 bytes each) or cifar-10-batches-py/ of the Python version, see tools/get_cifar10.sh"});
  put_text(here / "cifar/cifar-10-batches-py/data_batch_1", "");
  check_data_error(
      here, cifar,
      {"data.root 'cifar/cifar-10-batches-py': data_batch_2 not found beside the other files of CIFAR-10 for "
       "Python"});
  for (const char* name : {"data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"})
    put_text(here / "cifar/cifar-10-batches-py" / name, "");
  check_data_error(here, cifar,
                   {"cifar/cifar-10-batches-py/data_batch_1: byte 0: it ends in the middle; the file is damaged"});
  put_cifar(here / "cifar/cifar-10-batches-bin");  // as the archive unpacks
  const fs::path batch = here / "cifar/cifar-10-batches-bin/data_batch_3.bin";
  const std::string shown = "cifar/cifar-10-batches-bin/data_batch_3.bin: ";
  fs::resize_file(batch, 10000 * kCifarRecord - 1);
  check_data_error(here, cifar,
                   {shown + "30,729,999 bytes, expected 30,730,000; truncated or not the CIFAR-10 binary"});
  fs::resize_file(batch, 10000 * kCifarRecord);
  set_byte(batch, 17 * kCifarRecord, 10);
  check_data_error(here, cifar, {shown + "record 17: label 10 outside 0..9"});
  fs::remove(batch);
  check_data_error(here, cifar, {"data_batch_3.bin not found"});
  check_data_error(here, {"data.kind=cifar100", "data.root=cifar"}, {"data.root 'cifar': train.bin not found"});
}

TEST_CASE("CIFAR-10 is read from the folder or from its parent") {
  const Workspace here;
  put_cifar(here / "cifar/cifar-10-batches-bin");
  for (const char* root : {"cifar", "cifar/cifar-10-batches-bin"}) {
    const Outcome outcome = here.run({"train", "tiny.yaml", "--dry-run", "data.kind=cifar10",
                                      std::string("data.root=") + root, "stages=[pretrain]", "data.test_per_class=1"});
    INFO(outcome.err);
    CHECK(outcome.exit_code == 3);  // all images are of class 0
    CHECK_THAT(outcome.err, Catch::Contains("class 'automobile' has 0 images, but 1 of each class are asked for"));
  }
}

TEST_CASE("a folder of pictures trains, evaluates and names its classes") {
  const Workspace here;
  put_pictures(here / "pictures");
  here.train("run", kFolder);
  CHECK_THAT(here.must({"inspect", "run"}).out, Catch::Contains("[\"cat\",\"dog\"]"));
  CHECK_THAT(here.must({"eval", "run"}).out, Catch::Contains(" of 4 images\n"));
}

TEST_CASE("a folder of pictures with too few classes, other classes, too few images or none") {
  const Workspace here;
  check_data_error(here, kFolder, {"data.root 'pictures': no such folder"});
  fs::create_directory(here / "pictures");
  check_data_error(here, kFolder, {"data.root 'pictures': no folder 'train'; expected train/<class>/*.{jpg,"});
  put_pictures(here / "pictures");
  fs::remove_all(here / "pictures/test");
  check_data_error(here, kFolder, {"no folder 'test' or 'val'"});
  fs::remove_all(here / "pictures/train/dog");
  check_data_error(here, kFolder, {"pictures/train: 1 class folder, at least two are needed; expected train/<class>/"});
  put_pictures(here / "pictures");
  Words limited = kFolder;
  limited.emplace_back("data.train_per_class=5");
  check_data_error(here, limited, {"pictures/train/cat: 4 images, but 5 of each class are asked for"});
  fs::rename(here / "pictures/test/dog", here / "pictures/test/cow");
  check_data_error(here, kFolder, {"pictures/test: class 'dog' of pictures/train is missing"});
  fs::rename(here / "pictures/test/cow", here / "pictures/test/dog");
  fs::create_directory(here / "pictures/train/eel");
  check_data_error(here, kFolder, {"pictures/train/eel: no *.{jpg,jpeg,png,webp,tif,tiff,bmp} files in this class"});
}

TEST_CASE("what a user should know of the pictures is said where they are used, and once") {
  const Workspace here;
  put_pictures(here / "pictures");
  put_text(here / "pictures/train/dog/notes.txt", "no picture");
  put_text(here / "pictures/test/cat/0.gif", "GIF89a");
  const Outcome train = here.train("run", kFolder);
  const std::string of_train = "pictures/train: 1 file passed over (1 .txt), such as pictures/train/dog/notes.txt";
  const std::string of_test = "pictures/test: 1 file passed over (1 .gif), such as pictures/test/cat/0.gif";
  CHECK_THAT(train.err, Catch::Contains(of_train) && Catch::Contains(of_test));
  CHECK_THAT(text_of(here / "run/train.log"), Catch::Contains(of_train));
  CHECK(train.err.find(of_train) == train.err.rfind(of_train));
  const Outcome eval = here.must({"eval", "run"});
  CHECK_THAT(eval.err, Catch::Contains(of_test) && !Catch::Contains(of_train));
}

TEST_CASE("classes of a model and of the data: another order is refused, other names are said, no names are welcome") {
  const Workspace here;
  put_pictures(here / "pictures");
  here.train("run", kFolder);
  const std::string model = "run/checkpoints/pretrain/model.safetensors";
  const auto words = [&](const char* command, const Words& more) {
    Words all = {command};
    all.insert(all.end(), more.begin(), more.end());
    all.insert(all.end(), kFolder.begin(), kFolder.end());
    return all;
  };
  const std::vector<Words> uses = {
      words("eval", {model}),
      words("export", {model, "--format", "onnx", "--output", "m.onnx", "--force"}),
      words("train", {"tiny.yaml", "--run-dir", "again", "--force", "model.init=" + model}),
  };
  for (const Words& use : uses) CHECK_THAT(here.must(use).err, !Catch::Contains("warning"));

  for (const char* split : {"train", "test"})
    fs::rename(here / "pictures" / split / "cat", here / "pictures" / split / "kitten");
  fs::remove_all(here / "m.onnx");
  fs::remove_all(here / "again");
  for (const Words& use : uses)
    check_error(here, use, 4,
                {model + ": class 0 of the data is 'dog', which is class 1 of the model: ", "(cat, dog)"});
  CHECK_FALSE(fs::exists(here / "m.onnx"));
  CHECK_FALSE(fs::exists(here / "again"));

  for (const char* split : {"train", "test"})
    fs::rename(here / "pictures" / split / "kitten", here / "pictures" / split / "bird");
  for (const Words& use : uses)
    CHECK_THAT(here.must(use).err,
               Catch::Contains(model + ": class 0 is 'cat' in the model and 'bird' in the data; if "));

  bsq::TensorFile silent = bsq::read_safetensors(here / model);
  silent.metadata.erase("class_names");
  bsq::write_safetensors(here / model, silent);
  for (const Words& use : uses) CHECK_THAT(here.must(use).err, !Catch::Contains("warning"));
}

TEST_CASE("a class whose name is no UTF-8 trains, and is shown in reports and models with a stand-in") {
  const Workspace here;
  put_pictures(here / "pictures");
  for (const char* split : {"train", "test"})
    fs::rename(here / "pictures" / split / "cat", here / "pictures" / split / "caf\xE9");
  here.train("run", kFolder);
  CHECK_THAT(here.must({"inspect", "run"}).out, Catch::Contains("[\"caf\\\\xE9\",\"dog\"]"));
  CHECK_THAT(here.must({"eval", "run"}).err, !Catch::Contains("class"));
}

TEST_CASE("a picture that is corrupt, huge, of another size or none at all") {
  const Workspace here;
  put_pictures(here / "pictures");
  const fs::path bad = here / "pictures/train/dog/2.png";
  const std::string shown = "pictures/train/dog/2.png: ", whole = text_of(bad);
  put_text(bad, whole.substr(0, whole.size() - 20));
  check_data_error(here, kFolder, {shown + "not a readable PNG: "});
  put_text(bad, "<html>404</html>");
  check_data_error(here, kFolder, {shown + "no JPEG, PNG", " file (16 bytes)"});
  put_text(bad, "");
  check_data_error(here, kFolder, {shown + "no JPEG, PNG", " file (0 bytes)"});
  put_text(bad, std::string("\xFF\xD8\xFF\xE0", 4) + std::string(100, '\0'));
  check_data_error(here, kFolder, {shown + "not a readable JPEG: "});
  put_png(bad, 0, 9);
  check_data_error(
      here, kFolder,
      {shown + "9x9 pixels, the first image has 8x8; all images must have one size, or set data.image_size"});
  std::string huge = whole;
  huge.replace(16, 8, std::string("\0\0\x7f\xff\0\0\x7f\xff", 8));  // width and height; the checksum is now wrong too
  put_text(bad, huge);
  check_data_error(here, kFolder, {shown});
  put_png(bad, 0, 8193, 2);
  check_data_error(here, kFolder, {shown + "8193x2 pixels; images up to 8192x8192 are read"});
  put_text(bad, "");
  fs::resize_file(bad, std::uintmax_t{1} << 32);  // sparse
  check_data_error(here, kFolder, {shown + "4,294,967,296 bytes; image files up to 536,870,912 bytes are read"});
}

TEST_CASE("a batch larger than the data, and data of other classes than the model") {
  const Workspace here;
  check_error(here, {"train", "tiny.yaml", "--run-dir", "run", "data.batch_size=49"}, 2,
              {"data.batch_size = 49: larger than the training set of 48 images; lower it"});
  CHECK_FALSE(fs::exists(here / "run"));
  here.train("float", {"stages=[pretrain]"});
  put_pictures(here / "pictures");
  Words words = {"train", "tiny.yaml", "--run-dir", "run", "model.init=float"};
  words.insert(words.end(), kFolder.begin(), kFolder.end());
  check_error(here, words, 4,
              {"float/checkpoints/epoch_0003/model.safetensors: was trained for 10 classes, the data has 2"});
  CHECK_FALSE(fs::exists(here / "run"));
  check_error(here, {"eval", "float", "data.kind=image_folder", "data.root=pictures"}, 4,
              {"was trained for 10 classes, the data has 2"});
}
