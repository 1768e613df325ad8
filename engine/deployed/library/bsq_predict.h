// libbsq_predict: classes of pictures by a model of `bsq export --format deployed`, in integers (METHOD 16).
//
// C99, no exceptions, no global state. A model never changes: any number of threads may use one at the same time. What
// a picture gives depends neither on threads nor on the processor. Files are hostile input: whatever one says is
// checked before memory is taken for it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define BSQ_PREDICT_API __attribute__((visibility("default")))
#else
#define BSQ_PREDICT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bsq_model bsq_model;

typedef struct bsq_model_info {
  int height;  // of a picture, in pixels
  int width;
  int classes;
  const char* name;  // of the network; lives as long as the model
} bsq_model_info;

// What functions return that may fail.
enum {
  BSQ_OK = 0,
  BSQ_ERROR_ARGUMENT = 1,  // a pointer is null, or a number below 1
  BSQ_ERROR_MEMORY = 2,
  BSQ_ERROR_MODEL = 3  // bsq_check: the model computes something else here
};

// A model from the bytes of its file, which may be freed afterwards. Null if they are none: then `error`, unless it is
// null, gets why, in at most `error_size` bytes with the zero at the end.
BSQ_PREDICT_API bsq_model* bsq_open(const void* bytes, size_t size, char* error, size_t error_size);
// The same of a file.
BSQ_PREDICT_API bsq_model* bsq_open_file(const char* path, char* error, size_t error_size);
// Null is allowed.
BSQ_PREDICT_API void bsq_close(bsq_model* model);

BSQ_PREDICT_API int bsq_info(const bsq_model* model, bsq_model_info* info);
// The name of class `number`, or its number if the model has no names; null if there is no such class.
BSQ_PREDICT_API const char* bsq_class_name(const bsq_model* model, int number);

// Of a picture: 3, red, green and blue, or 1, gray; 0 if the model is null.
BSQ_PREDICT_API int bsq_channels(const bsq_model* model);

// pixels: `images` pictures [height, width, channels], a byte each; logits: room for [images, classes]. In the thread
// that calls; work memory is taken and given back.
BSQ_PREDICT_API int bsq_predict(const bsq_model* model, const uint8_t* pixels, int images, float* logits);

// Runs the pictures that the file carries: BSQ_OK if every level and every logit is what it was where the file was
// made, or if it carries none. `error`: as that of bsq_open, which tensor differs.
BSQ_PREDICT_API int bsq_check(const bsq_model* model, char* error, size_t error_size);

// Of the library: "0.1.0".
BSQ_PREDICT_API const char* bsq_version(void);

#ifdef __cplusplus
}
#endif
