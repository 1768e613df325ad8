#!/usr/bin/env bash
# What `nvcc -Xptxas=-v` has said, as a table: one line a kernel and architecture. usage: kernel_resources.sh FILE...
cat "$@" | c++filt | awk '
  function bytes_of(what) { return match($0, "[0-9]+ bytes " what) ? substr($0, RSTART) + 0 : 0 }
  /Compiling entry function/ {
    split($0, quoted, "\047")  # in single quotes: the kernel, the architecture
    kernel = quoted[2]
    gsub(/\(anonymous namespace\)::|bsq::cuda::|^void /, "", kernel)
    sub(/\(.*/, "", kernel)
    architecture = quoted[4]
  }
  /bytes stack frame/ {
    stack = bytes_of("stack frame")
    spills = bytes_of("spill stores") + bytes_of("spill loads")
  }
  /Used [0-9]+ registers/ {
    match($0, /Used [0-9]+/)
    registers = substr($0, RSTART + 5, RLENGTH - 5)
    lines[++count] = sprintf("%s|%s|%d|%d|%d|%d", kernel, architecture, registers, bytes_of("smem"), stack, spills)
    if (length(kernel) > width) width = length(kernel)
  }
  END {
    format = "%-" width "s  %-6s %9s %13s %11s %11s\n"
    printf format, "kernel", "arch", "registers", "static shared", "stack bytes", "spill bytes"
    for (i = 1; i <= count; ++i) {
      split(lines[i], field, "|")
      printf format, field[1], field[2], field[3], field[4], field[5], field[6]
    }
  }'
