/* Weights: which input pixels an output pixel averages, and how much each counts.

   The arithmetic follows Pillow's to the last bit (double precision, the same order of operations):
   a filter is stretched by the scale when it shrinks, its values are divided by their sum, and each
   becomes a whole number of 2^-22, rounded away from zero. Compile with -ffp-contract=off. */
#include <math.h>
#include <stdlib.h>

#include "resample.h"

#define PI 3.14159265358979323846

/* Sides of this length and more are Pillow's; all products below then fit in 63 bits. */
#define LONGEST ((int64_t)1 << 20)
#define MOST_WEIGHTS ((int64_t)1 << 28)
#define LARGEST (2.0 * (1 << WEIGHT_BITS) - (1 << 16))

typedef double (*kernel)(double);

static double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinear(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x) {
    x = fabs(x);
    if (x == 0.0) {
        return 1.0;
    }
    if (x >= 1.0) {
        return 0.0;
    }
    x *= PI;
    /* In Pillow the two constants have single precision. */
    return sin(x) / x * (0.54f + 0.46f * cos(x));
}

static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) {
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    }
    return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

static double sinc(double x) {
    if (x == 0.0) {
        return 1.0;
    }
    x *= PI;
    return sin(x) / x;
}

static double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

static kernel kernel_of(int filter, double *support) {
    switch (filter) {
        case RESAMPLE_BOX: *support = 0.5; return box;
        case RESAMPLE_BILINEAR: *support = 1.0; return bilinear;
        case RESAMPLE_HAMMING: *support = 1.0; return hamming;
        case RESAMPLE_BICUBIC: *support = 2.0; return bicubic;
        case RESAMPLE_LANCZOS: *support = 3.0; return lanczos;
        default: return NULL;
    }
}

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

static int allocate(window_list *list) {
    list->starts = calloc((size_t)list->size, sizeof *list->starts);
    list->taps = calloc((size_t)list->size, sizeof *list->taps);
    list->weights = calloc((size_t)(list->size * list->most), sizeof *list->weights);
    return list->starts && list->taps && list->weights ? RESAMPLE_OK : RESAMPLE_NO_MEMORY;
}

/* Returns 0 when a weight is too large to be one; sums below stay in 32 bits. */
static int fill(window_list *list, int64_t at, kernel weigh, double center, double stretch,
                 double *exact) {
    int64_t first = list->starts[at], taps = list->taps[at];
    int32_t *weights = list->weights + at * list->most;
    double sum = 0.0;
    for (int64_t i = 0; i < taps; i++) {
        exact[i] = weigh(((double)(i + first) - center + 0.5) * stretch);
        sum += exact[i];
    }
    for (int64_t i = 0; i < taps; i++) {
        double share = (sum != 0.0 ? exact[i] / sum : exact[i]) * (1 << WEIGHT_BITS);
        if (!(fabs(share) < LARGEST)) {
            return 0;
        }
        weights[i] = (int32_t)(share < 0 ? share - 0.5 : share + 0.5);
    }
    return 1;
}

int windows_make(window_list *list, int64_t input, float from, float to, int64_t output,
                 int filter) {
    double support;
    kernel weigh = kernel_of(filter, &support);
    *list = (window_list){0};
    /* The comparisons are false for what is not a number. */
    if (!weigh) {
        return RESAMPLE_UNSUPPORTED;
    }
    if (input < 1 || output < 1 || !(from >= 0 && from < to && to <= (float)input)) {
        return RESAMPLE_INVALID;
    }
    if (input >= LONGEST || output >= LONGEST) {
        return RESAMPLE_UNSUPPORTED;
    }
    double scale = (double)(to - from) / (double)output;
    double stretched = scale < 1.0 ? 1.0 : scale;
    support *= stretched;
    list->size = output;
    list->most = (clamp((int64_t)ceil(support) * 2 + 1, 1, input) + STEP - 1) / STEP * STEP;
    if (list->most > MOST_WEIGHTS / output) {
        return RESAMPLE_UNSUPPORTED;
    }
    double *exact = malloc((size_t)list->most * sizeof *exact);
    if (!exact || allocate(list)) {
        free(exact);
        windows_free(list);
        return RESAMPLE_NO_MEMORY;
    }
    int fits = 1;
    for (int64_t at = 0; fits && at < output; at++) {
        double center = from + ((double)at + 0.5) * scale;
        int64_t first = clamp((int64_t)(center - support + 0.5), 0, input);
        int64_t end = clamp((int64_t)(center + support + 0.5), first, input);
        list->starts[at] = clamp(first, 0, input - 1);
        list->taps[at] = clamp(end - first, 0, list->most);
        fits = fill(list, at, weigh, center, 1.0 / stretched, exact);
    }
    free(exact);
    return fits ? RESAMPLE_OK : RESAMPLE_UNSUPPORTED;
}

void windows_keep_inside(window_list *list, int64_t input) {
    for (int64_t at = 0; at < list->size; at++) {
        int64_t beyond = list->starts[at] + list->most - input;
        if (beyond <= 0 || input < list->most) {
            continue;
        }
        int32_t *weights = list->weights + at * list->most;
        for (int64_t i = list->most - 1; i >= 0; i--) {
            weights[i] = i >= beyond ? weights[i - beyond] : 0;
        }
        list->starts[at] -= beyond;
        list->taps[at] += beyond;
    }
}

void windows_free(window_list *list) {
    free(list->starts);
    free(list->taps);
    free(list->weights);
    *list = (window_list){0};
}
