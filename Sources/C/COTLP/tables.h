// What to do with each tag of each message, compiled from the protobuf-c descriptors. Private to COTLP.
#ifndef COTLP_TABLES_H
#define COTLP_TABLES_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };

/// What one tag asks for. Fields that the schema does not know get the action of their wire type.
enum {
    ACTION_BAD_FIELD_NUMBER,
    ACTION_BAD_WIRE_TYPE,
    ACTION_WRONG_WIRE_TYPE,
    ACTION_VARINT,
    ACTION_FIXED32,
    ACTION_FIXED64,
    ACTION_BYTES, // length-delimited, content not looked at
    ACTION_TEXT,  // length-delimited UTF-8
    ACTION_PACKED_VARINT,
    ACTION_PACKED_FIXED64,
    ACTION_UNPACKED, // one element of a list that could be packed
    ACTION_MESSAGE,
    ACTION_VALUE,     // an AnyValue message
    ACTION_KEY_VALUE, // a KeyValue message
    ACTION_TRACE_ID,  // length-delimited, COTLP_TRACE_ID_BYTES or none
    ACTION_SPAN_ID,   // length-delimited, COTLP_SPAN_ID_BYTES or none
};

/// What entering a message counts. Index into the counters of the pass.
enum { COUNT_NOTHING, COUNT_ITEMS, COUNT_RESOURCES, COUNT_SCOPES, COUNT_METRICS, COUNTERS = 8 };

/// One entry:  bits 0-3 action | bits 4-6 counter | bits 7-9 slot | bits 10-15 index of the message entered
///
/// A message that a field holds once, and a list of numbers, have a slot of their own in what holds them: one of the
/// three bits. The members of a oneof share one, when any of them is a message. All else has none.
typedef uint16_t cotlp_entry;
#define ENTRY_ACTION(entry) ((entry) & 15u)
#define ENTRY_COUNTER(entry) (((entry) >> 4) & 7u)
#define ENTRY_SLOT(entry) (((entry) >> 7) & 7u)
#define SLOT_BITS (7u << 7)
#define ENTRY_MESSAGE(entry) ((entry) >> 10)

enum { SLOTS = 3 };

/// Tags up to this are looked up; larger field numbers do not occur in the schema.
enum { TABLE_TAGS = 256 };

typedef struct cotlp_table {
    cotlp_entry entries[TABLE_TAGS]; // by tag: field number * 8 + wire type
    const ProtobufCMessageDescriptor *descriptor;
} cotlp_table;

enum { TABLES_MAX = 48 };
_Static_assert(TABLES_MAX <= 64, "an entry has six bits for the index");

/// All tables; the first three are the requests, by signal. Written once when the program is loaded.
extern cotlp_table cotlp_tables[TABLES_MAX];

/// The entry of a tag. A field number above the table's has the action of its wire type, as 31 has.
static inline cotlp_entry cotlp_entry_of(const cotlp_table *table, uint32_t tag) {
    return table->entries[tag < TABLE_TAGS ? tag : (TABLE_TAGS - 8) + (tag & 7)];
}

#endif
