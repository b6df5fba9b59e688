/* What is measured; each mode prints one JSON object.
 *
 *   load rtt PROTOCOL PEER OPERATOR COUNT             a message, its answer, the next message
 *   load stream PROTOCOL PEER OPERATOR COUNT WINDOW   the peer's messages, WINDOW of them on their way
 *   load grow PEER OPERATOR COUNT SIZE...             round trips, and a console's attach, at these lengths
 *   load hold PEER OPERATOR SIZE                      a conversation, without its console, until stdin closes
 *   load start PEER OPERATOR -- COMMAND...            a daemon, from exec to its first round trip
 *   load exec COMMAND...                              a program, from exec to its end
 *   load prompt TEXT COMMAND...                       a program on a terminal, from exec to TEXT
 *   load sync DIRECTORY COUNT                         fdatasync of a page that was appended
 */

#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT_MAX = 1000000 };

static const uint64_t AT_ONCE = 5000000000ull; /* until somebody answers: socat listens for the second end late */

static long count_of(const char *word)
{
    char *end;
    long count = strtol(word, &end, 10);
    if (*end != '\0' || count < 1 || count > COUNT_MAX)
        fail("'%s' is not a count from 1 to %d", word, COUNT_MAX);
    return count;
}

static double us(uint64_t ns)
{
    return (double)ns / 1000;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* `"NAME": [p1, p2, ... p99]` in microseconds. */
static void print_quantiles(const char *name, uint64_t *times, long count)
{
    qsort(times, (size_t)count, sizeof *times, by_size);
    printf("\"%s\": [", name);
    for (long p = 1; p <= 99; p++)
        printf("%s%.1f", p > 1 ? ", " : "", us(times[(count - 1) * p / 100]));
    printf("]");
}

static uint64_t *times_for(long count)
{
    uint64_t *times = calloc((size_t)count, sizeof *times);
    if (times == NULL)
        fail("no memory");
    return times;
}

static void say(struct end *e)
{
    e->protocol->say(e);
    e->said++;
}

/* One message of the peer, answered. Returns nanoseconds; *ack: to its confirmation. */
static uint64_t round_trip(struct end *a, struct end *b, uint64_t *ack)
{
    long answers = a->heard + 1, questions = b->heard + 1;
    int answered = 0;
    uint64_t start = now_ns(), done = 0;
    *ack = 0;
    say(a);
    while (done == 0 || (a->protocol->acks && *ack == 0)) {
        end_serve(a, b);
        if (*ack == 0 && a->acked >= a->said)
            *ack = now_ns() - start;
        if (!answered && b->heard >= questions) {
            say(b);
            answered = 1;
        }
        if (done == 0 && a->heard >= answers)
            done = now_ns() - start;
        if (a->stream->closed || b->stream->closed)
            fail("the connection was closed");
    }
    return done;
}

static void stream_messages(struct end *a, struct end *b, long count, long window)
{
    long last = a->said + count, behind = a->said - b->heard;
    while ((a->protocol->acks && a->acked < last) || b->heard + behind < last) {
        while (a->said < last && a->said - (b->heard + behind) < window &&
               (!a->protocol->acks || a->said - a->acked < window))
            say(a);
        end_serve(a, b);
        if (a->stream->closed || b->stream->closed)
            fail("the connection was closed");
    }
}

/* Leaves in order: what one run leaves behind must not be in the next one's way. */
static void leave(struct end *a, struct end *b)
{
    for (int i = 0; i < 2; i++) /* the confirmations of what came last */
        stream_flush((i ? b : a)->stream);
    a->protocol->leave(a);
    stream_flush(a->stream);
    if (strcmp(a->protocol->name, "pychat") == 0)
        while (!b->over && !b->stream->closed)
            end_serve(b, NULL);
    b->protocol->leave(b);
    stream_flush(b->stream);
    end_close(a);
    end_close(b);
}

static void run_rtt(const struct protocol *protocol, const char *peer, const char *operator_, long count)
{
    struct end *a = end_open(protocol, PEER, peer, AT_ONCE), *b = end_open(protocol, OPERATOR, operator_, AT_ONCE);
    uint64_t *times = times_for(count), *acks = times_for(count), ignored;
    for (long i = 0; i < 20; i++)
        round_trip(a, b, &ignored);
    for (long i = 0; i < count; i++)
        times[i] = round_trip(a, b, &acks[i]);
    leave(a, b);
    printf("{\"messages\": %ld, ", 2 * (count + 20));
    print_quantiles("rtt", times, count);
    if (protocol->acks) {
        printf(", ");
        print_quantiles("ack", acks, count);
    }
    printf("}\n");
    free(times);
    free(acks);
}

static void run_stream(const struct protocol *protocol, char **words)
{
    long count = count_of(words[2]), window = count_of(words[3]);
    struct end *a = end_open(protocol, PEER, words[0], AT_ONCE), *b = end_open(protocol, OPERATOR, words[1], AT_ONCE);
    stream_messages(a, b, 1, 1); /* the first one alone may begin */
    uint64_t start = now_ns();
    stream_messages(a, b, count, window);
    uint64_t time = now_ns() - start;
    leave(a, b);
    printf("{\"messages\": %ld, \"seconds\": %.6f}\n", count + 1, us(time) / 1e6);
}

static struct end *attach(const char *address, long heard, uint64_t *time)
{
    uint64_t start = now_ns();
    struct end *b = end_open(protocol_named("pychat"), OPERATOR, address, AT_ONCE);
    *time = now_ns() - start;
    if (b->heard != heard)
        fail("the console was told %ld messages of %ld", b->heard, heard);
    return b;
}

static void run_grow(const char *peer, const char *operator_, long count, char **sizes)
{
    const struct protocol *protocol = protocol_named("pychat");
    struct end *a = end_open(protocol, PEER, peer, AT_ONCE), *b = end_open(protocol, OPERATOR, operator_, AT_ONCE);
    uint64_t *times = times_for(count), ignored, time;
    printf("[");
    for (int i = 0; sizes[i] != NULL; i++) {
        long more = count_of(sizes[i]) - a->said - a->heard;
        if (more > 0)
            stream_messages(a, b, more, 2000);
        stream_flush(b->stream);
        end_close(b);
        b = attach(operator_, a->said, &time);
        for (long j = 0; j < count; j++)
            times[j] = round_trip(a, b, &ignored);
        printf("%s{\"history\": %s, \"attach\": %.1f, ", i > 0 ? ", " : "", sizes[i], us(time));
        print_quantiles("rtt", times, count);
        printf("}");
    }
    printf("]\n");
    leave(a, b);
    free(times);
}

static void run_hold(const char *peer, const char *operator_, long size)
{
    const struct protocol *protocol = protocol_named("pychat");
    struct end *a = end_open(protocol, PEER, peer, AT_ONCE), *b = end_open(protocol, OPERATOR, operator_, AT_ONCE);
    char byte;
    stream_messages(a, b, 1, 1);
    if (size > 1)
        stream_messages(a, b, size - 1, 2000);
    stream_flush(b->stream);
    end_close(b);
    printf("{\"held\": %ld}\n", size);
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        continue;
    a->protocol->leave(a);
    stream_flush(a->stream);
    end_close(a);
}

static void run_start(const char *peer, const char *operator_, char **command)
{
    uint64_t start = now_ns(), ack;
    struct child c = child_start(command, 0);
    char plain[64];
    snprintf(plain, sizeof plain, "tcp:%s", peer + 4);
    stream_close(stream_open(plain, PATIENCE_SECONDS * 1000000000ull));
    uint64_t accepting = now_ns() - start;
    const struct protocol *protocol = protocol_named("pychat");
    struct end *a = end_open(protocol, PEER, peer, AT_ONCE);
    struct end *b = end_open(protocol, OPERATOR, operator_, PATIENCE_SECONDS * 1000000000ull);
    round_trip(a, b, &ack);
    uint64_t answered = now_ns() - start;
    leave(a, b);
    child_stop(&c, SIGTERM);
    printf("{\"accepting\": %.1f, \"answered\": %.1f}\n", us(accepting), us(answered));
}

static void run_exec(char **command)
{
    uint64_t start = now_ns();
    struct child c = child_start(command, 0);
    child_stop(&c, 0);
    printf("{\"time\": %.1f}\n", us(now_ns() - start));
}

static void run_prompt(const char *text, char **command)
{
    uint64_t start = now_ns();
    struct child c = child_start(command, 1);
    child_until(&c, text);
    uint64_t time = now_ns() - start;
    child_stop(&c, SIGKILL);
    printf("{\"time\": %.1f}\n", us(time));
}

static void run_sync(const char *directory, long count)
{
    static char page[4096];
    char path[4096];
    uint64_t *times = times_for(count);
    snprintf(path, sizeof path, "%s/sync-XXXXXX", directory);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        fail("%s: %s", directory, strerror(errno));
    unlink(path);
    for (long i = 0; i < count; i++) { /* over the same pages again and again, as SQLite does in its log */
        if (pwrite(fd, page, sizeof page, (i % 100) * (off_t)sizeof page) != sizeof page)
            fail("%s: %s", directory, strerror(errno));
        uint64_t start = now_ns();
        if (fdatasync(fd) != 0)
            fail("%s: %s", directory, strerror(errno));
        times[i] = now_ns() - start;
    }
    close(fd);
    printf("{");
    print_quantiles("sync", times, count);
    printf("}\n");
    free(times);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(mode, "rtt") == 0 && argc == 6)
        run_rtt(protocol_named(argv[2]), argv[3], argv[4], count_of(argv[5]));
    else if (strcmp(mode, "stream") == 0 && argc == 7)
        run_stream(protocol_named(argv[2]), argv + 3);
    else if (strcmp(mode, "grow") == 0 && argc > 5)
        run_grow(argv[2], argv[3], count_of(argv[4]), argv + 5);
    else if (strcmp(mode, "hold") == 0 && argc == 5)
        run_hold(argv[2], argv[3], count_of(argv[4]));
    else if (strcmp(mode, "start") == 0 && argc > 5 && strcmp(argv[4], "--") == 0)
        run_start(argv[2], argv[3], argv + 5);
    else if (strcmp(mode, "exec") == 0 && argc > 2)
        run_exec(argv + 2);
    else if (strcmp(mode, "prompt") == 0 && argc > 3)
        run_prompt(argv[2], argv + 3);
    else if (strcmp(mode, "sync") == 0 && argc == 4)
        run_sync(argv[2], count_of(argv[3]));
    else
        fail("what is to be measured? See the top of main.c");
    return 0;
}
