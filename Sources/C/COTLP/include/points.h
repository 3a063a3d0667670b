// Metric data points, read straight from the wire: what a store of series needs of them, in one go.
//
// Lengths are never trusted: nothing outside of the given bytes is read, whatever they say. Malformed bytes
// end a walk; of a request that cotlp_check() accepted every field is seen. All pointers are borrowed,
// nothing is kept. Any thread.
#ifndef COTLP_POINTS_H
#define COTLP_POINTS_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__clang__)
#define _Nonnull
#define _Nullable
#endif

/// Secret random numbers. Who does not know them cannot make two texts of one hash.
typedef struct cotlp_hash_key {
    uint64_t words[8];
} cotlp_hash_key;

/// 128 bits. Also what a hash goes on from.
typedef struct cotlp_hash {
    uint64_t low;
    uint64_t high;
} cotlp_hash;

/// The hash of bytes that follow what `from` is the hash of.
cotlp_hash cotlp_hash_bytes(const cotlp_hash_key *_Nonnull key, cotlp_hash from,
                            const uint8_t *_Nullable bytes, size_t count);

/// How many bounds are below a value, of at most some dozens: all are compared.
size_t cotlp_bounds_below(const double *_Nonnull bounds, size_t count, double value);

/// A part of the request.
typedef struct cotlp_run {
    const uint8_t *_Nullable bytes;
    size_t count;
} cotlp_run;

/// A Metric but for its points.
typedef struct cotlp_metric {
    cotlp_run name;
    cotlp_run description;
    cotlp_run unit;
    cotlp_run data;       // the last Gauge, Sum, … message
    size_t points;        // in all of the messages of that kind
    uint32_t kind;        // field number of data; 0 for none
    uint32_t temporality; // 0 unspecified, 1 delta, 2 cumulative
    uint8_t is_monotonic;
    uint8_t has_metadata;
    uint8_t is_scattered; // there is more than one message of the kind
} cotlp_metric;

void cotlp_metric_read(const uint8_t *_Nonnull bytes, size_t count, cotlp_metric *_Nonnull metric);

enum {
    COTLP_NO_NUMBER = 0,
    COTLP_INT = 1,
    COTLP_DOUBLE = 2,
};

/// A data point.
typedef struct cotlp_point {
    cotlp_run whole;       // the message
    cotlp_hash hash;       // of the fields that hold attributes, in their order
    uint64_t start_time;
    uint64_t time;
    uint64_t number;       // the bits of a NumberDataPoint's value or of a histogram's sum
    uint64_t count;        // of a histogram
    cotlp_run counts;      // packed little-endian fixed64, not aligned
    cotlp_run bounds;      // packed little-endian double, not aligned
    uint32_t flags;
    uint8_t number_kind;   // COTLP_NO_NUMBER, …
    uint8_t has_exemplars;
    uint8_t is_scattered;  // counts or bounds are not packed or in several parts; not given here then
} cotlp_point;

/// Where a walk over the points of one Gauge, Sum, … stands.
typedef struct cotlp_points {
    const uint8_t *_Nonnull next;
    const uint8_t *_Nonnull end;
} cotlp_points;

/// Reads the next NumberDataPoint. Returns 0 at the end, and then leaves `point` as it was.
int cotlp_number_next(cotlp_points *_Nonnull points, const cotlp_hash_key *_Nonnull key, cotlp_hash from,
                      cotlp_point *_Nonnull point);

/// Reads the next HistogramDataPoint, likewise.
int cotlp_histogram_next(cotlp_points *_Nonnull points, const cotlp_hash_key *_Nonnull key, cotlp_hash from,
                         cotlp_point *_Nonnull point);

/// Finds the next point of any kind: gives `whole` and `hash` only.
///
/// - attributes: the number of the field that holds the point's attributes, at most 15.
int cotlp_point_next(cotlp_points *_Nonnull points, uint32_t attributes, const cotlp_hash_key *_Nonnull key,
                     cotlp_hash from, cotlp_point *_Nonnull point);

#endif
