/* Functions of exported networks: all but convolutions. Text to bsq, as convolutions.c is. */
/* [sums] */

/* level = rint(float(a x0 + float(b x1 + c))), within 0 .. top, products and sums in double: both terms come from tables.
   A product of a float and a byte is exact there, so that it is all one whether a compiler rounds it by itself. */
struct addition {
  float a, b, c;
  int top;
};

static void add(const struct addition* s, size_t count, const uint8_t* x0, const uint8_t* x1, uint8_t* restrict y,
                model_workspace* work) {
  double* const first = work->scratch.addition.first;
  float* const second = work->scratch.addition.second;
  const int top = s->top;
  size_t i;
  int level;
  for (level = 0; level < 256; ++level) {
    first[level] = (double)s->a * (double)level;
    second[level] = (float)((double)s->b * (double)level + (double)s->c);
  }
  for (i = 0; i < count; ++i) y[i] = level_of(f32((float)(first[x0[i]] + (double)second[x1[i]])), 0, top);
}
/* [maxima] */

/* The largest level of each window; what is beyond the image belongs to no window. */
struct maximum {
  struct image x, y;
  int kernel, stride, padding;
};

static void find_maximum(const struct maximum* m, const uint8_t* x, uint8_t* y) {
  const int channels = m->y.channels;
  int row, column, ky, kx, i;
  for (row = 0; row < m->y.height; ++row) {
    for (column = 0; column < m->y.width; ++column, y += channels) {
      for (i = 0; i < channels; ++i) y[i] = 0;
      for (ky = 0; ky < m->kernel; ++ky) {
        const int from_row = row * m->stride + ky - m->padding;
        if (from_row < 0 || from_row >= m->x.height) continue;
        for (kx = 0; kx < m->kernel; ++kx) {
          const int from_column = column * m->stride + kx - m->padding;
          const uint8_t* from;
          if (from_column < 0 || from_column >= m->x.width) continue;
          from = x + ((size_t)from_row * (size_t)m->x.width + (size_t)from_column) * (size_t)channels;
          for (i = 0; i < channels; ++i)
            if (from[i] > y[i]) y[i] = from[i];
        }
      }
    }
  }
}
/* [joints] */

/* Puts an image among the channels of a wider one, each level as that of the wider one's grid. */
static void put_channels(const uint8_t* x, size_t pixels, int channels, const uint8_t* levels, uint8_t* y,
                         int all_channels) {
  size_t pixel;
  int i;
  for (pixel = 0; pixel < pixels; ++pixel, x += channels, y += all_channels)
    for (i = 0; i < channels; ++i) y[i] = levels[x[i]];
}
/* [vectors] */

/* An image as a vector, channel after channel. */
static void flatten(const uint8_t* x, size_t pixels, int channels, uint8_t* y) {
  size_t pixel;
  int i;
  for (pixel = 0; pixel < pixels; ++pixel)
    for (i = 0; i < channels; ++i) y[(size_t)i * pixels + pixel] = *x++;
}
/* [pixels] */

/* The bytes of a picture as levels. */
static void look_up(const uint8_t* picture, size_t pixels, int colors, const uint8_t levels[][256], uint8_t* to) {
  size_t pixel;
  int color;
  for (pixel = 0; pixel < pixels; ++pixel)
    for (color = 0; color < colors; ++color) *to++ = levels[color][*picture++];
}
/* [head] */

/* logit = scale sum k (x - zero) + offset, the sums over all pixels. */
struct head {
  struct image x;
  struct filter filter;
  const float *scale, *offset;
};

static void write_logits(const struct head* h, const uint8_t* x, model_workspace* work) {
  const int channels = h->x.channels;
  const size_t pixels = (size_t)h->x.height * (size_t)h->x.width;
  int32_t* const sums = work->scratch.convolution.sums;
  size_t pixel;
  int i, row;
  for (i = 0; i < channels; ++i) sums[i] = 0;
  for (pixel = 0; pixel < pixels; ++pixel)
    for (i = 0; i < channels; ++i) sums[i] += *x++ - h->x.zero;
  for (row = 0; row < h->filter.rows; ++row) {
    const int16_t* const k = rows_of(&h->filter, row, 1, work->scratch.convolution.rows);
    volatile double number; /* rounds the product by itself, then the sum */
    int64_t sum = 0;
    for (i = 0; i < channels; ++i) sum += (int64_t)sums[i] * k[i];
    number = (double)sum * (double)h->scale[row];
    number = number + (double)h->offset[row];
    work->logits[row] = (float)number;
  }
}

static uint32_t constants_of_head(const struct head* h) {
  uint32_t sum = checksum_of(&h->filter);
  int i;
  for (i = 0; i < h->filter.rows; ++i) sum = mixed(mixed(sum, bits_of(h->scale[i])), bits_of(h->offset[i]));
  return sum;
}
/* [check] */

/* A byte of a picture that is made up: noise, in squares of 1, 4 or 16 pixels. */
static uint8_t made_up(int picture, int row, int column, int color) {
  const uint32_t at = ((uint32_t)row >> 2 * picture) * 65536u + ((uint32_t)column >> 2 * picture);
  uint32_t number = (at * 3u + (uint32_t)color) ^ (0x9e3779b9u * (uint32_t)(picture + 1));
  number = (number ^ (number >> 16)) * 0x85ebca6bu;
  number = (number ^ (number >> 13)) * 0xc2b2ae35u;
  return (uint8_t)((number ^ (number >> 16)) >> 24);
}

/* Whether levels are not those expected; no if nothing is. */
static int differ(const uint32_t* expected, int layer, const uint8_t* levels, size_t count) {
  return expected != NULL && checksum(levels, count) != expected[layer - 1];
}
