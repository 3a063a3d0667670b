// The fields of one message as a row, and its attributes by key: what everything that changes items begins with.
//
// As points.h: nothing outside of the given bytes is read, malformed bytes end a walk, all pointers are borrowed.
// Any thread.
#ifndef COTLP_FIELDS_H
#define COTLP_FIELDS_H

#include "points.h"

/// A field of a row; see `RequestEditor.Entry`, whose memory it is. Small, because a row is made for each item that is changed.
typedef struct cotlp_field {
    uint32_t number;
    uint8_t key_count;  // bytes of its key when it is a KeyValue in the usual form, else COTLP_UNUSUAL
    uint8_t wire_type;  // as in its tag
    uint8_t head_count; // bytes of tag and length
    uint8_t reserved;   // 0
    uint32_t start;     // where it lies in the message, with its tag
    uint32_t end;
    int32_t child; // -1
    int32_t made;  // -1
} cotlp_field;

enum {
    /// The usual form of a KeyValue: a key of less than 128 bytes, then a value of less than 16 KiB, each once, as all SDKs
    /// write them. A field of another form, or another field, has this for the bytes of its key.
    COTLP_UNUSUAL = 255,
};

/// Reads the next fields of a message of less than 4 GiB, as many as there is room for; returns how many.
///
/// - at: where the walk is; becomes `count` when there is no further field.
/// - position: of the first of these fields in the row.
/// - last: sixteen bytes: by the last four bits of a number, the position of the last such field, at most 254.
size_t cotlp_fields(
    const uint8_t *_Nonnull message, size_t count, size_t *_Nonnull at, cotlp_field *_Nonnull fields, size_t room,
    size_t position, uint8_t *_Nonnull last);

/// Bytes of the key of a KeyValue message in the usual form, which stands behind two bytes; else COTLP_UNUSUAL.
uint8_t cotlp_key_count(const uint8_t *_Nonnull message, size_t count);

/// The first field of a number, KeyValue messages, whose content may have a key: it has the key if it is in the usual form, and
/// is to be read if it is not. Returns where its content starts.
///
/// - at: where to look from; becomes the end of the field.
/// - is_usual: 1 for the usual form, 0 for another one, -1 when there is none.
size_t cotlp_attribute_find(
    const uint8_t *_Nonnull message, size_t count, size_t *_Nonnull at, uint32_t number, const uint8_t *_Nonnull key,
    size_t key_count, int *_Nonnull is_usual);

enum {
    /// A message with more attributes is edited as a row.
    COTLP_OVERLAY_MAX = 64,
};

/// An attribute as it is now; see `AttributeOverlay`.
typedef struct cotlp_overlaid {
    const uint8_t *_Nonnull content; // a KeyValue in the usual form
    uint32_t count;                  // bytes of it
    uint32_t start;                  // where its field lies in the message; behind all fields for a new attribute
} cotlp_overlaid;

/// Reads the attributes of a message of less than 4 GiB into room for COTLP_OVERLAY_MAX; returns how many there are. -1: there
/// are more, one is not in the usual form, or the message is malformed.
///
/// - number: of their fields.
/// - key_counts: of each the bytes of its key, which stand apart so that eight are compared at once; COTLP_UNUSUAL for a removed
///   attribute.
ptrdiff_t cotlp_overlay_read(
    const uint8_t *_Nonnull message, size_t count, uint32_t number, uint8_t *_Nonnull key_counts,
    cotlp_overlaid *_Nonnull attributes);

/// The first attribute with a key from an index on; -1: there is none.
///
/// - key_counts, attributes: room for COTLP_OVERLAY_MAX, of which `count` are there.
ptrdiff_t cotlp_overlay_find(
    const uint8_t *_Nonnull key_counts, const cotlp_overlaid *_Nonnull attributes, size_t from, size_t count,
    const uint8_t *_Nonnull key, size_t key_count);

#endif
