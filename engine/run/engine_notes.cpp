#include "engine/run/engine_notes.h"

#include "kernels/planned_passes.h"

namespace bsq {

namespace {

/// "1.5 MiB", "288.0 KiB", "64 bytes".
std::string size_text(std::size_t size_bytes) {
  constexpr double kib = 1024;
  const auto size = static_cast<double>(size_bytes);
  if (size < kib) return fmt::format("{} bytes", size_bytes);
  return size < kib * kib ? fmt::format("{:.1f} KiB", size / kib) : fmt::format("{:.1f} MiB", size / kib / kib);
}

}  // namespace

std::string engine_text(const EngineNote& note) {
  std::string details;
  const auto add = [&](const std::string& detail) {
    if (!detail.empty()) details += (details.empty() ? "" : "; ") + detail;
  };
  add(note.found_by);
  add(note.numerics);
  add(note.behavior);
  if (note.widens_operands) add("operands widened to float32");
  if (note.workspace_bytes > 0) add(size_text(note.workspace_bytes) + " of workspace");
  return fmt::format("convolution {}: {} by {}{}", describe(note.geometry), name_of(note.pass), note.engine,
                     details.empty() ? "" : " (" + details + ")");
}

nlohmann::ordered_json to_json(const std::vector<EngineNote>& engines) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const EngineNote& note : engines) {
    const ConvGeometry& g = note.geometry;
    list.push_back({{"convolution", {g.batch, g.height, g.width, g.in_channels, g.out_channels}},
                    {"kernel", g.kernel},
                    {"stride", g.stride},
                    {"padding", g.padding},
                    {"groups", g.groups},
                    {"dtype", name_of(g.dtype)},
                    {"pass", name_of(note.pass)},
                    {"engine", note.engine},
                    {"found_by", note.found_by},
                    {"numerics", note.numerics},
                    {"behavior", note.behavior},
                    {"workspace_bytes", note.workspace_bytes},
                    {"widens_operands", note.widens_operands}});
  }
  return list;
}

bool EngineTeller::tell(const Backend& backend, Console& console) {
  const std::vector<std::string> notes = backend.notes();
  for (; notes_told_ < notes.size(); ++notes_told_) console.warning(notes[notes_told_]);
  const std::vector<EngineNote> engines = backend.engines();
  const bool has_new = engines_told_ < engines.size();
  for (; engines_told_ < engines.size(); ++engines_told_) console.detail(engine_text(engines[engines_told_]));
  return has_new;
}

}  // namespace bsq
