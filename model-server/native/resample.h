/* Resizing that gives the very pixels of Pillow's `Image.resize`, several at a time.

   resample.c      the work: checks, order of the two passes, memory
   arrow.c         the same for a picture that Pillow lends
   weights.c       which pixels each output pixel averages, and by which whole numbers
   avx2.c, vnni.c  the two loops that multiply and add, each for one kind of processor

   Nothing here knows Python, files or models. No global state: safe in any number of threads. */
#ifndef RESAMPLE_H
#define RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#define RESAMPLE_ABI 1

/* What resample_rgb returns. */
enum {
    RESAMPLE_OK = 0,
    RESAMPLE_INVALID = 1,     /* an argument is out of its range */
    RESAMPLE_NO_MEMORY = 2,
    RESAMPLE_UNSUPPORTED = 3  /* nothing is wrong, but Pillow has to do this one */
};

/* Kinds of processor, best last. */
enum { RESAMPLE_NONE = 0, RESAMPLE_AVX2 = 1, RESAMPLE_VNNI = 2 };

/* Filters, by Pillow's own numbers (`PIL.Image.Resampling`); nearest averages
   nothing, and newer ones are left to Pillow. */
enum {
    RESAMPLE_LANCZOS = 1,
    RESAMPLE_BILINEAR = 2,
    RESAMPLE_BICUBIC = 3,
    RESAMPLE_BOX = 4,
    RESAMPLE_HAMMING = 5
};

/* A picture and the part of it to take: left, top, right, bottom in pixels. */
typedef struct {
    const uint8_t *pixels; /* RGB and one byte unused, rows without gaps */
    int64_t width, height;
    float box[4];
} resample_source;

/* Where the result goes. */
typedef struct {
    uint8_t *pixels; /* RGB, three bytes, rows without gaps */
    int64_t width, height;
} resample_target;

int resample_abi(void);

/* The best kind of this processor that the compiler had instructions for. */
int resample_best(void);

int resample_rgb(const resample_source *source, const resample_target *target, int filter,
                 int kind);

/* `source->pixels` is not read: they are those of the Arrow array, which must be as many. */
int resample_arrow(const void *schema, const void *array, const resample_source *source,
                   const resample_target *target, int filter, int kind);

/* ---- between the files */

/* Whole numbers stand for weights times 2^22, as in Pillow. */
#define WEIGHT_BITS 22
#define ROUNDING (1 << (WEIGHT_BITS - 1))
/* Pixels, and rows, are taken by fours. */
#define STEP 4
/* Bytes that the loops read and write at a time; rows of scratch memory are whole blocks. */
#define BLOCK 64

/* For each of `size` output pixels: the weighted input pixels from starts[i] on, taps[i] of them;
   weights[i * most ...] in 22-bit whole numbers, zero from taps[i] to `most`, a multiple of STEP. */
typedef struct {
    int64_t size, most;
    int64_t *starts, *taps;
    int32_t *weights;
} window_list;

int windows_make(window_list *list, int64_t input, float from, float to, int64_t output,
                 int filter);
/* Moves windows whose padding would reach over the end of `input` pixels, if there are as many. */
void windows_keep_inside(window_list *list, int64_t input);
void windows_free(window_list *list);

/* A loop for one kind of processor. Weights are packed once for a picture: `packed_bytes` for each
   STEP weights. */
typedef struct {
    size_t packed_bytes;
    /* Packs STEP weights; returns 0 when one does not fit. */
    int (*pack)(const int32_t *weights, void *packed);
    /* Averages STEP rows along x to `list->size` pixels each, rounded up to a multiple of STEP. */
    void (*along_x)(const window_list *list, const void *packed, const uint8_t *const *rows,
                    uint8_t *const *results);
    /* Averages `count` rows, a multiple of STEP, to one; `bytes` is a multiple of BLOCK. */
    void (*along_y)(const void *packed, int64_t count, const uint8_t *const *rows,
                    uint8_t *result, int64_t bytes);
    /* Drops the fourth byte of each pixel. */
    void (*to_rgb)(const uint8_t *pixels, int64_t count, uint8_t *rgb);
} resample_loops;

extern const resample_loops resample_avx2, resample_vnni;

#endif
