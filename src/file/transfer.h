/* SPDX-License-Identifier: MIT
 *
 * transfer.h - one call that moves bytes between memory and an open file.
 *
 *     begin     take the alignments of the file, note its errors
 *     check     access, bounds, an earlier error (durable writes), alignment (NO_COPY)
 *     pin       memory of this library
 *     move      requests by plans; a refusal with EINVAL learns larger alignments and continues
 *     finish    sync where the options say so, and check for errors of other calls (writes)
 *     end       free the bounce buffer, write the caller's report
 *
 * Below: transfer.c has the steps around the requests, request.c the requests. edge.c writes blocks of which a part is new.
 * read.c, write.c, atomic.c and zeros.c are the calls.
 */
#ifndef JDB_FILE_TRANSFER_H
#define JDB_FILE_TRANSFER_H

#include "base/bits.h"
#include "file/file_internal.h"

#include "jdb_alloc/buf.h"

struct transfer {
    jdb_file *file;
    jdb_file_report report;
    uint32_t memory_align; /* as they were when the call began, or learned since */
    uint32_t align;        /* of offset and length */
    uint32_t write_flags;  /* OS_IO_DATA_SYNC while each write is its own sync */
    bool needs_sync;       /* a sync follows the writes */
    bool is_edge_plain;    /* of this write: as in struct jdb_file */
    uint64_t errors;       /* of the file, when the call began: for jdb__file_check_errors() */
    jdb_buf bounce;        /* aligned memory for bytes that are not aligned; empty until it is needed */
};

/* ---- Steps (transfer.c) ------------------------------------------------------------------------------------- */

void jdb__transfer_begin(struct transfer *transfer, jdb_file *file, bool is_write);

/* Free the bounce buffer and write the caller's report; returns err. */
int jdb__transfer_end(struct transfer *transfer, int err, jdb_file_report *ret_report);

/* Access and bounds: -EINVAL, -EOVERFLOW, -EBADF. */
int jdb__transfer_check_range(struct transfer *transfer, uint32_t access, jdb_raw view, uint64_t size, int64_t offset);

/* Under NO_COPY a request that is not aligned is -EINVAL, with the reason. */
int jdb__transfer_check_alignment(struct transfer *transfer, jdb_raw view, int64_t offset, bool is_write);

/* A durable write is refused while an earlier error stands. */
int jdb__transfer_check_earlier(struct transfer *transfer);

/* Pin memory of this library; the caller answers for other memory. *ret_pinned: whether to unpin. */
int jdb__transfer_pin(struct transfer *transfer, jdb_raw view, size_t size, bool *ret_pinned);

/* Allocate the bounce buffer: at least two blocks. -ENOMEM. */
int jdb__transfer_need_bounce(struct transfer *transfer);

/* Query the limits again. Returns whether an alignment has grown, so that the transfer can continue. */
bool jdb__transfer_learn_aligns(struct transfer *transfer, bool is_write);

/* Whether a write that ended so was refused as a whole, and lost no byte that was accepted before. */
bool jdb__transfer_is_refusal(int err);

/* Report a failure, and return its error. A write that failed or stalled stays with the file, except where it was refused as
 * a whole: others must not treat bytes near it as durable. */
int jdb__transfer_failed(struct transfer *transfer, const char *call, int err, uint64_t size, int64_t offset);
int jdb__transfer_stalled(struct transfer *transfer, const char *call, int64_t offset);
int jdb__transfer_write_failed(struct transfer *transfer, const char *call, int err, uint64_t size, int64_t offset);
int jdb__transfer_write_stalled(struct transfer *transfer, const char *call, int64_t offset);

/* ---- Requests (request.c) ----------------------------------------------------------------------------------- */

/* Read or write [offset, offset + size) through the plain descriptor; a read ends early at the end of the file. Counts what
 * is done, on failure too. */
int jdb__transfer_read_plain(struct transfer *transfer, uint8_t *ptr, uint64_t size, int64_t offset);
int jdb__transfer_write_plain(struct transfer *transfer, const uint8_t *ptr, uint64_t size, int64_t offset);

/* The same of several pieces of memory that follow each other in the file: one view, or more. */
struct transfer_memory {
    const jdb_raw *views; /* cap of each is filled, or len written */
    uint32_t count;       /* at most OS_PIECES_MAX */
};

int jdb__transfer_read_plain_into(struct transfer *transfer, const struct transfer_memory *memory, uint64_t size,
                                  int64_t offset);
int jdb__transfer_write_plain_from(struct transfer *transfer, const struct transfer_memory *memory, uint64_t size,
                                   int64_t offset);
int jdb__transfer_read_plan_into(struct transfer *transfer, const jdb_read_plan *plan,
                                 const struct transfer_memory *memory, jdb_read_step *step);
int jdb__transfer_write_piece_from(struct transfer *transfer, const jdb_write_piece *piece,
                                   const struct transfer_memory *memory, uint64_t *ret_done);

/* Count what a plan has read, and whether the file ended in it. */
void jdb__transfer_count_read(struct transfer *transfer, const jdb_read_plan *plan, const jdb_read_step *step);

/* Read a plan directly into memory, as far as the file has its bytes. *step is the progress, on failure too. */
int jdb__transfer_read_plan(struct transfer *transfer, const jdb_read_plan *plan, uint8_t *memory, jdb_read_step *step);

/* Write a piece directly from aligned memory that holds all of it. *ret_done: bytes written, on failure too. */
int jdb__transfer_write_piece(struct transfer *transfer, const jdb_write_piece *piece, const uint8_t *memory,
                              uint64_t *ret_done);

/* ---- Edges (edge.c) ----------------------------------------------------------------------------------------- */

/* Decide how the edges of this range are written: sets is_edge_plain. */
int jdb__transfer_choose_edges(struct transfer *transfer, uint64_t size, int64_t offset);

/* Write a block of which a part is new; ptr: the caller's bytes. A piece of size 0 is no piece. */
int jdb__transfer_write_edge(struct transfer *transfer, const uint8_t *ptr, const jdb_write_piece *piece);

/* ---- Writes (write.c) --------------------------------------------------------------------------------------- */

/* The span of the blocks of a range; of the whole device when edges go through its page cache (edge.c). */
struct jdb__file_span jdb__transfer_span(const struct transfer *transfer, uint64_t size, int64_t offset);

/* Write the view's len bytes, and continue with larger alignments after a refusal. */
int jdb__transfer_write_view(struct transfer *transfer, jdb_raw view, int64_t offset);

/* Behind a write that ended at `end`: the length that the tail strategy requires, in every mode. */
int jdb__transfer_end_block(struct transfer *transfer, int64_t end);

/* What the durability of the options requires behind a write. */
int jdb__transfer_finish_write(struct transfer *transfer);

/* ---- Alignment ---------------------------------------------------------------------------------------------- */

static inline size_t transfer_view_size(const jdb_raw *view, bool is_write)
{
    return is_write ? view->len : view->cap;
}

/* Bytes of all views together. -EINVAL: NULL, no views, or one without bytes; -EOVERFLOW: more than INT64_MAX. */
int jdb__transfer_views_size(const jdb_raw *views, uint32_t view_count, bool is_write, uint64_t *ret_size);

static inline bool transfer_is_memory_aligned(const struct transfer *transfer, const uint8_t *ptr)
{
    return ((uintptr_t)ptr & (transfer->memory_align - 1)) == 0;
}

static inline bool transfer_is_whole_blocks(const struct transfer *transfer, uint64_t size, int64_t offset)
{
    return (((uint64_t)offset | size) & (transfer->align - 1)) == 0;
}

#endif
