/* The loops for processors with AVX2: two rows, or 32 bytes, at a time.

   The only multiplication that is exact and fast there takes 16 bits: a weight is split into a high
   part and its low 11 bits, each is multiplied and added for two pixels at once, and the two sums
   meet at the end. Sums may wrap around; what they are sums of fits, so the result is right. */
#include "resample.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
#define LOW_BITS 11

/* Two pairs of weights: high parts, then low parts. */
typedef struct {
    int16_t high[STEP], low[STEP];
} packed_weights;

static int pack(const int32_t *weights, void *packed) {
    packed_weights *out = packed;
    for (int i = 0; i < STEP; i++) {
        int32_t high = weights[i] >> LOW_BITS;
        if (high < INT16_MIN || high > INT16_MAX) {
            return 0;
        }
        out->high[i] = (int16_t)high;
        out->low[i] = (int16_t)(weights[i] & ((1 << LOW_BITS) - 1));
    }
    return 1;
}

AVX2 static inline __m256i pair(const int16_t *weights) {
    int32_t both;
    memcpy(&both, weights, sizeof both);
    return _mm256_set1_epi32(both);
}

AVX2 static inline __m256i whole(__m256i high, __m256i low) {
    __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, LOW_BITS), low);
    return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(ROUNDING)), WEIGHT_BITS);
}

AVX2 static inline __m256i two_rows(const uint8_t *one, const uint8_t *other) {
    __m128i low = _mm_loadu_si128((const __m128i *)one);
    __m128i high = _mm_loadu_si128((const __m128i *)other);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/* One output pixel of two rows: in each half red, green, blue and the unused byte, 32 bits each. */
AVX2 static inline __m256i average(const packed_weights *weights, int64_t steps,
                                   const uint8_t *one, const uint8_t *other) {
    const __m256i first = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1));
    const __m256i second = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(8, -1, 12, -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1));
    __m256i high = _mm256_setzero_si256(), low = high, high_too = high, low_too = high;
    for (int64_t step = 0; step < steps; step++) {
        __m256i pixels = two_rows(one + step * 4 * STEP, other + step * 4 * STEP);
        __m256i a = _mm256_shuffle_epi8(pixels, first);
        __m256i b = _mm256_shuffle_epi8(pixels, second);
        const packed_weights *now = weights + step;
        high = _mm256_add_epi32(high, _mm256_madd_epi16(a, pair(now->high)));
        low = _mm256_add_epi32(low, _mm256_madd_epi16(a, pair(now->low)));
        high_too = _mm256_add_epi32(high_too, _mm256_madd_epi16(b, pair(now->high + 2)));
        low_too = _mm256_add_epi32(low_too, _mm256_madd_epi16(b, pair(now->low + 2)));
    }
    return whole(_mm256_add_epi32(high, high_too), _mm256_add_epi32(low, low_too));
}

AVX2 static void along_x(const window_list *list, const void *packed, const uint8_t *const *rows,
                         uint8_t *const *results) {
    const packed_weights *weights = packed;
    int64_t steps = list->most / STEP;
    for (int64_t x = 0; x < list->size; x += STEP) {
        for (int row = 0; row < STEP; row += 2) {
            __m256i sums[STEP];
            for (int i = 0; i < STEP; i++) {
                int64_t at = x + i < list->size ? x + i : list->size - 1;
                int64_t start = list->starts[at] * 4;
                sums[i] = average(weights + at * steps, steps, rows[row] + start,
                                  rows[row + 1] + start);
            }
            __m256i pixels = _mm256_packus_epi16(_mm256_packs_epi32(sums[0], sums[1]),
                                                 _mm256_packs_epi32(sums[2], sums[3]));
            _mm_storeu_si128((__m128i *)(results[row] + x * 4), _mm256_castsi256_si128(pixels));
            _mm_storeu_si128((__m128i *)(results[row + 1] + x * 4),
                             _mm256_extracti128_si256(pixels, 1));
        }
    }
}

AVX2 static void along_y(const void *packed, int64_t count, const uint8_t *const *rows,
                         uint8_t *result, int64_t bytes) {
    const packed_weights *weights = packed;
    const __m256i zero = _mm256_setzero_si256();
    for (int64_t at = 0; at < bytes; at += 32) {
        __m256i high[4] = {zero, zero, zero, zero}, low[4] = {zero, zero, zero, zero};
        for (int64_t row = 0; row < count; row += 2) {
            __m256i one = _mm256_loadu_si256((const __m256i *)(rows[row] + at));
            __m256i other = _mm256_loadu_si256((const __m256i *)(rows[row + 1] + at));
            __m256i left = _mm256_unpacklo_epi8(one, other);
            __m256i right = _mm256_unpackhi_epi8(one, other);
            __m256i pairs[4] = {
                _mm256_unpacklo_epi8(left, zero), _mm256_unpackhi_epi8(left, zero),
                _mm256_unpacklo_epi8(right, zero), _mm256_unpackhi_epi8(right, zero)};
            __m256i by_high = pair(weights[row / STEP].high + row % STEP);
            __m256i by_low = pair(weights[row / STEP].low + row % STEP);
            for (int i = 0; i < 4; i++) {
                high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(pairs[i], by_high));
                low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(pairs[i], by_low));
            }
        }
        __m256i pixels = _mm256_packus_epi16(
            _mm256_packs_epi32(whole(high[0], low[0]), whole(high[1], low[1])),
            _mm256_packs_epi32(whole(high[2], low[2]), whole(high[3], low[3])));
        _mm256_storeu_si256((__m256i *)(result + at), pixels);
    }
}

AVX2 static void to_rgb(const uint8_t *pixels, int64_t count, uint8_t *rgb) {
    const __m128i packed = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    int64_t at = 0;
    /* 16 bytes are written for 12: the last pixels, one by one, need no room behind them. */
    for (; at + 6 <= count; at += 4) {
        __m128i four = _mm_loadu_si128((const __m128i *)(pixels + at * 4));
        _mm_storeu_si128((__m128i *)(rgb + at * 3), _mm_shuffle_epi8(four, packed));
    }
    for (; at < count; at++) {
        memcpy(rgb + at * 3, pixels + at * 4, 3);
    }
}

const resample_loops resample_avx2 = {sizeof(packed_weights), pack, along_x, along_y, to_rgb};
#else
const resample_loops resample_avx2 = {0};
#endif
