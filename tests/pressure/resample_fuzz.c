/* Random sizes, parts, filters and lies for the C sources of model-server/native, to be compiled
   with AddressSanitizer and UndefinedBehaviorSanitizer:

     python -m pressure.resample 200000       (below tests/; it compiles and runs this)

   Each buffer is as long as it must be and not a byte longer, so that one read or written outside is
   reported. The loops for different processors must agree, byte for byte. Prints how often each code
   was returned; leaves with 1 when loops differ. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resample.h"

static uint64_t state;

static uint64_t next(void) { /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717ull;
}

static int64_t below(int64_t limit) { return (int64_t)(next() % (uint64_t)limit); }

static int64_t side(void) {
    const int64_t limits[] = {4, 20, 70, 300};
    return 1 + below(limits[below(4)]);
}

static float coordinate(int64_t length) {
    const float odd[] = {NAN, INFINITY, -1.0f, -0.0f, 1e30f, 1e-40f, 0.5f};
    if (below(20) == 0) {
        return odd[below(7)];
    }
    return below(3) ? (float)below(length + 1) : (float)below(1 << 20) / (1 << 20) * (float)length;
}

static void choose_box(resample_source *source) {
    float whole[4] = {0, 0, (float)source->width, (float)source->height};
    memcpy(source->box, whole, sizeof whole);
    for (int i = 0; i < 4 && below(2); i++) {
        source->box[i] = coordinate(i % 2 ? source->height : source->width);
    }
}

static int resize_with(resample_source *source, resample_target *target, int filter, int kind) {
    size_t bytes = (size_t)(target->width * target->height * 3);
    target->pixels = malloc(bytes);
    memset(target->pixels, 0xaa, bytes);
    return resample_rgb(source, target, filter, kind);
}

static int one_picture(long *codes) {
    resample_source source = {.width = side(), .height = side()};
    resample_target target = {.width = below(4) ? side() : source.width,
                              .height = below(4) ? side() : source.height};
    size_t bytes = (size_t)(source.width * source.height * 4);
    uint8_t *pixels = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        pixels[i] = (uint8_t)(next() >> 40);
    }
    source.pixels = pixels;
    choose_box(&source);
    int filter = (int)below(8), differ = 0;
    int code = resize_with(&source, &target, filter, RESAMPLE_AVX2);
    codes[code]++;
    uint8_t *first = target.pixels;
    if (resample_best() == RESAMPLE_VNNI) {
        int other = resize_with(&source, &target, filter, RESAMPLE_VNNI);
        size_t written = (size_t)(target.width * target.height * 3);
        differ = other != code || (code == 0 && memcmp(first, target.pixels, written));
        free(target.pixels);
    }
    free(first);
    free(pixels);
    return differ;
}

/* Arguments that no picture has; nothing may be read or written. */
static int lies(void) {
    uint8_t byte[4] = {0};
    resample_source source = {.pixels = byte, .width = 1, .height = 1, .box = {0, 0, 1, 1}};
    resample_target target = {.pixels = byte, .width = 1, .height = 1};
    const int64_t sides[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 40};
    int accepted = !resample_rgb(NULL, &target, 3, 1) + !resample_rgb(&source, NULL, 3, 1) +
                   !resample_rgb(&source, &target, 3, 0) + !resample_rgb(&source, &target, 3, 9);
    for (int i = 0; i < 5; i++) {
        resample_source long_source = source;
        resample_target long_target = target;
        long_source.width = long_target.height = sides[i];
        accepted += !resample_rgb(&long_source, &target, 3, 1);
        accepted += !resample_rgb(&source, &long_target, 3, 1);
        accepted += !resample_arrow(byte, byte, &long_source, &target, 3, 1);
    }
    source.pixels = NULL;
    accepted += !resample_rgb(&source, &target, 3, 1);
    accepted += !resample_arrow(NULL, byte, &source, &target, 3, 1);
    return accepted;
}

/* The structures of the Arrow interface, as its description has them. */
typedef struct schema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct schema **children, *dictionary;
    void (*release)(struct schema *);
    void *private_data;
} schema;

typedef struct array {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct array **children, *dictionary;
    void (*release)(struct array *);
    void *private_data;
} array;

static void released(void *unused) { (void)unused; }

/* A picture lent by Arrow with one thing wrong, or none with -1; returns resample_arrow's code. */
static int lend(int wrong) {
    const int64_t pixels = 6;
    uint8_t lent[6 * 4] = {0}, rgb[3];
    schema bytes_type = {.format = wrong == 0 ? "S" : "C"};
    schema *types[] = {&bytes_type};
    schema type = {.format = wrong == 1 ? "+w:3" : "+w:4", .n_children = wrong == 2 ? 0 : 1,
                   .children = types, .release = (void (*)(schema *))released};
    const void *buffers[] = {NULL, wrong == 3 ? NULL : lent};
    array bytes = {.length = pixels * 4 - (wrong == 4), .offset = wrong == 5,
                   .n_buffers = wrong == 6 ? 1 : 2, .null_count = wrong == 7, .buffers = buffers};
    array *children[] = {&bytes};
    array whole = {.length = pixels - (wrong == 8), .offset = wrong == 9, .null_count = wrong == 10,
                   .n_buffers = 1, .n_children = wrong == 11 ? 0 : 1, .children = children,
                   .release = (void (*)(array *))released};
    if (wrong == 12) {
        type.format = NULL;
    } else if (wrong == 13) {
        bytes_type.format = NULL;
    } else if (wrong == 14) {
        type.release = NULL;
    } else if (wrong == 15) {
        whole.release = NULL;
    }
    resample_source source = {.width = 3, .height = 2, .box = {0, 0, 3, 2}};
    resample_target target = {.pixels = rgb, .width = 1, .height = 1};
    return resample_arrow(&type, &whole, &source, &target, RESAMPLE_BICUBIC, RESAMPLE_AVX2);
}

static int arrow_lies(void) {
    int accepted = lend(-1) != RESAMPLE_OK;
    for (int wrong = 0; wrong < 16; wrong++) {
        accepted += lend(wrong) != RESAMPLE_UNSUPPORTED;
    }
    return accepted;
}

int main(int count, char **arguments) {
    long rounds = count > 1 ? atol(arguments[1]) : 20000, codes[4] = {0};
    state = count > 2 ? strtoull(arguments[2], NULL, 10) * 2 + 1 : 1;
    if (resample_best() == RESAMPLE_NONE) {
        printf("this processor has no loops\n");
        return 2;
    }
    if (lies() || arrow_lies()) {
        printf("arguments that no picture has were accepted\n");
        return 1;
    }
    for (long round = 0; round < rounds; round++) {
        if (one_picture(codes)) {
            printf("round %ld: the loops differ\n", round);
            return 1;
        }
    }
    printf("%ld pictures: %ld resized, %ld invalid, %ld without memory, %ld left to Pillow\n",
           rounds, codes[0], codes[1], codes[2], codes[3]);
    return 0;
}
