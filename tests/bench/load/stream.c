/* Bytes: TCP, TLS and UNIX sockets, never blocking, with a buffer for each direction. */

#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void fail(const char *format, ...)
{
    va_list words;
    va_start(words, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int dial(const char *address)
{
    int fd, one = 1;
    if (strncmp(address, "unix:", 5) == 0) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        if (strlen(address + 5) >= sizeof name.sun_path)
            fail("%s is too long a name for a socket", address + 5);
        strcpy(name.sun_path, address + 5);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) == 0)
            return fd;
    } else {
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(address + 4))};
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) == 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            return fd;
        }
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/* TLS 1.3; whose certificate it is matters at the handshake alone, and is not looked at here. */
static SSL *shake_hands(int fd)
{
    static SSL_CTX *context;
    if (context == NULL) {
        context = SSL_CTX_new(TLS_client_method());
        if (context == NULL || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION))
            fail("no TLS 1.3");
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    SSL *tls = SSL_new(context);
    if (tls == NULL || !SSL_set_fd(tls, fd))
        fail("no TLS");
    struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience); /* while the socket still blocks */
    if (SSL_connect(tls) != 1)
        fail("the TLS handshake failed: %s", ERR_reason_error_string(ERR_get_error()));
    return tls;
}

static void set_nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        fail("fcntl: %s", strerror(errno));
}

struct stream *stream_open(const char *address, uint64_t patience)
{
    uint64_t end = now_ns() + patience;
    int fd;
    while ((fd = dial(address)) < 0) {
        if (now_ns() >= end)
            fail("nobody answers at %s: %s", address, strerror(errno));
        struct timespec pause = {.tv_nsec = 100000};
        nanosleep(&pause, NULL);
    }
    struct stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        fail("no memory");
    s->fd = fd;
    if (strncmp(address, "tls:", 4) == 0)
        s->tls = shake_hands(fd);
    set_nonblocking(fd);
    return s;
}

void stream_close(struct stream *s)
{
    if (s->tls != NULL) {
        SSL_shutdown(s->tls);
        SSL_free(s->tls);
    }
    close(s->fd);
    free(s);
}

void stream_put(struct stream *s, const char *bytes, size_t size)
{
    if (s->out_size + size > sizeof s->out)
        fail("too much waits to be sent");
    memcpy(s->out + s->out_size, bytes, size);
    s->out_size += size;
}

void stream_print(struct stream *s, const char *format, ...)
{
    char line[4096];
    va_list words;
    va_start(words, format);
    int size = vsnprintf(line, sizeof line, format, words);
    va_end(words);
    if (size < 0 || (size_t)size >= sizeof line)
        fail("too long a line");
    stream_put(s, line, (size_t)size);
}

void stream_flush(struct stream *s)
{
    size_t done = 0;
    while (done < s->out_size) {
        ssize_t n;
        if (s->tls != NULL) {
            n = SSL_write(s->tls, s->out + done, (int)(s->out_size - done));
            if (n <= 0 && SSL_get_error(s->tls, (int)n) == SSL_ERROR_WANT_WRITE)
                break;
        } else {
            n = send(s->fd, s->out + done, s->out_size - done, MSG_NOSIGNAL);
            if (n < 0 && errno == EAGAIN)
                break;
        }
        if (n <= 0)
            fail("cannot send: %s", strerror(errno));
        done += (size_t)n;
    }
    if (done > 0)
        memmove(s->out, s->out + done, s->out_size -= done);
}

void stream_read(struct stream *s)
{
    while (s->in_size < sizeof s->in) {
        ssize_t n;
        size_t room = sizeof s->in - s->in_size;
        if (s->tls != NULL) {
            n = SSL_read(s->tls, s->in + s->in_size, (int)room);
            if (n <= 0 && SSL_get_error(s->tls, (int)n) == SSL_ERROR_WANT_READ)
                return;
        } else {
            n = recv(s->fd, s->in + s->in_size, room, 0);
            if (n < 0 && errno == EAGAIN)
                return;
        }
        if (n <= 0) {
            s->closed = 1;
            return;
        }
        s->in_size += (size_t)n;
        if (s->tls == NULL && (size_t)n < room)
            return;
    }
}

void stream_drop(struct stream *s, size_t size)
{
    memmove(s->in, s->in + size, s->in_size -= size);
}

void stream_wait(struct stream *a, struct stream *b)
{
    struct stream *streams[2] = {a, b};
    struct pollfd fds[2];
    nfds_t count = 0;
    for (int i = 0; i < 2; i++)
        if (streams[i] != NULL && !streams[i]->closed) {
            short events = (short)(POLLIN | (streams[i]->out_size > 0 ? POLLOUT : 0));
            fds[count++] = (struct pollfd){.fd = streams[i]->fd, .events = events};
        }
    if (count == 0)
        fail("both connections were closed");
    if (poll(fds, count, PATIENCE_SECONDS * 1000) <= 0)
        fail("nothing came for %d s", PATIENCE_SECONDS);
}
