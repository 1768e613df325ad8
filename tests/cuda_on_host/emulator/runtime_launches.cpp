// Of the runtime's stand-in: the names of kernels, from the symbol tables of the program, and how often each has run.
#include "tests/cuda_on_host/emulator/launches.h"
#include "tests/cuda_on_host/emulator/runtime.h"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace bsq::cuda_on_host {
namespace {

// ---- names ----------------------------------------------------------------------------------------------------------

using Names = std::map<std::uintptr_t, std::string>;  // mangled, by address

template <typename T>
std::vector<T> read_array(std::ifstream& file, std::uint64_t offset, std::uint64_t size_bytes) {
  std::vector<T> values(size_bytes / sizeof(T));
  file.seekg(static_cast<std::streamoff>(offset));
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  if (!file) values.clear();
  return values;
}

/// Of all functions of a loaded file, those of anonymous namespaces too, which the dynamic linker does not know.
Names names_of(const std::string& path, std::uintptr_t loaded_at) {
  Names names;
  std::ifstream file(path, std::ios::binary);
  const auto headers = read_array<ElfW(Ehdr)>(file, 0, sizeof(ElfW(Ehdr)));
  if (headers.empty()) return names;
  const auto sections =
      read_array<ElfW(Shdr)>(file, headers[0].e_shoff, std::uint64_t{headers[0].e_shnum} * sizeof(ElfW(Shdr)));
  for (const ElfW(Shdr) & section : sections) {
    if (section.sh_type != SHT_SYMTAB) continue;
    const ElfW(Shdr)& strings = sections.at(section.sh_link);
    const auto text = read_array<char>(file, strings.sh_offset, strings.sh_size);
    for (const ElfW(Sym) & symbol : read_array<ElfW(Sym)>(file, section.sh_offset, section.sh_size))
      if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_UNDEF)
        names[loaded_at + symbol.st_value] = &text.at(symbol.st_name);
  }
  return names;
}

/// Where `address` belongs: the path of the file, and where it is loaded.
struct LoadedFile {
  std::uintptr_t address = 0;
  std::string path = {};
  std::uintptr_t loaded_at = 0;
};
int find_loaded_file(dl_phdr_info* info, std::size_t /*size_bytes*/, void* wanted) {
  auto& found = *static_cast<LoadedFile*>(wanted);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || found.address - info->dlpi_addr - segment.p_vaddr >= segment.p_memsz) continue;
    const bool is_program = info->dlpi_name == nullptr || *info->dlpi_name == '\0';
    found.path = is_program ? "/proc/self/exe" : info->dlpi_name;
    found.loaded_at = info->dlpi_addr;
    return 1;
  }
  return 0;
}

/// Null where there is none.
const char* mangled_name_of(const void* function) {
  static std::mutex mutex;
  static std::map<std::string, Names> by_file;
  LoadedFile file{.address = reinterpret_cast<std::uintptr_t>(function)};
  if (dl_iterate_phdr(find_loaded_file, &file) == 0) return nullptr;
  const std::lock_guard lock(mutex);
  const auto [names, is_new] = by_file.try_emplace(file.path);
  if (is_new) names->second = names_of(file.path, file.loaded_at);
  const auto found = names->second.find(file.address);
  return found == names->second.end() ? nullptr : found->second.c_str();
}

/// Without the type of the result, the parameters and the namespaces of the function itself.
std::string short_name_of(std::string name) {
  const std::string anonymous = "(anonymous namespace)::";
  for (std::size_t at = name.find(anonymous); at != std::string::npos; at = name.find(anonymous))
    name.erase(at, anonymous.size());
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (depth > 0) continue;
    if (name[i] == ' ' || name[i] == ':') begin = i + 1;
    if (name[i] == '(') return name.substr(begin, i - begin);
  }
  return name.substr(begin);
}

// ---- counts ---------------------------------------------------------------------------------------------------------

struct Counts {
  std::mutex mutex;
  std::vector<LaunchCount> list;
};
Counts& counts() {
  static Counts the_counts;
  return the_counts;
}
thread_local bool nodes_run = false;

void count(const char* call, const void* kernel) {
  Counts& all = counts();
  const std::lock_guard lock(all.mutex);
  auto found = std::find_if(all.list.begin(), all.list.end(), [&](const LaunchCount& other) {
    return other.kernel == kernel && (kernel != nullptr || other.name == call);
  });
  if (found == all.list.end()) found = all.list.insert(found, {.name = call, .kernel = kernel});
  ++(nodes_run ? found->in_graphs : found->by_themselves);
}

}  // namespace

std::string name_of_kernel(const void* kernel) {
  const char* mangled = mangled_name_of(kernel);
  if (mangled == nullptr) return "a kernel without a name";
  int failed = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(mangled, nullptr, nullptr, &failed),
                                                        std::free);
  return failed == 0 ? short_name_of(readable.get()) : mangled;
}

std::vector<LaunchCount> launch_counts() {
  const std::lock_guard lock(counts().mutex);
  for (LaunchCount& count : counts().list)
    if (count.kernel != nullptr && count.name.empty()) count.name = name_of_kernel(count.kernel);
  return counts().list;
}

void reset_launch_counts() {
  const std::lock_guard lock(counts().mutex);
  counts().list.clear();
}

void count_launch(const void* kernel) {
  count("", kernel);  // its name takes long to find, and few ask for it
}
void count_call(const char* call) {
  count(call, nullptr);
}

NodesRun::NodesRun() {
  nodes_run = true;
}
NodesRun::~NodesRun() {
  nodes_run = false;
}

}  // namespace bsq::cuda_on_host

using namespace bsq::cuda_on_host;

extern "C" cudaError_t cudaFuncGetName(const char** name, const void* function) {
  *name = mangled_name_of(function);
  return *name != nullptr ? cudaSuccess : remember(cudaErrorInvalidDeviceFunction);
}
