/* SPDX-License-Identifier: MIT
 *
 * engine.h - the state of a request, and the engines of the core.
 *
 * The word of a request says where it is:
 *
 *     IDLE -> STARTED -> AWAITED -> COMPLETE -> IDLE
 *                 \_________________/
 *
 * jdb_engine_start() stores STARTED; the thread that waits turns it into AWAITED before it sleeps on the word;
 * jdb_engine_complete() stores COMPLETE by release and wakes where it found AWAITED; jdb_engine_wait() stores IDLE. From COMPLETE on
 * the request belongs to its owner, who may free it: the completer touches it no more, and wakes by its address alone.
 *
 * A thread that waits for any of several turns them into AWAITED_ANY, which stays when it gives up, and sleeps on a word that no
 * engine owns: whoever completes such a request changes that word, when the engine may be gone already.
 */
#ifndef JDB_STREAM_ENGINE_H
#define JDB_STREAM_ENGINE_H

#include "jdb_alloc/stream.h"

#define ENGINE_THREADS_MAX 64u

enum { ENGINE_IDLE, ENGINE_STARTED, ENGINE_AWAITED, ENGINE_AWAITED_ANY, ENGINE_COMPLETE };

/* ---- Requests that wait, in order, by their `next` ---------------------------------------------------------- */

struct engine_line {
    jdb_engine_io *first;
    jdb_engine_io *last; /* while there is a first */
};

static inline void engine_line_push(struct engine_line *line, jdb_engine_io *io)
{
    io->next = NULL;
    if (line->first == NULL)
        line->first = io;
    else
        line->last->next = io;
    line->last = io;
}

/* NULL: there is none. */
static inline jdb_engine_io *engine_line_pop(struct engine_line *line)
{
    jdb_engine_io *const io = line->first;
    if (io != NULL)
        line->first = io->next;
    return io;
}

/* False: it is not in the line. */
static inline bool engine_line_remove(struct engine_line *line, const jdb_engine_io *io)
{
    jdb_engine_io *before = NULL;
    jdb_engine_io *at = line->first;
    while (at != NULL && at != io) {
        before = at;
        at = at->next;
    }
    if (at == NULL)
        return false;
    if (before == NULL)
        line->first = at->next;
    else
        before->next = at->next;
    if (line->last == at)
        line->last = before;
    return true;
}

/* ---- Engines ------------------------------------------------------------------------------------------------ */

/* reason: as of jdb_engine_init(). -ENOMEM. */
int jdb__engine_open_synchronous(const char *reason, jdb_engine **ret_engine);

/* -ENOMEM; the error of the first thread. */
int jdb__engine_open_threads(uint32_t depth, jdb_engine **ret_engine);

/* Whether the calling process may use the engine. */
bool jdb__engine_is_mine(const jdb_engine *engine);

/* A stream is open on the engine, or no longer. */
void jdb__engine_join(jdb_engine *engine);
void jdb__engine_leave(jdb_engine *engine);

/* Requests that one stream should have in flight, so that all streams of the engine get as much: 2 or more. */
uint32_t jdb__engine_share(const jdb_engine *engine);

#endif
