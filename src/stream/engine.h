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
 */
#ifndef JDB_STREAM_ENGINE_H
#define JDB_STREAM_ENGINE_H

#include "jdb_alloc/stream.h"

#define ENGINE_THREADS_MAX 64u

enum { ENGINE_IDLE, ENGINE_STARTED, ENGINE_AWAITED, ENGINE_COMPLETE };

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
