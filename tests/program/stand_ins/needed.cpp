// A library that another one needs, as bsq's CUDA library needs cuDNN. It is no plug-in of bsq.
extern "C" int bsq_stand_in_needed() {
  return 1;
}
