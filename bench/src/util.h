/* Small helpers that every program here shares: fatal errors, the clock, option values. */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Prints "NAME: message" on stderr and exits with status 2. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The name that `die` prints, set first in main. */
extern const char *program_name;

/* Monotonic nanoseconds. */
uint64_t now_ns(void);

/* User + system seconds of this process so far. */
double cpu_seconds(void);

/* malloc, calloc and realloc that never return NULL: a generator without memory has no result to give. */
void *must_alloc(size_t bytes);
void *must_calloc(size_t count, size_t bytes);
void *must_realloc(void *old, size_t bytes);

/* The value of option `name` as a number; dies, naming option and value, when it is not one in [low, high].
 */
uint64_t parse_count(const char *name, const char *text, uint64_t low, uint64_t high);
double parse_real(const char *name, const char *text, double low, double high);

/* Splits "HOST:PORT" and resolves a numeric IPv4 host (or "localhost"); dies when it is neither. */
void parse_address(const char *name, const char *text, struct sockaddr_storage *address, socklen_t *length);

/* Switches an open socket to non-blocking and turns Nagle's algorithm off. */
void prepare_socket(int fd);

/* xorshift64*: the same seed gives the same stream on every machine. The state must not be 0. */
static inline uint64_t random_next(uint64_t *state) {
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dULL;
}

#endif
