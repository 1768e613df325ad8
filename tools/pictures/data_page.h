// What `bsq data` says, as a page with pictures.
#pragma once

#include "tools/pictures/seen_pictures.h"
#include "tools/report/report_page.h"

namespace bsq {

struct DataPageText {
  std::string title;                 // of the configuration
  std::vector<std::string> notices;  // what to know first
  Table classes;
  std::string survey;  // as the terminal shows it, but for the classes
};

/// Pictures first, then classes and numbers.
Page data_page(const DataPageText& text, const DataSplits& splits, const SeenPictures& pictures);

}  // namespace bsq
