/* A disk that is none: in front of a program (ld.so(8), LD_PRELOAD) it takes the place of its syncs.
 *
 * BENCH_SPIN=US: the processor works for as long, and stays the program's own. BENCH_SLEEP=US: it waits, as for
 * a disk. Without them a sync returns at once. For the bench alone: nothing is durable with it.
 */

#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static long microseconds(const char *name)
{
    const char *value = getenv(name);
    return value == NULL ? 0 : atol(value);
}

int fdatasync(int fd)
{
    (void)fd;
    long asleep = microseconds("BENCH_SLEEP"), spinning = microseconds("BENCH_SPIN");
    if (asleep > 0)
        nanosleep(&(struct timespec){asleep / 1000000, asleep % 1000000 * 1000}, NULL);
    for (uint64_t end = now_ns() + (uint64_t)spinning * 1000; now_ns() < end;)
        continue;
    return 0;
}

int fsync(int fd)
{
    return fdatasync(fd);
}
