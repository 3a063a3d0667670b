// Spans and attributes, read straight from the wire: what everything that looks at single spans needs, in one go.
//
// As points.h: nothing outside of the given bytes is read, malformed bytes end a walk, all pointers are borrowed.
// Any thread.
#ifndef COTLP_SPANS_H
#define COTLP_SPANS_H

#include "points.h"

/// A Span. Of a field that comes several times the last counts, but for a `kind` that is not wanted: it ends the reading.
typedef struct cotlp_span {
    cotlp_run trace_id;
    cotlp_run span_id;
    cotlp_run parent_span_id;
    cotlp_run name;
    cotlp_run attributes; // from the first attribute to the end of the last, with whatever stands between
    uint64_t kind;
    uint64_t start_time;
    uint64_t end_time;
    uint64_t status; // its code
} cotlp_span;

enum { COTLP_ANY_KIND = 0 };

/// Reads a Span.
///
/// - kinds: COTLP_ANY_KIND, or a bit for each kind that is wanted: a span of another one is not read to its end.
/// Returns whether its kind is wanted.
int cotlp_span_read(const uint8_t *_Nonnull bytes, size_t count, uint32_t kinds, cotlp_span *_Nonnull span);

/// A KeyValue.
typedef struct cotlp_attribute {
    cotlp_run whole; // the message
    cotlp_run key;
} cotlp_attribute;

/// Finds the next KeyValue whose key has one of some lengths. Returns 0 at the end.
///
/// - number: of the fields that hold attributes, at most 15.
/// - lengths: a bit for each length; the last one for all from 63 up.
int cotlp_attribute_next(cotlp_points *_Nonnull fields, uint32_t number, uint64_t lengths,
                         cotlp_attribute *_Nonnull found);

#endif
