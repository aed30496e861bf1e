/* SPDX-License-Identifier: MIT
 *
 * arena.c - what the options of an arena are worth: random reads over small and over transparent huge pages, fork()
 * with the arena kept from the child and without, and the pins of a frame. One process, one measurement, printed as
 * a line of JSON: {"work":"read-thp","ns":[71.2,70.8]}.
 *
 *     PROGRAM read-small|read-thp|fork-kept|fork-dontfork|pin [GIB]
 */
#include "sample.h"

#include <jdb_alloc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAMPLES = 5, FRAME_SIZE = 16384 };

static jdb_arena *populated(uint64_t gib, uint32_t pages, uint32_t flags)
{
    jdb_arena_options options = {.size = sizeof options, .flags = flags | JDB_ARENA_PREFAULT, .pages = pages};
    options.frame_size = FRAME_SIZE;
    options.frame_count = (uint32_t)((gib << 30) / FRAME_SIZE);
    options.required = 1u << JDB_ARENA_ITEM_PREFAULT | 1u << JDB_ARENA_ITEM_PAGES;
    jdb_arena *arena = NULL;
    sample_must(jdb_arena_new(&options, &arena), "jdb_arena_new");
    return arena;
}

/* Each address depends on the bytes read before, all zero, so that one read waits for the other. */
static double read_at_random(const uint8_t *base, uint64_t size)
{
    enum { READS = 4000000 };
    uint64_t word = 88172645463325252u;
    const uint64_t start = sample_now();
    for (unsigned i = 0; i < READS; i++) {
        uint64_t bytes = 0;
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        memcpy(&bytes, base + word % size / sizeof bytes * sizeof bytes, sizeof bytes);
        word += bytes;
    }
    const uint64_t end = sample_now();
    sample_must(word == 0 ? EINVAL : 0, "the arena holds zeros");
    return (double)(end - start) / READS;
}

/* Microseconds that fork() keeps the parent. */
static double fork_once(void)
{
    const uint64_t start = sample_now();
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    const uint64_t end = sample_now();
    sample_must(child < 0 ? errno : 0, "fork");
    waitpid(child, NULL, 0);
    return (double)(end - start) / 1000;
}

static double pin_at_random(const jdb_arena *arena)
{
    enum { PINS = 4000000 };
    uint8_t *const base = jdb_arena_base(arena);
    const uint32_t frame_count = jdb_arena_frame_count(arena);
    const uint64_t start = sample_now();
    for (uint32_t i = 0; i < PINS; i++) {
        uint8_t *const frame = base + (uint64_t)(i * 2654435761u % frame_count % 1024) * FRAME_SIZE;
        sample_must(jdb_pin(frame, FRAME_SIZE), "jdb_pin");
        sample_must(jdb_unpin(frame, FRAME_SIZE), "jdb_unpin");
    }
    return (double)(sample_now() - start) / PINS;
}

int main(int argc, char **argv)
{
    const char *const work = argc > 1 ? argv[1] : "";
    const bool is_fork = strncmp(work, "fork", 4) == 0;
    const bool is_pin = strcmp(work, "pin") == 0;
    if (argc < 2 || argc > 3 || (!is_fork && !is_pin && strncmp(work, "read", 4) != 0))
        sample_fail(EINVAL, "usage: PROGRAM read-small|read-thp|fork-kept|fork-dontfork|pin [GIB]");
    const uint64_t gib = argc > 2 ? strtoull(argv[2], NULL, 10) : is_pin ? 1 : 4;
    const uint32_t pages = strcmp(work, "read-thp") == 0 ? JDB_ARENA_PAGES_THP : JDB_ARENA_PAGES_NONE;
    jdb_arena *const arena = populated(gib, pages, strcmp(work, "fork-kept") == 0 ? JDB_ARENA_KEEP_ON_FORK : 0);
    printf("{\"work\":\"%s\",\"%s\":[", work, is_fork ? "us" : "ns");
    for (int i = 0; i < SAMPLES; i++) {
        const double sample = is_fork  ? fork_once()
                              : is_pin ? pin_at_random(arena)
                                       : read_at_random(jdb_arena_base(arena), jdb_arena_size(arena));
        printf(i == 0 ? "%.2f" : ",%.2f", sample);
    }
    printf("]}\n");
    sample_must(jdb_arena_free(arena), "jdb_arena_free");
    return 0;
}
