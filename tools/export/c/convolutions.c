/* Functions of exported networks: numbers, filters, convolutions. This file is text to bsq, which copies the sections
   that a network needs, each from its line `[name]` to the next, and gives its workspace the network's name. */
/* [numbers] */

#if defined(__FAST_MATH__) || defined(_M_FP_FAST)
#error "compile without -ffast-math: it takes the rounding away"
#endif

/* An image [height, width, channels] of levels, of which each stands for unit (level - zero), 0 <= level <= top. */
struct image {
  int height, width, channels;
  int zero, top;
};

/* A checksum that any one changed value changes. */
static uint32_t mixed(uint32_t sum, uint32_t value) { return (sum ^ value) * 16777619u; }

static uint32_t checksum(const uint8_t* levels, size_t count) {
  uint32_t sum = 2166136261u;
  size_t i;
  for (i = 0; i < count; ++i) sum = mixed(sum, levels[i]);
  return sum;
}

static uint32_t bits_of(float number) {
  union {
    float number;
    uint32_t bits;
  } both;
  both.number = number;
  return both.bits;
}
/* [levels] */

/* Where a processor computes floats with more than 32 bits (x87), the way through memory rounds them. */
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
static float f32(float number) {
  volatile float rounded = number;
  return rounded;
}
#else
#define f32(number) (number)
#endif

/* zero + rint(number), within 0 .. top. Half goes to even: 1.5 2^23 is so large that a float32 beside it has no
   fraction, and the addition rounds that away in the way that float32 rounds. No multiplication stands before the
   addition, so that no compiler can make one instruction of both, which would round once instead of twice. */
static uint8_t level_of(float number, int zero, int top) {
  const float no_fraction = 12582912.0f;
  const float low = (float)-zero, high = (float)(top - zero);
  const float above = number < low ? low : number;
  const float within = high < above ? high : above;
  const float sum = f32(within + no_fraction);
  return (uint8_t)((int)f32(sum - no_fraction) + zero);
}
/* [filter of speed] */

/* Integers of a filter, row after row. A row is filled up with zeros from `count` to `length` numbers. */
struct filter {
  int rows, count, length;
  const int16_t* k;
};

enum { ROWS_AT_ONCE = 0x7fffffff };

static const int16_t* rows_of(const struct filter* f, int first, int rows, int16_t* space) {
  (void)rows, (void)space;
  return f->k + (size_t)first * (size_t)f->length;
}

static uint32_t checksum_of(const struct filter* f) {
  const size_t count = (size_t)f->rows * (size_t)f->length;
  uint32_t sum = 2166136261u;
  size_t i;
  for (i = 0; i < count; ++i) sum = mixed(sum, (uint16_t)f->k[i]);
  return sum;
}
/* [filter of size] */

/* Integers of a filter, row after row, each in `width` bits as two's complement, the lowest bits of a word first.
   Unpacked, a row is filled up with zeros from `count` to `length` numbers. */
struct filter {
  int rows, count, length;
  int width;
  const uint32_t* words;
};

enum { ROWS_AT_ONCE = 8 }; /* are unpacked: windows are laid out once for so many output channels */

static const int16_t* rows_of(const struct filter* f, int first, int rows, int16_t* space) {
  const unsigned width = (unsigned)f->width;
  const uint32_t sign = width > 0 ? (uint32_t)1 << (width - 1) : 0, mask = ((uint32_t)1 << width) - 1;
  size_t bit = (size_t)first * (size_t)f->count * width;
  int16_t* to = space;
  int row, i;
  for (row = 0; row < rows; ++row) {
    for (i = 0; i < f->count; ++i, bit += width) {
      const unsigned at = (unsigned)(bit % 32);
      uint32_t k = f->words[bit / 32] >> at;
      if (at + width > 32) k |= f->words[bit / 32 + 1] << (32 - at);
      *to++ = (int16_t)((int32_t)((k & mask) ^ sign) - (int32_t)sign);
    }
    for (; i < f->length; ++i) *to++ = 0;
  }
  return space;
}

static uint32_t checksum_of(const struct filter* f) {
  const size_t count = ((size_t)f->rows * (size_t)f->count * (size_t)f->width + 31) / 32;
  uint32_t sum = 2166136261u;
  size_t i;
  for (i = 0; i < count; ++i) sum = mixed(sum, f->words[i]);
  return sum;
}
/* [convolutions] */

/* A convolution or a linear layer, with its norm and activation. level = zero + rint(float(bias + sum k (x - zero of
   x)) multiplier), within 0 .. top; bias and multiplier are those of the output channel. */
struct convolution {
  struct image x, y;
  int kernel, stride, padding, groups;
  struct filter filter;
  const int32_t* bias;
  const float* multiplier;
};

static uint8_t level_of_sum(int32_t sum, float multiplier, int zero, int top) {
  return level_of(f32(f32((float)sum) * multiplier), zero, top);
}

/* Of the sums of a pixel. Here and below a loop of 16 steps is one that compilers make vectors of however many there are
   in all. */
static void write_levels(const struct convolution* c, const int32_t* restrict sums, int first, int count,
                         uint8_t* restrict y) {
  const int32_t* restrict bias = c->bias + first;
  const float* restrict multiplier = c->multiplier + first;
  const int zero = c->y.zero, top = c->y.top;
  int i, from = 0;
  for (; from + 16 <= count; from += 16)
    for (i = from; i < from + 16; ++i) y[i] = level_of_sum(bias[i] + sums[i], multiplier[i], zero, top);
  for (i = from; i < count; ++i) y[i] = level_of_sum(bias[i] + sums[i], multiplier[i], zero, top);
}

static uint32_t constants_of(const struct convolution* c) {
  uint32_t sum = checksum_of(&c->filter);
  int i;
  for (i = 0; i < c->y.channels; ++i) sum = mixed(mixed(sum, (uint32_t)c->bias[i]), bits_of(c->multiplier[i]));
  return sum;
}
/* [windows] */

static int16_t* widen(const uint8_t* restrict levels, int count, int zero, int16_t* restrict to) {
  int i, from = 0;
  for (; from + 16 <= count; from += 16)
    for (i = from; i < from + 16; ++i) to[i] = (int16_t)(levels[i] - zero);
  for (i = from; i < count; ++i) to[i] = (int16_t)(levels[i] - zero);
  return to + count;
}

static int16_t* put_zeros(int count, int16_t* to) {
  int i;
  for (i = 0; i < count; ++i) to[i] = 0;
  return to + count;
}

/* level - zero of all windows of a row, for the input channels of a group; 0 beyond the image. Column after column, of
   which each has `kernel` pixels: the numbers of a window are side by side, and windows share those of the columns that
   they have in common. */
static void lay_out(const struct convolution* c, const uint8_t* x, int row, int group, int16_t* to) {
  const int channels = c->x.channels / c->groups;
  int column, ky;
  for (column = -c->padding; column < c->x.width + c->padding; ++column) {
    for (ky = 0; ky < c->kernel; ++ky) {
      const int from_row = row * c->stride + ky - c->padding;
      if (from_row < 0 || from_row >= c->x.height || column < 0 || column >= c->x.width) {
        to = put_zeros(channels, to);
      } else {
        const size_t pixel = (size_t)from_row * (size_t)c->x.width + (size_t)column;
        to = widen(x + pixel * (size_t)c->x.channels + group * channels, channels, c->x.zero, to);
      }
    }
  }
  put_zeros(c->filter.length - c->filter.count, to);
}

/* clang joins the steps of such a loop until few are left to do together; one vector a step is faster. */
#if defined(__clang__) && defined(__AVX512BW__)
#define ONE_VECTOR_A_STEP _Pragma("clang loop vectorize_width(16) interleave_count(1)")
#elif defined(__clang__)
#define ONE_VECTOR_A_STEP _Pragma("clang loop vectorize_width(8) interleave_count(1)")
#else
#define ONE_VECTOR_A_STEP
#endif

/* As a part of the loops around it, gcc would have too few registers for it. */
#if defined(__GNUC__)
#define BY_ITSELF __attribute__((noinline))
#else
#define BY_ITSELF
#endif

/* The products of two windows, x and z, with so many rows. Compilers make vector instructions of these loops, also at
   -O2: that `length` is a multiple of 16 is said so that they see it. */
static BY_ITSELF void multiply(const int16_t* restrict x, const int16_t* restrict z, const int16_t* restrict k,
                               int length, int rows, int32_t* restrict x_sums, int32_t* restrict z_sums) {
  const unsigned count = (unsigned)length / 16 * 16;
  unsigned i;
  int row = 0;
  for (; row + 4 <= rows; row += 4, k += 4 * (size_t)count) {
    const int16_t *k1 = k + count, *k2 = k1 + count, *k3 = k2 + count;
    int32_t x0 = 0, x1 = 0, x2 = 0, x3 = 0, z0 = 0, z1 = 0, z2 = 0, z3 = 0;
    ONE_VECTOR_A_STEP
    for (i = 0; i < count; ++i) {
      const int32_t x_level = x[i], z_level = z[i];
      x0 += x_level * k[i];
      x1 += x_level * k1[i];
      x2 += x_level * k2[i];
      x3 += x_level * k3[i];
      z0 += z_level * k[i];
      z1 += z_level * k1[i];
      z2 += z_level * k2[i];
      z3 += z_level * k3[i];
    }
    x_sums[row] = x0, x_sums[row + 1] = x1, x_sums[row + 2] = x2, x_sums[row + 3] = x3;
    z_sums[row] = z0, z_sums[row + 1] = z1, z_sums[row + 2] = z2, z_sums[row + 3] = z3;
  }
  for (; row < rows; ++row, k += count) {
    int32_t x_sum = 0, z_sum = 0;
    ONE_VECTOR_A_STEP
    for (i = 0; i < count; ++i) {
      x_sum += (int32_t)x[i] * k[i];
      z_sum += (int32_t)z[i] * k[i];
    }
    x_sums[row] = x_sum, z_sums[row] = z_sum;
  }
}

static void convolve(const struct convolution* c, const uint8_t* x, uint8_t* y, model_workspace* work) {
  const struct filter* const f = &c->filter;
  const int outputs = c->y.channels / c->groups, step = c->stride * c->kernel * (c->x.channels / c->groups);
  int16_t* const windows = work->scratch.convolution.windows;
  int32_t* const sums = work->scratch.convolution.sums;
  int group, first, row, column;
  for (group = 0; group < c->groups; ++group) {
    for (first = 0; first < outputs;) {
      const int rows = outputs - first < ROWS_AT_ONCE ? outputs - first : ROWS_AT_ONCE;
      const int channel = group * outputs + first;
      const int16_t* const k = rows_of(f, channel, rows, work->scratch.convolution.rows);
      uint8_t* to = y + channel;
      for (row = 0; row < c->y.height; ++row) {
        lay_out(c, x, row, group, windows);
        for (column = 0; column < c->y.width; column += 2) {
          const int pixels = column + 1 < c->y.width ? 2 : 1; /* one is multiplied twice where it has no neighbour */
          const int16_t* const window = windows + (size_t)column * (size_t)step;
          multiply(window, pixels == 2 ? window + step : window, k, f->length, rows, sums, sums + rows);
          write_levels(c, sums, channel, rows, to);
          if (pixels == 2) write_levels(c, sums + rows, channel, rows, to + c->y.channels);
          to += pixels * c->y.channels;
        }
      }
      first += rows;
    }
  }
}
/* [channels] */

static void add_products(const uint8_t* restrict x, int zero, const int16_t* restrict k, int count,
                         int32_t* restrict sums) {
  int i;
  for (i = 0; i < count; ++i) sums[i] += (x[i] - zero) * k[i];
}

/* A convolution of every channel by itself: a row of the filter has all channels of one pixel of the window. */
static void convolve_channels(const struct convolution* c, const uint8_t* x, uint8_t* y, model_workspace* work) {
  const int channels = c->y.channels;
  const int16_t* const k = rows_of(&c->filter, 0, c->filter.rows, work->scratch.convolution.rows);
  int32_t* const sums = work->scratch.convolution.sums;
  int row, column, ky, kx, i;
  for (row = 0; row < c->y.height; ++row) {
    for (column = 0; column < c->y.width; ++column, y += channels) {
      for (i = 0; i < channels; ++i) sums[i] = 0;
      for (ky = 0; ky < c->kernel; ++ky) {
        const int from_row = row * c->stride + ky - c->padding;
        if (from_row < 0 || from_row >= c->x.height) continue;
        for (kx = 0; kx < c->kernel; ++kx) {
          const int from_column = column * c->stride + kx - c->padding;
          if (from_column < 0 || from_column >= c->x.width) continue;
          add_products(x + ((size_t)from_row * (size_t)c->x.width + (size_t)from_column) * (size_t)channels, c->x.zero,
                       k + (size_t)(ky * c->kernel + kx) * (size_t)channels, channels, sums);
        }
      }
      write_levels(c, sums, 0, channels, y);
    }
  }
}
