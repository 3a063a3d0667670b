/* load HOST:PORT [options]: an OTLP load generator; prints one JSON object. See bench/README.md. */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "util.h"

#define RECONNECT_NS 50000000ULL
#define SHORTEST_SLEEP_NS 50000ULL
#define LONGEST_SLEEP_NS 100000000ULL

static volatile sig_atomic_t stop_requested;

static void on_signal(int number) {
    (void)number;
    stop_requested = 1;
}

/* ---- connections ---- */

static bool connection_open(struct connection *c) {
    const struct options *options = c->worker->options;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket: %s", strerror(errno));
    if (connect(fd, (const struct sockaddr *)&options->address, options->address_length)) {
        if (!c->worker->totals.first_error[0]) {
            snprintf(c->worker->totals.first_error, sizeof c->worker->totals.first_error, "connect: %s",
                     strerror(errno));
        }
        close(fd);
        c->retry_ns = now_ns() + RECONNECT_NS;
        return false;
    }
    prepare_socket(fd);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(c->worker->epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl: %s", strerror(errno));
    c->fd = fd;
    c->want_write = false;
    c->piece_first = c->piece_count = 0;
    c->arena_used = 0;
    c->worker->wire->open(c);
    return true;
}

/* Closes; what is in flight is lost. It is opened again after a pause while the run lasts. */
static void connection_fail(struct connection *c, const char *reason) {
    if (c->fd < 0) return;
    close(c->fd);
    c->fd = -1;
    c->worker->wire->close(c);
    for (unsigned i = 0; i < c->worker->options->streams; i++) {
        if (!c->slots[i].busy) continue;
        slot_lost(&c->slots[i], reason);
        slot_release(&c->slots[i]);
    }
    c->retry_ns = c->worker->now_ns + RECONNECT_NS;
}

/* Starts what is due and writes. */
static void drive(struct connection *c) {
    const struct wire *wire = c->worker->wire;
    if (!wire->fill(c, UINT32_MAX) || !wire->pump(c))
        connection_fail(c, "the connection broke while writing");
}

static void connection_event(struct connection *c, uint32_t events) {
    if (c->fd < 0) return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = read(c->fd, c->worker->read_buffer, READ_BYTES);
        if (n == 0) return connection_fail(c, "the server closed the connection");
        if (n < 0 && errno != EAGAIN && errno != EINTR) return connection_fail(c, strerror(errno));
        if (n > 0) {
            c->worker->now_ns = now_ns();
            if (!c->worker->wire->feed(c, c->worker->read_buffer, (size_t)n))
                return connection_fail(c, "the server ended the connection");
        }
    }
    drive(c);
}

/* ---- one worker ---- */

/* Starts requests that are due, one a connection in turn. Returns whether any was started. */
static bool dispatch(struct worker *worker) {
    unsigned idle = 0;
    bool any = false;
    while (idle < worker->connection_count) {
        struct connection *c = &worker->connections[worker->next_connection++ % worker->connection_count];
        uint64_t before = worker->issued;
        if (c->fd >= 0 && c->free_slots && !worker->wire->fill(c, 1))
            connection_fail(c, "the connection takes no more requests");
        if (worker->issued == before) {
            idle++;
            continue;
        }
        idle = 0;
        any = c->dirty = true;
    }
    for (unsigned i = 0; i < worker->connection_count; i++) {
        struct connection *c = &worker->connections[i];
        if (c->dirty && c->fd >= 0 && !worker->wire->pump(c)) connection_fail(c, "the connection broke while writing");
        c->dirty = false;
    }
    return any;
}

static void reconnect(struct worker *worker) {
    for (unsigned i = 0; i < worker->connection_count; i++) {
        struct connection *c = &worker->connections[i];
        if (c->fd >= 0 || worker->now_ns < c->retry_ns || !connection_open(c)) continue;
        drive(c);
    }
}

static uint64_t sleep_time(const struct worker *worker, uint64_t limit_ns) {
    uint64_t now = worker->now_ns, wait = limit_ns > now ? limit_ns - now : 0;
    if (wait > LONGEST_SLEEP_NS) wait = LONGEST_SLEEP_NS;
    for (unsigned i = 0; i < worker->connection_count; i++) {
        if (worker->connections[i].fd < 0 && wait > RECONNECT_NS) wait = RECONNECT_NS;
    }
    if (worker->interval_ns <= 0 || worker->issued >= worker->budget || now >= worker->end_ns) return wait;
    uint64_t due = worker->start_ns + (uint64_t)((double)worker->issued * worker->interval_ns);
    uint64_t until =
        due > now ? due - now : 1000000; /* overdue: every slot is busy, an answer will wake us */
    if (until < SHORTEST_SLEEP_NS) until = SHORTEST_SLEEP_NS;
    return until < wait ? until : wait;
}

static void *worker_run(void *argument) {
    struct worker *worker = argument;
    struct epoll_event events[64];
    uint64_t grace_ns = (uint64_t)(worker->options->grace * 1e9);
    prctl(PR_SET_TIMERSLACK, 1000);
    for (;;) {
        worker->now_ns = now_ns();
        if (stop_requested && worker->end_ns > worker->now_ns) worker->end_ns = worker->now_ns;
        bool ended = worker->now_ns >= worker->end_ns || worker->issued >= worker->budget;
        if (ended && (!worker->in_flight || worker->now_ns >= worker->end_ns + grace_ns)) break;
        if (!ended) {
            reconnect(worker);
            if (worker->interval_ns > 0) dispatch(worker);
        }
        uint64_t wait =
            sleep_time(worker, worker->now_ns < worker->end_ns ? worker->end_ns : worker->end_ns + grace_ns);
        struct timespec timeout = {(time_t)(wait / 1000000000ULL), (long)(wait % 1000000000ULL)};
        int count = epoll_pwait2(worker->epoll, events, COUNT(events), &timeout, NULL);
        if (count < 0 && errno != EINTR) die("epoll_pwait2: %s", strerror(errno));
        worker->now_ns = now_ns();
        for (int i = 0; i < count; i++) connection_event(events[i].data.ptr, events[i].events);
    }
    worker->totals.unanswered = worker->in_flight;
    return NULL;
}

static void worker_open(struct worker *worker) {
    const struct options *options = worker->options;
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll < 0) die("epoll_create1: %s", strerror(errno));
    worker->read_buffer = must_alloc(READ_BYTES);
    worker->connections = must_calloc(worker->connection_count, sizeof *worker->connections);
    for (unsigned i = 0; i < worker->connection_count; i++) {
        struct connection *c = &worker->connections[i];
        c->worker = worker;
        c->arena = must_alloc(OUT_ARENA);
        c->slots = must_calloc(options->streams, sizeof *c->slots);
        for (unsigned s = 0; s < options->streams; s++) {
            struct slot *slot = &c->slots[s];
            slot->connection = c;
            slot->length = worker->message_length;
            slot->message = (uint8_t *)(uintptr_t)worker->message;
            if (options->unique) {
                slot->message = must_alloc(slot->length);
                memcpy(slot->message, worker->message, slot->length);
            }
            slot->next_free = c->free_slots;
            c->free_slots = slot;
        }
        c->fd = -1;
        if (!connection_open(c)) die("%s", worker->totals.first_error);
    }
}

/* ---- options and report ---- */

static const char usage[] =
    "usage: load HOST:PORT [--protocol grpc|http1|http2] [--signal traces|metrics|logs] [--items N] "
    "[--gzip]\n"
    "  [--connections N] [--streams N] [--threads N] [--duration SECONDS] [--requests N] [--rate "
    "REQUESTS_PER_SECOND]\n"
    "  [--grace SECONDS] [--max-frame-size BYTES] [--seed N] [--unique] [--acked FILE] "
    "[--series N] [--whole-traces]";

static void parse_options(struct options *options, int argc, char **argv) {
    static const struct option names[] = {{"protocol", 1, 0, 'p'},    {"signal", 1, 0, 's'},
                                          {"items", 1, 0, 'i'},       {"gzip", 0, 0, 'z'},
                                          {"connections", 1, 0, 'c'}, {"streams", 1, 0, 'm'},
                                          {"threads", 1, 0, 't'},     {"duration", 1, 0, 'd'},
                                          {"requests", 1, 0, 'n'},    {"rate", 1, 0, 'r'},
                                          {"grace", 1, 0, 'g'},       {"max-frame-size", 1, 0, 'f'},
                                          {"seed", 1, 0, 'e'},        {"unique", 0, 0, 'u'},
                                          {"acked", 1, 0, 'a'},       {"series", 1, 0, 'S'},
                                          {"whole-traces", 0, 0, 'w'},
                                          {0, 0, 0, 0}};
    *options = (struct options){.protocol = PROTOCOL_GRPC,
                                .items = 100,
                                .connections = 4,
                                .streams = 16,
                                .threads = 1,
                                .max_frame_size = 16384,
                                .duration = 10,
                                .grace = 5,
                                .seed = 1};
    for (int key; (key = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (key) {
            case 'p':
                if (!strcmp(optarg, "grpc")) options->protocol = PROTOCOL_GRPC;
                else if (!strcmp(optarg, "http1")) options->protocol = PROTOCOL_HTTP1;
                else if (!strcmp(optarg, "http2")) options->protocol = PROTOCOL_HTTP2;
                else die("--protocol: \"%s\" is not grpc, http1 or http2", optarg);
                break;
            case 's': {
                int signal = signal_named(optarg);
                if (signal < 0) die("--signal: \"%s\" is not traces, metrics or logs", optarg);
                options->signal = (enum signal)signal;
                break;
            }
            case 'i': options->items = parse_count("--items", optarg, 1, 100000); break;
            case 'z': options->gzip = true; break;
            case 'c': options->connections = (unsigned)parse_count("--connections", optarg, 1, 20000); break;
            case 'm': options->streams = (unsigned)parse_count("--streams", optarg, 1, 10000); break;
            case 't': options->threads = (unsigned)parse_count("--threads", optarg, 1, 64); break;
            case 'd': options->duration = parse_real("--duration", optarg, 0.001, 86400); break;
            case 'n': options->requests = parse_count("--requests", optarg, 1, UINT64_MAX); break;
            case 'r': options->rate = parse_real("--rate", optarg, 0.001, 1e7); break;
            case 'g': options->grace = parse_real("--grace", optarg, 0, 3600); break;
            case 'f':
                options->max_frame_size = (unsigned)parse_count("--max-frame-size", optarg, 16384, 16777215);
                break;
            case 'e': options->seed = parse_count("--seed", optarg, 0, 65535); break;
            case 'u': options->unique = true; break;
            case 'w': options->unique = options->whole = true; break;
            case 'S':
                options->unique = true;
                options->series = parse_count("--series", optarg, 1, 1000000);
                break;
            case 'a':
                options->unique = true;
                if (!(options->acked = fopen(optarg, "wb"))) die("--acked %s: %s", optarg, strerror(errno));
                break;
            default: die("%s", usage);
        }
    }
    if (optind != argc - 1) die("%s", usage);
    options->authority = argv[optind];
    parse_address("HOST:PORT", argv[optind], &options->address, &options->address_length);
    if (options->protocol == PROTOCOL_HTTP1) options->streams = 1;
    if (options->connections < options->threads) options->threads = options->connections;
    if (options->unique && options->signal == SIGNAL_METRICS && !options->series)
        die("--unique: data points carry no id to number");
    if (options->whole && (options->signal != SIGNAL_TRACES || options->acked || options->items % 5))
        die("--whole-traces is for traces in requests of 5, 10, 15, … spans, without --acked");
    if (options->series && ((options->signal != SIGNAL_METRICS && !options->whole) || options->acked))
        die("--series is for metrics and --whole-traces, which have no --acked");
    options->gzip_level = options->unique ? 1 : 6; /* numbered requests are compressed one by one */
}

static void print_report(const struct options *o, const struct totals *t, double seconds, double cpu,
                         uint64_t unsent) {
    static const char *const protocols[] = {"grpc", "http1", "http2"}, *const signals[] = {"traces",
                                                                                           "metrics", "logs"};
    printf("{\"target\": \"%s\", \"protocol\": \"%s\", \"signal\": \"%s\", \"items_per_request\": %zu, ",
           o->authority, protocols[o->protocol], signals[o->signal], o->items);
    printf("\"gzip\": %s, \"connections\": %u, \"streams\": %u, \"threads\": %u, \"rate\": %g,\n ",
           o->gzip ? "true" : "false", o->connections, o->streams, o->threads, o->rate);
    printf("\"ok\": %llu, \"refused_retryable\": %llu, \"failed\": %llu, \"transport_errors\": %llu, ",
           (unsigned long long)t->ok, (unsigned long long)t->refused, (unsigned long long)t->failed,
           (unsigned long long)t->transport);
    printf("\"unanswered\": %llu, \"unsent\": %llu,\n \"not_ok_by_status\": {",
           (unsigned long long)t->unanswered, (unsigned long long)unsent);
    const char *separator = "";
    for (int i = 0; i < STATUS_LIMIT; i++) {
        if (!t->by_status[i]) continue;
        printf("%s\"%s %d\": %llu", separator, i < 100 ? "grpc" : "http", i,
               (unsigned long long)t->by_status[i]);
        separator = ", ";
    }
    printf("}, \"first_error\": ");
    t->first_error[0] ? printf("\"%s\"", t->first_error) : printf("null");
    double ok = (double)t->ok, items = ok * (double)o->items;
    printf(",\n \"items_ok\": %.0f, \"bytes_sent\": %llu, \"seconds\": %.4f, \"requests_per_second\": %.1f, ",
           items, (unsigned long long)t->bytes_sent, seconds, ok / seconds);
    printf("\"items_per_second\": %.0f, \"cpu_seconds\": %.3f,\n \"latency_ms\": {", items / seconds, cpu);
    static const struct {
        const char *name;
        double quantile;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}};
    for (size_t i = 0; i < COUNT(quantiles); i++) {
        double value = (double)histogram_quantile(&t->latency, quantiles[i].quantile) / 1e6;
        printf("\"%s\": %.3f, ", quantiles[i].name, value);
    }
    printf("\"max\": %.3f}}\n", (double)t->latency.maximum / 1e6);
}

static void merge(struct totals *to, const struct totals *from) {
    to->ok += from->ok;
    to->refused += from->refused;
    to->failed += from->failed;
    to->transport += from->transport;
    to->unanswered += from->unanswered;
    to->bytes_sent += from->bytes_sent;
    for (int i = 0; i < STATUS_LIMIT; i++) to->by_status[i] += from->by_status[i];
    if (from->last_answer_ns > to->last_answer_ns) to->last_answer_ns = from->last_answer_ns;
    if (!to->first_error[0]) memcpy(to->first_error, from->first_error, sizeof to->first_error);
    histogram_merge(&to->latency, &from->latency);
}

/* The request as it goes on the wire: gzipped if asked for, behind the gRPC prefix if there is one. */
static uint8_t *make_message(const struct options *options, const struct payload *payload, size_t *length) {
    size_t prefix = options->protocol == PROTOCOL_GRPC ? 5 : 0, body_length = payload->length;
    uint8_t *body = payload->bytes;
    if (options->gzip)
        body = payload_gzip(payload->bytes, payload->length, (int)options->gzip_level, &body_length);
    uint8_t *message = must_alloc(prefix + body_length);
    if (prefix)
        memcpy(message,
               (uint8_t[]){options->gzip, (uint8_t)(body_length >> 24), (uint8_t)(body_length >> 16),
                           (uint8_t)(body_length >> 8), (uint8_t)body_length},
               5);
    memcpy(message + prefix, body, body_length);
    if (body != payload->bytes) free(body);
    *length = prefix + body_length;
    return message;
}

static void worker_prepare(struct worker *worker, const struct options *options, unsigned index) {
    unsigned threads = options->threads;
    worker->options = options;
    worker->index = index;
    worker->connection_count = options->connections / threads + (index < options->connections % threads);
    worker->budget =
        options->requests ? options->requests / threads + (index < options->requests % threads) : UINT64_MAX;
    worker->next_id = (options->seed + 1) << 48 | (uint64_t)index << 40 | 1;
    worker->interval_ns = options->rate > 0 ? 1e9 * threads / options->rate : 0;
    struct payload *payload = must_alloc(sizeof *payload); /* a worker's own: numbering writes into it */
    payload_make(payload, options->signal, options->items, options->seed, options->whole);
    worker->payload = payload;
    worker->message = make_message(options, payload, &worker->message_length);
    worker->wire = options->protocol == PROTOCOL_HTTP1 ? &http1_wire : &http2_wire;
    if (index == 0) worker->wire->setup(options, worker->message_length);
    worker_open(worker);
}

int main(int argc, char **argv) {
    program_name = "load";
    struct options options;
    parse_options(&options, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    struct worker *workers = must_calloc(options.threads, sizeof *workers);
    for (unsigned i = 0; i < options.threads; i++) worker_prepare(&workers[i], &options, i);
    uint64_t start = now_ns(), end = start + (uint64_t)(options.duration * 1e9);
    double cpu = cpu_seconds();
    pthread_t *threads = must_calloc(options.threads, sizeof *threads);
    for (unsigned i = 0; i < options.threads; i++) {
        struct worker *worker = &workers[i];
        worker->start_ns = start + (uint64_t)(worker->interval_ns * i / options.threads);
        worker->end_ns = end;
        worker->now_ns = start;
        for (unsigned c = 0; c < worker->connection_count; c++) drive(&worker->connections[c]);
        if (i && pthread_create(&threads[i], NULL, worker_run, worker)) die("pthread_create failed");
    }
    worker_run(&workers[0]);
    struct totals *totals = must_calloc(1, sizeof *totals);
    uint64_t unsent = 0;
    for (unsigned i = 0; i < options.threads; i++) {
        struct worker *worker = &workers[i];
        if (i) pthread_join(threads[i], NULL);
        merge(totals, &worker->totals);
        if (worker->interval_ns <= 0) continue;
        double planned = (double)(worker->end_ns - worker->start_ns) / worker->interval_ns;
        if (planned > (double)worker->budget) planned = (double)worker->budget;
        if (planned > (double)worker->issued) unsent += (uint64_t)(planned - (double)worker->issued);
    }
    if (options.acked && fclose(options.acked)) die("--acked: write failed");
    uint64_t last = totals->last_answer_ns > start ? totals->last_answer_ns : now_ns();
    print_report(&options, totals, (double)(last - start) / 1e9, cpu_seconds() - cpu, unsent);
    return totals->ok ? 0 : 1;
}
