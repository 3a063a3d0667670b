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

static int epoll_fd;
static struct sink_connection *free_connections;

/* ---- connections ---- */

static void connection_close(struct sink_connection *c) {
    if (c->wire) c->wire->close(c);
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
    if (!c->wire) {
        c->wire = bytes[0] == 'P' && (count < 2 || bytes[1] == 'R') ? &sink_http2_wire : &sink_http1_wire;
        if (!c->wire->open(c)) return false;
    }
    return c->wire->feed(c, bytes, count);
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
    struct delayed d;
    for (uint64_t now = now_ns(); sink_take_due(now, &d);) {
        struct sink_connection *c = d.connection;
        if (c->generation != d.generation) continue;
        if (!c->wire->answer(c, d.stream, d.status) || !connection_flush(c)) connection_close(c);
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
    if (o->retry_info >= 0) sink_make_retry_details(o->status, o->retry_info);
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
    sink_http2_wire.setup();
    for (unsigned i = 0; i < listen_count; i++) listen_on("--listen", listens[i]);
    uint8_t *buffer = must_alloc(READ_BYTES);
    for (;;) {
        struct timespec timeout = {0};
        uint64_t due;
        bool waits = sink_next_due(&due);
        if (waits) {
            uint64_t now = now_ns(), wait = due > now ? due - now : 0;
            timeout = (struct timespec){(time_t)(wait / 1000000000ULL), (long)(wait % 1000000000ULL)};
        }
        struct epoll_event events[256];
        int count = epoll_pwait2(epoll_fd, events, COUNT(events), waits ? &timeout : NULL, NULL);
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
        answer_delayed();
    }
}
