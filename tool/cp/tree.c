/* SPDX-License-Identifier: MIT
 *
 * tree.c - see tree.h.
 */
#include "cp/tree.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/json_write.h"
#include "base/refusal.h"
#include "base/sizes.h"
#include "cp/copy_file.h"
#include "cp/identity.h"
#include "cp/node.h"
#include "cp/note.h"
#include "cp/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TREE_DEPTH 8 /* transfers that a thread has in flight */
#define TEMPORARY_TRIES_MAX 100

struct tree {
    const struct copy_options *options;
    bool is_into; /* DST is a directory, and the copies go into it */
    struct entries entries;
    struct progress whole;
    pthread_mutex_t lock; /* of what follows */
    struct outcome outcome;
    uint64_t file_count;
    uint64_t same_count; /* files that --resume found complete */
    uint64_t other_count;
    int64_t bytes;
    int64_t direct_bytes;
    char said[2][256];      /* reasons why a side is not direct, of the last notes */
    unsigned running_count; /* threads that copy */
    pthread_cond_t ended;   /* one of them does no longer */
    _Atomic size_t next;    /* entry */
    unsigned endings;       /* of the names that are copied now: part_endings() */
};

/* ---- Failures ----------------------------------------------------------------------------------------------- */

static void record(struct tree *tree, const struct outcome *failure)
{
    if (failure->exit_code == 0)
        return;
    (void)pthread_mutex_lock(&tree->lock);
    if (tree->outcome.exit_code != failure->exit_code || failure->exit_code < DIO_EXIT_SIGNAL) /* a signal: once */
        (void)fprintf(stderr, "dio cp: %s\n", failure->text);
    (void)outcome_fail(&tree->outcome, failure->exit_code, failure->error, "%s", failure->text);
    (void)pthread_mutex_unlock(&tree->lock);
}

static void record_path(struct tree *tree, int error, const char *what, const char *path)
{
    struct outcome failure = {0};
    (void)outcome_fail_path(&failure, error, what, path);
    record(tree, &failure);
}

/* ---- Directories -------------------------------------------------------------------------------------------- */

/* A symbolic link below the command line is not followed: it may lead out of DST. */
static int open_directory_in(int parent, const struct tree_entry *entry)
{
    return openat(parent, tree_name(entry->to),
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC | (entry->is_named ? 0 : O_NOFOLLOW));
}

static int open_directory(const struct tree_entry *entry)
{
    return open(entry->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (entry->is_named ? 0 : O_NOFOLLOW));
}

static int open_named_parent(const char *path)
{
    char parent[PATH_MAX];
    const char *const name = tree_name(path);
    const bool is_nameless = strcmp(name, ".") == 0; /* the directory is found in itself */
    const int size =
        snprintf(parent, sizeof parent, "%.*s", (int)(is_nameless ? strlen(path) : (size_t)(name - path)), path);
    if (size >= (int)sizeof parent)
        return -ENAMETOOLONG;
    const int fd = open(size > 0 ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

/* 0: fd is the directory that was made or found for the entry, as far as its file system lets that be known. -ESTALE: another. */
static int check_directory(int fd, const struct tree_entry *entry)
{
    struct stat now;
    if (fstat(fd, &now) != 0)
        return -errno;
    const bool is_same_inode = now.st_ino == entry->made_inode || !identity_inodes_last(fd);
    return now.st_dev == entry->made_device && is_same_inode ? 0 : -ESTALE;
}

/* The directory of DST that an entry has its name in, as a descriptor of O_PATH, or -errno. Below the command line it is the one
 * that was made or found there: whoever may write above it can give its name to another (-ESTALE), or to a link that leads out. */
static int open_parent(const struct tree *tree, const struct tree_entry *entry)
{
    const struct tree_entry *const parent = &tree->entries.items[entry->parent];
    if (parent == entry)
        return open_named_parent(entry->to);
    const int fd = open(parent->to, O_PATH | O_DIRECTORY | O_CLOEXEC | (parent->is_named ? 0 : O_NOFOLLOW));
    if (fd < 0)
        return errno == ENOTDIR ? -ESTALE : -errno;
    const int err = check_directory(fd, parent);
    if (err == 0)
        return fd;
    (void)close(fd);
    return err;
}

static void make_directory(struct tree *tree, struct tree_entry *entry)
{
    struct stat made;
    const int parent = open_parent(tree, entry);
    if (parent >= 0 && mkdirat(parent, tree_name(entry->to), 0700) == 0)
        entry->is_made = true;
    else if (parent < 0 || errno != EEXIST) {
        record_path(tree, parent < 0 ? -parent : errno, "create the directory", entry->to);
        if (parent >= 0)
            (void)close(parent);
        return;
    }
    const int fd = open_directory_in(parent, entry);
    (void)close(parent);
    if (fd < 0 || fstat(fd, &made) != 0)
        record_path(tree, errno, "create the directory", entry->to);
    else {
        entry->made_device = made.st_dev;
        entry->made_inode = made.st_ino;
    }
    if (fd >= 0)
        (void)close(fd);
}

/* Whether a directory above could not be made, which was reported: a name in it may lead elsewhere. */
static bool is_lost(const struct tree *tree, size_t index)
{
    const struct tree_entry *entry = &tree->entries.items[index];
    while (entry->parent != index) {
        index = entry->parent;
        entry = &tree->entries.items[index];
        if (entry->made_inode == 0)
            return true;
    }
    return false;
}

static int give_default_list(int fd, int from, const char *path)
{
    const int err = rights_give_default(fd, from);
    if (!means_refused(-err))
        return err;
    note_refused(NOTE_LIST, path, -err);
    return 0;
}

static int give_list_and_mode(struct tree *tree, int fd, int from, const struct tree_entry *entry)
{
    const bool preserve = tree->options->preserve;
    struct rights like;
    struct stat before;
    struct rights_refused refused = {0};
    int err = fstat(fd, &before) == 0 ? rights_read(from, &like) : -errno;
    if (err == 0)
        err = rights_restrict(fd);
    if (err == 0)
        err = preserve ? rights_give_all(fd, &like, &refused) : rights_give(fd, &like, tree->options->mask, &refused);
    /* New files belong to the group of the directory where they did. */
    if (err == 0 && refused.mode == 0 && !preserve && (before.st_mode & S_ISGID) != 0 && fstat(fd, &before) == 0)
        err = fchmod(fd, (before.st_mode & 07777) | S_ISGID) == 0 ? 0 : -errno;
    rights_note(&refused, entry->to);
    return err == 0 ? give_default_list(fd, preserve ? from : -1, entry->to) : err;
}

static int give_rights(struct tree *tree, int fd, const struct tree_entry *entry)
{
    const int from = open(entry->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0)
        return -errno;
    const int err = give_list_and_mode(tree, fd, from, entry);
    (void)close(from);
    const struct timespec times[2] = {entry->stat.st_atim, entry->stat.st_mtim};
    if (err != 0 || !tree->options->preserve || futimens(fd, times) == 0)
        return err;
    if (!means_refused(errno))
        return -errno;
    note_refused(NOTE_TIMES, entry->to, errno);
    return 0;
}

static void sync_directory(struct tree *tree, int fd, const char *path)
{
    if (fsync(fd) == 0)
        return;
    if (means_sync_refused(errno))
        note_refused(NOTE_DIRECTORY_SYNC, path, errno);
    else
        record_path(tree, errno, "sync", path);
}

/* When all is in it. A directory that was there keeps its rights without -p. One that has taken its name meanwhile is not touched. */
static void finish_directory(struct tree *tree, const struct tree_entry *entry)
{
    const int fd = open_directory(entry);
    const int stale = fd >= 0 ? check_directory(fd, entry) : 0;
    if (fd < 0)
        record_path(tree, errno, "open", entry->to);
    else if (stale != 0)
        record_path(tree, -stale, "finish the directory", entry->to);
    else {
        const int err = entry->is_made || tree->options->preserve ? give_rights(tree, fd, entry) : 0;
        if (err != 0)
            record_path(tree, -err, "set the owner or the mode of", entry->to);
        sync_directory(tree, fd, entry->to);
    }
    if (fd >= 0)
        (void)close(fd);
}

/* The directory that has the names of the command line. */
static void sync_parent(struct tree *tree)
{
    const char *const target = tree->options->target;
    const char *const name = tree_name(target);
    char parent[PATH_MAX] = ".";
    if (tree->is_into)
        (void)snprintf(parent, sizeof parent, "%s", target);
    else if (name > target && name <= target + strlen(target))
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(name - target), target);
    const int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES)
        note_refused(NOTE_DIRECTORY_SYNC, parent, errno);
    else if (fd < 0)
        record_path(tree, errno, "sync", parent);
    if (fd < 0)
        return;
    sync_directory(tree, fd, parent);
    (void)close(fd);
}

/* ---- Files -------------------------------------------------------------------------------------------------- */

/* --resume: DST gets its name when it is whole, so one of the same size that is no older is complete; with -p it has the very
 * time of SRC. */
static bool is_complete(const struct tree *tree, const struct tree_entry *entry)
{
    struct stat old;
    const struct stat *const stat = &entry->stat;
    if (!tree->options->resume || lstat(entry->to, &old) != 0 || !S_ISREG(old.st_mode) || old.st_size != stat->st_size)
        return false;
    const bool is_same_time =
        old.st_mtim.tv_sec == stat->st_mtim.tv_sec && old.st_mtim.tv_nsec == stat->st_mtim.tv_nsec;
    const bool is_newer = old.st_mtim.tv_sec > stat->st_mtim.tv_sec ||
                          (old.st_mtim.tv_sec == stat->st_mtim.tv_sec && old.st_mtim.tv_nsec > stat->st_mtim.tv_nsec);
    return is_same_time || (is_newer && !tree->options->preserve);
}

/* Why a side is not direct: once, not for each file. With the lock. */
static void note_once(struct tree *tree, const struct side *side)
{
    char *const said = tree->said[side->is_target ? 1 : 0];
    if (side->reason[0] == '\0' || strcmp(said, side->reason) == 0 || tree->options->quiet || tree->options->json)
        return;
    (void)snprintf(said, sizeof tree->said[0], "%s", side->reason);
    report_side_note(side);
}

static void copy_entry(struct tree *tree, struct copy *copy, struct queue *queue, struct tree_entry *entry)
{
    const bool is_named = entry == &tree->entries.items[entry->parent];
    const int directory = is_named ? AT_FDCWD : open_parent(tree, entry);
    if (!is_named && directory < 0) {
        record_path(tree, -directory, "write", entry->to);
        return;
    }
    struct copy_options options = *tree->options;
    options.source = entry->from;
    options.target = entry->to;
    options.target_directory = directory;
    options.quiet = true;
    options.in_tree = true;
    options.depth = options.depth > 0 ? options.depth : TREE_DEPTH;
    options.resume = options.resume && part_is_left(entry->to); /* nothing to resume is usual here, and no note */
    copy_file(copy, &options, queue, &tree->whole);
    record(tree, &copy->outcome);
    entry->is_whole = copy->target.is_committed;
    (void)pthread_mutex_lock(&tree->lock);
    if (copy->outcome.exit_code == 0) {
        tree->file_count++;
        tree->bytes += copy->report.length;
        tree->direct_bytes += copy->target.side.direct_bytes;
        note_once(tree, &copy->source);
        note_once(tree, &copy->target.side);
    }
    (void)pthread_mutex_unlock(&tree->lock);
    copy_file_close(copy);
    if (!is_named)
        (void)close(directory);
}

/* Of a device that is named its bytes; of one in a tree, the node. */
static bool is_copied_here(const struct tree *tree, size_t index)
{
    const struct tree_entry *const entry = &tree->entries.items[index];
    return (S_ISREG(entry->stat.st_mode) && entry->original == index) ||
           (S_ISBLK(entry->stat.st_mode) && !tree->options->recursive);
}

static void count_complete(struct tree *tree, struct tree_entry *entry)
{
    entry->is_whole = true;
    (void)pthread_mutex_lock(&tree->lock);
    tree->same_count++;
    (void)pthread_mutex_unlock(&tree->lock);
}

/* A ring belongs to its thread, which closes it when no thread opens one any more: its addresses are nobody's until then. */
static void await_others(struct tree *tree)
{
    (void)pthread_mutex_lock(&tree->lock);
    tree->running_count--;
    (void)pthread_cond_broadcast(&tree->ended);
    while (tree->running_count != 0)
        (void)pthread_cond_wait(&tree->ended, &tree->lock);
    (void)pthread_mutex_unlock(&tree->lock);
}

static void *copy_files(void *context)
{
    struct tree *const tree = context;
    struct queue queue = {0};
    struct copy *const copy = malloc(sizeof *copy);
    if (copy == NULL)
        record_path(tree, ENOMEM, "copy", tree->options->source);
    while (copy != NULL && interrupt_signal() == 0 && !queue.is_stuck) {
        const size_t index = atomic_fetch_add(&tree->next, 1);
        if (index >= tree->entries.count)
            break;
        struct tree_entry *const entry = &tree->entries.items[index];
        if (!is_copied_here(tree, index) || part_endings(tree_name(entry->to)) != tree->endings || is_lost(tree, index))
            continue;
        if (is_complete(tree, entry))
            count_complete(tree, entry);
        else
            copy_entry(tree, copy, &queue, entry);
    }
    await_others(tree);
    queue_close(&queue);
    free(copy);
    return NULL;
}

static bool start_thread(struct tree *tree, pthread_t *ret_thread)
{
    (void)pthread_mutex_lock(&tree->lock);
    const bool is_started = pthread_create(ret_thread, NULL, copy_files, tree) == 0;
    tree->running_count += is_started ? 1 : 0;
    (void)pthread_mutex_unlock(&tree->lock);
    return is_started;
}

/* On this thread where no other can be started. */
static void copy_in_parallel(struct tree *tree)
{
    pthread_t threads[TREE_THREADS];
    unsigned count = 0;
    tree->running_count = 1;
    while (count < TREE_THREADS - 1 && count + 1 < tree->entries.count && start_thread(tree, &threads[count]))
        count++;
    (void)copy_files(tree);
    while (count > 0)
        (void)pthread_join(threads[--count], NULL);
}

/* SRC may hold part files of copies that were interrupted there. */
static void copy_part_files(struct tree *tree)
{
    unsigned most = 0;
    for (size_t i = 0; i < tree->entries.count; i++) {
        const unsigned endings = is_copied_here(tree, i) ? part_endings(tree_name(tree->entries.items[i].to)) : 0;
        most = endings > most ? endings : most;
    }
    while (tree->endings < most && atomic_load(&tree->next) >= tree->entries.count && interrupt_signal() == 0) {
        tree->endings++;
        tree->running_count = 1;
        atomic_store(&tree->next, 0);
        (void)copy_files(tree);
    }
}

static void report_left(struct tree *tree)
{
    const size_t next = atomic_load(&tree->next);
    if (next < tree->entries.count && interrupt_signal() == 0) {
        struct outcome failure = {0};
        (void)outcome_fail(
            &failure, DIO_EXIT_FAILED, EIO,
            "the last %zu of %zu files and directories were not copied, as io_uring does not answer; try "
            "--engine=pread",
            tree->entries.count - next, tree->entries.count);
        record(tree, &failure);
    }
}

/* ---- Links and nodes ------------------------------------------------------------------------------------------- */

/* Another name of the copy of the same file. */
static int link_original(const struct tree *tree, const struct tree_entry *entry, int directory, const char *name)
{
    const struct tree_entry *const original = &tree->entries.items[entry->original];
    const int from = open_parent(tree, original);
    if (from < 0)
        return from;
    const int err = linkat(from, tree_name(original->to), directory, name, 0) == 0 ? 0 : -errno;
    (void)close(from);
    return err;
}

static int make_at(const struct tree *tree, const struct tree_entry *entry, const char *content, int directory,
                   const char *name)
{
    if (tree_is_node(entry->stat.st_mode))
        return node_make(entry, directory, name, tree->options->preserve, tree->options->mask);
    if (content == NULL)
        return link_original(tree, entry, directory, name);
    return symlinkat(content, directory, name) == 0 ? 0 : -errno;
}

/* A link is made under a name that is new, and renamed: what has the name is replaced at once, or stays. */
static int make_link(const struct tree *tree, const struct tree_entry *entry, const char *content, int directory)
{
    char made[NAME_MAX + 1];
    const char *const name = tree_name(entry->to);
    int err = -EEXIST;
    for (unsigned i = 0; i < TEMPORARY_TRIES_MAX && err == -EEXIST; i++) {
        (void)snprintf(made, sizeof made, ".%.200s.%ld-%u.dio-link", name, (long)getpid(), i);
        err = make_at(tree, entry, content, directory, made);
    }
    if (err != 0)
        return err;
    err = renameat(directory, made, directory, name) == 0 ? 0 : -errno;
    (void)unlinkat(directory, made, 0); /* there still when both names were of one file already */
    return err;
}

static int give_link_times(const struct tree_entry *entry, int directory)
{
    const struct timespec times[2] = {entry->stat.st_atim, entry->stat.st_mtim};
    if (utimensat(directory, tree_name(entry->to), times, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    const int error = errno;
    if (!means_refused(error))
        return -error;
    note_refused(NOTE_TIMES, entry->to, error);
    return 0;
}

/* As rights_give_all() does of files. */
static int give_link_owner(const struct tree_entry *entry, int directory)
{
    const char *const name = tree_name(entry->to);
    if (fchownat(directory, name, entry->stat.st_uid, entry->stat.st_gid, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (errno == EIO)
        return -errno;
    if (errno != EPERM || geteuid() == 0)
        note_refused(NOTE_OWNER, entry->to, errno);
    (void)(fchownat(directory, name, (uid_t)-1, entry->stat.st_gid, AT_SYMLINK_NOFOLLOW) != 0);
    return 0;
}

static int make_symlink(const struct tree *tree, const struct tree_entry *entry, int directory)
{
    char content[PATH_MAX];
    const ssize_t size = readlink(entry->from, content, sizeof content - 1);
    if (size < 0)
        return -errno;
    content[size] = '\0';
    const int err = make_link(tree, entry, content, directory);
    return err == 0 && tree->options->preserve ? give_link_owner(entry, directory) : err;
}

static int make_other(const struct tree *tree, const struct tree_entry *entry)
{
    const int directory = open_parent(tree, entry);
    if (directory < 0)
        return directory;
    int err =
        S_ISLNK(entry->stat.st_mode) ? make_symlink(tree, entry, directory) : make_link(tree, entry, NULL, directory);
    if (err == 0 && tree->options->preserve && !S_ISREG(entry->stat.st_mode))
        err = give_link_times(entry, directory);
    (void)close(directory);
    return err;
}

/* What has the name of the file's copy is another file then. */
static void record_without_copy(struct tree *tree, const struct tree_entry *entry)
{
    struct outcome failure = {0};
    (void)outcome_fail(&failure, DIO_EXIT_FAILED, ENOENT, "'%s' is not linked, as '%s' was not copied", entry->to,
                       tree->entries.items[entry->original].to);
    record(tree, &failure);
}

static void make_links(struct tree *tree)
{
    for (size_t i = 0; i < tree->entries.count && interrupt_signal() == 0; i++) {
        const struct tree_entry *const entry = &tree->entries.items[i];
        if (S_ISDIR(entry->stat.st_mode) || is_copied_here(tree, i) || is_lost(tree, i))
            continue;
        if (S_ISREG(entry->stat.st_mode) && !tree->entries.items[entry->original].is_whole) {
            record_without_copy(tree, entry);
            continue;
        }
        const int err = make_other(tree, entry);
        if (err != 0)
            record_path(tree, -err, tree_is_node(entry->stat.st_mode) ? "create" : "link", entry->to);
        else
            tree->other_count++;
    }
}

/* ---- The course --------------------------------------------------------------------------------------------- */

/* A directory that is copied into itself would hold its own copy. */
static bool is_inside(const char *inner, const char *outer)
{
    char in[PATH_MAX];
    char out[PATH_MAX];
    if (realpath(inner, in) == NULL || realpath(outer, out) == NULL)
        return false;
    const size_t size = strlen(out);
    return strncmp(in, out, size) == 0 && (in[size] == '\0' || in[size] == '/' || size == 1);
}

static bool is_refused(struct tree *tree, const char *source, bool is_into)
{
    struct outcome failure = {0};
    const char *const target = tree->options->target;
    char parent[PATH_MAX];
    (void)snprintf(parent, sizeof parent, "%.*s", (int)(tree_name(target) - target), target);
    if (!tree_is_directory(source))
        return false;
    if (is_inside(is_into ? target : parent[0] != '\0' ? parent : ".", source))
        (void)outcome_fail(&failure, DIO_EXIT_FAILED, EINVAL, "'%s' is copied into itself, '%s'; choose another place",
                           source, target);
    record(tree, &failure);
    return failure.exit_code != 0;
}

static void list_all(struct tree *tree)
{
    const struct copy_options *const options = tree->options;
    tree->is_into = tree_is_directory(options->target);
    const bool is_into = tree->is_into;
    if (!is_into && options->source_count > 1) {
        struct outcome failure = {0};
        (void)outcome_fail(&failure, DIO_EXIT_FAILED, ENOTDIR,
                           "'%s' is no directory, and %d files cannot have one name; create it first", options->target,
                           options->source_count);
        record(tree, &failure);
        return;
    }
    for (int i = 0; i < options->source_count; i++) {
        const char *const source = options->sources[i];
        char *const target = is_into ? tree_join(options->target, tree_name(source)) : strdup(options->target);
        if (target == NULL)
            record_path(tree, ENOMEM, "list", source);
        else if (!is_refused(tree, source, is_into))
            entries_add(&tree->entries, &tree->outcome, source, target, options->recursive);
        free(target);
    }
}

static void make_directories(struct tree *tree)
{
    for (size_t i = 0; i < tree->entries.count; i++) {
        if (S_ISDIR(tree->entries.items[i].stat.st_mode) && !is_lost(tree, i))
            make_directory(tree, &tree->entries.items[i]);
    }
}

static void finish_directories(struct tree *tree)
{
    for (size_t i = tree->entries.count; i-- > 0;) {
        if (!S_ISDIR(tree->entries.items[i].stat.st_mode) || tree->entries.items[i].made_inode == 0)
            continue;
        finish_directory(tree, &tree->entries.items[i]);
        tree->other_count++;
    }
}

static void print_line(const struct tree *tree, double seconds)
{
    char rate[SIZE_TEXT_SIZE];
    const double time = seconds > 0 ? seconds : 1e-9;
    (void)printf("%" PRIu64 " files, %" PRId64 " bytes in %.2f s, %s/s; direct: %" PRId64
                 " written; directories and links: %" PRIu64,
                 tree->file_count, tree->bytes, seconds, size_text((int64_t)((double)tree->bytes / time), rate),
                 tree->direct_bytes, tree->other_count);
    if (tree->options->resume)
        (void)printf("; found complete: %" PRIu64, tree->same_count);
    (void)putchar('\n');
}

static void print_json(const struct tree *tree, double seconds)
{
    struct json_object *const object = json_write_begin();
    json_write_int(object, "schema_version", REPORT_SCHEMA_VERSION);
    json_write_text(object, "command", "cp");
    json_write_int(object, "exit_code", tree->outcome.exit_code);
    json_write_text_or_null(object, "error", tree->outcome.text);
    json_write_int(object, "files", (int64_t)tree->file_count);
    json_write_int(object, "found_complete", (int64_t)tree->same_count);
    json_write_int(object, "directories_and_links", (int64_t)tree->other_count);
    json_write_int(object, "bytes", tree->bytes);
    json_write_int(object, "direct_bytes", tree->direct_bytes);
    json_write_real(object, "seconds", seconds);
    json_write_end(object);
}

int tree_copy(const struct copy_options *options)
{
    struct tree tree = {.options = options};
    const double started = seconds_now();
    (void)pthread_mutex_init(&tree.lock, NULL);
    (void)pthread_cond_init(&tree.ended, NULL);
    list_all(&tree);
    make_directories(&tree);
    progress_start_whole(&tree.whole, tree.entries.total, !options->quiet && !options->json);
    copy_in_parallel(&tree);
    copy_part_files(&tree);
    progress_end(&tree.whole);
    report_left(&tree);
    make_links(&tree);
    finish_directories(&tree);
    if (tree.entries.count != 0)
        sync_parent(&tree);
    if (interrupt_check(&tree.outcome) == 0 && tree.outcome.exit_code == 0 && !options->quiet && !options->json)
        print_line(&tree, seconds_now() - started);
    if (options->json)
        print_json(&tree, seconds_now() - started);
    entries_free(&tree.entries);
    (void)pthread_cond_destroy(&tree.ended);
    (void)pthread_mutex_destroy(&tree.lock);
    return tree.outcome.exit_code;
}
