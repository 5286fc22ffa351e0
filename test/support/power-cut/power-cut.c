/*
 * Records what a power cut would leave of one directory tree, for a program that loads this by LD_PRELOAD.
 *
 * The model, strict where file systems differ and no stricter than ext4 with its journal:
 * - Bytes of a file are durable as they were when a successful fsync, fdatasync or msync(MS_SYNC) began; a write
 *   through an O_DSYNC or O_SYNC descriptor makes its own range durable and nothing beside it.
 * - A name is durable when its directory was synced after it was made. By the rules of `journal` (ext4, XFS, btrfs)
 *   also when the file or directory itself was synced while it had the name, and so are the directories above it;
 *   by those of `posix` (fsync(2): an fsync of the directory is needed) not.
 * - A rename or unlink is durable only when its directory was synced after it, or the file at its new name (journal).
 * Everything else is lost: a name that is durable without synced bytes stands for an empty file.
 *
 * POWER_CUT_RULES is `journal` or `posix`, POWER_CUT_ROOT the tree, POWER_CUT_SHADOW a directory on the same file system, in it:
 *   copies/<inode>  the durable bytes        pins/<inode>  hard links, so that no inode number is used twice
 *   log             R <inode> the root · N <directory> <inode> <type> <name> a name became durable ·
 *                   D <directory> <n>, then n lines E <inode> <type> <name>: the directory is exactly this ·
 *                   F <inode> <bytes> and W <inode> <offset> <bytes>: what was synced, for a reader
 * POWER_CUT_SYNC_MS: how long a disk takes for an fdatasync, which is LMDB's: whoever answers without waiting
 * for it is then cut short. What the tree holds at the start is durable. POWER_CUT_BOOT_ID names a file that is read instead of the
 * kernel's boot_id, which changes with every power cut: LMDB and the gateway trust less after a new boot.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PINNED_DIRECTORIES_MAX 4096

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_msync)(void *, size_t, int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_open)(const char *, int, ...);

static char root[PATH_MAX];
static char shadow[PATH_MAX];
static char boot_id_file[PATH_MAX];
static int log_fd = -1;
static int root_logged;
static int is_posix;
static long sync_ms;
static ino_t pinned_directories[PINNED_DIRECTORIES_MAX];
static int pinned_count;
/* One at a time: a copy is of one moment, and the log is in the order of what happened. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what, const char *name) {
  char text[PATH_MAX + 200];
  int n = snprintf(text, sizeof text, "power-cut: %s %s: %s\n", what, name, strerror(errno));
  if (n > 0) real_write(2, text, (size_t)n);
  _exit(70);
}

/* With the program: dlsym() takes a lock, and a handler of signals may interrupt who is taking it, and write. */
__attribute__((constructor)) static void resolve(void) {
  if (real_open) return;
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_msync = dlsym(RTLD_NEXT, "msync");
  real_write = dlsym(RTLD_NEXT, "write");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_writev = dlsym(RTLD_NEXT, "writev");
  real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
  real_open = dlsym(RTLD_NEXT, "open");
}

static void log_text(const char *text, size_t length) {
  if (real_write(log_fd, text, length) != (ssize_t)length) die("cannot write", "log");
}

static void log_line(const char *format, ...) {
  char line[PATH_MAX + 100];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  log_text(line, (size_t)n);
}

static char type_of(mode_t mode) {
  return S_ISREG(mode) ? 'f' : S_ISDIR(mode) ? 'd' : '-';
}

static int is_inside(const char *path) {
  size_t n = strlen(root);
  return n > 0 && strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == 0);
}

/* Path of an open file or directory of the tree that still has a name. */
static int path_of(int fd, struct stat *st, char *path) {
  if (log_fd < 0 || fstat(fd, st) != 0 || !(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))) return 0;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  return is_inside(path);
}

/* The inode number stays this file's for as long as the log is read. */
static void pin(const char *path, const struct stat *st) {
  if (S_ISREG(st->st_mode)) {
    char to[PATH_MAX + 64];
    snprintf(to, sizeof to, "%s/pins/%lu", shadow, (unsigned long)st->st_ino);
    if (linkat(AT_FDCWD, path, AT_FDCWD, to, 0) != 0 && errno != EEXIST && errno != ENOENT)
      die("cannot pin", path);
  } else if (S_ISDIR(st->st_mode)) {
    for (int i = 0; i < pinned_count; i += 1)
      if (pinned_directories[i] == st->st_ino) return;
    if (pinned_count == PINNED_DIRECTORIES_MAX) die("too many directories at", path);
    /* Never closed: that is what keeps the inode. */
    if (real_open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) < 0) {
      if (errno == ENOENT) return;
      die("cannot pin", path);
    }
    pinned_directories[pinned_count++] = st->st_ino;
  }
}

static void check_name(const char *name) {
  if (strpbrk(name, "\t\n")) {
    errno = EINVAL;
    die("a name that the log cannot hold:", name);
  }
}

static void log_root(void) {
  struct stat st;
  if (root_logged || stat(root, &st) != 0) return;
  pin(root, &st);
  log_line("R\t%lu\n", (unsigned long)st.st_ino);
  root_logged = 1;
}

/* The file or directory has been synced: with a journal its name is durable, and those of the directories above. */
static void log_names(const char *path) {
  log_root();
  if (is_posix) return;
  char at[PATH_MAX];
  snprintf(at, sizeof at, "%s", path);
  struct stat parent, st;
  for (char *p = at + strlen(root); *p; ) {
    char *name = p + 1;
    *p = 0;
    if (stat(at, &parent) != 0) return;
    *p = '/';
    char *end = strchrnul(name, '/');
    char rest = *end;
    *end = 0;
    if (lstat(at, &st) != 0) return; /* renamed meanwhile: nobody was promised this name */
    check_name(name);
    pin(at, &st);
    log_line("N\t%lu\t%lu\t%c\t%s\n", (unsigned long)parent.st_ino, (unsigned long)st.st_ino, type_of(st.st_mode),
             name);
    *end = rest;
    p = end;
  }
}

static void copy_name(char *to, size_t size, ino_t inode, const char *suffix) {
  snprintf(to, size, "%s/copies/%lu%s", shadow, (unsigned long)inode, suffix);
}

/* Copies the bytes of this moment aside; they count only once keep_copy is called. */
static void take_copy(const char *proc_path, const struct stat *st) {
  char to[PATH_MAX + 64];
  copy_name(to, sizeof to, st->st_ino, ".new");
  int in = real_open(proc_path, O_RDONLY | O_CLOEXEC);
  int out = real_open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (in < 0 || out < 0) die("cannot copy", proc_path);
  static char block[1 << 20];
  off_t at = 0;
  for (ssize_t n; (n = pread(in, block, sizeof block, at)) != 0; at += n)
    if (n < 0 || real_pwrite(out, block, (size_t)n, at) != n) die("cannot copy", proc_path);
  struct timespec times[2] = {st->st_atim, st->st_mtim};
  if (fchmod(out, st->st_mode & 07777) != 0 || futimens(out, times) != 0) die("cannot copy", proc_path);
  close(in);
  close(out);
}

static void keep_copy(const struct stat *st) {
  char from[PATH_MAX + 64], to[PATH_MAX + 64];
  copy_name(from, sizeof from, st->st_ino, ".new");
  copy_name(to, sizeof to, st->st_ino, "");
  if (rename(from, to) != 0) die("cannot keep", to);
  log_line("F\t%lu\t%ld\n", (unsigned long)st->st_ino, (long)st->st_size);
}

/* One text: D and its E lines. The caller frees it. */
static char *listing_of(const char *path, const struct stat *st, size_t *length) {
  DIR *dir = opendir(path);
  if (!dir) die("cannot list", path);
  char *entries = NULL, *text = NULL;
  size_t entries_length = 0;
  FILE *out = open_memstream(&entries, &entries_length);
  int count = 0;
  for (struct dirent *e; (e = readdir(dir)); ) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    struct stat found;
    char at[PATH_MAX + 300];
    snprintf(at, sizeof at, "%s/%s", path, e->d_name);
    if (lstat(at, &found) != 0) continue; /* gone while we look */
    check_name(e->d_name);
    pin(at, &found);
    fprintf(out, "E\t%lu\t%c\t%s\n", (unsigned long)found.st_ino, type_of(found.st_mode), e->d_name);
    count += 1;
  }
  closedir(dir);
  fclose(out);
  int n = asprintf(&text, "D\t%lu\t%d\n%s", (unsigned long)st->st_ino, count, entries);
  free(entries);
  *length = (size_t)n;
  return text;
}

/* What the tree holds already has survived whatever came before. */
static void record_tree(const char *path) {
  struct stat st;
  if (lstat(path, &st) != 0) return;
  pin(path, &st);
  if (S_ISREG(st.st_mode)) {
    take_copy(path, &st);
    keep_copy(&st);
  } else if (S_ISDIR(st.st_mode)) {
    size_t length;
    char *text = listing_of(path, &st, &length);
    log_text(text, length);
    free(text);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir)); ) {
      if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
      char at[PATH_MAX + 300];
      snprintf(at, sizeof at, "%s/%s", path, e->d_name);
      record_tree(at);
    }
    if (dir) closedir(dir);
  }
}

__attribute__((constructor)) static void start(void) {
  resolve();
  const char *root_env = getenv("POWER_CUT_ROOT"), *shadow_env = getenv("POWER_CUT_SHADOW");
  const char *boot_env = getenv("POWER_CUT_BOOT_ID");
  /* This process only: git and whatever else it starts writes nothing that must last. */
  unsetenv("LD_PRELOAD");
  if (boot_env) snprintf(boot_id_file, sizeof boot_id_file, "%s", boot_env);
  if (!root_env || !shadow_env) return;
  const char *rules = getenv("POWER_CUT_RULES");
  is_posix = rules && strcmp(rules, "posix") == 0;
  const char *slow = getenv("POWER_CUT_SYNC_MS");
  sync_ms = slow ? atol(slow) : 0;
  snprintf(root, sizeof root, "%s", root_env);
  snprintf(shadow, sizeof shadow, "%s", shadow_env);
  char log_path[PATH_MAX + 64];
  snprintf(log_path, sizeof log_path, "%s/log", shadow);
  log_fd = real_open(log_path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  if (log_fd < 0) die("cannot start", log_path);
  log_root();
  record_tree(root);
}

/* The snapshot is taken before the call, since no more than that is promised, and counts once it succeeded. */
static int sync_of(int fd, int (*call)(int)) {
  resolve();
  struct stat st;
  char path[PATH_MAX];
  if (!path_of(fd, &st, path)) return call(fd);
  pthread_mutex_lock(&lock);
  /* Seen again under the lock: it may have been renamed or written while we waited. */
  if (!path_of(fd, &st, path)) {
    pthread_mutex_unlock(&lock);
    return call(fd);
  }
  int is_directory = S_ISDIR(st.st_mode);
  size_t length = 0;
  char *text = NULL;
  char proc_path[64];
  snprintf(proc_path, sizeof proc_path, "/proc/self/fd/%d", fd);
  if (is_directory) text = listing_of(path, &st, &length);
  else take_copy(proc_path, &st);
  int result = call(fd), error = errno;
  if (result == 0) {
    if (is_directory) log_text(text, length);
    else keep_copy(&st);
    log_names(path);
  }
  free(text);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int fsync(int fd) {
  resolve();
  return sync_of(fd, real_fsync);
}

int fdatasync(int fd) {
  resolve();
  if (log_fd >= 0) usleep((useconds_t)sync_ms * 1000);
  return sync_of(fd, real_fdatasync);
}

/* Every shared mapping of a file of the tree in the range is synced whole; LMDB syncs all of its map. */
int msync(void *address, size_t length, int flags) {
  resolve();
  if (log_fd < 0 || !(flags & MS_SYNC)) return real_msync(address, length, flags);
  pthread_mutex_lock(&lock);
  struct stat synced[16];
  char paths[16][PATH_MAX];
  int count = 0;
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[PATH_MAX + 200];
  while (maps && count < 16 && fgets(line, sizeof line, maps)) {
    unsigned long from, to;
    char mode[8];
    int at = 0;
    if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %n", &from, &to, mode, &at) != 3 || at == 0) continue;
    if (mode[3] != 's' || to <= (unsigned long)address || from >= (unsigned long)address + length) continue;
    line[strcspn(line, "\n")] = 0;
    if (!is_inside(line + at) || lstat(line + at, &synced[count]) != 0) continue;
    if (count > 0 && synced[count - 1].st_ino == synced[count].st_ino) continue;
    snprintf(paths[count], PATH_MAX, "%s", line + at);
    take_copy(paths[count], &synced[count]);
    count += 1;
  }
  if (maps) fclose(maps);
  int result = real_msync(address, length, flags), error = errno;
  for (int i = 0; result == 0 && i < count; i += 1) {
    keep_copy(&synced[i]);
    log_names(paths[i]);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

/* The range that has just been written through an O_DSYNC descriptor, from the file as it is now. */
static void keep_range(int fd, const struct stat *st, const char *path, off_t offset, size_t length) {
  char proc_path[64], to[PATH_MAX + 64];
  snprintf(proc_path, sizeof proc_path, "/proc/self/fd/%d", fd);
  copy_name(to, sizeof to, st->st_ino, "");
  int in = real_open(proc_path, O_RDONLY | O_CLOEXEC);
  int out = real_open(to, O_WRONLY | O_CREAT | O_CLOEXEC, st->st_mode & 07777);
  char *bytes = malloc(length);
  if (in < 0 || out < 0 || !bytes || pread(in, bytes, length, offset) != (ssize_t)length ||
      real_pwrite(out, bytes, length, offset) != (ssize_t)length)
    die("cannot keep a range of", path);
  free(bytes);
  close(in);
  close(out);
  log_line("W\t%lu\t%ld\t%lu\n", (unsigned long)st->st_ino, (long)offset, (unsigned long)length);
  log_names(path);
}

/* Around every write to a file of the tree, so that no copy is of half a write. offset -1: the descriptor's own. */
#define TRACKED_WRITE(fd, offset, call)                                          \
  do {                                                                           \
    resolve();                                                                   \
    struct stat st;                                                              \
    char path[PATH_MAX];                                                         \
    if (!path_of(fd, &st, path)) return call;                                    \
    pthread_mutex_lock(&lock);                                                   \
    int flags = fcntl(fd, F_GETFL);                                              \
    off_t at = (offset) >= 0 ? (offset) : lseek(fd, 0, SEEK_CUR);                \
    if (flags & O_APPEND) at = lseek(fd, 0, SEEK_END);                           \
    ssize_t written = call;                                                      \
    int error = errno;                                                           \
    if (written > 0 && (flags & O_DSYNC) && path_of(fd, &st, path))              \
      keep_range(fd, &st, path, at, (size_t)written);                            \
    pthread_mutex_unlock(&lock);                                                 \
    errno = error;                                                               \
    return written;                                                              \
  } while (0)

ssize_t write(int fd, const void *bytes, size_t length) {
  TRACKED_WRITE(fd, (off_t)-1, real_write(fd, bytes, length));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  TRACKED_WRITE(fd, offset, real_pwrite(fd, bytes, length, offset));
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  TRACKED_WRITE(fd, offset, real_pwrite(fd, bytes, length, offset));
}

ssize_t writev(int fd, const struct iovec *vector, int count) {
  TRACKED_WRITE(fd, (off_t)-1, real_writev(fd, vector, count));
}

ssize_t pwritev(int fd, const struct iovec *vector, int count, off_t offset) {
  TRACKED_WRITE(fd, offset, real_pwritev(fd, vector, count, offset));
}

ssize_t pwritev64(int fd, const struct iovec *vector, int count, off64_t offset) {
  TRACKED_WRITE(fd, offset, real_pwritev(fd, vector, count, offset));
}

static const char *redirected(const char *path) {
  return boot_id_file[0] && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? boot_id_file : path;
}

#define OPEN_MODE(flags, mode)                    \
  mode_t mode = 0;                                \
  if ((flags) & (O_CREAT | O_TMPFILE)) {          \
    va_list args;                                 \
    va_start(args, flags);                        \
    mode = va_arg(args, mode_t);                  \
    va_end(args);                                 \
  }

int open(const char *path, int flags, ...) {
  resolve();
  OPEN_MODE(flags, mode)
  return real_open(redirected(path), flags, mode);
}

int open64(const char *path, int flags, ...) {
  resolve();
  OPEN_MODE(flags, mode)
  return real_open(redirected(path), flags | O_LARGEFILE, mode);
}
