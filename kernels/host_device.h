// What the host and a kernel both call is marked with this.
#pragma once

#if defined(__CUDACC__)
#define BSQ_HOST_DEVICE __host__ __device__
#else
#define BSQ_HOST_DEVICE
#endif
