#include "histogram.h"

#include <stddef.h>

/* Values below 64 have a bucket each; above, the top 7 significant bits choose the bucket. */
static size_t bucket_of(uint64_t value) {
    if (value < (1U << HISTOGRAM_SUB_BITS)) return (size_t)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return ((size_t)shift << HISTOGRAM_SUB_BITS) + (size_t)(value >> shift);
}

static uint64_t bucket_top(size_t bucket) {
    if (bucket < (2U << HISTOGRAM_SUB_BITS)) return bucket;
    unsigned shift = (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t top = (bucket & ((1U << HISTOGRAM_SUB_BITS) - 1)) + (1U << HISTOGRAM_SUB_BITS);
    return ((top + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value) {
    size_t bucket = bucket_of(value);
    if (bucket >= HISTOGRAM_BUCKETS) bucket = HISTOGRAM_BUCKETS - 1;
    histogram->counts[bucket]++;
    histogram->total++;
    if (value > histogram->maximum) histogram->maximum = value;
}

void histogram_merge(struct histogram *to, const struct histogram *from) {
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) to->counts[i] += from->counts[i];
    to->total += from->total;
    if (from->maximum > to->maximum) to->maximum = from->maximum;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile) {
    if (!histogram->total) return 0;
    uint64_t wanted = (uint64_t)((double)histogram->total * quantile + 0.999999), seen = 0;
    if (wanted < 1) wanted = 1;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen < wanted) continue;
        uint64_t top = bucket_top(i);
        return top < histogram->maximum ? top : histogram->maximum;
    }
    return histogram->maximum;
}
