/* The loops for processors with AVX512-VNNI: four rows, or 64 bytes, at a time.

   Their instruction multiplies four bytes by four signed bytes and adds the products to 32 bits. A
   weight of 23 bits and sign is written as three digits of a signed byte each, to the base of 256. */
#include "resample.h"

#if defined(__x86_64__) && defined(__GNUC__) && (defined(__clang__) || __GNUC__ >= 9)
#include <immintrin.h>
#include <string.h>

#define VNNI __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512vnni")))

/* Digits of STEP weights; the last ones count 256 * 256. */
typedef struct {
    int8_t digits[3][STEP];
} packed_weights;

static int pack(const int32_t *weights, void *packed) {
    packed_weights *out = packed;
    for (int i = 0; i < STEP; i++) {
        int32_t rest = weights[i];
        for (int digit = 0; digit < 3; digit++) {
            int32_t low = ((rest & 255) ^ 128) - 128;
            out->digits[digit][i] = (int8_t)low;
            rest = (rest - low) / 256;
        }
        if (rest != 0) {
            return 0;
        }
    }
    return 1;
}

VNNI static inline __m512i four(const int8_t *digits) {
    int32_t together;
    memcpy(&together, digits, sizeof together);
    return _mm512_set1_epi32(together);
}

VNNI static inline __m512i whole(const __m512i *sums) {
    __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(sums[2], 8), sums[1]);
    sum = _mm512_add_epi32(_mm512_slli_epi32(sum, 8), sums[0]);
    return _mm512_srai_epi32(_mm512_add_epi32(sum, _mm512_set1_epi32(ROUNDING)), WEIGHT_BITS);
}

VNNI static inline __m128i load(const uint8_t *pixels) {
    return _mm_loadu_si128((const __m128i *)pixels);
}

/* One output pixel of four rows: in each quarter red, green, blue and the unused byte. */
VNNI static inline __m512i average(const packed_weights *weights, int64_t steps,
                                   const uint8_t *const *rows, int64_t start) {
    const __m512i by_colour = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    __m512i sums[3] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (int64_t step = 0; step < steps; step++) {
        int64_t at = start + step * 4 * STEP;
        __m512i pixels = _mm512_castsi128_si512(load(rows[0] + at));
        pixels = _mm512_inserti32x4(pixels, load(rows[1] + at), 1);
        pixels = _mm512_inserti32x4(pixels, load(rows[2] + at), 2);
        pixels = _mm512_inserti32x4(pixels, load(rows[3] + at), 3);
        pixels = _mm512_shuffle_epi8(pixels, by_colour);
        for (int digit = 0; digit < 3; digit++) {
            sums[digit] = _mm512_dpbusd_epi32(sums[digit], pixels, four(weights[step].digits[digit]));
        }
    }
    return whole(sums);
}

VNNI static void along_x(const window_list *list, const void *packed, const uint8_t *const *rows,
                         uint8_t *const *results) {
    const packed_weights *weights = packed;
    int64_t steps = list->most / STEP;
    for (int64_t x = 0; x < list->size; x += STEP) {
        __m512i sums[STEP];
        for (int i = 0; i < STEP; i++) {
            int64_t at = x + i < list->size ? x + i : list->size - 1;
            sums[i] = average(weights + at * steps, steps, rows, list->starts[at] * 4);
        }
        __m512i pixels = _mm512_packus_epi16(_mm512_packs_epi32(sums[0], sums[1]),
                                             _mm512_packs_epi32(sums[2], sums[3]));
        _mm_storeu_si128((__m128i *)(results[0] + x * 4), _mm512_castsi512_si128(pixels));
        _mm_storeu_si128((__m128i *)(results[1] + x * 4), _mm512_extracti32x4_epi32(pixels, 1));
        _mm_storeu_si128((__m128i *)(results[2] + x * 4), _mm512_extracti32x4_epi32(pixels, 2));
        _mm_storeu_si128((__m128i *)(results[3] + x * 4), _mm512_extracti32x4_epi32(pixels, 3));
    }
}

VNNI static void along_y(const void *packed, int64_t count, const uint8_t *const *rows,
                         uint8_t *result, int64_t bytes) {
    const packed_weights *weights = packed;
    for (int64_t at = 0; at < bytes; at += BLOCK) {
        __m512i sums[4][3];
        memset(sums, 0, sizeof sums);
        for (int64_t row = 0; row < count; row += STEP) {
            __m512i a = _mm512_loadu_si512(rows[row] + at);
            __m512i b = _mm512_loadu_si512(rows[row + 1] + at);
            __m512i c = _mm512_loadu_si512(rows[row + 2] + at);
            __m512i d = _mm512_loadu_si512(rows[row + 3] + at);
            __m512i ab = _mm512_unpacklo_epi8(a, b), cd = _mm512_unpacklo_epi8(c, d);
            __m512i ab_too = _mm512_unpackhi_epi8(a, b), cd_too = _mm512_unpackhi_epi8(c, d);
            __m512i columns[4] = {
                _mm512_unpacklo_epi16(ab, cd), _mm512_unpackhi_epi16(ab, cd),
                _mm512_unpacklo_epi16(ab_too, cd_too), _mm512_unpackhi_epi16(ab_too, cd_too)};
            for (int digit = 0; digit < 3; digit++) {
                __m512i by = four(weights[row / STEP].digits[digit]);
                for (int i = 0; i < 4; i++) {
                    sums[i][digit] = _mm512_dpbusd_epi32(sums[i][digit], columns[i], by);
                }
            }
        }
        __m512i pixels = _mm512_packus_epi16(_mm512_packs_epi32(whole(sums[0]), whole(sums[1])),
                                             _mm512_packs_epi32(whole(sums[2]), whole(sums[3])));
        _mm512_storeu_si512(result + at, pixels);
    }
}

VNNI static void to_rgb(const uint8_t *pixels, int64_t count, uint8_t *rgb) {
    resample_avx2.to_rgb(pixels, count, rgb);
}

const resample_loops resample_vnni = {sizeof(packed_weights), pack, along_x, along_y, to_rgb};
#else
const resample_loops resample_vnni = {0};
#endif
