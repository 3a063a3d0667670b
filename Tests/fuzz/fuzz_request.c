// Fuzzes everything in COTLP that reads a client's bytes. The first byte chooses the signal, the rest is the request.
//
// Checked beyond the sanitizers: the pass and its slower twin, which repairs text, agree, which compares the short ways
// with the long ones; what was repaired or merged passes.
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

// What was repaired passes, and holds as many items; what is in several parts is for merging.
static void check_repaired(int signal, const uint8_t *bytes, size_t count, const cotlp_repairs *sized,
                           const cotlp_summary *before) {
    uint8_t *output = malloc(sized->size + 1);
    require(output != NULL);
    cotlp_repairs repairs;
    cotlp_summary summary;
    cotlp_fault fault;
    require(cotlp_check_repairing(signal, bytes, count, output, &repairs, &summary, &fault) == COTLP_VALID);
    require(repairs.size == sized->size);
    int code = cotlp_check(signal, output, repairs.size, &summary, &fault);
    require(code == COTLP_VALID || code == COTLP_SCATTERED);
    require(code == COTLP_SCATTERED || memcmp(&summary, before, sizeof summary) == 0);
    free(output);
}

// What was merged is in one part, and both runs say the same of its size; its text may still not be UTF-8.
static void check_merged(int signal, const uint8_t *bytes, size_t count, int code_of_repairing) {
    static cotlp_part parts[COTLP_PARTS_MAX];
    cotlp_merged sized, merged;
    cotlp_summary summary;
    cotlp_fault fault;
    int code = cotlp_check_merging(signal, bytes, count, NULL, &sized, parts, &summary, &fault);
    if (code != COTLP_VALID) {
        require(code == COTLP_TOO_SCATTERED || code == code_of_repairing);
        return;
    }
    uint8_t *output = malloc(sized.room + 1);
    require(output != NULL);
    require(cotlp_check_merging(signal, bytes, count, output, &merged, parts, &summary, &fault) == COTLP_VALID);
    require(merged.size == sized.size && merged.size <= sized.room);
    code = cotlp_check(signal, output, merged.size, &summary, &fault);
    require(code == COTLP_VALID || code == COTLP_BAD_UTF8);
    free(output);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    int signal = data[0] % 3;
    const uint8_t *bytes = data + 1;
    size_t count = size - 1;
    check_points(bytes, count);

    // The pass that repairs text takes the long way everywhere. Where nothing is to be repaired, both agree.
    cotlp_summary summary, same_summary;
    cotlp_fault fault, same_fault;
    cotlp_repairs repairs;
    int code = cotlp_check(signal, bytes, count, &summary, &fault);
    int same_code = cotlp_check_repairing(signal, bytes, count, NULL, &repairs, &same_summary, &same_fault);
    if (code == COTLP_VALID) {
        require(same_code == COTLP_VALID && repairs.size == count);
        require(memcmp(&summary, &same_summary, sizeof summary) == 0);
    } else if (code == COTLP_SCATTERED) {
        check_merged(signal, bytes, count, same_code);
    } else if (code != COTLP_BAD_UTF8) {
        require(same_code == code);
        require(fault.offset == same_fault.offset && fault.offset <= count);
        require(fault.field_number == same_fault.field_number);
        require(fault.message_name == same_fault.message_name);
    } else if (same_code == COTLP_VALID) {
        check_repaired(signal, bytes, count, &repairs, &same_summary);
    }
    return 0;
}
