/* Pixels of a Pillow picture without a copy, as its Arrow interface lends them
   (https://arrow.apache.org/docs/format/CDataInterface.html): a fixed-size list of four bytes for
   each pixel, in one piece. What the structures say is compared with what the caller expects before
   a byte is read. */
#include <string.h>

#include "resample.h"

typedef struct arrow_schema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct arrow_schema **children, *dictionary;
    void (*release)(struct arrow_schema *);
    void *private_data;
} arrow_schema;

typedef struct arrow_array {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct arrow_array **children, *dictionary;
    void (*release)(struct arrow_array *);
    void *private_data;
} arrow_array;

static int four_bytes(const arrow_schema *schema) {
    return schema->release && schema->format && !strcmp(schema->format, "+w:4") &&
           schema->n_children == 1 && schema->children[0]->format &&
           !strcmp(schema->children[0]->format, "C");
}

static const uint8_t *pixels_of(const arrow_array *array, int64_t pixels) {
    if (!array->release || array->length != pixels || array->offset != 0 || array->null_count > 0 ||
        array->n_children != 1) {
        return NULL;
    }
    const arrow_array *bytes = array->children[0];
    if (bytes->length != pixels * 4 || bytes->offset != 0 || bytes->null_count > 0 ||
        bytes->n_buffers != 2) {
        return NULL;
    }
    return bytes->buffers[1];
}

int resample_arrow(const void *schema, const void *array, const resample_source *source,
                   const resample_target *target, int filter, int kind) {
    const int64_t longest = (int64_t)1 << 30;
    if (!schema || !array || !source || source->width < 1 || source->width > longest ||
        source->height < 1 || source->height > longest) {
        return RESAMPLE_INVALID;
    }
    resample_source lent = *source;
    lent.pixels = pixels_of(array, source->width * source->height);
    if (!four_bytes(schema) || !lent.pixels) {
        return RESAMPLE_UNSUPPORTED;
    }
    return resample_rgb(&lent, target, filter, kind);
}
