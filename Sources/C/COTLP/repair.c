#include "repair.h"

#include "text.h"

/// Bytes of a length as it is written anew: no fewer than before, so that nothing that was written moves back.
static size_t length_size(size_t value, size_t least) {
    size_t size = 1;
    while (value >>= 7) size += 1;
    return size > least ? size : least;
}

static void write_length(uint8_t *p, size_t value, size_t size) {
    for (size_t i = 0; i + 1 < size; i++, value >>= 7) p[i] = (uint8_t)(value | 0x80);
    p[size - 1] = (uint8_t)(value & 0x7F);
}

/// Copies what stands in the input before a place and was not copied yet.
static void copy_up_to(cotlp_repair *repair, size_t end) {
    if (repair->output != NULL && end > repair->copied) {
        memcpy(repair->output + repair->copied + repair->shift, repair->input + repair->copied,
               end - repair->copied);
    }
    if (end > repair->copied) repair->copied = end;
}

/// Counts a text for its resource entry. Entries come in order.
static void count_text(cotlp_repairs *repairs, size_t resources) {
    size_t resource = resources == 0 ? 0 : resources - 1;
    size_t count = repairs->count;
    if (count == 0 || (repairs->entries[count - 1].resource != resource && count < COTLP_REPAIRED_MAX)) {
        repairs->entries[count].resource = resource;
        repairs->entries[count].texts = 0;
        repairs->count = ++count;
    }
    repairs->entries[count - 1].texts += 1;
}

void cotlp_repair_text(cotlp_repair *repair, size_t resources, const uint8_t *length_at, const uint8_t *text,
                       size_t length) {
    count_text(repair->repairs, resources);
    size_t at = (size_t)(length_at - repair->input), begin = (size_t)(text - repair->input);
    copy_up_to(repair, at);
    size_t repaired = cotlp_utf8_repair(text, length, NULL);
    size_t head = length_size(repaired, begin - at);
    if (repair->output != NULL) {
        uint8_t *target = repair->output + at + repair->shift;
        write_length(target, repaired, head);
        cotlp_utf8_repair(text, length, target + head);
    }
    repair->copied = begin + length;
    // Never fewer: U+FFFD has three bytes, as the longest wrong part has.
    repair->shift += (head + repaired) - (begin - at + length);
}

void cotlp_repair_leave(cotlp_repair *repair, size_t frame, const uint8_t *end) {
    size_t at = repair->places[frame].length_at, begin = repair->places[frame].begin;
    if (repair->copied <= begin) return; // nothing in it was repaired
    size_t shift = repair->places[frame].shift;
    size_t stop = (size_t)(end - repair->input);
    copy_up_to(repair, stop);
    size_t length = stop - begin + (repair->shift - shift);
    size_t old_head = begin - at, head = length_size(length, old_head);
    if (repair->output != NULL) {
        uint8_t *target = repair->output + at + shift;
        if (head != old_head) memmove(target + head, target + old_head, length);
        write_length(target, length, head);
    }
    repair->shift += head - old_head;
}

void cotlp_repair_finish(cotlp_repair *repair, size_t count) {
    copy_up_to(repair, count);
    repair->repairs->size = count + repair->shift;
}
