/* SPDX-License-Identifier: MIT
 *
 * nodes.c - on which node of memory a frame lies, where the system has several: batches are sorted by it, so that the home of a
 * cache among the stacks of batches can be that of the node its thread runs on.
 *
 * A frame's node is asked of the system when the frame first leaves a cache or the free list in a batch: by then it was written,
 * so its memory is where the kernel placed it, whatever the policy. It is known from then on until a trim gives the memory back. Who
 * has the frame in hand reads and stores it.
 */
#include "os/os.h"
#include "pool/state.h"

#define NODES_FRAMES_MAX CACHE_FRAMES_MAX

/* Stack + 1, 0: not known. */
static uint32_t nodes_stack(const jdb_pool *pool, uint64_t item, uint32_t unknown)
{
    const uint8_t place = pool->nodes[(uint32_t)item];
    return place != 0 ? place - 1u : unknown;
}

/* Ask for those that are not known. */
static void nodes_ask(const jdb_pool *pool, const uint64_t *items, uint32_t count)
{
    const void *pages[NODES_FRAMES_MAX];
    uint32_t indices[NODES_FRAMES_MAX];
    int nodes[NODES_FRAMES_MAX];
    uint32_t unknown_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t index = (uint32_t)items[i];
        if (pool->nodes[index] != 0)
            continue;
        pages[unknown_count] = frame_ptr(&pool->frames, index);
        indices[unknown_count++] = index;
    }
    if (unknown_count == 0 || jdb__os_nodes_of(pages, unknown_count, nodes) != 0)
        return;
    for (uint32_t i = 0; i < unknown_count; i++)
        if (nodes[i] >= 0)
            pool->nodes[indices[i]] = (uint8_t)((unsigned)nodes[i] % BATCH_STACKS + 1);
}

uint32_t jdb__nodes_here(void)
{
    return jdb__os_node_here() % BATCH_STACKS;
}

uint32_t jdb__nodes_sort(const jdb_pool *pool, uint64_t *items, uint32_t count)
{
    uint32_t counts[BATCH_STACKS] = {0};
    uint64_t unsorted[NODES_FRAMES_MAX];
    const uint32_t here = jdb__nodes_here();
    uint32_t most = here;
    JDB_ASSERT(count <= NODES_FRAMES_MAX);
    nodes_ask(pool, items, count);
    for (uint32_t i = 0; i < count; i++)
        counts[nodes_stack(pool, items[i], here)]++;
    for (uint32_t stack = 0; stack < BATCH_STACKS; stack++)
        most = counts[stack] > counts[most] ? stack : most;
    memcpy(unsorted, items, count * sizeof *items);
    uint32_t near = 0;
    uint32_t far = counts[most];
    for (uint32_t i = 0; i < count; i++)
        items[nodes_stack(pool, unsorted[i], here) == most ? near++ : far++] = unsorted[i];
    JDB_ASSERT(near == counts[most] && far == count);
    return most;
}

void jdb__nodes_forget(const jdb_pool *pool, uint32_t index)
{
    if (pool->nodes != NULL)
        pool->nodes[index] = 0;
}
