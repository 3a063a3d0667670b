// Messages and lists that stand in several parts, written in one. Private to COTLP.
#ifndef COTLP_MERGE_H
#define COTLP_MERGE_H

#include "COTLP.h"

#include <stdbool.h>

/// See cotlp_check_merging(). The request is one that the pass has found to be well-formed.
/// Returns false when there are too many parts.
bool cotlp_merge(int signal, const uint8_t *bytes, size_t count, uint8_t *output,
                 cotlp_merged *merged, cotlp_part *parts);

#endif
