/* Latency histogram with log-linear buckets: 64 per octave, so a reported value is at most 1.6 % too high. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total, maximum;
};

/* Records one value (nanoseconds). */
void histogram_record(struct histogram *histogram, uint64_t value);

/* Adds all of `from` to `to`. */
void histogram_merge(struct histogram *to, const struct histogram *from);

/* The value that `quantile` (0 to 1) of the recorded ones do not exceed; 0 when nothing was recorded. */
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);

#endif
