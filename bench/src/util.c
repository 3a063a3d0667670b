#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

const char *program_name = "bench";

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
           + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void *must_alloc(size_t bytes) {
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) die("out of memory: %zu bytes", bytes);
    return memory;
}

void *must_calloc(size_t count, size_t bytes) {
    void *memory = calloc(count ? count : 1, bytes);
    if (!memory) die("out of memory: %zu x %zu bytes", count, bytes);
    return memory;
}

void *must_realloc(void *old, size_t bytes) {
    void *memory = realloc(old, bytes ? bytes : 1);
    if (!memory) die("out of memory: %zu bytes", bytes);
    return memory;
}

uint64_t parse_count(const char *name, const char *text, uint64_t low, uint64_t high) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < low || value > high) {
        die("%s: \"%s\" is not a whole number from %llu to %llu", name, text, (unsigned long long)low,
            (unsigned long long)high);
    }
    return value;
}

double parse_real(const char *name, const char *text, double low, double high) {
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (errno || end == text || *end || !(value >= low && value <= high)) {
        die("%s: \"%s\" is not a number from %g to %g", name, text, low, high);
    }
    return value;
}

void parse_address(const char *name, const char *text, struct sockaddr_storage *address, socklen_t *length) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) die("%s: \"%s\" is not HOST:PORT", name, text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    if (!strcmp(host, "localhost")) strcpy(host, "127.0.0.1");
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    v4.sin_port = htons((uint16_t)parse_count(name, colon + 1, 0, 65535));
    if (inet_pton(AF_INET, host, &v4.sin_addr) != 1) die("%s: \"%s\" is not a numeric IPv4 host", name, host);
    memset(address, 0, sizeof *address);
    memcpy(address, &v4, sizeof v4);
    *length = sizeof v4;
}

void prepare_socket(int fd) {
    int on = 1;
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) die("fcntl: %s", strerror(errno));
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
        die("TCP_NODELAY: %s", strerror(errno));
    }
}
