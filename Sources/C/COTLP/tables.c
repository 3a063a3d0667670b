#include "tables.h"

#include "generated/logs_service.pb-c.h"
#include "generated/metrics_service.pb-c.h"
#include "generated/trace_service.pb-c.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

cotlp_table cotlp_tables[TABLES_MAX];

static unsigned table_count;

/// The messages whose occurrences the pass counts.
static unsigned counter_of(const ProtobufCMessageDescriptor *message) {
    static const struct {
        const ProtobufCMessageDescriptor *message;
        unsigned counter;
    } counted[] = {
        {&opentelemetry__proto__trace__v1__span__descriptor, COUNT_ITEMS},
        {&opentelemetry__proto__metrics__v1__number_data_point__descriptor, COUNT_ITEMS},
        {&opentelemetry__proto__metrics__v1__histogram_data_point__descriptor, COUNT_ITEMS},
        {&opentelemetry__proto__metrics__v1__exponential_histogram_data_point__descriptor, COUNT_ITEMS},
        {&opentelemetry__proto__metrics__v1__summary_data_point__descriptor, COUNT_ITEMS},
        {&opentelemetry__proto__logs__v1__log_record__descriptor, COUNT_ITEMS},
        {&opentelemetry__proto__trace__v1__resource_spans__descriptor, COUNT_RESOURCES},
        {&opentelemetry__proto__metrics__v1__resource_metrics__descriptor, COUNT_RESOURCES},
        {&opentelemetry__proto__logs__v1__resource_logs__descriptor, COUNT_RESOURCES},
        {&opentelemetry__proto__trace__v1__scope_spans__descriptor, COUNT_SCOPES},
        {&opentelemetry__proto__metrics__v1__scope_metrics__descriptor, COUNT_SCOPES},
        {&opentelemetry__proto__logs__v1__scope_logs__descriptor, COUNT_SCOPES},
        {&opentelemetry__proto__metrics__v1__metric__descriptor, COUNT_METRICS},
    };
    for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++) {
        if (counted[i].message == message) return counted[i].counter;
    }
    return COUNT_NOTHING;
}

/// The table of a message, appended when it is met for the first time.
static unsigned index_of(const ProtobufCMessageDescriptor *message) {
    for (unsigned i = 0; i < table_count; i++) {
        if (cotlp_tables[i].descriptor == message) return i;
    }
    if (table_count == TABLES_MAX) abort(); // proto/ has grown: raise TABLES_MAX
    cotlp_tables[table_count].descriptor = message;
    return table_count++;
}

static cotlp_entry entry_of_unknown(unsigned number, unsigned wire_type) {
    if (number == 0) return ACTION_BAD_FIELD_NUMBER;
    switch (wire_type) {
    case WIRE_VARINT: return ACTION_VARINT;
    case WIRE_FIXED64: return ACTION_FIXED64;
    case WIRE_LENGTH: return ACTION_BYTES;
    case WIRE_FIXED32: return ACTION_FIXED32;
    default: return ACTION_BAD_WIRE_TYPE;
    }
}

static cotlp_entry entry_of_message(const ProtobufCMessageDescriptor *message) {
    unsigned action = ACTION_MESSAGE;
    if (message == &opentelemetry__proto__common__v1__any_value__descriptor) action = ACTION_VALUE;
    if (message == &opentelemetry__proto__common__v1__key_value__descriptor) action = ACTION_KEY_VALUE;
    return (cotlp_entry)(action | counter_of(message) << 4 | index_of(message) << 10);
}

/// The ids of traces and spans are plain bytes in the schema, of a length that its comments tell.
static cotlp_entry entry_of_bytes(const ProtobufCFieldDescriptor *field) {
    if (strcmp(field->name, "trace_id") == 0) return ACTION_TRACE_ID;
    if (strcmp(field->name, "span_id") == 0 || strcmp(field->name, "parent_span_id") == 0) return ACTION_SPAN_ID;
    return ACTION_BYTES;
}

static bool is_list_of_numbers(const ProtobufCFieldDescriptor *field) {
    return field->label == PROTOBUF_C_LABEL_REPEATED && field->type != PROTOBUF_C_TYPE_STRING &&
           field->type != PROTOBUF_C_TYPE_BYTES && field->type != PROTOBUF_C_TYPE_MESSAGE;
}

static bool needs_slot(const ProtobufCFieldDescriptor *field) {
    bool is_single = field->label != PROTOBUF_C_LABEL_REPEATED;
    return (is_single && field->type == PROTOBUF_C_TYPE_MESSAGE) || is_list_of_numbers(field);
}

/// What is the same for all members of a oneof, and for no other field: where the descriptors' structures tell which is set.
static unsigned place_of(const ProtobufCFieldDescriptor *field) {
    return field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF ? field->quantifier_offset : field->offset;
}

/// The slot of a field, shifted into its place; 0 for none.
static unsigned slot_of(const ProtobufCMessageDescriptor *message, const ProtobufCFieldDescriptor *field) {
    unsigned places[SLOTS], count = 0;
    for (unsigned f = 0; f < message->n_fields; f++) {
        const ProtobufCFieldDescriptor *other = &message->fields[f];
        if (!needs_slot(other)) continue;
        unsigned place = place_of(other), slot = 0;
        while (slot < count && places[slot] != place) slot += 1;
        if (slot == SLOTS) abort(); // proto/ has grown: raise SLOTS
        places[slot] = place;
        if (slot == count) count += 1;
        if (place == place_of(field)) return 1u << (7 + slot);
    }
    return 0;
}

static void compile_field(cotlp_entry *entries, const ProtobufCFieldDescriptor *field, unsigned slot) {
    if (field->id * 8 + 8 >= TABLE_TAGS) abort(); // proto/ has grown: raise TABLE_TAGS
    unsigned wire_type = WIRE_VARINT;
    cotlp_entry entry = ACTION_VARINT;
    cotlp_entry packed = ACTION_PACKED_VARINT;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        wire_type = WIRE_LENGTH, entry = ACTION_TEXT;
        break;
    case PROTOBUF_C_TYPE_BYTES:
        wire_type = WIRE_LENGTH, entry = entry_of_bytes(field);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        wire_type = WIRE_LENGTH, entry = entry_of_message(field->descriptor);
        break;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        if (field->label == PROTOBUF_C_LABEL_REPEATED) abort(); // proto/ has grown: pack these, too
        wire_type = WIRE_FIXED32, entry = ACTION_FIXED32;
        break;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        wire_type = WIRE_FIXED64, entry = ACTION_FIXED64, packed = ACTION_PACKED_FIXED64;
        break;
    default: break; // every other type is a varint
    }
    for (unsigned other = 0; other < 8; other++) {
        cotlp_entry *slot = &entries[field->id * 8 + other];
        if (*slot != ACTION_BAD_WIRE_TYPE) *slot = ACTION_WRONG_WIRE_TYPE;
    }
    if (is_list_of_numbers(field)) {
        entries[field->id * 8 + WIRE_LENGTH] = (cotlp_entry)(packed | slot);
        entry = ACTION_UNPACKED;
    }
    entries[field->id * 8 + wire_type] = (cotlp_entry)(entry | slot);
}

/// Runs before main: a few microseconds, and the tables are constant for every thread.
__attribute__((constructor)) static void compile_tables(void) {
    if (table_count != 0) return;
    index_of(&opentelemetry__proto__collector__trace__v1__export_trace_service_request__descriptor);
    index_of(&opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__descriptor);
    index_of(&opentelemetry__proto__collector__logs__v1__export_logs_service_request__descriptor);
    for (unsigned i = 0; i < table_count; i++) { // table_count grows while fields are met
        cotlp_table *table = &cotlp_tables[i];
        for (unsigned tag = 0; tag < TABLE_TAGS; tag++) {
            table->entries[tag] = entry_of_unknown(tag >> 3, tag & 7);
        }
        for (unsigned f = 0; f < table->descriptor->n_fields; f++) {
            const ProtobufCFieldDescriptor *field = &table->descriptor->fields[f];
            compile_field(table->entries, field, slot_of(table->descriptor, field));
        }
    }
}
