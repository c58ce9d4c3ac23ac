/* Preloaded into an unmodified broker: lets fsync and fdatasync of chosen files do nothing, or fail.
 *
 *   SYNCFAULT_PATH   the call is meant only if the file's path contains this text (a directory's path ends with '/')
 *   SYNCFAULT_MODE   skip: say 0 and do nothing;  fail: EIO and do nothing
 *   SYNCFAULT_WHEN   only while this file exists (always, when not set)
 *   SYNCFAULT_STATS  a file of two u64: how many calls were hit, and CLOCK_MONOTONIC of the first one in nanoseconds
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t *stats;
static const char *wanted, *mode, *when;

__attribute__((constructor)) static void begin(void) {
    wanted = getenv("SYNCFAULT_PATH");
    mode = getenv("SYNCFAULT_MODE");
    when = getenv("SYNCFAULT_WHEN");
    const char *path = getenv("SYNCFAULT_STATS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *map = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) stats = map;
    close(fd);
}

static int meant(int fd) {
    if (!wanted || !mode || (when && access(when, F_OK) != 0)) return 0;
    char link[64], path[4097];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 2);
    if (length <= 0) return 0;
    struct stat about;
    if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode)) path[length++] = '/';
    path[length] = 0;
    return strstr(path, wanted) != NULL;
}

static int hit(int fd, const char *name) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int error = errno;
    if (!meant(fd)) {
        errno = error;
        return real(fd);
    }
    if (stats && __atomic_fetch_add(&stats[0], 1, __ATOMIC_SEQ_CST) == 0) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        stats[1] = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
    errno = error;
    if (strcmp(mode, "fail") == 0) {
        errno = EIO;
        return -1;
    }
    return 0;
}

int fsync(int fd) { return hit(fd, "fsync"); }
int fdatasync(int fd) { return hit(fd, "fdatasync"); }
