/* SPDX-License-Identifier: MIT
 *
 * floor.c - the same work in C: what the crossing from Rust is measured against. */
#include <jdb_alloc.h>

void jdb_bench_buf(uint64_t round_count, size_t size);
void jdb_bench_page(uint64_t round_count);
void jdb_bench_frame(uint64_t round_count, jdb_pool *pool);

void jdb_bench_buf(uint64_t round_count, size_t size)
{
    for (uint64_t i = 0; i < round_count; i++) {
        jdb_buf buf;
        if (jdb_buf_with_cap(&buf, size) != 0)
            return;
        __asm__ volatile("" : : "r"(buf.ptr) : "memory");
        jdb_buf_drop(&buf);
    }
}

void jdb_bench_page(uint64_t round_count)
{
    for (uint64_t i = 0; i < round_count; i++) {
        jdb_buf buf;
        if (jdb_buf_page(&buf) != 0)
            return;
        __asm__ volatile("" : : "r"(buf.ptr) : "memory");
        jdb_buf_drop(&buf);
    }
}

void jdb_bench_frame(uint64_t round_count, jdb_pool *pool)
{
    for (uint64_t i = 0; i < round_count; i++) {
        jdb_frame frame;
        if (jdb_pool_get(pool, &frame) != 0)
            return;
        __asm__ volatile("" : : "r"(frame.ptr) : "memory");
        (void)jdb_pool_put(pool, frame);
    }
}
