/* Round trips through shared memory between two processes, woken by eventfds, and nothing else: the bytes are copied
   in and out, there is no ring, no length and no end. `shared_memory_floor BYTES ROUNDS` prints microseconds. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void ring_bell(int fd) {
    uint64_t one = 1;
    if (write(fd, &one, sizeof one) != sizeof one) exit(1);
}

static void wait_for_bell(int fd) {
    uint64_t count;
    if (read(fd, &count, sizeof count) != sizeof count) exit(1);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    size_t size = (size_t)atol(argv[1]);
    int rounds = atoi(argv[2]), there = eventfd(0, 0), back = eventfd(0, 0);
    char *shared = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *data = calloc(1, size);
    if (shared == MAP_FAILED || data == NULL || there < 0 || back < 0) return 1;
    memset(data, 1, size);
    memset(shared, 1, 2 * size);
    if (fork() == 0) {
        for (int i = 0; i < rounds; i++) {
            wait_for_bell(there);
            memcpy(data, shared, size);
            memcpy(shared + size, data, size);
            ring_bell(back);
        }
        return 0;
    }
    for (int i = 0; i < rounds; i++) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        memcpy(shared, data, size);
        ring_bell(there);
        wait_for_bell(back);
        memcpy(data, shared + size, size);
        clock_gettime(CLOCK_MONOTONIC, &after);
        printf("%.3f\n", (double)(after.tv_sec - before.tv_sec) * 1e6 + (double)(after.tv_nsec - before.tv_nsec) / 1e3);
    }
    return 0;
}
