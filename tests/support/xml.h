// A strict reader of the XML that the charts write: whatever it does not know is a fault. HTML pages are not XML; the
// figures in them are.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bsq::test {

struct XmlElement {
  std::string name;
  std::map<std::string, std::string> attributes;
  std::string text;    // directly in it
  std::string parent;  // its name
};

class XmlReader {
 public:
  /// All elements of a document in order; throws std::runtime_error if it is not well-formed.
  static std::vector<XmlElement> read(std::string_view text) {
    XmlReader reader(text);
    reader.skip_space();
    if (reader.rest().starts_with("<?xml")) reader.at_ = reader.find("?>") + 2;
    reader.skip_space();
    reader.element("");
    reader.skip_space();
    if (!reader.rest().empty()) reader.fail("something after the end");
    return reader.elements_;
  }

 private:
  explicit XmlReader(std::string_view text) : text_(text) {}

  std::string_view rest() const { return text_.substr(at_); }
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(what + " at: " + std::string(rest().substr(0, 60)));
  }
  std::size_t find(std::string_view what) const {
    const std::size_t place = text_.find(what, at_);
    if (place == std::string_view::npos) fail("no " + std::string(what));
    return place;
  }
  void skip_space() {
    while (!rest().empty() && std::string_view(" \n\t").find(rest()[0]) != std::string_view::npos) ++at_;
  }
  void expect(std::string_view what) {
    if (!rest().starts_with(what)) fail("expected " + std::string(what));
    at_ += what.size();
  }
  std::string name() {
    const std::size_t begin = at_;
    while (!rest().empty() && std::string_view(" \n\t/>=<\"'&").find(rest()[0]) == std::string_view::npos) ++at_;
    if (at_ == begin) fail("expected a name");
    return std::string(text_.substr(begin, at_ - begin));
  }
  /// Reads text up to one of `ends`, with entities resolved.
  std::string characters(std::string_view ends) {
    std::string result;
    while (!rest().empty() && ends.find(rest()[0]) == std::string_view::npos) {
      const auto c = static_cast<unsigned char>(rest()[0]);
      if (c == '<') fail("a bare <");
      if (c < 0x20 && c != '\n' && c != '\t') fail("a control character");
      if (c != '&') {
        result += rest()[0];
        ++at_;
        continue;
      }
      const std::size_t end = find(";");
      const std::string entity(text_.substr(at_ + 1, end - at_ - 1));
      static const std::map<std::string, std::string> known = {
          {"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"#39", "'"}};
      if (!known.contains(entity)) fail("unknown entity");
      result += known.at(entity);
      at_ = end + 1;
    }
    return result;
  }
  void element(const std::string& parent) {
    expect("<");
    const std::size_t index = elements_.size();
    elements_.push_back({name(), {}, "", parent});
    const std::string own = elements_[index].name;
    for (skip_space(); !rest().starts_with(">") && !rest().starts_with("/>"); skip_space()) {
      const std::string key = name();
      expect("=\"");
      if (!elements_[index].attributes.emplace(key, characters("\"")).second) fail("attribute twice: " + key);
      expect("\"");
    }
    if (rest().starts_with("/>")) {
      at_ += 2;
      return;
    }
    expect(">");
    for (;;) {
      elements_[index].text += characters("<");
      if (rest().starts_with("</")) break;
      element(own);
    }
    expect("</" + own + ">");
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<XmlElement> elements_;
};

/// The elements of one name.
inline std::vector<XmlElement> elements_named(const std::vector<XmlElement>& all, std::string_view name) {
  std::vector<XmlElement> found;
  for (const XmlElement& element : all)
    if (element.name == name) found.push_back(element);
  return found;
}

}  // namespace bsq::test
