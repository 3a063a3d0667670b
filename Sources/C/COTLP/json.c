#include "COTLPJSON.h"

#include "tables.h"
#include "text.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    FIELDS_MAX = 256,     // of all messages
    TEXT_MAX = 12 * 1024, // of all keys and names
    NO_SLOT = 255,
};

static cotlp_json_message messages[TABLES_MAX];
static cotlp_json_field fields[FIELDS_MAX];
static uint8_t slots[TABLES_MAX][COTLP_JSON_NUMBERS];
static uint8_t text[TEXT_MAX];
static size_t field_count;
static size_t text_count;

static const uint8_t *put(const char *bytes, size_t count) {
    if (text_count + count > TEXT_MAX) abort(); // proto/ has grown: raise TEXT_MAX
    memcpy(text + text_count, bytes, count);
    text_count += count;
    return text + text_count - count;
}

/// "traceId": of trace_id, as protobuf makes JSON names.
static const uint8_t *put_key(const char *name, uint8_t *count) {
    char key[128];
    size_t length = 0;
    bool upper = false;
    if (strlen(name) + 3 > sizeof key) abort();
    key[length++] = '"';
    for (; *name != 0; name++) {
        if (*name == '_') {
            upper = true;
        } else {
            key[length++] = upper && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
            upper = false;
        }
    }
    key[length++] = '"';
    key[length++] = ':';
    *count = (uint8_t)length;
    return put(key, length);
}

static uint8_t kind_of(const ProtobufCFieldDescriptor *field) {
    static const char *const ids[] = {"trace_id", "span_id", "parent_span_id"};
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: return COTLP_JSON_TEXT;
    case PROTOBUF_C_TYPE_BYTES:
        for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
            if (strcmp(field->name, ids[i]) == 0) return COTLP_JSON_ID;
        }
        return COTLP_JSON_BYTES;
    case PROTOBUF_C_TYPE_MESSAGE: return COTLP_JSON_MESSAGE;
    case PROTOBUF_C_TYPE_BOOL: return COTLP_JSON_BOOL;
    case PROTOBUF_C_TYPE_ENUM: return COTLP_JSON_ENUM;
    case PROTOBUF_C_TYPE_UINT32: return COTLP_JSON_UINT32;
    case PROTOBUF_C_TYPE_SINT32: return COTLP_JSON_SINT32;
    case PROTOBUF_C_TYPE_FIXED32: return COTLP_JSON_FIXED32;
    case PROTOBUF_C_TYPE_DOUBLE: return COTLP_JSON_DOUBLE;
    case PROTOBUF_C_TYPE_INT64: return COTLP_JSON_INT64;
    case PROTOBUF_C_TYPE_UINT64: return COTLP_JSON_UINT64;
    case PROTOBUF_C_TYPE_FIXED64: return COTLP_JSON_FIXED64;
    case PROTOBUF_C_TYPE_SFIXED64: return COTLP_JSON_SFIXED64;
    default: abort(); // proto/ uses a type that JSON here does not know yet
    }
}

static uint8_t index_of(const ProtobufCMessageDescriptor *descriptor) {
    for (uint8_t i = 0; i < TABLES_MAX; i++) {
        if (cotlp_tables[i].descriptor == descriptor) return i;
    }
    abort(); // the pass has tables of all messages
}

static void compile_message(unsigned index, const ProtobufCMessageDescriptor *descriptor) {
    cotlp_json_message *message = &messages[index];
    *message = (cotlp_json_message){
        .fields = fields + field_count, .slots = slots[index], .field_count = (uint8_t)descriptor->n_fields};
    memset(slots[index], NO_SLOT, COTLP_JSON_NUMBERS);
    if (field_count + descriptor->n_fields > FIELDS_MAX) abort(); // proto/ has grown: raise FIELDS_MAX
    for (unsigned f = 0; f < descriptor->n_fields; f++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[f];
        if (field->id >= COTLP_JSON_NUMBERS) abort(); // proto/ has grown: raise COTLP_JSON_NUMBERS
        bool is_arm = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
        cotlp_json_field *compiled = &fields[field_count++];
        compiled->kind = kind_of(field);
        compiled->number = (uint8_t)field->id;
        compiled->is_repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        compiled->is_explicit = is_arm;
        compiled->name_count = (uint8_t)strlen(field->name);
        compiled->name = put(field->name, compiled->name_count);
        compiled->key = put_key(field->name, &compiled->key_count);
        compiled->excludes = 1u << field->id;
        for (unsigned other = 0; is_arm && other < descriptor->n_fields; other++) {
            const ProtobufCFieldDescriptor *arm = &descriptor->fields[other];
            bool is_same = (arm->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                           arm->quantifier_offset == field->quantifier_offset;
            if (is_same) compiled->excludes |= 1u << arm->id;
        }
        if (compiled->kind == COTLP_JSON_MESSAGE) compiled->message = index_of(field->descriptor);
        if (compiled->kind == COTLP_JSON_ENUM) compiled->values = field->descriptor;
        slots[index][field->id] = (uint8_t)f;
    }
}

static void compile_messages(void) {
    for (unsigned i = 0; i < TABLES_MAX && cotlp_tables[i].descriptor != NULL; i++) {
        compile_message(i, cotlp_tables[i].descriptor);
    }
}

const cotlp_json_message *cotlp_json_messages(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, compile_messages); // fails only for invalid arguments
    return messages;
}

bool cotlp_json_enum_number(const void *values, const uint8_t *name, size_t count, int32_t *number) {
    const ProtobufCEnumDescriptor *descriptor = values;
    for (unsigned i = 0; i < descriptor->n_value_names; i++) {
        const ProtobufCEnumValueIndex *value = &descriptor->values_by_name[i];
        if (strlen(value->name) == count && memcmp(value->name, name, count) == 0) {
            *number = descriptor->values[value->index].value;
            return true;
        }
    }
    return false;
}

static inline bool is_special(uint8_t byte) { return byte < 0x20 || byte == '"' || byte == '\\'; }

#if defined(__SSE2__)
/// Bit i for byte i of 16 that a JSON string cannot hold as it is.
static inline uint32_t special_bits(__m128i bytes) {
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash)));
}
#endif

size_t cotlp_json_copy_plain(uint8_t *target, const uint8_t *source, size_t count) {
    size_t i = 0;
#if defined(__SSE2__)
    for (; count - i >= 16; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(source + i));
        _mm_storeu_si128((__m128i *)(void *)(target + i), bytes);
        uint32_t special = special_bits(bytes);
        if (special != 0) return i + (size_t)__builtin_ctz(special);
    }
#endif
    for (; i < count; i++) {
        if (is_special(source[i])) return i;
        target[i] = source[i];
    }
    return count;
}

size_t cotlp_json_plain_count(const uint8_t *source, size_t count) {
    size_t i = 0;
#if defined(__SSE2__)
    for (; count - i >= 16; i += 16) {
        uint32_t special = special_bits(_mm_loadu_si128((const __m128i *)(const void *)(source + i)));
        if (special != 0) return i + (size_t)__builtin_ctz(special);
    }
#endif
    while (i < count && !is_special(source[i])) i++;
    return i;
}

size_t cotlp_json_valid_count(const uint8_t *source, size_t count) {
    return cotlp_utf8_prefix(source, count);
}
