// COTLP: the bytes of an OTLP request, read once.
//
// cotlp_check() reads the protobuf encoding of one Export*ServiceRequest from its first byte to its last.
// It keeps nothing, allocates nothing and never reads outside [bytes, bytes + count). It knows the schema
// from the protobuf-c descriptors in generated/, compiled into tables when the program is loaded; those
// never change after that, so that functions may be called from any thread.
#ifndef COTLP_H
#define COTLP_H

#include "COTLPJSON.h"

#include <stddef.h>
#include <stdint.h>

#include "fields.h"
#include "points.h"
#include "spans.h"

#if !defined(__clang__)
#define _Nonnull
#define _Nullable
#endif

/// The three requests; the values are those of the Swift enum Signal.
enum {
    COTLP_TRACES = 0,
    COTLP_METRICS = 1,
    COTLP_LOGS = 2,
};

/// How deep AnyValue messages may nest: a list of 63 lists of one string is the deepest that passes.
enum { COTLP_VALUE_DEPTH_MAX = 64 };

/// Why a request was refused.
enum {
    COTLP_VALID = 0,
    COTLP_TRUNCATED = 1,        // a field ends after the message that holds it
    COTLP_BAD_VARINT = 2,       // more than 10 bytes or 64 bits; more than 5 bytes for a tag or a length
    COTLP_BAD_FIELD_NUMBER = 3, // field number 0
    COTLP_BAD_WIRE_TYPE = 4,    // a group or a type that does not exist
    COTLP_WRONG_WIRE_TYPE = 5,  // not the type that the schema gives to this field
    COTLP_BAD_UTF8 = 6,         // text that is not UTF-8
    COTLP_BAD_PACKED = 7,       // a packed list that ends inside an element
    COTLP_TOO_DEEP = 8,         // AnyValue nested deeper than COTLP_VALUE_DEPTH_MAX
    COTLP_SCATTERED = 9,        // a message that a field holds once, or a list of numbers, in several parts
    COTLP_TOO_SCATTERED = 10,   // more such parts at once than COTLP_PARTS_MAX
    COTLP_BAD_TRACE_ID = 12,    // neither COTLP_TRACE_ID_BYTES long nor empty
    COTLP_BAD_SPAN_ID = 13,     // neither COTLP_SPAN_ID_BYTES long nor empty
    COTLP_LONG_PACKED = 14,     // a packed list of varints of more than COTLP_PACKED_MAX_BYTES
};

/// Each varint of a list, of a byte or more, takes eight when it is read. Exponential histograms have 320 buckets at most, usually.
enum { COTLP_PACKED_MAX_BYTES = 512 << 10 };

/// How long the ids of traces and spans are, where there is one.
enum { COTLP_TRACE_ID_BYTES = 16, COTLP_SPAN_ID_BYTES = 8 };

/// What a valid request holds.
typedef struct cotlp_summary {
    size_t items;     // spans, metric data points or log records
    size_t resources; // resource_* entries at the top level
    size_t scopes;    // scope_* entries
    size_t metrics;   // Metric messages; 0 for the other signals
} cotlp_summary;

/// Where and why a request was refused. The names live as long as the program.
typedef struct cotlp_fault {
    int code;
    uint32_t field_number; // 0 when the tag itself is broken
    size_t offset;         // of the byte at which it went wrong, from the start of the request
    size_t length;         // of an id of a wrong length, or a list that is too long: its bytes
    const char *_Nullable message_name; // full protobuf name of the message that holds the field
    const char *_Nullable field_name;   // NULL for a field that the schema does not know
} cotlp_fault;

/// Checks one request and counts what is in it.
///
/// Checked: lengths, wire types, varints, packed lists, nesting, ids, UTF-8 of text, and that messages and lists of
/// numbers stand in one part (see cotlp_check_merging()). Fields that the schema
/// does not know pass when they are well-formed. All pointers are borrowed for the call.
///
/// - signal: COTLP_TRACES, COTLP_METRICS or COTLP_LOGS.
/// - bytes: may be NULL when count is 0, which is the valid empty request.
/// - summary: written when the result is COTLP_VALID, else untouched.
/// - fault: written when the result is not COTLP_VALID, else untouched.
int cotlp_check(int signal, const uint8_t *_Nullable bytes, size_t count, cotlp_summary *_Nonnull summary,
                cotlp_fault *_Nonnull fault);

/// Resource entries of which cotlp_repairs tells how many texts were repaired.
enum { COTLP_REPAIRED_MAX = 64 };

/// Texts that were repaired in one resource entry.
typedef struct cotlp_repaired {
    size_t resource; // which entry, from 0
    size_t texts;
} cotlp_repaired;

/// Texts that were repaired.
typedef struct cotlp_repairs {
    size_t size;  // bytes of the request with all texts repaired
    size_t count; // of the entries below; the last possible one has the texts of all further resources, too
    cotlp_repaired entries[COTLP_REPAIRED_MAX];
} cotlp_repairs;

/// Like cotlp_check(), for a request in which that has found COTLP_BAD_UTF8: text may be anything, and what is not
/// UTF-8 in it becomes U+FFFD, one for each longest wrong part, as Unicode recommends. All other bytes stay, but for
/// the lengths around such texts. Linear, but for a length that needs another byte: what it counts is moved.
///
/// - output: NULL to learn only how many bytes it takes; else where the request is written, `repairs->size` bytes
///   of an earlier call.
/// - repairs: always written.
int cotlp_check_repairing(int signal, const uint8_t *_Nullable bytes, size_t count, uint8_t *_Nullable output,
                          cotlp_repairs *_Nonnull repairs, cotlp_summary *_Nonnull summary,
                          cotlp_fault *_Nonnull fault);

/// Parts that are held at once while a request is merged.
enum { COTLP_PARTS_MAX = 1 << 16 };

/// Where one part stands.
typedef struct cotlp_part {
    const uint8_t *_Nonnull bytes;
    uint32_t count;
    uint32_t slot;
} cotlp_part;

/// How large a merged request is.
typedef struct cotlp_merged {
    size_t size;
    size_t room; // that it takes while it is written
} cotlp_merged;

/// Like cotlp_check(), for a request in which that has found COTLP_SCATTERED: what protobuf lets a sender write in
/// several parts is written in one, in place of the first. The parts of a message become one message with the fields
/// of all; of the members of a oneof those count that were set last; a list of numbers is packed. All other fields
/// stay as they are, text that is not UTF-8 too. Linear.
///
/// - output: NULL to learn only how many bytes it takes; else where the request is written, the `room` of an
///   earlier call.
/// - merged: written when the result is COTLP_VALID.
/// - parts: room for COTLP_PARTS_MAX, of any content.
/// - summary: of the request as it came; less may be left of it.
int cotlp_check_merging(int signal, const uint8_t *_Nullable bytes, size_t count, uint8_t *_Nullable output,
                        cotlp_merged *_Nonnull merged, cotlp_part *_Nonnull parts,
                        cotlp_summary *_Nonnull summary, cotlp_fault *_Nonnull fault);

#endif
