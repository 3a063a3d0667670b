// Texts that are not UTF-8, replaced while the pass goes over a request. Private to COTLP.
//
// What is written is the input, copied up to `copied`, with other texts and the lengths that they change. A byte of
// the input that was met when `shift` bytes had been added stands that far further in the output.
#ifndef COTLP_REPAIR_H
#define COTLP_REPAIR_H

#include "COTLP.h"

/// As deep as the pass goes.
enum { REPAIR_FRAMES_MAX = 256 };

typedef struct cotlp_repair {
    const uint8_t *input;
    uint8_t *output; // NULL: only sizes are wanted
    cotlp_repairs *repairs;
    size_t copied; // input bytes that are in the output, as they were or repaired
    size_t shift;  // bytes that were added so far
    struct {
        size_t length_at; // where the message's length begins in the input
        size_t begin;     // where its content does
        size_t shift;     // bytes that had been added before it
    } places[REPAIR_FRAMES_MAX];
} cotlp_repair;

/// The pass enters a message.
static inline void cotlp_repair_enter(cotlp_repair *repair, size_t frame, const uint8_t *length_at,
                                      const uint8_t *begin) {
    repair->places[frame].length_at = (size_t)(length_at - repair->input);
    repair->places[frame].begin = (size_t)(begin - repair->input);
    repair->places[frame].shift = repair->shift;
}

/// The pass is at the end of a message: writes its length anew when it has grown.
void cotlp_repair_leave(cotlp_repair *repair, size_t frame, const uint8_t *end);

/// A text that is not UTF-8, in the resource entry that is the resources-th.
void cotlp_repair_text(cotlp_repair *repair, size_t resources, const uint8_t *length_at, const uint8_t *text,
                       size_t length);

/// The pass is at the end of the request.
void cotlp_repair_finish(cotlp_repair *repair, size_t count);

#endif
