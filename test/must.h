/* SPDX-License-Identifier: MIT
 *
 * must.h - assertions for threads and forked children, where those of cmocka may not be used; and the child itself.
 */
#ifndef JDB_TEST_MUST_H
#define JDB_TEST_MUST_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(condition) ((condition) ? (void)0 : must_fail(__FILE__, __LINE__, #condition))

static inline void must_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: MUST(%s)\n", file, line, condition);
    _exit(99);
}

/* Run body(argument) in a child; *text (text_size bytes) gets what it wrote to stderr. Returns the wait status: 0 when
 * the body returned. */
static inline int must_run_child(void (*body)(void *), void *argument, char *text, size_t text_size)
{
    int ends[2];
    MUST(pipe(ends) == 0);
    fflush(NULL);
    const pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        body(argument);
        _exit(0);
    }
    close(ends[1]);
    size_t filled = 0;
    for (ssize_t n = 1; n > 0; filled += n > 0 ? (size_t)n : 0)
        n = read(ends[0], text + filled, text_size - 1 - filled);
    text[filled] = '\0';
    close(ends[0]);
    int status = 0;
    MUST(waitpid(child, &status, 0) == child);
    return status;
}

#endif
