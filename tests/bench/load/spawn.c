/* Programs: started, waited for, and read on a terminal of their own. */

#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct child child_start(char **words, int on_terminal)
{
    struct child c = {.terminal = -1};
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    pid_t parent = getpid();
    c.pid = on_terminal ? forkpty(&c.terminal, NULL, NULL, &size) : fork();
    if (c.pid < 0)
        fail("fork: %s", strerror(errno));
    if (c.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* however we end, it is not left behind */
        if (getppid() != parent)
            _exit(127);
        if (!on_terminal) {
            int null = open("/dev/null", O_RDWR);
            for (int fd = 0; fd <= 2; fd++)
                dup2(null, fd);
        }
        execvp(words[0], words);
        _exit(127);
    }
    return c;
}

void child_stop(struct child *c, int number)
{
    int status;
    if (number != 0)
        kill(c->pid, number);
    alarm(PATIENCE_SECONDS); /* ends us, with a signal, if the child does not */
    while (waitpid(c->pid, &status, 0) < 0)
        if (errno != EINTR)
            fail("waitpid: %s", strerror(errno));
    alarm(0);
    if (c->terminal >= 0)
        close(c->terminal);
    if (number == 0 && status != 0)
        fail("the program failed (status %d)", status);
}

/* What every terminal answers: where its cursor is (or a screen is never drawn to its end), and what it is. */
static const struct {
    const char *asked, *told;
} answers[] = {{"\033[6n", "\033[1;1R"}, {"\033[c", "\033[?62c"}};

void child_until(struct child *c, const char *text)
{
    static char seen[1 << 22];
    size_t size = 0, looked = 0, length = strlen(text);
    for (;;) {
        struct pollfd fd = {.fd = c->terminal, .events = POLLIN};
        if (poll(&fd, 1, PATIENCE_SECONDS * 1000) <= 0)
            fail("'%s' did not come within %d s; this did: %.400s", text, PATIENCE_SECONDS, seen);
        ssize_t n = read(c->terminal, seen + size, sizeof seen - 1 - size);
        if (n <= 0 || size + (size_t)n >= sizeof seen - 1)
            fail("the program ended before '%s'; it said: %.400s", text, seen);
        size += (size_t)n;
        for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
            if (memmem(seen + looked, size - looked, answers[i].asked, strlen(answers[i].asked)) != NULL &&
                write(c->terminal, answers[i].told, strlen(answers[i].told)) < 0)
                fail("cannot answer on the terminal");
        size_t from = looked > length ? looked - length : 0; /* it may have come in two pieces */
        if (memmem(seen + from, size - from, text, length) != NULL)
            return;
        looked = size;
    }
}
