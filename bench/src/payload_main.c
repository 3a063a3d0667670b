/* payload SIGNAL ITEMS [SEED] > FILE: writes one serialized export request. */
#include <stdio.h>

#include "payload.h"
#include "util.h"

int main(int argc, char **argv) {
    program_name = "payload";
    if (argc < 3 || argc > 4) die("usage: payload traces|metrics|logs ITEMS [SEED] > FILE");
    int signal = signal_named(argv[1]);
    if (signal < 0) die("\"%s\" is not traces, metrics or logs", argv[1]);
    size_t items = parse_count("ITEMS", argv[2], 1, 1000000);
    struct payload payload;
    payload_make(&payload, (enum signal)signal, items,
                 argc > 3 ? parse_count("SEED", argv[3], 0, UINT64_MAX) : 1, false);
    if (fwrite(payload.bytes, 1, payload.length, stdout) != payload.length || fflush(stdout))
        die("write failed");
    payload_free(&payload);
    return 0;
}
