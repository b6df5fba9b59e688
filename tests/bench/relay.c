/* A bare relay, to compare with: `relay PORT SOCKET JOURNAL`.
 *
 * What a line of pychat costs at least in C: lines from a peer (TCP on 127.0.0.1, no TLS) and an operator
 * (UNIX socket); what one read brought is committed to SQLite, in the schema and with the settings of
 * pychatd/conversation/journal.py, then confirmed, then forwarded. It checks nothing, has no sessions, no resume and no
 * presence, and serves one pair of connections after the other until it is killed.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, PEER = 0, OPERATOR = 1 };

static const char *const ROLES[2] = {"peer", "operator"};
static sqlite3 *db;
static sqlite3_stmt *begin, *commit, *insert;

static void die(const char *what)
{
    fprintf(stderr, "relay: %s: %s\n", what, db != NULL && sqlite3_errcode(db) ? sqlite3_errmsg(db) : strerror(errno));
    exit(1);
}

static void step(sqlite3_stmt *statement)
{
    if (sqlite3_step(statement) != SQLITE_DONE)
        die("journal");
    sqlite3_reset(statement);
}

static sqlite3_stmt *prepared(const char *sql)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        die(sql);
    return statement;
}

static void open_journal(const char *path)
{
    static const char setup[] =
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;"
        "CREATE TABLE IF NOT EXISTS conversation (id INTEGER PRIMARY KEY, handle TEXT NOT NULL) STRICT;"
        "CREATE TABLE IF NOT EXISTS message (conversation INTEGER NOT NULL REFERENCES conversation, seq INTEGER NOT"
        " NULL, role TEXT NOT NULL CHECK (role IN ('peer', 'operator')), n INTEGER NOT NULL, handle TEXT NOT NULL,"
        " text TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (conversation, seq)) STRICT, WITHOUT ROWID;"
        "CREATE INDEX IF NOT EXISTS message_n ON message (conversation, role, n);";
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, setup, NULL, NULL, NULL) != SQLITE_OK)
        die(path);
    begin = prepared("BEGIN IMMEDIATE");
    commit = prepared("COMMIT");
    insert = prepared("INSERT INTO message (conversation, seq, role, n, handle, text, time) VALUES (?,?,?,?,?,?,?)");
}

static void send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* it has gone: its next read says so */
        bytes += n;
        size -= (size_t)n;
    }
}

struct side {
    int fd, role;
    size_t size;
    long n;
    char in[BUFFER];
};

/* One read: its lines into one transaction, then the ack, then the other side. 0 at the end of a side. */
static int serve(struct side *from, struct side *to, long conversation, long *seq)
{
    static char out[BUFFER];
    ssize_t got = recv(from->fd, from->in + from->size, sizeof from->in - from->size, 0);
    if (got <= 0)
        return 0;
    from->size += (size_t)got;
    size_t done = 0, out_size = 0;
    char *end;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    while ((end = memchr(from->in + done, '\n', from->size - done)) != NULL) {
        char *line = from->in + done, *mark = memmem(line, (size_t)(end - line), "> ", 2);
        size_t size = (size_t)(end + 1 - line);
        done += size;
        if (line[0] == '\\' || mark == NULL) /* an endpoint's ack */
            continue;
        if (out_size == 0)
            step(begin);
        sqlite3_bind_int64(insert, 1, conversation);
        sqlite3_bind_int64(insert, 2, ++*seq);
        sqlite3_bind_text(insert, 3, ROLES[from->role], -1, SQLITE_STATIC);
        sqlite3_bind_int64(insert, 4, ++from->n);
        sqlite3_bind_text(insert, 5, line, (int)(mark - line), SQLITE_STATIC);
        sqlite3_bind_text(insert, 6, mark + 2, (int)(end - mark - 2), SQLITE_STATIC);
        sqlite3_bind_int64(insert, 7, now.tv_sec * 1000 + now.tv_nsec / 1000000);
        step(insert);
        memcpy(out + out_size, line, size);
        out_size += size;
    }
    if (out_size > 0) {
        char ack[32];
        step(commit);
        send_all(from->fd, ack, (size_t)snprintf(ack, sizeof ack, "\\ack %ld\n", from->n));
        send_all(to->fd, out, out_size);
    }
    memmove(from->in, from->in + done, from->size -= done);
    return 1;
}

static int listener(int domain, const struct sockaddr *name, socklen_t size)
{
    int one = 1, fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 || bind(fd, name, size) != 0 ||
        listen(fd, 8) != 0)
        die("cannot listen");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 4 || strlen(argv[2]) >= sizeof((struct sockaddr_un){0}).sun_path) {
        fputs("usage: relay PORT SOCKET JOURNAL\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    open_journal(argv[3]);
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_un console = {.sun_family = AF_UNIX};
    strcpy(console.sun_path, argv[2]);
    unlink(argv[2]);
    int peers = listener(AF_INET, (struct sockaddr *)&tcp, sizeof tcp);
    int operators = listener(AF_UNIX, (struct sockaddr *)&console, sizeof console);
    static struct side sides[2];
    for (;;) {
        int one = 1;
        sides[PEER] = (struct side){.fd = accept(peers, NULL, NULL), .role = PEER};
        sides[OPERATOR] = (struct side){.fd = accept(operators, NULL, NULL), .role = OPERATOR};
        if (sides[PEER].fd < 0 || sides[OPERATOR].fd < 0)
            die("accept");
        setsockopt(sides[PEER].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (sqlite3_exec(db, "INSERT INTO conversation (handle) VALUES ('peer')", NULL, NULL, NULL) != SQLITE_OK)
            die("journal");
        long conversation = sqlite3_last_insert_rowid(db), seq = 0;
        for (int talking = 1; talking;) {
            struct pollfd fds[2] = {{.fd = sides[0].fd, .events = POLLIN}, {.fd = sides[1].fd, .events = POLLIN}};
            if (poll(fds, 2, -1) < 0)
                die("poll");
            for (int i = 0; i < 2 && talking; i++)
                if (fds[i].revents != 0)
                    talking = serve(&sides[i], &sides[1 - i], conversation, &seq);
        }
        close(sides[0].fd);
        close(sides[1].fd);
    }
}
