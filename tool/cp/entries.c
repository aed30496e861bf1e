/* SPDX-License-Identifier: MIT
 *
 * entries.c - see entries.h.
 */
#include "cp/entries.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file with several names, in the tree of those that were met. */
struct original {
    dev_t device;
    ino_t inode;
    size_t index;
};

/* ---- Names -------------------------------------------------------------------------------------------------- */

bool tree_is_directory(const char *path)
{
    const int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

bool tree_is_node(mode_t mode)
{
    return !S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode);
}

static size_t name_size(const char *name)
{
    return strcspn(name, "/");
}

const char *tree_name(const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    const bool is_nameless = start == end || (end - start == 2 && path[start] == '.' && path[start + 1] == '.');
    return is_nameless ? "." : path + start;
}

char *tree_join(const char *directory, const char *name)
{
    size_t front = strlen(directory);
    const size_t back = name_size(name);
    while (front > 1 && directory[front - 1] == '/')
        front--;
    if (back == 1 && name[0] == '.')
        return strndup(directory, front);
    char *const path = malloc(front + back + 2);
    if (path == NULL)
        return NULL;
    memcpy(path, directory, front);
    path[front] = '/';
    memcpy(path + front + 1, name, back);
    path[front + 1 + back] = '\0';
    return path;
}

/* ---- The list ----------------------------------------------------------------------------------------------- */

static void report(struct outcome *outcome, const struct outcome *failure)
{
    (void)fprintf(stderr, "dio cp: %s\n", failure->text);
    (void)outcome_fail(outcome, failure->exit_code, failure->error, "%s", failure->text);
}

static void report_path(struct outcome *outcome, int error, const char *what, const char *path)
{
    struct outcome failure = {0};
    (void)outcome_fail_path(&failure, error, what, path);
    report(outcome, &failure);
}

static int compare_originals(const void *a, const void *b)
{
    const struct original *const one = a;
    const struct original *const other = b;
    if (one->device != other->device)
        return one->device < other->device ? -1 : 1;
    return one->inode < other->inode ? -1 : one->inode > other->inode;
}

/* The index of the first entry of the same file. */
static size_t find_original(struct entries *entries, size_t index)
{
    const struct stat *const stat = &entries->items[index].stat;
    if (!S_ISREG(stat->st_mode) || stat->st_nlink < 2)
        return index;
    struct original *const wanted = malloc(sizeof *wanted);
    if (wanted == NULL)
        return index; /* it is copied once more */
    *wanted = (struct original){.device = stat->st_dev, .inode = stat->st_ino, .index = index};
    struct original **const found = tsearch(wanted, &entries->originals, compare_originals);
    if (found == NULL || *found != wanted)
        free(wanted);
    return found == NULL ? index : (*found)->index;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* 0; -EEXIST: it is the name of another file's copy already; or -ENOMEM. */
static int claim_name(struct entries *entries, const char *to)
{
    char *const name = strdup(to);
    char **const found = name != NULL ? tsearch(name, &entries->targets, compare_names) : NULL;
    if (found != NULL && *found == name)
        return 0;
    free(name);
    return found == NULL ? -ENOMEM : -EEXIST;
}

/* Two copies to one name would leave one of them. Directories of one name become one. */
static bool is_taken(struct entries *entries, struct outcome *outcome, const struct tree_entry *entry)
{
    const int err = S_ISDIR(entry->stat.st_mode) ? 0 : claim_name(entries, entry->to);
    struct outcome failure = {0};
    if (err == -EEXIST)
        (void)outcome_fail(&failure, DIO_EXIT_FAILED, EEXIST,
                           "'%s' is not copied, as '%s' is the name of another file's copy; copy it to another place",
                           entry->from, entry->to);
    else if (err != 0)
        (void)outcome_fail_path(&failure, -err, "list", entry->from);
    if (err != 0)
        report(outcome, &failure);
    return err != 0;
}

/* Takes both names. NULL: no memory. */
static struct tree_entry *push(struct entries *entries, char *from, char *to)
{
    if (entries->count == entries->room) {
        const size_t room = entries->room == 0 ? 64 : 2 * entries->room;
        struct tree_entry *const items = realloc(entries->items, room * sizeof *items);
        if (items == NULL)
            return NULL;
        entries->items = items;
        entries->room = room;
    }
    struct tree_entry *const entry = &entries->items[entries->count++];
    *entry = (struct tree_entry){.from = from, .to = to};
    return entry;
}

static void add(struct entries *entries, struct outcome *outcome, char *from, char *to, size_t parent,
                bool is_recursive);

static void add_content(struct entries *entries, struct outcome *outcome, size_t parent)
{
    /* Not by its entry, which moves when the list grows. */
    const char *const from = entries->items[parent].from;
    const char *const to = entries->items[parent].to;
    DIR *const directory = opendir(from);
    if (directory == NULL) {
        report_path(outcome, errno, "open", from);
        return;
    }
    errno = 0;
    for (struct dirent *name; (name = readdir(directory)) != NULL; errno = 0) {
        if (strcmp(name->d_name, ".") != 0 && strcmp(name->d_name, "..") != 0)
            add(entries, outcome, tree_join(from, name->d_name), tree_join(to, name->d_name), parent, true);
    }
    if (errno != 0)
        report_path(outcome, errno, "read", from);
    (void)closedir(directory);
}

static const char *kind_of(mode_t mode)
{
    return S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : S_ISCHR(mode) ? "a character device" : "a device";
}

/* A device or pipe that is named beside -r: whether its bytes are meant or the node is not known. */
static bool is_refused(struct outcome *outcome, const struct tree_entry *entry, bool is_recursive, bool is_named)
{
    struct outcome failure = {0};
    const mode_t mode = entry->stat.st_mode;
    if (S_ISDIR(mode) && !is_recursive)
        (void)outcome_fail(&failure, DIO_EXIT_FAILED, EISDIR, "'%s' is a directory; use -r to copy it", entry->from);
    else if (is_named && tree_is_node(mode) && (is_recursive || !S_ISBLK(mode)))
        (void)outcome_fail(&failure, DIO_EXIT_FAILED, EINVAL,
                           "'%s' is %s, and is not copied; -r copies those in directories, as nodes", entry->from,
                           kind_of(mode));
    if (failure.exit_code != 0)
        report(outcome, &failure);
    return failure.exit_code != 0;
}

/* Takes both names, which may be NULL. */
static void add(struct entries *entries, struct outcome *outcome, char *from, char *to, size_t parent,
                bool is_recursive)
{
    struct tree_entry *const entry = from != NULL && to != NULL ? push(entries, from, to) : NULL;
    if (entry == NULL) {
        report_path(outcome, ENOMEM, "list", from != NULL ? from : "files");
        free(from);
        free(to);
        return;
    }
    const size_t index = entries->count - 1;
    entry->parent = parent;
    const bool is_there = (is_recursive ? lstat(from, &entry->stat) : stat(from, &entry->stat)) == 0;
    if (!is_there)
        report_path(outcome, errno, "open", from);
    if (!is_there || is_refused(outcome, entry, is_recursive, parent == index) || is_taken(entries, outcome, entry)) {
        entries->count--;
        free(from);
        free(to);
        return;
    }
    entry->original = find_original(entries, index);
    if (S_ISREG(entry->stat.st_mode) && entry->original == index)
        entries->total += (int64_t)entry->stat.st_size;
    if (S_ISDIR(entry->stat.st_mode))
        add_content(entries, outcome, index);
}

void entries_add(struct entries *entries, struct outcome *outcome, const char *from, const char *to, bool is_recursive)
{
    const size_t index = entries->count;
    add(entries, outcome, strdup(from), strdup(to), index, is_recursive);
    if (entries->count > index)
        entries->items[index].is_named = true;
}

void entries_free(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        free(entries->items[i].from);
        free(entries->items[i].to);
    }
    free(entries->items);
    while (entries->targets != NULL) {
        char *const first = *(char **)entries->targets;
        (void)tdelete(first, &entries->targets, compare_names);
        free(first);
    }
    while (entries->originals != NULL) {
        struct original *const first = *(struct original **)entries->originals;
        (void)tdelete(first, &entries->originals, compare_originals);
        free(first);
    }
    *entries = (struct entries){0};
}
