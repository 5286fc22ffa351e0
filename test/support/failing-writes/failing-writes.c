/*
 * A disk on which nothing can be written to some files, for a program that loads this by LD_PRELOAD and for the
 * programs that it starts. FAILING_WRITES_CONTROL is a file that says which: an error (errno; 0: all is well), and a part
 * of the path. While it is there, whatever would make such a file, name it, write to it or sync it fails with that.
 * A sync of a full disk succeeds, as there is nothing that it could not write.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
  volatile int error;
  char part[252];
};

static struct control *control;

/*
 * All are looked up when the program is loaded, or with the first call, from another library's constructor: dlsym() takes
 * a lock of the loader, and a handler of signals, which writes to a pipe, may interrupt a thread that is taking it.
 */
#define FUNCTIONS(each) \
  each(open) each(write) each(pwrite) each(pwrite64) each(writev) \
  each(pwritev) each(pwritev64) each(fsync) each(fdatasync) each(rename) \
  each(link) each(mkdir) each(open64) each(openat) each(openat64)
#define DECLARE(name) static __typeof__(&name) next_##name;
FUNCTIONS(DECLARE)

#define LOOK_UP(name) next_##name = (__typeof__(&name))dlsym(RTLD_NEXT, #name);
__attribute__((constructor)) static void look_up(void) { FUNCTIONS(LOOK_UP) }

#define NEXT(name) (next_##name ? next_##name : (look_up(), next_##name))

__attribute__((constructor)) static void load(void) {
  const char *path = getenv("FAILING_WRITES_CONTROL");
  int (*open_it)(const char *, int, ...) = NEXT(open);
  int fd = path ? open_it(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *at = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);
  if (at != MAP_FAILED) control = at;
  close(fd);
}

static int fails_at(const char *path) {
  if (!control || !control->error || !path || !strstr(path, control->part)) return 0;
  errno = control->error;
  return 1;
}

static int fails_in(int fd) {
  char link[64], path[PATH_MAX];
  if (!control || !control->error) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  return fails_at(path);
}

static int sync_fails_in(int fd) { return control && control->error == EIO && fails_in(fd); }

#define OPEN(name)                                         \
  int name(const char *path, int flags, ...) {             \
    va_list more;                                          \
    va_start(more, flags);                                 \
    mode_t mode = va_arg(more, mode_t);                    \
    va_end(more);                                          \
    if ((flags & O_CREAT) && fails_at(path)) return -1;    \
    return NEXT(name)(path, flags, mode);                  \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                       \
  int name(int at, const char *path, int flags, ...) {     \
    va_list more;                                          \
    va_start(more, flags);                                 \
    mode_t mode = va_arg(more, mode_t);                    \
    va_end(more);                                          \
    if ((flags & O_CREAT) && fails_at(path)) return -1;    \
    return NEXT(name)(at, path, flags, mode);              \
  }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *bytes, size_t n) { return fails_in(fd) ? -1 : NEXT(write)(fd, bytes, n); }

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
  return fails_in(fd) ? -1 : NEXT(pwrite)(fd, bytes, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
  return fails_in(fd) ? -1 : NEXT(pwrite64)(fd, bytes, n, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  return fails_in(fd) ? -1 : NEXT(writev)(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  return fails_in(fd) ? -1 : NEXT(pwritev)(fd, parts, count, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  return fails_in(fd) ? -1 : NEXT(pwritev64)(fd, parts, count, at);
}

int fsync(int fd) { return sync_fails_in(fd) ? -1 : NEXT(fsync)(fd); }

int fdatasync(int fd) { return sync_fails_in(fd) ? -1 : NEXT(fdatasync)(fd); }

int rename(const char *from, const char *to) { return fails_at(to) ? -1 : NEXT(rename)(from, to); }

int link(const char *from, const char *to) { return fails_at(to) ? -1 : NEXT(link)(from, to); }

int mkdir(const char *path, mode_t mode) { return fails_at(path) ? -1 : NEXT(mkdir)(path, mode); }
