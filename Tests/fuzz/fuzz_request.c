// Fuzzes everything in COTLP that reads a client's bytes. The first byte chooses the signal and the arena's
// limit, the rest is the request.
//
// Checked beyond the sanitizers: the pass and its slower twin agree, which compares the short ways with the
// long ones; what passes has a tree; a tree's encoding passes and is stable; too small an arena is an error
// and nothing else.
#include "COTLP.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define require(condition)                                                                                  \
    do {                                                                                                    \
        if (!(condition)) {                                                                                 \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                       \
            abort();                                                                                        \
        }                                                                                                   \
    } while (0)

static uint8_t *encode(const cotlp_tree *tree, size_t *count) {
    *count = cotlp_tree_encoded_size(tree);
    uint8_t *bytes = malloc(*count + 1);
    require(bytes != NULL);
    cotlp_tree_encode(tree, bytes);
    return bytes;
}

static void check_tree(int signal, const uint8_t *bytes, size_t count, size_t items) {
    cotlp_arena *arena = cotlp_arena_create((size_t)1 << 30);
    require(arena != NULL);
    cotlp_fault fault;
    cotlp_tree *tree;
    int code = cotlp_tree_decode(arena, signal, bytes, count, &tree, &fault);
    if (code == COTLP_NO_TREE) { // the one thing that passes and has no tree
        cotlp_arena_destroy(arena);
        return;
    }
    require(code == COTLP_VALID);
    // Fewer where a metric has data of two kinds: the last one counts.
    size_t tree_items = cotlp_tree_count_items(tree, signal);
    require(signal == COTLP_METRICS ? tree_items <= items : tree_items == items);

    size_t first_count, second_count;
    uint8_t *first = encode(tree, &first_count);
    cotlp_arena_reset(arena);
    cotlp_summary summary;
    require(cotlp_check(signal, first, first_count, &summary, &fault) == COTLP_VALID);
    require(summary.items == tree_items);
    require(cotlp_tree_decode(arena, signal, first, first_count, &tree, &fault) == COTLP_VALID);
    uint8_t *second = encode(tree, &second_count);
    require(first_count == second_count && memcmp(first, second, first_count) == 0);
    free(first);
    free(second);
    cotlp_arena_destroy(arena);
}

static void check_inside(cotlp_run run, const uint8_t *bytes, size_t count) {
    if (run.count == 0) return;
    require(run.bytes >= bytes && run.bytes + run.count <= bytes + count);
}

// The walkers over points believe nothing: what they give lies inside, and all find the same points.
static void check_points(const uint8_t *bytes, size_t count) {
    static const cotlp_hash_key key = {{1, 2, 3, 4, 5, 6, 7, 8}};
    cotlp_metric metric;
    cotlp_metric_read(bytes, count, &metric);
    cotlp_run runs[] = {metric.name, metric.description, metric.unit, metric.data};
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) check_inside(runs[i], bytes, count);
    const uint8_t *data = metric.data.count ? metric.data.bytes : bytes;
    size_t data_count = metric.data.count ? metric.data.count : count;
    size_t found[3] = {0};
    for (int walker = 0; walker < 3; walker++) {
        cotlp_points points = {data, data + data_count};
        cotlp_point point;
        cotlp_hash from = {1, 2};
        while (walker == 0   ? cotlp_number_next(&points, &key, from, &point)
               : walker == 1 ? cotlp_histogram_next(&points, &key, from, &point)
                             : cotlp_point_next(&points, 7, &key, from, &point)) {
            found[walker]++;
            check_inside(point.whole, data, data_count);
            if (point.is_scattered) continue;
            check_inside(point.counts, data, data_count);
            check_inside(point.bounds, data, data_count);
            require(point.counts.count % 8 == 0 && point.bounds.count % 8 == 0);
        }
    }
    require(found[0] == found[1] && found[1] == found[2]);
    if (metric.data.count && !metric.is_scattered) require(found[0] == metric.points);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    int signal = data[0] % 3;
    size_t limit = (size_t)(data[0] / 3) * 64;
    const uint8_t *bytes = data + 1;
    size_t count = size - 1;
    check_points(bytes, count);

    cotlp_summary summary, same_summary;
    cotlp_fault fault, same_fault;
    int code = cotlp_check(signal, bytes, count, &summary, &fault);
    int same_code = cotlp_check_without_nul(signal, bytes, count, &same_summary, &same_fault);
    if (same_code != COTLP_NUL_IN_TEXT) require(code == same_code);
    if (code == COTLP_VALID && same_code == COTLP_VALID) {
        require(memcmp(&summary, &same_summary, sizeof summary) == 0);
        check_tree(signal, bytes, count, summary.items);
    } else if (code != COTLP_VALID && same_code == code) {
        require(fault.offset == same_fault.offset && fault.offset <= count);
        require(fault.field_number == same_fault.field_number);
        require(fault.message_name == same_fault.message_name);
    }

    cotlp_arena *small = cotlp_arena_create(limit);
    require(small != NULL);
    cotlp_tree *tree;
    int small_code = cotlp_tree_decode(small, signal, bytes, count, &tree, &fault);
    require(small_code == same_code || small_code == COTLP_NO_MEMORY || small_code == COTLP_NO_TREE);
    require(cotlp_arena_used(small) <= limit);
    cotlp_arena_destroy(small);
    return 0;
}
