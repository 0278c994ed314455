/* What does the client of many streams see? Opens them on 127.0.0.1, counts events and their delay: one thread, epoll.
 * One file, so that the whole build is one call of the compiler; hence its length.
 *
 *   sse_load PORT STREAMS CHUNKS INTERVAL_US BYTES UNTIL TIMEOUT_S
 *
 * CHUNKS 0: endless streams. INTERVAL_US 0: no streams; each connection makes one request, reads the answer, stays open idle.
 * UNTIL  end: every stream has come to its end · hold: standard input is closed · a number: that many seconds.
 * Prints "ready" once each connection is open and has had its first event (or answer), or has failed; for a number also
 * "start" and "stop" around the counted window; then one line of JSON. TIMEOUT_S bounds the whole.
 * In a window an event counts only when it was both written and read inside it: what piled up while connecting is nobody's
 * delay. `complete` counts streams whose events all came, in order, with [DONE] and the closing chunk; `open` those still
 * open at the end; `lost` all that were refused, answered with an error, cut or disordered.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024
#define OPENING_MAX 128
#define SETTLE_NS 500000000ull

enum state { CONNECTING, STATUS, HEADERS, LENGTH, SIZE, DATA, DATA_END, TRAILER, COMPLETE, GONE };

struct line {
    size_t len;
    char text[LINE_BYTES];
};

struct conn {
    int fd, under_way, opened, done, chunked; /* opened: first event, or all of the answer */
    enum state state;
    uint64_t left, next;
    struct line frame, event; /* a chunk may end inside an event's line */
};

static struct conn *all;
static int ep, streams, launched, opening, ready, refused, complete, lost, stdin_closed;
static uint64_t chunks, interval_us, counted, disorder;
static uint64_t window_from = UINT64_MAX, window_to = UINT64_MAX;
static uint64_t *delays;
static size_t delays_len, delays_cap;
static char request[4096];
static size_t request_len;
static struct sockaddr_in target;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* A stream no longer counts as opening once its request is sent: first events come an interval later, and some proxies
   hold the head back until then. An idle connection counts until it is answered, so that few requests run at once. */
static void under_way(struct conn *c) {
    if (!c->under_way) opening--;
    c->under_way = 1;
}

static void opened(struct conn *c) {
    under_way(c);
    if (c->opened) return;
    c->opened = 1;
    ready++;
}

static void over(struct conn *c, int *counter) {
    under_way(c);
    if (!c->opened) refused++;
    (*counter)++;
    c->state = GONE;
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static void count(uint64_t written_ns, uint64_t read_ns) {
    if (written_ns < window_from || read_ns > window_to) return;
    counted++;
    if (delays_len == delays_cap) {
        delays_cap = delays_cap ? delays_cap * 2 : 65536;
        delays = realloc(delays, delays_cap * sizeof *delays);
        if (!delays) exit(1);
    }
    delays[delays_len++] = read_ns > written_ns ? read_ns - written_ns : 0;
}

/* Collect up to a line end. Returns the bytes used; *whole: the line is complete, terminated, and its length set to 0. */
static size_t take_line(struct line *line, const char *at, size_t size, int *whole) {
    const char *eol = memchr(at, '\n', size);
    size_t copy = eol ? (size_t)(eol - at) : size, used = eol ? copy + 1 : size, room = LINE_BYTES - 1 - line->len;
    if (copy > room) copy = room; /* the rest of a long line does not matter */
    memcpy(line->text + line->len, at, copy);
    line->len += copy;
    *whole = eol != NULL;
    if (eol) {
        if (line->len && line->text[line->len - 1] == '\r') line->len--;
        line->text[line->len] = 0;
        line->len = 0;
    }
    return used;
}

static void event_line(struct conn *c, uint64_t now) {
    static const char prefix[] = "data: {\"n\":";
    char *next;
    if (!strcmp(c->event.text, "data: [DONE]")) {
        c->done = 1;
    } else if (!strncmp(c->event.text, prefix, sizeof prefix - 1)) {
        if (strtoull(c->event.text + sizeof prefix - 1, &next, 10) != c->next) disorder++;
        c->next++;
        opened(c);
        if (!strncmp(next, ",\"t\":", 5)) count(strtoull(next + 5, NULL, 10), now);
    }
}

static void frame_line(struct conn *c) {
    const char *text = c->frame.text;
    switch (c->state) {
    case STATUS:
        c->state = strncmp(text, "HTTP/1.1 200", 12) ? GONE : HEADERS;
        break;
    case HEADERS:
        if (!text[0]) c->state = c->chunked ? SIZE : LENGTH;
        else if (!strncasecmp(text, "transfer-encoding: chunked", 26)) c->chunked = 1;
        else if (!strncasecmp(text, "content-length:", 15)) c->left = strtoull(text + 15, NULL, 10);
        break;
    case SIZE:
        c->left = strtoull(text, NULL, 16);
        c->state = c->left ? DATA : TRAILER;
        break;
    case DATA_END:
        c->state = SIZE;
        break;
    default: /* TRAILER */
        if (!text[0]) c->state = COMPLETE;
    }
}

static void event_data(struct conn *c, const char *at, size_t size, uint64_t now) {
    int whole;
    while (size) {
        size_t used = take_line(&c->event, at, size, &whole);
        if (whole) event_line(c, now);
        at += used;
        size -= used;
    }
}

static void feed(struct conn *c, const char *at, size_t size, uint64_t now) {
    int whole;
    while (size && c->state != COMPLETE && c->state != GONE) {
        size_t used;
        if (c->state == DATA || c->state == LENGTH) {
            used = size < c->left ? size : c->left;
            if (c->state == DATA) event_data(c, at, used, now);
            c->left -= used;
            if (c->state == DATA && !c->left) c->state = DATA_END;
        } else {
            used = take_line(&c->frame, at, size, &whole);
            if (whole) frame_line(c);
        }
        if (c->state == LENGTH && !c->left) c->state = COMPLETE;
        at += used;
        size -= used;
    }
}

static void receive(struct conn *c) {
    static char buffer[65536];
    ssize_t got = read(c->fd, buffer, sizeof buffer);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 || c->state == COMPLETE) return over(c, &lost); /* closed while idle, or more than the answer */
    feed(c, buffer, (size_t)got, now_ns());
    if (c->state == GONE) return over(c, &lost);
    if (c->state != COMPLETE) return;
    if (!interval_us) return opened(c); /* answered; stays open, idle */
    over(c, c->done && c->next == chunks ? &complete : &lost);
}

static void launch(struct conn *c) {
    int one = 1;
    struct epoll_event e = {.events = EPOLLOUT, .data.ptr = c};
    opening++;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) return over(c, &lost);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS) return over(c, &lost);
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
}

static void serve(struct conn *c, uint32_t events) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (c->fd < 0) return;
    if (c->state != CONNECTING) return receive(c);
    if (events & (EPOLLERR | EPOLLHUP) || write(c->fd, request, request_len) != (ssize_t)request_len)
        return over(c, &lost);
    c->state = STATUS;
    if (interval_us) under_way(c);
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}

static void turn(int wait_ms) {
    static struct epoll_event events[512];
    char ignored[64];
    int n = epoll_wait(ep, events, 512, wait_ms);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr) serve(events[i].data.ptr, events[i].events);
        else if (read(0, ignored, sizeof ignored) <= 0) stdin_closed = 1;
    }
    while (launched < streams && opening < OPENING_MAX) launch(&all[launched++]);
}

static void make_request(const char *port, const char *bytes) {
    char body[1200], extra[128] = "";
    int used = snprintf(body, sizeof body,
                        "{\"model\":\"bench-a\",\"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":\"",
                        interval_us ? "true" : "false");
    memset(body + used, 'q', 900);
    strcpy(body + used + 900, "\"}]}");
    if (interval_us)
        snprintf(extra, sizeof extra, "x-mock-stream: %llu,%llu,%.20s\r\n", (unsigned long long)chunks,
                 (unsigned long long)interval_us, bytes);
    request_len = (size_t)snprintf(request, sizeof request,
                                   "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%s\r\n"
                                   "content-type: application/json\r\nauthorization: Bearer bench-key\r\naccept: */*\r\n"
                                   "%scontent-length: %zu\r\n\r\n%s",
                                   port, extra, strlen(body), body);
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_us(double share) {
    return delays_len ? (double)delays[(size_t)(share * (double)(delays_len - 1))] / 1e3 : 0.0;
}

static void report(double seconds) {
    int open = 0;
    for (int i = 0; i < launched; i++) open += all[i].fd >= 0 && all[i].opened;
    qsort(delays, delays_len, sizeof *delays, by_size);
    printf("{\"streams\":%d,\"ready\":%d,\"complete\":%d,\"lost\":%d,\"open\":%d,\"disorder\":%llu,\"chunks\":%llu,"
           "\"seconds\":%.6f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n",
           streams, ready, complete, lost, open, (unsigned long long)disorder, (unsigned long long)counted, seconds,
           percentile_us(0.5), percentile_us(0.99), percentile_us(1.0));
}

static void window(double seconds, uint64_t deadline) {
    uint64_t settled = now_ns() + SETTLE_NS;
    while (now_ns() < settled) turn(1);
    printf("start\n");
    window_from = now_ns();
    window_to = window_from + (uint64_t)(seconds * 1e9);
    while (now_ns() < window_to && now_ns() < deadline) turn(1);
    printf("stop\n");
}

int main(int argc, char **argv) {
    if (argc != 8) return fprintf(stderr, "usage: sse_load PORT STREAMS CHUNKS INTERVAL_US BYTES UNTIL TIMEOUT_S\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    streams = atoi(argv[2]);
    chunks = strtoull(argv[3], NULL, 10);
    interval_us = strtoull(argv[4], NULL, 10);
    target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    make_request(argv[1], argv[5]);
    int to_end = !strcmp(argv[6], "end"), hold = !strcmp(argv[6], "hold");
    uint64_t from = now_ns(), deadline = from + strtoull(argv[7], NULL, 10) * 1000000000ull;
    if (streams < 1 || !(all = calloc((size_t)streams, sizeof *all))) return fprintf(stderr, "no memory\n"), 1;
    ep = epoll_create1(0);
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    if (hold && epoll_ctl(ep, EPOLL_CTL_ADD, 0, &input)) return fprintf(stderr, "hold needs a pipe as input\n"), 2;
    if (to_end) window_from = 0;
    while (ready + refused < streams && now_ns() < deadline) turn(10);
    printf("ready\n");
    if (!to_end && !hold) window(atof(argv[6]), deadline);
    while (hold && !stdin_closed && now_ns() < deadline) turn(10);
    while (to_end && complete + lost < streams && now_ns() < deadline) turn(10);
    uint64_t till = window_to < UINT64_MAX ? window_to : now_ns();
    report((double)(till - (window_from && window_from < UINT64_MAX ? window_from : from)) / 1e9);
    return 0;
}
