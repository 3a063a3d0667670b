#include "COTLP.h"

#include "merge.h"
#include "repair.h"
#include "tables.h"
#include "text.h"

/// Schema levels above the first AnyValue and three messages for each AnyValue below it, with room to
/// spare. The pass checks it all the same.
enum { FRAMES_MAX = 256 };

/// A message that was entered and is to be continued.
typedef struct frame {
    const uint8_t *end;
    const cotlp_table *table;
    uint32_t depth; // AnyValue messages around it
    uint32_t seen;  // SLOT_BITS that were met in the message that was entered from it
} frame;

/// Reads a varint of up to 64 bits. Returns the byte after it; NULL when it is cut off or too long.
static const uint8_t *read_varint(const uint8_t *p, const uint8_t *end, uint64_t *value, int *code) {
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (p == end) return *code = COTLP_TRUNCATED, NULL;
        uint8_t byte = *p++;
        if (shift == 63 && byte > 1) break;
        result |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return *value = result, p;
    }
    return *code = COTLP_BAD_VARINT, NULL;
}

/// Reads a tag or a length: a varint of up to 32 bits in up to 5 bytes.
static const uint8_t *read_varint32(const uint8_t *p, const uint8_t *end, uint32_t *value, int *code) {
    uint32_t result = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (p == end) return *code = COTLP_TRUNCATED, NULL;
        uint8_t byte = *p++;
        if (shift == 28 && byte > 15) break;
        result |= (uint32_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return *value = result, p;
    }
    return *code = COTLP_BAD_VARINT, NULL;
}

/// Whether a KeyValue's body is the plain form: key, then a value that is one ASCII string, integer,
/// boolean or double, all lengths in one byte. Such a body is valid. Everything else goes the long way.
///
///     0A k key… 12 v  0A s string…    every byte is ASCII, the tags and lengths too: one mask must be 0
///                     18 varint       the mask is 0 but for the varint's continuation bits
///                     10 varint
///                     21 8 bytes      the mask is 0 up to the tag
///
/// Reads up to 64 bytes from body, never at or after limit.
static inline bool is_plain_key_value(const uint8_t *body, size_t count, const uint8_t *limit) {
    if (COTLP_UNLIKELY(count < 6 || count > 127 || limit - body < 64)) return false;
    size_t value = 2 + (size_t)body[1];
    if (COTLP_UNLIKELY(body[0] != 0x0A || value + 4 > count)) return false;
    size_t content = value + 2;
    if (COTLP_UNLIKELY(body[value] != 0x12 || content + body[value + 1] != count)) return false;
    uint8_t tag = body[content];
    if (count > 64) {
        return tag == 0x0A && content + 2 + body[content + 1] == count && cotlp_is_ascii(body, count, limit);
    }
    uint64_t high = cotlp_high_bits64(body) & (~(uint64_t)0 >> (64 - count));
    if (COTLP_LIKELY(tag == 0x0A)) return content + 2 + body[content + 1] == count && high == 0;
    uint64_t below = ((uint64_t)2 << content) - 1; // up to and with the tag
    if (tag == 0x18 || tag == 0x10) {
        uint64_t all_but_last = (((uint64_t)1 << (count - 1)) - 1) & ~below;
        return count - content <= 10 && high == all_but_last;
    }
    return tag == 0x21 && count - content == 9 && (high & below) == 0;
}

/// Whether an AnyValue's body is one short ASCII string, as the body of most log records. Such a body is valid.
static inline bool is_plain_text(const uint8_t *body, size_t count, const uint8_t *limit) {
    return count >= 2 && body[0] == 0x0A && body[1] == count - 2 && count < 130 &&
           cotlp_is_ascii(body + 2, count - 2, limit);
}

static int fail(cotlp_fault *fault, int code, size_t length, const uint8_t *bytes, const uint8_t *field,
                const uint8_t *at, const uint8_t *end, const cotlp_table *table) {
    uint32_t tag = 0;
    int ignored = 0;
    if (read_varint32(field, end, &tag, &ignored) == NULL) tag = 0;
    const ProtobufCFieldDescriptor *known = NULL;
    known = protobuf_c_message_descriptor_get_field(table->descriptor, tag >> 3);
    *fault = (cotlp_fault){
        .code = code,
        .field_number = tag >> 3,
        .length = length,
        .offset = (size_t)(at - bytes),
        .message_name = table->descriptor->name,
        .field_name = known ? known->name : NULL,
    };
    return code;
}

/// Whether a packed list of varints is well-formed. Writes where and how it is not.
static bool is_packed_varints(const uint8_t *p, const uint8_t *end, const uint8_t **at, int *code) {
    while (p < end) {
        if (*p < 0x80) {
            p += 1;
            continue;
        }
        uint64_t value;
        const uint8_t *next = read_varint(p, end, &value, code);
        if (next == NULL) {
            if (*code == COTLP_TRUNCATED) *code = COTLP_BAD_PACKED;
            return *at = p, false;
        }
        p = next;
    }
    return true;
}

// Reads the length at p, which is then `length_at`, into `length` and checks that so many bytes follow.
#define READ_LENGTH()                                                                                       \
    const uint8_t *const length_at = p;                                                                     \
    (void)length_at;                                                                                        \
    size_t length;                                                                                          \
    do {                                                                                                    \
        if (COTLP_UNLIKELY(p == end)) FAIL(COTLP_TRUNCATED, field);                                         \
        length = *p++;                                                                                      \
        if (length >= 0x80) {                                                                               \
            if (COTLP_LIKELY(p < end && *p < 0x80)) {                                                       \
                length = (length & 0x7F) | (size_t)*p++ << 7;                                               \
            } else {                                                                                        \
                uint32_t long_length;                                                                       \
                const uint8_t *next = read_varint32(p - 1, end, &long_length, &code);                       \
                if (next == NULL) FAIL(code, field);                                                        \
                p = next;                                                                                   \
                length = long_length;                                                                       \
            }                                                                                               \
        }                                                                                                   \
        if (COTLP_UNLIKELY(length > (size_t)(end - p))) FAIL(COTLP_TRUNCATED, field);                       \
    } while (0)

#define FAIL(why, where)                                                                                    \
    do {                                                                                                    \
        return fail(fault, (why), 0, bytes, field, (where), end, table);                                    \
    } while (0)

// Enters the message of `length` bytes at p.
#define ENTER_MESSAGE()                                                                                     \
    do {                                                                                                    \
        if (COTLP_UNLIKELY(top == frames + FRAMES_MAX)) FAIL(COTLP_TOO_DEEP, field);                        \
        if (repair != NULL) cotlp_repair_enter(repair, (size_t)(top - frames), length_at, p);               \
        *top++ = (frame){.end = end, .table = table, .depth = depth, .seen = 0};                            \
        end = p + length, table = &cotlp_tables[ENTRY_MESSAGE(entry)];                                      \
    } while (0)

// Refuses a second field in the slot of the entry. The request, from which no message was entered, has no slots.
#define TAKE_SLOT()                                                                                         \
    do {                                                                                                    \
        uint32_t slot = entry & SLOT_BITS, seen;                                                            \
        if (slot == 0 || repair != NULL) break;                                                             \
        seen = top[-1].seen;                                                                                \
        if (COTLP_UNLIKELY(seen & slot)) FAIL(COTLP_SCATTERED, field);                                      \
        top[-1].seen = seen | slot;                                                                         \
    } while (0)

/// The pass, made twice: whether there is a `repair` is a constant of each. Longer than a function should be, because a call for each field would cost more than the field.
static inline __attribute__((always_inline)) int check(int signal, const uint8_t *bytes, size_t count,
                                                       cotlp_repair *repair, cotlp_summary *summary,
                                                       cotlp_fault *fault) {
    static const uint8_t nothing[1] = {0};
    if (bytes == NULL) bytes = nothing, count = 0;
    size_t counters[COUNTERS] = {0};
    frame frames[FRAMES_MAX];
    frame *top = frames;
    const uint8_t *const limit = bytes + count;
    const uint8_t *p = bytes;
    const uint8_t *end = limit;
    const cotlp_table *table = &cotlp_tables[signal];
    uint32_t depth = 0;
    int code = COTLP_VALID;

    for (;;) {
        while (p == end) {
            if (top == frames) {
                *summary = (cotlp_summary){
                    .items = counters[COUNT_ITEMS],
                    .resources = counters[COUNT_RESOURCES],
                    .scopes = counters[COUNT_SCOPES],
                    .metrics = counters[COUNT_METRICS],
                };
                return COTLP_VALID;
            }
            top -= 1;
            if (repair != NULL) cotlp_repair_leave(repair, (size_t)(top - frames), p);
            end = top->end, table = top->table, depth = top->depth;
        }
        const uint8_t *field = p;
        uint8_t first = *p++;
        cotlp_entry entry = table->entries[first];
        if (COTLP_UNLIKELY(first >= 0x80)) {
            // The second byte 1 makes the tag's value that of its first byte: field numbers 16 to 31.
            if (COTLP_LIKELY(p < end && *p == 1)) {
                p += 1;
            } else {
                uint32_t tag;
                p = read_varint32(field, end, &tag, &code);
                if (p == NULL) FAIL(code, field);
                entry = cotlp_entry_of(table, tag);
            }
        }
        switch (ENTRY_ACTION(entry)) {
        case ACTION_VARINT:
            if (COTLP_LIKELY(p < end && *p < 0x80)) {
                p += 1;
            } else {
                uint64_t value;
                p = read_varint(p, end, &value, &code);
                if (p == NULL) FAIL(code, field);
            }
            break;
        case ACTION_FIXED64:
            if (COTLP_UNLIKELY(end - p < 8)) FAIL(COTLP_TRUNCATED, field);
            p += 8;
            break;
        case ACTION_FIXED32:
            if (COTLP_UNLIKELY(end - p < 4)) FAIL(COTLP_TRUNCATED, field);
            p += 4;
            break;
        case ACTION_BYTES: {
            READ_LENGTH();
            p += length;
            break;
        }
        case ACTION_TRACE_ID:
        case ACTION_SPAN_ID: {
            READ_LENGTH();
            size_t whole = ENTRY_ACTION(entry) == ACTION_TRACE_ID ? COTLP_TRACE_ID_BYTES : COTLP_SPAN_ID_BYTES;
            if (COTLP_UNLIKELY(length != whole && length != 0)) {
                int why = whole == COTLP_TRACE_ID_BYTES ? COTLP_BAD_TRACE_ID : COTLP_BAD_SPAN_ID;
                return fail(fault, why, length, bytes, field, field, end, table);
            }
            p += length;
            break;
        }
        case ACTION_TEXT: {
            READ_LENGTH();
            if (COTLP_UNLIKELY(!cotlp_is_ascii(p, length, limit))) {
                size_t valid = cotlp_utf8_prefix(p, length);
                if (valid != length && repair == NULL) FAIL(COTLP_BAD_UTF8, p + valid);
                if (valid != length) cotlp_repair_text(repair, counters[COUNT_RESOURCES], length_at, p, length);
            }
            p += length;
            break;
        }
        case ACTION_KEY_VALUE:
            for (;;) { // attributes come in rows
                READ_LENGTH();
                if (repair != NULL || COTLP_UNLIKELY(depth == COTLP_VALUE_DEPTH_MAX) ||
                    COTLP_UNLIKELY(!is_plain_key_value(p, length, limit))) {
                    ENTER_MESSAGE();
                    break;
                }
                p += length;
                if (p == end || *p != first || first >= 0x80) break;
                field = p++;
            }
            break;
        case ACTION_VALUE: {
            READ_LENGTH();
            if (COTLP_UNLIKELY(depth == COTLP_VALUE_DEPTH_MAX)) FAIL(COTLP_TOO_DEEP, field);
            TAKE_SLOT();
            if (repair == NULL && is_plain_text(p, length, limit)) {
                p += length;
                break;
            }
            ENTER_MESSAGE();
            depth += 1;
            break;
        }
        case ACTION_MESSAGE: {
            READ_LENGTH();
            TAKE_SLOT();
            ENTER_MESSAGE();
            counters[ENTRY_COUNTER(entry)] += 1;
            break;
        }
        case ACTION_PACKED_FIXED64: {
            READ_LENGTH();
            if (COTLP_UNLIKELY(length % 8 != 0)) FAIL(COTLP_BAD_PACKED, field);
            TAKE_SLOT();
            p += length;
            break;
        }
        case ACTION_PACKED_VARINT: {
            READ_LENGTH();
            const uint8_t *at = field;
            if (COTLP_UNLIKELY(length > COTLP_PACKED_MAX_BYTES)) {
                return fail(fault, COTLP_LONG_PACKED, length, bytes, field, field, end, table);
            }
            if (COTLP_UNLIKELY(!is_packed_varints(p, p + length, &at, &code))) FAIL(code, at);
            TAKE_SLOT();
            p += length;
            break;
        }
        case ACTION_UNPACKED: {
            if (repair == NULL) FAIL(COTLP_SCATTERED, field);
            uint64_t value;
            if ((first & 7) != WIRE_VARINT && end - p < 8) FAIL(COTLP_TRUNCATED, field);
            p = (first & 7) == WIRE_VARINT ? read_varint(p, end, &value, &code) : p + 8;
            if (p == NULL) FAIL(code, field);
            break;
        }
        case ACTION_WRONG_WIRE_TYPE: FAIL(COTLP_WRONG_WIRE_TYPE, field);
        case ACTION_BAD_FIELD_NUMBER: FAIL(COTLP_BAD_FIELD_NUMBER, field);
        default: FAIL(COTLP_BAD_WIRE_TYPE, field);
        }
    }
}

int cotlp_check(int signal, const uint8_t *bytes, size_t count, cotlp_summary *summary, cotlp_fault *fault) {
    return check(signal, bytes, count, NULL, summary, fault);
}

int cotlp_check_repairing(int signal, const uint8_t *bytes, size_t count, uint8_t *output,
                          cotlp_repairs *repairs, cotlp_summary *summary, cotlp_fault *fault) {
    cotlp_repair repair = {.input = bytes, .output = output, .repairs = repairs};
    *repairs = (cotlp_repairs){0};
    int code = check(signal, bytes, count, &repair, summary, fault);
    if (code == COTLP_VALID) cotlp_repair_finish(&repair, count);
    return code;
}

int cotlp_check_merging(int signal, const uint8_t *bytes, size_t count, uint8_t *output,
                        cotlp_merged *merged, cotlp_part *parts, cotlp_summary *summary,
                        cotlp_fault *fault) {
    cotlp_repairs repairs;
    int code = cotlp_check_repairing(signal, bytes, count, NULL, &repairs, summary, fault);
    if (code != COTLP_VALID) return code;
    *merged = (cotlp_merged){0};
    if (bytes == NULL || cotlp_merge(signal, bytes, count, output, merged, parts)) return COTLP_VALID;
    return fail(fault, COTLP_TOO_SCATTERED, 0, bytes, bytes, bytes, bytes + count, &cotlp_tables[signal]);
}
