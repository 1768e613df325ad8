/* Classes of pictures that are raw bytes, red, green and blue of every pixel or its gray:
 *
 *   example MODEL.safetensors PICTURE...
 *
 *   cc -std=c99 example.c $(pkg-config --cflags --libs bsq_predict) -o example
 */
#include "bsq_predict.h"

#include <stdio.h>
#include <stdlib.h>

int main(int count, char** words) {
  char error[256] = "";
  bsq_model_info info;
  bsq_model* model = count > 1 ? bsq_open_file(words[1], error, sizeof error) : NULL;
  if (model == NULL) {
    fprintf(stderr, "%s\n", count > 1 ? error : "usage: example MODEL.safetensors PICTURE...");
    return 2;
  }
  bsq_info(model, &info);
  const size_t bytes = (size_t)info.height * (size_t)info.width * (size_t)bsq_channels(model);
  uint8_t* picture = malloc(bytes);
  float* logits = malloc((size_t)info.classes * sizeof *logits);
  int status = picture == NULL || logits == NULL ? 2 : 0;
  for (int i = 2; status == 0 && i < count; ++i) {
    FILE* file = fopen(words[i], "rb");
    const int is_whole = file != NULL && fread(picture, 1, bytes, file) == bytes;
    if (file != NULL) fclose(file);
    if (!is_whole || bsq_predict(model, picture, 1, logits) != BSQ_OK) {
      fprintf(stderr, "%s: has no %d x %d pixels\n", words[i], info.width, info.height);
      status = 3;
      break;
    }
    int best = 0;
    for (int c = 1; c < info.classes; ++c)
      if (logits[c] > logits[best]) best = c;
    printf("%s  %s  %g\n", words[i], bsq_class_name(model, best), (double)logits[best]);
  }
  free(logits);
  free(picture);
  bsq_close(model);
  return status;
}
