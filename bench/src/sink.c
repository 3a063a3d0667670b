/* sink [options]: an OTLP receiver that discards what it gets. See bench/README.md. */
#include "sink.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "util.h"

#define READ_BYTES (256 << 10)
#define OUT_LIMIT (16u << 20) /* of answers a peer does not read */

struct delayed {
    uint64_t due_ns;
    struct sink_connection *connection;
    uint32_t generation;
    int32_t stream;
    int status;
};

struct sink_options sink_options;
struct sink_totals sink_totals;
char sink_retry_details[256];

static int epoll_fd;
static struct sink_connection *free_connections;
static struct delayed *queue; /* a ring: the delay is the same for all, so the oldest is due first */
static size_t queue_first, queue_count, queue_capacity;
static uint64_t random_state = 0x5eed5eed5eedULL;

/* ---- deciding and answering ---- */

int grpc_status_of(int status) {
    if (status < 100) return status;
    if (status == 200) return 0;
    return status == 429 || (status >= 502 && status <= 504) ? 14 : status == 400 ? 3 : 2;
}

int http_status_of(int status) {
    if (status >= 100) return status;
    switch (status) {
        case 0: return 200;
        case 3: return 400;
        case 8: return 429;
        case 1:
        case 4:
        case 10:
        case 11:
        case 14:
        case 15: return 503;
        case 16: return 401;
        case 7: return 403;
        case 12: return 404;
        default: return 500;
    }
}

int sink_decide(struct body *body) {
    sink_totals.requests++;
    sink_totals.bytes += body->received;
    sink_totals.gzipped += body->gzip;
    bool fail = sink_totals.requests <= sink_options.fail_first;
    if (!fail && sink_options.fail_rate > 0) {
        fail = (double)(random_next(&random_state) >> 11) * 0x1p-53 < sink_options.fail_rate;
    }
    if (fail) {
        sink_totals.failed++;
        return sink_options.status;
    }
    if (body_finish(body, &sink_options.policy, &sink_totals.items) == BODY_MALFORMED) {
        sink_totals.malformed++;
        return body->signal < 0 ? 12 : 3;
    }
    sink_totals.accepted++;
    return 0;
}

void sink_delay(struct sink_connection *connection, int32_t stream, int status) {
    if (queue_count == queue_capacity) {
        size_t capacity = queue_capacity ? queue_capacity * 2 : 1024;
        struct delayed *grown = must_calloc(capacity, sizeof *grown);
        for (size_t i = 0; i < queue_count; i++) grown[i] = queue[(queue_first + i) % queue_capacity];
        free(queue);
        queue = grown;
        queue_first = 0;
        queue_capacity = capacity;
    }
    queue[(queue_first + queue_count++) % queue_capacity] = (struct delayed){
        now_ns() + sink_options.delay_ns, connection, connection->generation, stream, status};
}

/* ---- connections ---- */

void sink_write(struct sink_connection *c, const void *bytes, size_t count) {
    if (c->out_length + count > c->out_capacity) {
        c->out_capacity = (c->out_length + count) * 2;
        c->out = must_realloc(c->out, c->out_capacity);
    }
    memcpy(c->out + c->out_length, bytes, count);
    c->out_length += count;
}

static void connection_close(struct sink_connection *c) {
    if (c->session) sink_http2_close(c);
    if (c->http1) sink_http1_close(c);
    close(c->fd);
    free(c->out);
    free(c->stash);
    uint32_t generation = c->generation + 1;
    *c = (struct sink_connection){.fd = -1, .generation = generation, .next_free = free_connections};
    free_connections = c;
}

/* Writes what is queued; false when the connection must be closed. */
static bool connection_flush(struct sink_connection *c) {
    while (c->out_sent < c->out_length) {
        ssize_t n = write(c->fd, c->out + c->out_sent, c->out_length - c->out_sent);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) return false;
        if (n < 0) break;
        c->out_sent += (size_t)n;
    }
    bool blocked = c->out_sent < c->out_length;
    if (!blocked) c->out_sent = c->out_length = 0;
    if (c->out_length - c->out_sent > OUT_LIMIT) return false;
    if (blocked != c->want_write) {
        c->want_write = blocked;
        struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
    }
    return blocked || !c->closing;
}

static void connection_accept(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
            die("accept4: %s", strerror(errno));
        }
        prepare_socket(fd);
        struct sink_connection *c = free_connections;
        if (c) {
            free_connections = c->next_free;
        } else {
            c = must_calloc(1, sizeof *c);
        }
        c->fd = fd;
        sink_totals.connections++;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl: %s", strerror(errno));
    }
}

/* HTTP/2 with prior knowledge starts with "PRI"; no HTTP/1.1 method the sink answers does. */
static bool connection_feed(struct sink_connection *c, const uint8_t *bytes, size_t count) {
    if (c->wire == WIRE_UNKNOWN) {
        c->wire = bytes[0] == 'P' && (count < 2 || bytes[1] == 'R') ? WIRE_HTTP2 : WIRE_HTTP1;
        if (c->wire == WIRE_HTTP1) {
            sink_http1_open(c);
        } else if (!sink_http2_open(c)) {
            return false;
        }
    }
    if (c->wire == WIRE_HTTP2) return sink_http2_feed(c, bytes, count) && sink_http2_pump(c);
    if (!sink_http1_feed(c, bytes, count)) c->closing = true; /* after the answer is written */
    return true;
}

static void connection_event(struct sink_connection *c, uint32_t events, uint8_t *buffer) {
    if (c->fd < 0) return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = read(c->fd, buffer, READ_BYTES);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return connection_close(c);
        if (n > 0 && !c->closing && !connection_feed(c, buffer, (size_t)n)) return connection_close(c);
    }
    if (!connection_flush(c)) connection_close(c);
}

static void answer_delayed(void) {
    for (uint64_t now = now_ns(); queue_count && queue[queue_first].due_ns <= now; queue_count--) {
        struct delayed d = queue[queue_first];
        queue_first = (queue_first + 1) % queue_capacity;
        struct sink_connection *c = d.connection;
        if (c->generation != d.generation) continue;
        bool usable;
        if (c->wire == WIRE_HTTP2) {
            sink_http2_answer(c, d.stream, d.status);
            usable = sink_http2_pump(c);
        } else {
            if (!sink_http1_answer(c, d.status)) c->closing = true;
            uint8_t *waiting = c->stash;
            size_t length = c->stash_length;
            c->stash = NULL;
            c->stash_length = 0;
            usable = true;
            if (length && !c->closing && !sink_http1_feed(c, waiting, length)) c->closing = true;
            free(waiting);
        }
        if (!usable || !connection_flush(c)) connection_close(c);
    }
}

static int listen_on(const char *option, const char *text) {
    struct sockaddr_storage address;
    socklen_t length;
    int on = 1;
    parse_address(option, text, &address, &length);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) die("socket: %s", strerror(errno));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) die("SO_REUSEADDR: %s", strerror(errno));
    if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 4096)) {
        die("%s %s: %s", option, text, strerror(errno));
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    event.data.u64 = (uint64_t)fd << 1 | 1; /* odd: a listener, pointers are even */
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl: %s", strerror(errno));
    return fd;
}

/* ---- options and report ---- */

static void print_report(void) {
    const struct sink_totals *t = &sink_totals;
    printf("{\"connections\": %llu, \"requests\": %llu, \"grpc\": %llu, \"http1\": %llu, \"http2\": %llu, ",
           (unsigned long long)t->connections, (unsigned long long)t->requests, (unsigned long long)t->grpc,
           (unsigned long long)t->http1, (unsigned long long)t->http2);
    printf("\"accepted\": %llu, \"failed\": %llu, \"malformed\": %llu, \"aborted\": %llu, ",
           (unsigned long long)t->accepted, (unsigned long long)t->failed, (unsigned long long)t->malformed,
           (unsigned long long)t->aborted);
    printf("\"gzipped\": %llu, \"bytes\": %llu, \"items\": ", (unsigned long long)t->gzipped,
           (unsigned long long)t->bytes);
    bool counted = sink_options.policy.count || sink_options.policy.ids;
    counted ? printf("%llu", (unsigned long long)t->items) : printf("null");
    printf(", \"cpu_seconds\": %.3f}\n", cpu_seconds());
    fflush(stdout);
    if (sink_options.policy.ids && fflush(sink_options.policy.ids)) die("--record: write failed");
}

static const char usage[] =
    "usage: sink [--listen HOST:PORT]... [--copy] [--count] [--record FILE] [--delay MS] [--status CODE]\n"
    "  [--fail-rate SHARE] [--fail-first N] [--retry-info SECONDS] [--window BYTES]\n"
    "  [--max-frame-size BYTES] [--max-streams N]";

/* Status{code, message, details: [Any(RetryInfo{retry_delay{seconds}})]} as base64, for 0 to 127 seconds. */
static void make_retry_details(int status, int seconds) {
    static const char type[] = "type.googleapis.com/google.rpc.RetryInfo";
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t bytes[128];
    size_t n = 0, type_length = sizeof type - 1, out = 0;
    bytes[n++] = 0x08, bytes[n++] = (uint8_t)grpc_status_of(status);
    bytes[n++] = 0x1a, bytes[n++] = (uint8_t)(2 + type_length + 2 + 4);
    bytes[n++] = 0x0a, bytes[n++] = (uint8_t)type_length;
    memcpy(bytes + n, type, type_length);
    n += type_length;
    memcpy(bytes + n, (uint8_t[]){0x12, 4, 0x0a, 2, 0x08, (uint8_t)seconds}, 6);
    n += 6;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t word = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0)
                        | (i + 2 < n ? bytes[i + 2] : 0);
        size_t digits = i + 2 < n ? 4 : i + 1 < n ? 3 : 2;
        for (size_t d = 0; d < digits; d++) sink_retry_details[out++] = alphabet[word >> (18 - 6 * d) & 63];
    }
}

static unsigned parse_options(int argc, char **argv, const char *listens[8]) {
    static const struct option names[] = {{"listen", 1, 0, 'l'},
                                          {"copy", 0, 0, 'c'},
                                          {"count", 0, 0, 'n'},
                                          {"record", 1, 0, 'r'},
                                          {"delay", 1, 0, 'd'},
                                          {"status", 1, 0, 's'},
                                          {"fail-rate", 1, 0, 'f'},
                                          {"fail-first", 1, 0, 'F'},
                                          {"retry-info", 1, 0, 'i'},
                                          {"window", 1, 0, 'w'},
                                          {"max-frame-size", 1, 0, 'm'},
                                          {"max-streams", 1, 0, 'S'},
                                          {0, 0, 0, 0}};
    unsigned count = 0;
    struct sink_options *o = &sink_options;
    *o = (struct sink_options){
        .status = 14, .retry_info = -1, .max_frame_size = 16384, .max_streams = 1024, .window = 16 << 20};
    bool status_given = false;
    for (int key; (key = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (key) {
            case 'l':
                if (count == 8) die("--listen: at most 8");
                listens[count++] = optarg;
                break;
            case 'c': o->policy.keep = true; break;
            case 'n': o->policy.count = true; break;
            case 'r':
                if (!(o->policy.ids = fopen(optarg, "wb"))) die("--record %s: %s", optarg, strerror(errno));
                break;
            case 'd': o->delay_ns = (uint64_t)(parse_real("--delay", optarg, 0, 3600000) * 1e6); break;
            case 's':
                o->status = (int)parse_count("--status", optarg, 1, 599);
                if (o->status > 16 && o->status < 100)
                    die("--status: %d is no gRPC code or HTTP status", o->status);
                status_given = true;
                break;
            case 'f': o->fail_rate = parse_real("--fail-rate", optarg, 0, 1); break;
            case 'F': o->fail_first = (unsigned)parse_count("--fail-first", optarg, 0, UINT32_MAX); break;
            case 'i': o->retry_info = (int)parse_count("--retry-info", optarg, 0, 127); break;
            case 'w': o->window = (int32_t)parse_count("--window", optarg, 65535, INT32_MAX); break;
            case 'm':
                o->max_frame_size = (uint32_t)parse_count("--max-frame-size", optarg, 16384, 16777215);
                break;
            case 'S': o->max_streams = (uint32_t)parse_count("--max-streams", optarg, 1, INT32_MAX); break;
            default: die("%s", usage);
        }
    }
    if (optind != argc) die("%s", usage);
    if (status_given && o->fail_rate == 0 && !o->fail_first) o->fail_rate = 1;
    if (o->retry_info >= 0) make_retry_details(o->status, o->retry_info);
    if (!count) listens[count++] = "127.0.0.1:14317";
    return count;
}

int main(int argc, char **argv) {
    program_name = "sink";
    const char *listens[8];
    unsigned listen_count = parse_options(argc, argv, listens);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) die("epoll_create1: %s", strerror(errno));
    signal(SIGPIPE, SIG_IGN);
    sigset_t handled;
    sigemptyset(&handled);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGUSR1);
    sigprocmask(SIG_BLOCK, &handled, NULL);
    int signals = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN};
    event.data.u64 = (uint64_t)signals << 1 | 1;
    if (signals < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, signals, &event))
        die("signalfd: %s", strerror(errno));
    sink_http2_setup();
    for (unsigned i = 0; i < listen_count; i++) listen_on("--listen", listens[i]);
    uint8_t *buffer = must_alloc(READ_BYTES);
    for (;;) {
        struct timespec timeout = {0};
        if (queue_count) {
            uint64_t now = now_ns(), due = queue[queue_first].due_ns, wait = due > now ? due - now : 0;
            timeout = (struct timespec){(time_t)(wait / 1000000000ULL), (long)(wait % 1000000000ULL)};
        }
        struct epoll_event events[256];
        int count = epoll_pwait2(epoll_fd, events, COUNT(events), queue_count ? &timeout : NULL, NULL);
        if (count < 0 && errno != EINTR) die("epoll_pwait2: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            if (!(events[i].data.u64 & 1)) {
                connection_event(events[i].data.ptr, events[i].events, buffer);
                continue;
            }
            int fd = (int)(events[i].data.u64 >> 1);
            if (fd != signals) {
                connection_accept(fd);
                continue;
            }
            struct signalfd_siginfo info;
            if (read(signals, &info, sizeof info) != sizeof info) continue;
            print_report();
            if (info.ssi_signo != SIGUSR1) return 0;
        }
        if (queue_count) answer_delayed();
    }
}
