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
    cotlp_run whole; // the message
} cotlp_span;

enum {
    COTLP_ANY_KIND = 0,
    COTLP_TRACE_ID = 1 << 30, // any kind, too, and what comes behind the trace's id may be left out
};

/// Reads a Span.
///
/// - kinds: COTLP_ANY_KIND, COTLP_TRACE_ID, or a bit for each kind below 30 that is wanted: a span of another one is not read
///   to its end.
/// Returns whether its kind is wanted.
int cotlp_span_read(const uint8_t *_Nonnull bytes, size_t count, uint32_t kinds, cotlp_span *_Nonnull span);

/// Reads the next spans of a ScopeSpans: at most `most` that stand one behind the other. Of 0 the walk is at another field, or
/// at its end.
///
/// - kinds: as above; spans of other kinds are passed over.
/// - starts: gets where each field starts, with its tag, if it is wanted.
size_t cotlp_spans_next(cotlp_points *_Nonnull fields, uint32_t kinds, cotlp_span *_Nonnull spans,
                        const uint8_t *_Nonnull *_Nullable starts, size_t most);

/// Passes over any field. Returns 0 at the end, and when the field is malformed, which ends the walk.
int cotlp_field_pass(cotlp_points *_Nonnull fields);

enum {
    COTLP_SPAN_NAME = 1,
    COTLP_SPAN_KIND = 2,
    COTLP_SPAN_STATUS = 4,
};

/// Hashes what tells the spans of a scope apart, each behind what `from` is the hash of. `from` must come of a hash itself: a
/// kind and a status are put into it as they are. Numbers of these that mean nothing count as 0.
///
/// - what: COTLP_SPAN_NAME, … in one number.
void cotlp_spans_hash(const cotlp_hash_key *_Nonnull key, cotlp_hash from, uint32_t what,
                      const cotlp_span *_Nonnull spans, size_t count, cotlp_hash *_Nonnull hashes);

/// Hashes what names the edge of each span: its trace and, if its kind is one of `callers`, a bit for each, its own id, else
/// its parent's.
void cotlp_spans_hash_edges(const cotlp_hash_key *_Nonnull key, uint32_t callers, const cotlp_span *_Nonnull spans,
                            size_t count, cotlp_hash *_Nonnull hashes);

/// Asks for memory to be brought into the cache before it is read and written. Any address is fine.
void cotlp_prefetch(const uint8_t *_Nonnull bytes, size_t count);

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
