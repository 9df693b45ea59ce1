/* The order of work. Two passes, each rounded to bytes: along x and then along y, or the other way
   round where Pillow does it that way. Either way only as many rows are kept as the second pass
   needs at a time: some hundred kilobytes, which the processor's cache holds. */
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif

#include "resample.h"

typedef struct {
    const resample_source *source;
    const resample_target *target;
    const resample_loops *loops;
    window_list x, y;
    void *packed_x, *packed_y;
    const uint8_t **inputs; /* the rows that one row averages along y */
    uint8_t *memory;
    /* Parts of `memory`, and the length of their rows, in whole blocks. */
    uint8_t *kept, *tails, *results[STEP];
    int64_t kept_bytes, result_bytes;
    int64_t ring_rows, next_row;
} work;

int resample_abi(void) { return RESAMPLE_ABI; }

#if defined(__x86_64__) && defined(__GNUC__)
/* Compilers' own __builtin_cpu_supports needs a run-time library that not each of them brings. */
static uint64_t saved_by_system(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

int resample_best(void) {
    const uint64_t ymm = 0x6, zmm = 0xe6; /* registers that the system keeps for each thread */
    const uint32_t avx512 = 1u << 16 | 1u << 30 | 1u << 31; /* F, BW and VL */
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) {
        return RESAMPLE_NONE;
    }
    uint64_t saved = saved_by_system();
    if ((saved & ymm) != ymm || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & 1u << 5)) {
        return RESAMPLE_NONE;
    }
    int vnni = (saved & zmm) == zmm && (b & avx512) == avx512 && (c & 1u << 11);
    if (vnni && resample_vnni.pack) {
        return RESAMPLE_VNNI;
    }
    return resample_avx2.pack ? RESAMPLE_AVX2 : RESAMPLE_NONE;
}
#else
int resample_best(void) { return RESAMPLE_NONE; }
#endif

static int64_t larger(int64_t one, int64_t other) { return one > other ? one : other; }

/* Bytes of so many pixels, in whole blocks. */
static int64_t row_of(int64_t pixels) { return (pixels * 4 + BLOCK - 1) / BLOCK * BLOCK; }

static const uint8_t *source_row(const work *now, int64_t row) {
    return now->source->pixels + row * now->source->width * 4;
}

static uint8_t *rgb_row(const work *now, int64_t row) {
    return now->target->pixels + row * now->target->width * 3;
}

static int pack(const resample_loops *loops, const window_list *list, void **packed) {
    size_t steps = (size_t)(list->size * (list->most / STEP));
    uint8_t *out = calloc(steps, loops->packed_bytes);
    *packed = out;
    if (!out) {
        return RESAMPLE_NO_MEMORY;
    }
    for (size_t step = 0; step < steps; step++) {
        if (!loops->pack(list->weights + step * STEP, out + step * loops->packed_bytes)) {
            return RESAMPLE_UNSUPPORTED;
        }
    }
    return RESAMPLE_OK;
}

static int make_windows(work *now, int filter) {
    const resample_source *from = now->source;
    const resample_target *to = now->target;
    int failed =
        windows_make(&now->x, from->width, from->box[0], from->box[2], to->width, filter);
    if (!failed) {
        failed = windows_make(&now->y, from->height, from->box[1], from->box[3], to->height, filter);
    }
    if (!failed) {
        windows_keep_inside(&now->x, from->width);
        failed = pack(now->loops, &now->x, &now->packed_x);
    }
    return failed ? failed : pack(now->loops, &now->y, &now->packed_y);
}

/* Kept rows are as wide as the target where x comes first, else as the source. A window at the end
   of a source that is narrower than it may reach as far behind it as it is long: hence 2 * most. */
static int allocate(work *now, int x_first) {
    int64_t padded = larger(now->source->width, 2 * now->x.most);
    now->ring_rows = x_first ? now->y.most + STEP : 0;
    now->kept_bytes = row_of(x_first ? now->target->width : padded);
    now->result_bytes = row_of(x_first ? larger(now->target->width, padded) : now->target->width);
    int64_t kept = now->kept_bytes * (x_first ? now->ring_rows : STEP);
    int64_t tails = now->y.most * BLOCK;
    now->memory = calloc(1, (size_t)(kept + tails + now->result_bytes * STEP));
    now->inputs = calloc((size_t)now->y.most, sizeof *now->inputs);
    if (!now->memory || !now->inputs) {
        return RESAMPLE_NO_MEMORY;
    }
    now->kept = now->memory;
    now->tails = now->kept + kept;
    for (int i = 0; i < STEP; i++) {
        now->results[i] = now->tails + tails + i * now->result_bytes;
    }
    return RESAMPLE_OK;
}

/* now->inputs are set; there are rounded-up `taps` of them, whose surplus weighs nothing. */
static void along_y(work *now, int64_t y, uint8_t *result, int64_t bytes) {
    int64_t count = (now->y.taps[y] + STEP - 1) / STEP * STEP;
    const uint8_t *packed = now->packed_y;
    packed += (size_t)(y * (now->y.most / STEP)) * now->loops->packed_bytes;
    now->loops->along_y(packed, count, now->inputs, result, bytes);
}

/* ---- along x first */

static uint8_t *ring_row(const work *now, int64_t row) {
    return now->kept + now->kept_bytes * (row % now->ring_rows);
}

/* Averages up to STEP rows from next_row on along x into the ring. */
static void fill_ring(work *now) {
    const uint8_t *rows[STEP];
    uint8_t *kept[STEP];
    int64_t width = now->source->width, last = now->source->height - 1;
    for (int i = 0; i < STEP; i++) {
        /* Where there are fewer rows, the last one is done several times. */
        int64_t row = now->next_row + i < last ? now->next_row + i : last;
        rows[i] = source_row(now, row);
        kept[i] = ring_row(now, row);
        if (width < now->x.most) {
            /* Too narrow to read STEP pixels at a time without reading over the end. */
            rows[i] = memcpy(now->results[i], rows[i], (size_t)width * 4);
        }
    }
    now->loops->along_x(&now->x, now->packed_x, rows, kept);
    now->next_row += STEP;
}

static void x_then_y(work *now, int has_y) {
    for (int64_t y = 0; y < now->target->height; y++) {
        int64_t first = has_y ? now->y.starts[y] : y;
        int64_t taps = has_y ? now->y.taps[y] : 1;
        const uint8_t *row = now->results[0];
        now->next_row = larger(now->next_row, first);
        while (now->next_row < first + taps) {
            fill_ring(now);
        }
        if (has_y) {
            for (int64_t i = 0; i < now->y.most; i++) {
                now->inputs[i] = ring_row(now, first + (i < taps ? i : 0));
            }
            along_y(now, y, now->results[0], row_of(now->target->width));
        } else {
            row = ring_row(now, y);
        }
        now->loops->to_rgb(row, now->target->width, rgb_row(now, y));
    }
}

/* ---- along y first */

/* Averages rows of the source to one; nothing behind the end of a row is read. */
static void average_source(work *now, int64_t y, uint8_t *result) {
    int64_t first = now->y.starts[y], taps = now->y.taps[y];
    int64_t bytes = now->source->width * 4, whole = bytes / BLOCK * BLOCK;
    for (int64_t i = 0; i < now->y.most; i++) {
        now->inputs[i] = source_row(now, first + (i < taps ? i : 0));
    }
    along_y(now, y, result, whole);
    if (whole == bytes) {
        return;
    }
    for (int64_t i = 0; i < now->y.most; i++) {
        uint8_t *tail = now->tails + i * BLOCK;
        now->inputs[i] = memcpy(tail, now->inputs[i] + whole, (size_t)(bytes - whole));
    }
    along_y(now, y, result + whole, BLOCK);
}

static void y_then_x(work *now, int has_x) {
    int64_t height = now->target->height;
    const uint8_t *rows[STEP];
    for (int64_t y = 0; y < height; y += STEP) {
        int64_t count = height - y < STEP ? height - y : STEP;
        for (int i = 0; i < STEP; i++) {
            uint8_t *kept = now->kept + i * now->kept_bytes;
            rows[i] = kept;
            if (i < count) {
                average_source(now, y + i, kept);
            }
        }
        if (has_x) {
            now->loops->along_x(&now->x, now->packed_x, rows, now->results);
        }
        for (int i = 0; i < count; i++) {
            now->loops->to_rgb(has_x ? now->results[i] : rows[i], now->target->width,
                               rgb_row(now, y + i));
        }
    }
}

/* ---- the whole */

static int is_side(int64_t length) { return length >= 1 && length <= (int64_t)1 << 30; }

static int check(const resample_source *source, const resample_target *target, int kind) {
    if (!source || !target || !source->pixels || !target->pixels || kind < RESAMPLE_AVX2 ||
        !is_side(source->width) || !is_side(source->height) || !is_side(target->width) ||
        !is_side(target->height)) {
        return RESAMPLE_INVALID;
    }
    return kind > resample_best() ? RESAMPLE_UNSUPPORTED : RESAMPLE_OK;
}

int resample_rgb(const resample_source *source, const resample_target *target, int filter,
                 int kind) {
    int failed = check(source, target, kind);
    if (failed) {
        return failed;
    }
    work now = {.source = source, .target = target, .loops = &resample_avx2};
    if (kind == RESAMPLE_VNNI) {
        now.loops = &resample_vnni;
    }
    const float *box = source->box;
    int64_t less_width = source->width - target->width, less_height = source->height - target->height;
    int has_x = less_width != 0 || box[0] != 0 || box[2] != (float)source->width;
    int has_y = less_height != 0 || box[1] != 0 || box[3] != (float)source->height;
    /* Pillow's rule, from version 13 on; before, x always came first. */
    int x_first = has_x && !(less_height > 0 && less_height > 2 * less_width);
    if (!has_x && !has_y) {
        for (int64_t y = 0; y < target->height; y++) {
            now.loops->to_rgb(source_row(&now, y), target->width, rgb_row(&now, y));
        }
        return RESAMPLE_OK;
    }
    failed = make_windows(&now, filter);
    failed = failed ? failed : allocate(&now, x_first);
    if (!failed && x_first) {
        x_then_y(&now, has_y);
    } else if (!failed) {
        y_then_x(&now, has_x);
    }
    windows_free(&now.x);
    windows_free(&now.y);
    free(now.packed_x);
    free(now.packed_y);
    free(now.memory);
    free(now.inputs);
    return failed;
}
