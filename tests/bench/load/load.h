/* The load generator: both ends of a conversation in one process, and a clock.
 *
 * stream.c is bytes (TCP, TLS, UNIX sockets), ends.c the protocols, spawn.c programs and their start,
 * main.c what is measured. Every wait has a bound; whatever goes wrong ends the program with a sentence.
 */

#ifndef LOAD_H
#define LOAD_H

#include <stddef.h>
#include <stdint.h>

enum { PATIENCE_SECONDS = 30, BUFFER_BYTES = 1 << 19, PAYLOAD = 64 };

void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
uint64_t now_ns(void);

/* ---- bytes ---- */

struct stream {
    int fd;
    void *tls; /* an SSL, or NULL */
    char in[BUFFER_BYTES];
    size_t in_size;
    char out[BUFFER_BYTES];
    size_t out_size;
    int closed; /* the other side has closed */
};

/* Connects to "tcp:PORT", "tls:PORT" (on 127.0.0.1) or "unix:PATH"; tries again until `patience` ns are over. */
struct stream *stream_open(const char *address, uint64_t patience);
void stream_close(struct stream *s);
void stream_put(struct stream *s, const char *bytes, size_t size);
void stream_print(struct stream *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void stream_flush(struct stream *s); /* as much as the other side takes now */
void stream_read(struct stream *s);  /* what is there now, behind what is in `in` */
void stream_drop(struct stream *s, size_t size); /* the first bytes of `in` have been used */

/* Waits until one of the two can be read, or written where something waits to be. */
void stream_wait(struct stream *a, struct stream *b);

/* ---- protocols ---- */

enum who { PEER, OPERATOR }; /* who speaks first, and who answers */

struct end {
    const struct protocol *protocol;
    enum who who;
    struct stream *stream;
    long said;  /* messages sent */
    long acked; /* of these: confirmed by the server */
    long heard; /* messages received */
    long repeated; /* of these: what an operator's end is told from before */
    int ready;  /* the greeting is over */
    int over;   /* the other side has ended it */
};

struct protocol {
    const char *name;
    int acks; /* whether the server confirms a message to who sent it */
    void (*greet)(struct end *e);   /* until `ready`, or for a peer until it may speak */
    void (*say)(struct end *e);     /* puts the next message into the stream */
    void (*take)(struct end *e);    /* uses what has been read; may put confirmations into the stream */
    void (*leave)(struct end *e);   /* puts the last words into the stream */
};

const struct protocol *protocol_named(const char *name);
struct end *end_open(const struct protocol *protocol, enum who who, const char *address, uint64_t patience);
void end_close(struct end *e);
void end_serve(struct end *a, struct end *b); /* waits once, and uses what came */

/* ---- programs ---- */

struct child {
    int pid;
    int terminal; /* of a program on one */
};

struct child child_start(char **words, int on_terminal);
void child_stop(struct child *c, int number); /* sends a signal, if there is one to send, and waits for its end */
void child_until(struct child *c, const char *text); /* reads its terminal until `text` was there */

#endif
