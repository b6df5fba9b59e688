/* The protocols, each as far as one conversation needs it: pychat's own, bare lines, MQTT 3.1.1, XMPP, IRC. */

#define _GNU_SOURCE
#include "load.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PAYLOAD characters that differ from message to message. */
static const char *text_of(long number)
{
    static char text[] = "00000000 the quick brown fox jumps over the lazy dog, and rests.";
    _Static_assert(sizeof text == PAYLOAD + 1, "as many characters as the page says, and the end of a string");
    for (int i = 7; i >= 0; i--, number /= 10)
        text[i] = (char)('0' + number % 10);
    return text;
}

static int starts(const char *line, size_t size, const char *word)
{
    size_t length = strlen(word);
    return size >= length && memcmp(line, word, length) == 0;
}

/* Calls `use` with each whole line there is. */
static void each_line(struct end *e, void (*use)(struct end *, char *, size_t))
{
    struct stream *s = e->stream;
    size_t done = 0;
    char *line_feed;
    while ((line_feed = memchr(s->in + done, '\n', s->in_size - done)) != NULL) {
        char *line = s->in + done;
        *line_feed = '\0'; /* so that a number or a word ends there */
        done = (size_t)(line_feed - s->in) + 1;
        use(e, line, (size_t)(line_feed - line));
    }
    stream_drop(s, done);
}

static void until_ready(struct end *e)
{
    uint64_t end = now_ns() + PATIENCE_SECONDS * 1000000000ull;
    for (e->ready = 0; !e->ready;) {
        if (now_ns() > end || e->stream->closed)
            fail("no greeting from the other side (%s)", e->protocol->name);
        end_serve(e, NULL);
    }
    e->over = 0;
}

/* ---- pychat (docs/protocol.md) ---- */

static const char *handle_of(const struct end *e)
{
    return e->who == PEER ? "Client1" : "Server";
}

static int own_follows; /* the next line repeats one of the operator's own messages */

static void pychat_line(struct end *e, char *line, size_t size)
{
    if (line[0] != '\\') {
        if (own_follows)
            e->repeated++;
        else
            e->heard++;
        own_follows = 0;
    } else if (starts(line, size, "\\ack "))
        e->acked = atol(line + 5);
    else if (starts(line, size, "\\hello "))
        e->ready = e->who == PEER;
    else if (starts(line, size, "\\at "))
        own_follows = strstr(line, " own") != NULL;
    else if (starts(line, size, "\\peer ")) {
        char *got = strstr(line, " got=");
        e->heard = 0;
        e->said = e->acked = got == NULL ? 0 : atol(got + 5);
        stream_print(e->stream, "\\ack 0\n");
    } else if (starts(line, size, "\\ready"))
        e->ready = 1;
    else if (starts(line, size, "\\quit"))
        e->over = 1;
    else if (starts(line, size, "\\ping"))
        stream_print(e->stream, "\\pong\n");
    else if (starts(line, size, "\\error") || starts(line, size, "\\busy"))
        fail("the daemon says: %s", line);
}

static void pychat_take(struct end *e)
{
    long heard = e->heard;
    each_line(e, pychat_line);
    if (e->heard > heard)
        stream_print(e->stream, "\\ack %ld\n", e->heard);
}

static void pychat_greet(struct end *e)
{
    stream_print(e->stream, "\\hello 1 %s%s\n", handle_of(e), e->who == OPERATOR ? " take=1" : "");
    until_ready(e);
}

static void pychat_say(struct end *e)
{
    stream_print(e->stream, "%s> %s\n", handle_of(e), text_of(e->said));
}

static void pychat_leave(struct end *e)
{
    if (e->who == PEER)
        stream_print(e->stream, "\\quit\n");
}

/* ---- the same lines without a greeting: the relay beside this file, and socat ---- */

static void lines_greet(struct end *e)
{
    (void)e;
}

static void lines_leave(struct end *e)
{
    (void)e;
}

/* ---- MQTT 3.1.1, QoS 1: each end publishes to its own topic and subscribes to the other's ---- */

static void mqtt_packet(struct end *e, unsigned char kind, const char *body, size_t size)
{
    char head[3] = {(char)kind, (char)size};
    size_t head_size = 2;
    if (size > 127) {
        head[1] = (char)(0x80 | (size & 0x7f));
        head[2] = (char)(size >> 7);
        head_size = 3;
    }
    stream_put(e->stream, head, head_size);
    stream_put(e->stream, body, size);
}

static void mqtt_take(struct end *e)
{
    struct stream *s = e->stream;
    size_t done = 0;
    while (s->in_size - done >= 2) {
        const unsigned char *p = (unsigned char *)s->in + done;
        size_t head = 2, size = p[1] & 0x7f;
        if (p[1] & 0x80) {
            if (s->in_size - done < 3)
                break;
            size |= (size_t)(p[2] & 0x7f) << 7;
            head = 3;
        }
        if (s->in_size - done < head + size)
            break;
        const unsigned char *body = p + head;
        if ((p[0] & 0xf0) == 0x30) { /* PUBLISH: confirmed with its packet id, which follows the topic */
            size_t topic = (size_t)body[0] << 8 | body[1];
            e->heard++;
            if ((p[0] & 0x06) == 0x02)
                mqtt_packet(e, 0x40, (const char *)body + 2 + topic, 2);
        } else if ((p[0] & 0xf0) == 0x40) /* PUBACK */
            e->acked++;
        else if ((p[0] & 0xf0) == 0x90) /* SUBACK */
            e->ready = 1;
        done += head + size;
    }
    stream_drop(s, done);
}

static void mqtt_greet(struct end *e)
{
    char name = e->who == PEER ? 'a' : 'b', other = e->who == PEER ? 'b' : 'a';
    /* clean session = 0: what is sent is to survive; keep alive = 0 */
    char connect[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 0, 0, 1, name};
    char subscribe[] = {0, 1, 0, 1, other, 1};
    mqtt_packet(e, 0x10, connect, sizeof connect);
    mqtt_packet(e, 0x82, subscribe, sizeof subscribe);
    until_ready(e);
}

static void mqtt_say(struct end *e)
{
    long id = e->said % 65535 + 1;
    char body[5 + PAYLOAD] = {0, 1, e->who == PEER ? 'a' : 'b', (char)(id >> 8), (char)id};
    memcpy(body + 5, text_of(e->said), PAYLOAD);
    mqtt_packet(e, 0x32, body, sizeof body);
}

static void mqtt_leave(struct end *e)
{
    mqtt_packet(e, 0xe0, "", 0);
}

/* ---- XMPP (RFC 6120), SASL PLAIN ---- */

static const char *xmpp_wanted; /* what ends the present step of the greeting */

static void xmpp_take(struct end *e)
{
    struct stream *s = e->stream;
    const char *mark = e->ready ? "</message>" : xmpp_wanted;
    size_t done = 0;
    char *found;
    while ((found = memmem(s->in + done, s->in_size - done, mark, strlen(mark))) != NULL) {
        done = (size_t)(found - s->in) + strlen(mark);
        if (!e->ready) {
            e->ready = 1;
            break;
        }
        e->heard++;
    }
    stream_drop(s, done);
}

static void xmpp_step(struct end *e, const char *sent, const char *wanted)
{
    xmpp_wanted = wanted;
    stream_put(e->stream, sent, strlen(sent));
    until_ready(e);
}

static void xmpp_greet(struct end *e)
{
    static const char opening[] = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' "
                                  "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    const char *secret = e->who == PEER ? "\0a\0secret" : "\0b\0secret";
    unsigned char code[32];
    char auth[200];
    EVP_EncodeBlock(code, (const unsigned char *)secret, 9);
    snprintf(auth, sizeof auth, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>", code);
    xmpp_step(e, opening, "</stream:features>");
    xmpp_step(e, auth, "<success");
    xmpp_step(e, opening, "</stream:features>");
    xmpp_step(e,
              "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
              "<resource>r</resource></bind></iq>",
              "</iq>");
    xmpp_step(e, "<presence/>", "<presence");
}

static void xmpp_say(struct end *e)
{
    stream_print(e->stream, "<message to='%c@localhost/r' type='chat' id='m%ld'><body>%s</body></message>",
                 e->who == PEER ? 'b' : 'a', e->said, text_of(e->said));
}

static void xmpp_leave(struct end *e)
{
    stream_print(e->stream, "</stream:stream>");
}

/* ---- IRC (RFC 2812) ---- */

static void irc_line(struct end *e, char *line, size_t size)
{
    if (strstr(line, " PRIVMSG ") != NULL)
        e->heard++;
    else if (starts(line, size, "PING"))
        stream_print(e->stream, "PONG%s\n", line + 4);
    else if (strstr(line, " 376 ") != NULL || strstr(line, " 422 ") != NULL) /* the end of what greets us */
        e->ready = 1;
    else if (starts(line, size, "ERROR") && !e->over)
        fail("the server says: %s", line);
}

static void irc_take(struct end *e)
{
    each_line(e, irc_line);
}

static void irc_greet(struct end *e)
{
    char name = e->who == PEER ? 'a' : 'b';
    stream_print(e->stream, "NICK %c\r\nUSER %c 0 * :%c\r\n", name, name, name);
    until_ready(e);
}

static void irc_say(struct end *e)
{
    stream_print(e->stream, "PRIVMSG %c :%s\r\n", e->who == PEER ? 'b' : 'a', text_of(e->said));
}

static void irc_leave(struct end *e)
{
    e->over = 1;
    stream_print(e->stream, "QUIT\r\n");
}

/* ---- both ends ---- */

static const struct protocol protocols[] = {
    {"pychat", 1, pychat_greet, pychat_say, pychat_take, pychat_leave},
    {"relay", 1, lines_greet, pychat_say, pychat_take, lines_leave},
    {"raw", 0, lines_greet, pychat_say, pychat_take, lines_leave},
    {"mqtt", 1, mqtt_greet, mqtt_say, mqtt_take, mqtt_leave},
    {"xmpp", 0, xmpp_greet, xmpp_say, xmpp_take, xmpp_leave},
    {"irc", 0, irc_greet, irc_say, irc_take, irc_leave},
};

const struct protocol *protocol_named(const char *name)
{
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++)
        if (strcmp(protocols[i].name, name) == 0)
            return &protocols[i];
    fail("there is no protocol '%s'", name);
}

struct end *end_open(const struct protocol *protocol, enum who who, const char *address, uint64_t patience)
{
    struct end *e = calloc(1, sizeof *e);
    if (e == NULL)
        fail("no memory");
    e->protocol = protocol;
    e->who = who;
    e->stream = stream_open(address, patience);
    protocol->greet(e);
    return e;
}

void end_close(struct end *e)
{
    stream_close(e->stream);
    free(e);
}

void end_serve(struct end *a, struct end *b)
{
    struct end *ends[2] = {a, b};
    for (int i = 0; i < 2; i++)
        if (ends[i] != NULL && ends[i]->stream->out_size > 0)
            stream_flush(ends[i]->stream);
    stream_wait(a->stream, b == NULL ? NULL : b->stream);
    for (int i = 0; i < 2; i++)
        if (ends[i] != NULL) {
            stream_read(ends[i]->stream);
            ends[i]->protocol->take(ends[i]);
        }
}
