// A plug-in that needs a library which is not there.
extern "C" int bsq_stand_in_needed();

extern "C" const void* bsq_cuda_plugin() {
  return bsq_stand_in_needed() == 1 ? "never called" : nullptr;
}
