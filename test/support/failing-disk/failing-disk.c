/*
 * A disk that fails under one file, as Linux shows it, for a program that loads this by LD_PRELOAD.
 *
 * An fdatasync that failed has dropped the pages that were to be written: they count as clean, no later sync writes
 * them, and the page cache (the file itself) shows them until it forgets them (https://lwn.net/Articles/752063/).
 *
 * FAILING_DISK_FILE is the end of the file's path. FAILING_DISK_IMAGE is what the disk holds: page by page what was
 * synced. FAILING_DISK_PAGES says of each page whether it is dirty; it outlives the process, as the page cache does.
 * FAILING_DISK_TRIGGER: where this file is there, the next sync does what it says, `fail` or `hang`, and removes it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES_MAX (1 << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char *dirty;
static int image = -1;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);

/* With the program: dlsym() takes a lock, and a handler of signals may interrupt who is taking it, and write. */
__attribute__((constructor)) static void resolve(void) {
  if (real_fsync) return;
  real_write = dlsym(RTLD_NEXT, "write");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_writev = dlsym(RTLD_NEXT, "writev");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
}

static void open_state(void) {
  int pages = open(getenv("FAILING_DISK_PAGES"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  image = open(getenv("FAILING_DISK_IMAGE"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (pages < 0 || image < 0 || ftruncate(pages, PAGES_MAX) != 0) abort();
  dirty = mmap(NULL, PAGES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, pages, 0);
  if (dirty == MAP_FAILED) abort();
  close(pages);
}

static int is_the_file(int fd) {
  const char *end = getenv("FAILING_DISK_FILE");
  char link[64], path[PATH_MAX];
  if (!end) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  size_t length = strlen(end);
  if ((size_t)n < length || strcmp(path + n - length, end) != 0) return 0;
  pthread_mutex_lock(&lock);
  if (!dirty) open_state();
  pthread_mutex_unlock(&lock);
  return 1;
}

static int reader_of(int fd) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  return open(link, O_RDONLY | O_CLOEXEC);
}

static void write_back(int from, size_t page) {
  char bytes[PAGE];
  ssize_t n = pread(from, bytes, PAGE, (off_t)page * PAGE);
  if (n > 0 && real_pwrite(image, bytes, (size_t)n, (off_t)page * PAGE) != n) abort();
  dirty[page] = 0;
}

/* Bytes were written: dirty pages, or, through an O_DSYNC descriptor, pages on the disk. */
static void written(int fd, size_t n, off_t at) {
  int is_synced = fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC);
  pthread_mutex_lock(&lock);
  int from = is_synced ? reader_of(fd) : -1;
  for (size_t page = at / PAGE; page <= (at + n - 1) / PAGE; page++) {
    if (is_synced) write_back(from, page);
    else dirty[page] = 1;
  }
  if (from >= 0) close(from);
  pthread_mutex_unlock(&lock);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at) {
  resolve();
  ssize_t done = real_pwrite(fd, bytes, n, at);
  if (done > 0 && is_the_file(fd)) written(fd, (size_t)done, at);
  return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return pwrite64(fd, bytes, n, at); }

ssize_t write(int fd, const void *bytes, size_t n) {
  resolve();
  if (!is_the_file(fd)) return real_write(fd, bytes, n);
  off_t at = lseek(fd, 0, SEEK_CUR);
  ssize_t done = real_write(fd, bytes, n);
  if (done > 0) written(fd, (size_t)done, at);
  return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  resolve();
  if (!is_the_file(fd)) return real_writev(fd, parts, count);
  off_t at = lseek(fd, 0, SEEK_CUR);
  ssize_t done = real_writev(fd, parts, count);
  if (done > 0) written(fd, (size_t)done, at);
  return done;
}

/* What the next sync has to do: 'f'ail, 'h'ang, or 0. */
static char trigger(void) {
  const char *path = getenv("FAILING_DISK_TRIGGER");
  char what = 0;
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return 0;
  if (read(fd, &what, 1) != 1) what = 0;
  close(fd);
  /* Removed by one of two syncs only; a file that is being written is not there yet. */
  return what && unlink(path) == 0 ? what : 0;
}

static int sync_of(int fd, int (*real)(int)) {
  resolve();
  if (!is_the_file(fd)) return real(fd);
  char what = trigger();
  if (what == 'h')
    for (;;) pause();
  pthread_mutex_lock(&lock);
  int from = reader_of(fd);
  for (size_t page = 0; page < PAGES_MAX; page++) {
    if (!dirty[page]) continue;
    if (what == 'f') dirty[page] = 0;
    else write_back(from, page);
  }
  struct stat now;
  struct stat kept;
  if (what != 'f' && fstat(fd, &now) == 0 && fstat(image, &kept) == 0 && kept.st_size < now.st_size &&
      ftruncate(image, now.st_size) != 0)
    abort();
  close(from);
  pthread_mutex_unlock(&lock);
  if (what != 'f') return real(fd);
  errno = EIO;
  return -1;
}

int fdatasync(int fd) { resolve(); return sync_of(fd, real_fdatasync); }

int fsync(int fd) { resolve(); return sync_of(fd, real_fsync); }
