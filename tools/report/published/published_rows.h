// Results that others have published, to be shown beside runs: published_rows.csv, a line each. They were not measured
// here, and not under one protocol.
//
// Columns: network and data (see below); method, year; weight_bits and act_bits as published, 32 for float, empty if
// they are not known; ratio_published: the compression as its paper counts it; ratio_stored: by the bits that a file
// needs, signs, first and last layer counted, which alone compares; top1; float_top1: of the float model that it began
// with; evidence:
//   V1  table in the repository LAVA/LLT (CVPR 2022)          V2  README of APoT_Quantization
//   V3  training log in the repository DAMBQ (CVPR 2021)      V4  README of Binary-Neural-Networks (SLB, NeurIPS 2020)
//   VR  README or model zoo of the method's own repository, or of one that quotes it     VA  abstract of its paper
//   S   second hand            M   from memory, not looked up: nothing to claim against
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace bsq {

struct PublishedRow {
  std::string network;  // resnet20 (of CIFAR), resnet18, resnet50
  std::string data;     // cifar10, imagenet
  std::string method;
  std::string year;
  std::string weight_bits;
  std::string act_bits;
  std::optional<double> ratio_published;
  std::optional<double> ratio_stored;
  double top1 = 0;  // percent
  std::optional<double> float_top1;
  std::string evidence;
  std::string remark;

  /// Whether somebody has read it where its authors say it.
  bool is_checked() const { return evidence.starts_with('V'); }
  /// Stored bits per weight; nothing if only the paper's own count is known.
  std::optional<double> stored_bits() const;
};

/// The whole table, as the file has it.
const std::string& published_csv();
/// Those of one network, given as reports describe it (`resnet depth 20, width 16`), on one set of images.
std::vector<PublishedRow> published_rows(const std::string& network_words, const std::string& data);

}  // namespace bsq
