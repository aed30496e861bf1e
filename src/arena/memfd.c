/* SPDX-License-Identifier: MIT
 *
 * memfd.c - the file behind an arena that other processes can map: made, extended, mapped, handed out.
 */
#include "arena/arena_internal.h"

#include "os/os.h"

/* ---- The file --------------------------------------------------------------------------------------------- */

static int arena_memfd_new(jdb_arena *arena, uint32_t kind)
{
    const char *const name = arena->name[0] != '\0' ? arena->name : "jdb_arena";
    int fd = -1;
    int err = jdb__os_memfd_new(name, arena_is_hugetlb(kind) ? jdb__arena_page_bytes(kind) : 0, &fd);
    if (err != 0)
        return err;
    err = jdb__os_memfd_seal_size(fd);
    if (err != 0) {
        jdb__os_fd_close(fd);
        return err;
    }
    arena->fd = fd;
    arena->fd_kind = arena_is_hugetlb(kind) ? kind : JDB_ARENA_PAGES_NONE;
    arena->fd_size = 0;
    return 0;
}

/* Note how large the file is by now. -ERANGE: it does not reach to `end`. */
static int arena_memfd_look(jdb_arena *arena, uint64_t end)
{
    struct jdb__os_file_stat stat;
    const int err = jdb__os_file_stat(arena->fd, &stat);
    arena->fd_size = err == 0 ? (uint64_t)stat.size : arena->fd_size;
    return err == 0 && end > arena->fd_size ? -ERANGE : err;
}

/* Have the memfd reach to the end of a part. A process that inherited it may have made it longer meanwhile: it cannot
 * shrink, and making it shorter is -EPERM. So is making it longer where another process sealed it against that: -ERANGE. A file that
 * no other process has had yet is refused by the system itself. */
static int arena_memfd_extend(jdb_arena *arena, const struct arena_part *part)
{
    const uint64_t end = part->start + part->size;
    JDB_ASSERT(arena->fd_size >= arena->usable_bytes || arena->is_attached); /* R10 */
    if (end <= arena->fd_size)
        return 0;
    if (arena->is_attached)
        return arena_memfd_look(arena, end);
    const int err = jdb__os_memfd_resize(arena->fd, (int64_t)end);
    if (err == -EPERM && (arena->fd_size != 0 || atomic_load(&arena->fd_state) == ARENA_FD_SHARED))
        return arena_memfd_look(arena, end);
    arena->fd_size = err == 0 ? end : arena->fd_size;
    return err;
}

static int arena_memfd_refuse(jdb_arena *arena, int err)
{
    jdb__arena_note(arena, JDB_ARENA_ITEM_MEMFD, err, jdb__arena_reason(JDB_ARENA_ITEM_MEMFD, err));
    return err == -ENOMEM ? -ENOMEM : -ENOTSUP;
}

int jdb__arena_memfd_begin(jdb_arena *arena)
{
    const bool is_asked = (arena->options.flags & JDB_ARENA_MEMFD) != 0;
    const bool is_small = arena->options.pages == JDB_ARENA_PAGES_NONE || arena->options.pages == JDB_ARENA_PAGES_THP;
    const int err = is_asked && is_small && arena->fd < 0 ? arena_memfd_new(arena, JDB_ARENA_PAGES_NONE) : 0;
    return err == 0 ? 0 : arena_memfd_refuse(arena, err);
}

int jdb__arena_memfd_map(jdb_arena *arena, const struct arena_part *part, uint8_t *place, void **ret_at)
{
    int err = arena->fd < 0 ? arena_memfd_new(arena, part->kind) : 0;
    if (err != 0 && !arena_is_hugetlb(part->kind))
        return arena_memfd_refuse(arena, err);
    if (err == 0)
        err = arena_memfd_extend(arena, part);
    if (err != 0)
        return err;
    void *at = place;
    if (arena_is_hugetlb(part->kind))
        err = jdb__os_map_file(arena->fd, (int64_t)part->start, part->size, &at);
    else
        err = jdb__os_map_file_at(arena->fd, (int64_t)part->start, part->size, place);
    if (err == 0)
        *ret_at = at;
    const bool is_read_only = arena->is_attached && (err == -EACCES || err == -EPERM); /* as opened, or sealed */
    return is_read_only ? -EACCES : err;
}

void jdb__arena_memfd_punch(jdb_arena *arena, const struct arena_part *part)
{
    uint32_t state = ARENA_FD_PRIVATE;
    if (arena->fd < 0 || !atomic_compare_exchange_strong(&arena->fd_state, &state, ARENA_FD_PUNCHED))
        return;
    jdb__os_memfd_punch(arena->fd, (int64_t)part->start, (int64_t)part->size);
    JDB_ASSERT(atomic_load(&arena->fd_state) == ARENA_FD_PUNCHED);
    atomic_store(&arena->fd_state, ARENA_FD_PRIVATE);
}

void jdb__arena_memfd_close_unused(jdb_arena *arena)
{
    if (arena->fd < 0 || arena->usable_bytes != 0 || arena->is_attached)
        return;
    jdb__os_fd_close(arena->fd);
    arena->fd = -1;
}

/* Magic number of hugetlbfs. Source: include/uapi/linux/magic.h */
#define ARENA_HUGETLBFS_MAGIC 0x958458f6u

int jdb__arena_memfd_kind(int fd, uint32_t *ret_kind)
{
    bool is_sealed = false;
    uint32_t file_system = 0;
    struct jdb__os_file_stat stat;
    int err = jdb__os_memfd_is_sealed(fd, &is_sealed);
    if (err == -EINVAL || err == -EBADF || (err == 0 && !is_sealed))
        return -EINVAL;
    if (err != 0 || (err = jdb__os_file_system(fd, &file_system)) != 0 || (err = jdb__os_file_stat(fd, &stat)) != 0)
        return err;
    if (file_system != ARENA_HUGETLBFS_MAGIC)
        *ret_kind = JDB_ARENA_PAGES_NONE;
    else
        *ret_kind =
            stat.preferred_block_size == ARENA_HUGE_1G ? JDB_ARENA_PAGES_HUGETLB_1G : JDB_ARENA_PAGES_HUGETLB_2M;
    return 0;
}

/* ---- Sharing ---------------------------------------------------------------------------------------------- */

/* Before the descriptor is handed out: from then on no step that fails takes memory from the file. */
static void arena_memfd_share(jdb_arena *arena)
{
    uint32_t state = ARENA_FD_PRIVATE;
    while (!atomic_compare_exchange_weak(&arena->fd_state, &state, ARENA_FD_SHARED) && state != ARENA_FD_SHARED) {
        jdb__os_yield();
        state = ARENA_FD_PRIVATE;
    }
}

int jdb_arena_fd(const jdb_arena *arena)
{
    if (!arena_is_here(arena))
        return arena_not_here(arena);
    if (arena->fd < 0)
        return -ENOTSUP;
    arena_memfd_share((jdb_arena *)arena); /* const means what the arena holds */
    return arena->fd;
}
