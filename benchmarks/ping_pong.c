/* Round trips over a unix socket between two processes, nothing but system calls: `ping_pong BYTES ROUNDS`. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static void send_all(int fd, const char *data, size_t size) {
    for (ssize_t sent; size > 0; data += sent, size -= (size_t)sent)
        if ((sent = write(fd, data, size)) <= 0) exit(0);
}

static void receive_all(int fd, char *data, size_t size) {
    for (ssize_t got; size > 0; data += got, size -= (size_t)got)
        if ((got = read(fd, data, size)) <= 0) exit(0);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    size_t size = (size_t)atol(argv[1]);
    int ends[2], rounds = atoi(argv[2]);
    char *data = calloc(1, size);
    if (data == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
    if (fork() == 0) {
        close(ends[0]);
        for (;;) {
            receive_all(ends[1], data, size);
            send_all(ends[1], data, size);
        }
    }
    close(ends[1]);
    for (int i = 0; i < rounds; i++) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        send_all(ends[0], data, size);
        receive_all(ends[0], data, size);
        clock_gettime(CLOCK_MONOTONIC, &after);
        printf("%.3f\n", (double)(after.tv_sec - before.tv_sec) * 1e6 + (double)(after.tv_nsec - before.tv_nsec) / 1e3);
    }
    return 0;
}
