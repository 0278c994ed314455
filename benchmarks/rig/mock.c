/* What does the proxy talk to? A model server that costs next to nothing: one thread, epoll, no allocation per request.
 *
 * One file, so that the whole build is one call of the compiler; hence its length.
 *
 *   mock N        listen on N ports of 127.0.0.1 chosen by the kernel; they are printed on one line.
 *
 * GET /stats      counters as JSON (not counted themselves)
 * GET anything    200, "ok" (health checks)
 * GET /v1/...     as POST: what a cache may keep
 * POST anything   a chat answer of ANSWER_BYTES; with request headers:
 *   x-mock-delay: MICROSECONDS              the answer is sent that much later
 *   x-mock-stream: CHUNKS,MICROSECONDS,BYTES  chunked SSE: an event of BYTES each MICROSECONDS, CHUNKS of them (0: endless),
 *                                           then [DONE]. Each event carries its number and the CLOCK_MONOTONIC time of its write.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_FD 65536
#define HEAD_MAX 16384
#define OUT_MAX (1 << 20)
#define ANSWER_BYTES 720
#define EVENT_MAX 4096

enum state { HEAD, BODY, CHUNKED, TRAILER, WAITING };

struct conn {
    int fd, slot; /* slot in the timer heap, -1: none */
    enum state state;
    int is_get, is_stats, streaming, close_after;
    uint64_t body_left, due_ns, interval_ns;
    uint64_t chunk, chunks, delay_us, event_bytes;
    size_t in_len, out_len, out_cap;
    char *out;
    char in[HEAD_MAX];
};

static struct conn *conns[MAX_FD];
static char listening[MAX_FD];
static struct conn *heap[MAX_FD];
static int heap_len, ep, timer_fd;
static uint64_t armed_ns;
static uint64_t answers, streams, ended, cut;
static char answer[ANSWER_BYTES + 256];
static size_t answer_len;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* --- timers: a binary heap by due time, at most one entry for each connection --- */

static void heap_put(int i, struct conn *c) {
    heap[i] = c;
    c->slot = i;
}

static void heap_fix(int i) {
    struct conn *c = heap[i];
    for (; i > 0 && c->due_ns < heap[(i - 1) / 2]->due_ns; i = (i - 1) / 2) heap_put(i, heap[(i - 1) / 2]);
    for (;;) {
        int kid = 2 * i + 1;
        if (kid >= heap_len) break;
        if (kid + 1 < heap_len && heap[kid + 1]->due_ns < heap[kid]->due_ns) kid++;
        if (heap[kid]->due_ns >= c->due_ns) break;
        heap_put(i, heap[kid]);
        i = kid;
    }
    heap_put(i, c);
}

static void timer_set(struct conn *c, uint64_t due_ns) {
    c->due_ns = due_ns;
    if (c->slot < 0) heap_put(heap_len++, c);
    heap_fix(c->slot);
}

static void timer_drop(struct conn *c) {
    int i = c->slot;
    if (i < 0) return;
    c->slot = -1;
    if (i == --heap_len) return;
    heap_put(i, heap[heap_len]);
    heap_fix(i);
}

static void timer_arm(void) {
    uint64_t due = heap_len ? heap[0]->due_ns : 0;
    if (due == armed_ns) return;
    armed_ns = due;
    struct itimerspec at = {.it_value = {(time_t)(due / 1000000000ull), (long)(due % 1000000000ull)}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* --- sending --- */

static void drop(struct conn *c) {
    if (c->streaming) cut++;
    timer_drop(c);
    conns[c->fd] = NULL;
    close(c->fd);
    free(c->out);
    free(c);
}

static void watch(struct conn *c, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = c->fd};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}

static int keep(struct conn *c, const char *data, size_t size) {
    if (c->out_len + size > OUT_MAX) return -1; /* the reader has stopped reading */
    if (c->out_len + size > c->out_cap) {
        c->out_cap = (c->out_len + size) * 2;
        c->out = realloc(c->out, c->out_cap);
        if (!c->out) exit(1);
    }
    memcpy(c->out + c->out_len, data, size);
    c->out_len += size;
    watch(c, EPOLLIN | EPOLLOUT);
    return 0;
}

static int put(struct conn *c, const char *data, size_t size) {
    if (c->out_len) return keep(c, data, size);
    ssize_t sent = write(c->fd, data, size);
    if (sent < 0 && errno != EAGAIN) return -1;
    if (sent < 0) sent = 0;
    return (size_t)sent == size ? 0 : keep(c, data + sent, size - (size_t)sent);
}

static int flush(struct conn *c) {
    ssize_t sent = write(c->fd, c->out, c->out_len);
    if (sent < 0) return errno == EAGAIN ? 0 : -1;
    c->out_len -= (size_t)sent;
    memmove(c->out, c->out + sent, c->out_len);
    if (!c->out_len) watch(c, EPOLLIN);
    return 0;
}

static int finished(struct conn *c) {
    c->state = HEAD;
    c->streaming = 0;
    return c->close_after && !c->out_len ? -1 : 0;
}

static int send_event(struct conn *c) {
    static const char tail[] = "\"}}]}\n\n";
    char event[EVENT_MAX + 128], frame[EVENT_MAX + 256];
    int used = snprintf(event, sizeof event,
                        "data: {\"n\":%llu,\"t\":%llu,\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
                        "\"delta\":{\"content\":\"",
                        (unsigned long long)c->chunk, (unsigned long long)now_ns());
    size_t size = (size_t)used, tail_len = sizeof tail - 1;
    while (size + tail_len < c->event_bytes) event[size++] = 'x';
    memcpy(event + size, tail, tail_len);
    size += tail_len;
    int head = snprintf(frame, sizeof frame, "%zx\r\n", size);
    memcpy(frame + head, event, size);
    memcpy(frame + head + size, "\r\n", 2);
    c->chunk++;
    return put(c, frame, (size_t)head + size + 2);
}

static int stream_step(struct conn *c) {
    if (c->chunks && c->chunk == c->chunks) {
        static const char end[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
        if (put(c, end, sizeof end - 1)) return -1;
        ended++;
        return finished(c);
    }
    if (send_event(c)) return -1;
    timer_set(c, c->due_ns + c->interval_ns);
    return 0;
}

static int due(struct conn *c) {
    if (c->streaming) return stream_step(c);
    return put(c, answer, answer_len) ? -1 : finished(c);
}

/* --- answering --- */

static int respond(struct conn *c) {
    c->state = WAITING;
    if (c->is_get) {
        char body[256] = "ok", text[512];
        if (c->is_stats)
            snprintf(body, sizeof body, "{\"answers\":%llu,\"streams\":%llu,\"ended\":%llu,\"cut\":%llu}",
                     (unsigned long long)answers, (unsigned long long)streams, (unsigned long long)ended,
                     (unsigned long long)cut);
        int size = snprintf(text, sizeof text,
                            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                            strlen(body), body);
        return put(c, text, (size_t)size) ? -1 : finished(c);
    }
    if (c->event_bytes) {
        static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
                                   "transfer-encoding: chunked\r\n\r\n";
        c->streaming = 1;
        c->chunk = 0;
        /* golden ratio: the phases of many streams spread evenly over the interval, the same in each run */
        uint64_t phase = (++streams * 618034ull) % 1000000ull;
        timer_set(c, now_ns() + c->interval_ns * phase / 1000000ull);
        return put(c, head, sizeof head - 1);
    }
    answers++;
    if (c->delay_us) {
        timer_set(c, now_ns() + c->delay_us * 1000ull);
        return 0;
    }
    return put(c, answer, answer_len) ? -1 : finished(c);
}

static const char *value_of(const char *line, const char *name, size_t name_len) {
    if (strncasecmp(line, name, name_len) || line[name_len] != ':') return NULL;
    line += name_len + 1;
    while (*line == ' ') line++;
    return line;
}
#define VALUE(line, name) value_of(line, name, sizeof name - 1)

static void read_header(struct conn *c, const char *line) {
    const char *v;
    char *next;
    switch (*line | 0x20) {
    case 'c':
        if ((v = VALUE(line, "content-length"))) c->body_left = strtoull(v, NULL, 10);
        else if ((v = VALUE(line, "connection"))) c->close_after = !strncasecmp(v, "close", 5);
        break;
    case 't':
        if ((v = VALUE(line, "transfer-encoding")) && !strncasecmp(v, "chunked", 7)) c->state = CHUNKED;
        break;
    case 'x':
        if ((v = VALUE(line, "x-mock-delay"))) c->delay_us = strtoull(v, NULL, 10);
        else if ((v = VALUE(line, "x-mock-stream"))) {
            c->chunks = strtoull(v, &next, 10);
            c->interval_ns = *next == ',' ? strtoull(next + 1, &next, 10) * 1000ull : 0;
            c->event_bytes = *next == ',' ? strtoull(next + 1, &next, 10) : 0;
            if (c->event_bytes > EVENT_MAX) c->event_bytes = EVENT_MAX;
        }
    }
}

static size_t read_head(struct conn *c, char *at, size_t size) {
    char *end = memmem(at, size, "\r\n\r\n", 4);
    if (!end) return 0;
    end[2] = 0; /* the blank line's \r: every line below ends with \r\n, the last one with \0 behind it */
    c->state = BODY;
    c->body_left = c->delay_us = c->event_bytes = c->chunks = 0;
    c->close_after = 0;
    c->is_get = !strncmp(at, "GET ", 4) && strncmp(at + 4, "/v1/", 4);
    c->is_stats = c->is_get && !strncmp(at + 4, "/stats ", 7);
    for (char *line = strchr(at, '\n'); line && line[1]; line = strchr(line + 1, '\n')) read_header(c, line + 1);
    return (size_t)(end + 4 - at);
}

static size_t read_chunked(struct conn *c, char *at, size_t size) {
    if (c->body_left) {
        size_t used = size < c->body_left ? size : c->body_left;
        c->body_left -= used;
        return used;
    }
    char *eol = memchr(at, '\n', size);
    if (!eol) return 0;
    if (c->state == TRAILER) {
        if (eol - at <= 1) c->state = BODY; /* blank line: the body is complete */
    } else {
        uint64_t length = strtoull(at, NULL, 16);
        if (length) c->body_left = length + 2;
        else c->state = TRAILER;
    }
    return (size_t)(eol + 1 - at);
}

/* Work through what has been read; -1 means the connection is over. */
static int process(struct conn *c) {
    size_t at = 0, used = 1;
    while (used && c->state != WAITING) {
        size_t left = c->in_len - at;
        if (c->state == BODY) {
            used = left < c->body_left ? left : c->body_left;
            c->body_left -= used;
            at += used;
            if (c->body_left) break;
            used = 1;
            if (respond(c)) return -1;
        } else {
            if (!left) break;
            used = c->state == HEAD ? read_head(c, c->in + at, left) : read_chunked(c, c->in + at, left);
            at += used;
        }
    }
    c->in_len -= at;
    if (c->in_len) memmove(c->in, c->in + at, c->in_len);
    return c->in_len == HEAD_MAX ? -1 : 0;
}

static void serve(struct conn *c, uint32_t events) {
    if (events & EPOLLOUT && c->out_len && flush(c)) return drop(c);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    ssize_t got = read(c->fd, c->in + c->in_len, HEAD_MAX - c->in_len);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return drop(c);
    c->in_len += (size_t)got;
    if (process(c)) drop(c);
}

static void accept_all(int from) {
    int fd, one = 1;
    while ((fd = accept4(from, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct conn *c = fd < MAX_FD ? malloc(sizeof *c) : NULL; /* not calloc: the input buffer stays untouched */
        if (!c) {
            close(fd);
            continue;
        }
        memset(c, 0, offsetof(struct conn, in));
        c->fd = fd;
        c->slot = -1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        conns[fd] = c;
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    }
}

static int listen_one(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 8192) ||
        getsockname(fd, (struct sockaddr *)&a, &size)) {
        perror("mock: cannot listen on 127.0.0.1");
        exit(1);
    }
    listening[fd] = 1;
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    return ntohs(a.sin_port);
}

static void make_answer(void) {
    char body[ANSWER_BYTES + 1];
    int used = snprintf(body, sizeof body,
                        "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench\","
                        "\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\","
                        "\"content\":\"");
    const char *tail = "\"}}],\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":100,\"total_tokens\":300}}";
    memset(body + used, 'a', ANSWER_BYTES - (size_t)used);
    memcpy(body + ANSWER_BYTES - strlen(tail), tail, strlen(tail) + 1);
    answer_len = (size_t)snprintf(answer, sizeof answer,
                                  "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                                  ANSWER_BYTES, body);
}

int main(int argc, char **argv) {
    int ports = argc == 2 ? atoi(argv[1]) : 0;
    if (ports < 1 || ports > 64) return fprintf(stderr, "usage: mock NUMBER_OF_PORTS (1 to 64)\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    make_answer();
    ep = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event events[512] = {{.events = EPOLLIN, .data.fd = timer_fd}};
    epoll_ctl(ep, EPOLL_CTL_ADD, timer_fd, events);
    for (int i = 0; i < ports; i++) printf(i ? " %d" : "%d", listen_one());
    printf("\n");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(ep, events, 512, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            uint64_t expirations;
            if (listening[fd]) accept_all(fd);
            else if (conns[fd]) serve(conns[fd], events[i].events);
            else if (fd == timer_fd && read(fd, &expirations, sizeof expirations) > 0) armed_ns = 0;
        }
        if (!heap_len) continue;
        uint64_t now = now_ns();
        while (heap_len && heap[0]->due_ns <= now) {
            struct conn *c = heap[0];
            timer_drop(c);
            if (due(c) || (c->state == HEAD && c->in_len && process(c))) drop(c);
        }
        timer_arm();
    }
}
