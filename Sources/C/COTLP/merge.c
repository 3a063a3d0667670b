#include "merge.h"

#include "tables.h"
#include "wire.h"

#include <stdlib.h>

typedef struct merge {
    uint8_t *output; // NULL: only the sizes are wanted
    size_t written;
    size_t most;       // that was written at once
    cotlp_part *parts; // of all messages that are being written, the innermost last
    size_t count;
} merge;

/// A message that is being written: the parts in a range that are in one slot.
typedef struct message {
    const cotlp_table *table;
    size_t from, to;
    uint32_t slot;
} message;

/// A field that is read.
typedef struct field {
    const uint8_t *bytes;
    const uint8_t *end;
    cotlp_run content; // of the value, without its length
    uint32_t number;
    cotlp_entry entry;
} field;

/// What is in a slot.
typedef struct held {
    uint32_t number; // of the field; 0 when another member of the oneof came later
    size_t from;     // where its parts begin; those of the slot before it do not count any more
} held;

static void go_on(merge *merge, size_t count) {
    merge->written += count;
    if (merge->written > merge->most) merge->most = merge->written;
}

static void write_bytes(merge *merge, const uint8_t *bytes, size_t count) {
    if (merge->output != NULL && count > 0) memcpy(merge->output + merge->written, bytes, count);
    go_on(merge, count);
}

static size_t varint_size(uint64_t value) {
    size_t size = 1;
    while (value >>= 7) size += 1;
    return size;
}

static void write_varint(merge *merge, uint64_t value) {
    uint8_t bytes[10];
    size_t size = 0;
    for (; value >= 0x80; value >>= 7) bytes[size++] = (uint8_t)(value | 0x80);
    bytes[size++] = (uint8_t)value;
    write_bytes(merge, bytes, size);
}

/// The field at p.
static field read_field(const uint8_t *p, const uint8_t *end, const cotlp_table *table) {
    field field = {.bytes = p};
    uint64_t tag;
    if (!read_varint(&p, end, &tag)) abort(); // the pass has found it well-formed
    field.number = (uint32_t)(tag >> 3);
    field.entry = cotlp_entry_of(table, (uint32_t)tag);
    field.content.bytes = p;
    bool is_read = (tag & 7) == WIRE_LENGTH ? read_run(&p, end, &field.content) : skip(&p, end, tag);
    if (!is_read) abort();
    if ((tag & 7) != WIRE_LENGTH) field.content.count = (size_t)(p - field.content.bytes);
    field.end = p;
    return field;
}

static bool is_message(cotlp_entry entry) {
    unsigned action = ENTRY_ACTION(entry);
    return action == ACTION_MESSAGE || action == ACTION_VALUE || action == ACTION_KEY_VALUE;
}

/// Whether a field is collected. Another one with a slot is a plain member of a oneof.
static bool is_collected(cotlp_entry entry) {
    unsigned action = ENTRY_ACTION(entry);
    return ENTRY_SLOT(entry) != 0 && (is_message(entry) || action == ACTION_UNPACKED ||
                                      action == ACTION_PACKED_FIXED64 || action == ACTION_PACKED_VARINT);
}

static bool push(merge *merge, cotlp_run content, uint32_t slot) {
    if (merge->count == COTLP_PARTS_MAX) return false;
    merge->parts[merge->count++] =
        (cotlp_part){.bytes = content.bytes, .count = (uint32_t)content.count, .slot = slot};
    return true;
}

/// Keeps the parts of what is in the slots of a message.
static bool collect(merge *merge, const message *message, held *slots) {
    for (size_t i = message->from; i < message->to; i++) {
        cotlp_part part = merge->parts[i];
        if (part.slot != message->slot) continue;
        for (const uint8_t *p = part.bytes, *end = p + part.count; p < end;) {
            field field = read_field(p, end, message->table);
            p = field.end;
            unsigned slot = ENTRY_SLOT(field.entry);
            if (slot == 0) continue;
            held *held = &slots[slot >> 1];
            if (!is_collected(field.entry)) {
                held->number = 0;
                continue;
            }
            if (held->number != field.number) held->number = field.number, held->from = merge->count;
            if (!push(merge, field.content, slot)) return false;
        }
    }
    return true;
}

static bool write_fields(merge *merge, const message *message);

/// Writes the length and the content of a message. The length is written first for as many bytes as come in, which are
/// seldom more than go out.
static bool write_content(merge *merge, const message *message) {
    size_t least = 0;
    for (size_t i = message->from; i < message->to; i++) {
        if (merge->parts[i].slot == message->slot) least += merge->parts[i].count;
    }
    size_t at = merge->written, head = varint_size(least);
    go_on(merge, head);
    if (!write_fields(merge, message)) return false;
    size_t length = merge->written - at - head, needed = varint_size(length);
    if (merge->output != NULL && needed != head) {
        memmove(merge->output + at + needed, merge->output + at + head, length);
    }
    merge->written = at;
    write_varint(merge, length);
    go_on(merge, length);
    return true;
}

/// Writes what is in a slot.
static bool write_slot(merge *merge, const field *first, size_t from, size_t to) {
    uint32_t slot = ENTRY_SLOT(first->entry);
    write_varint(merge, TAG(first->number, WIRE_LENGTH));
    if (is_message(first->entry)) {
        const cotlp_table *table = &cotlp_tables[ENTRY_MESSAGE(first->entry)];
        return write_content(merge, &(message){.table = table, .from = from, .to = to, .slot = slot});
    }
    size_t count = 0;
    for (size_t i = from; i < to; i++) {
        if (merge->parts[i].slot == slot) count += merge->parts[i].count;
    }
    write_varint(merge, count);
    for (size_t i = from; i < to; i++) {
        if (merge->parts[i].slot == slot) write_bytes(merge, merge->parts[i].bytes, merge->parts[i].count);
    }
    return true;
}

/// Writes a message that a field may hold many of.
static bool write_entry(merge *merge, const field *field) {
    write_varint(merge, TAG(field->number, WIRE_LENGTH));
    size_t from = merge->count;
    const cotlp_table *table = &cotlp_tables[ENTRY_MESSAGE(field->entry)];
    bool is_written =
        push(merge, field->content, 0) &&
        write_content(merge, &(message){.table = table, .from = from, .to = from + 1, .slot = 0});
    merge->count = from;
    return is_written;
}

/// Writes all fields of a message: what is in a slot where its first part stands.
static bool write_fields(merge *merge, const message *message) {
    held slots[SLOTS] = {0};
    size_t base = merge->count;
    if (!collect(merge, message, slots)) return false;
    size_t to = merge->count;
    for (size_t i = message->from; i < message->to; i++) {
        cotlp_part part = merge->parts[i];
        if (part.slot != message->slot) continue;
        for (const uint8_t *p = part.bytes, *end = p + part.count; p < end;) {
            field field = read_field(p, end, message->table);
            p = field.end;
            bool is_written = true;
            if (is_collected(field.entry)) {
                held held = slots[ENTRY_SLOT(field.entry) >> 1];
                bool is_first = held.number != 0 && merge->parts[held.from].bytes == field.content.bytes;
                if (is_first) is_written = write_slot(merge, &field, held.from, to);
            } else if (is_message(field.entry)) {
                is_written = write_entry(merge, &field);
            } else {
                write_bytes(merge, field.bytes, (size_t)(field.end - field.bytes));
            }
            if (!is_written) return false;
        }
    }
    merge->count = base;
    return true;
}

bool cotlp_merge(int signal, const uint8_t *bytes, size_t count, uint8_t *output,
                 cotlp_merged *merged, cotlp_part *parts) {
    merge merge = {.output = output, .parts = parts};
    if (!push(&merge, (cotlp_run){.bytes = bytes, .count = count}, 0)) return false;
    if (!write_fields(&merge, &(message){.table = &cotlp_tables[signal], .from = 0, .to = 1, .slot = 0})) {
        return false;
    }
    *merged = (cotlp_merged){.size = merge.written, .room = merge.most};
    return true;
}
