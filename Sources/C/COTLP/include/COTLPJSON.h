// The schema as JSON sees it, and the two loops over text that JSON spends its time in. Part of COTLP.
//
// The tables are made from the protobuf-c descriptors when they are asked for first and never change after
// that: any thread. Pointers into them live as long as the program.
#ifndef COTLPJSON_H
#define COTLPJSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(__clang__)
#define _Nonnull
#define _Nullable
#endif

/// How a value is written in JSON and in which wire type it travels.
enum {
    COTLP_JSON_TEXT,
    COTLP_JSON_BYTES, // base 64
    COTLP_JSON_ID,    // bytes in hexadecimal: the ids of traces and spans
    COTLP_JSON_MESSAGE,
    COTLP_JSON_BOOL,    // varint
    COTLP_JSON_ENUM,    // varint, the number
    COTLP_JSON_UINT32,  // varint
    COTLP_JSON_SINT32,  // zigzag varint
    COTLP_JSON_FIXED32, // unsigned
    COTLP_JSON_DOUBLE,
    // Written as strings:
    COTLP_JSON_INT64,    // varint
    COTLP_JSON_UINT64,   // varint
    COTLP_JSON_FIXED64,  // unsigned
    COTLP_JSON_SFIXED64, // signed
};

/// One field of a message.
typedef struct cotlp_json_field {
    const uint8_t *_Nonnull key;  // as written: "traceId": with quotes and colon
    const uint8_t *_Nonnull name; // as in proto/: trace_id; no quotes, no NUL
    const void *_Nullable values; // of an enum: see cotlp_json_enum_number
    uint32_t excludes; // bit 1 << number of every field that cannot be set beside this one, itself included
    uint8_t key_count; // bytes of key
    uint8_t name_count;
    uint8_t number;
    uint8_t kind; // COTLP_JSON_…
    uint8_t message; // of a message: its index in the table
    bool is_repeated;
    bool is_explicit; // written although it is zero or empty: the arms of oneofs, and so `optional`
} cotlp_json_field;

/// Field numbers are below this.
enum { COTLP_JSON_NUMBERS = 32 };

typedef struct cotlp_json_message {
    const cotlp_json_field *_Nonnull fields;
    const uint8_t *_Nonnull slots; // by field number: index into fields, or 255
    uint8_t field_count;
} cotlp_json_message;

/// Whether a key of an input is this field's: its JSON name or its name in proto/.
static inline bool cotlp_json_is_key(const cotlp_json_field *_Nonnull field, const uint8_t *_Nonnull name,
                                     size_t count) {
    if (count + 3 == field->key_count && memcmp(field->key + 1, name, count) == 0) return true;
    return count == field->name_count && memcmp(field->name, name, count) == 0;
}

/// All messages; the first three are the requests, by signal.
const cotlp_json_message *_Nonnull cotlp_json_messages(void);

/// The number of an enum's value, from its name. Returns false when there is none of this name.
bool cotlp_json_enum_number(const void *_Nonnull values, const uint8_t *_Nonnull name, size_t count,
                            int32_t *_Nonnull number);

/// Copies bytes up to the first that a JSON string cannot hold as it is: a quote, a backslash or a control
/// character. Returns how many. Writes up to 15 bytes behind them: target has room for count + 16.
size_t cotlp_json_copy_plain(uint8_t *_Nonnull target, const uint8_t *_Nonnull source, size_t count);

/// How many bytes precede the first quote, backslash or control character; count when there is none.
size_t cotlp_json_plain_count(const uint8_t *_Nonnull source, size_t count);

/// The offset of the first byte that is not UTF-8; count when all is well.
size_t cotlp_json_valid_count(const uint8_t *_Nonnull source, size_t count);

#endif
