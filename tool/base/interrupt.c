/* SPDX-License-Identifier: MIT
 *
 * interrupt.c - see interrupt.h.
 */
#include "base/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

static volatile sig_atomic_t caught;

static void catch_signal(int number)
{
    caught = number;
}

void interrupt_catch(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = catch_signal};
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction old;
        /* A signal that the caller ignores (nohup) stays ignored. */
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(signals[i], &action, NULL);
    }
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGXFSZ, &ignore, NULL);
}

int interrupt_signal(void)
{
    return caught;
}

int interrupt_check(struct outcome *outcome)
{
    if (caught == 0)
        return 0;
    return outcome_fail(outcome, DIO_EXIT_SIGNAL + caught, EINTR, "interrupted by SIG%s", sigabbrev_np(caught));
}

void interrupt_die(void)
{
    if (caught == 0)
        return;
    const struct sigaction die = {.sa_handler = SIG_DFL};
    (void)sigaction(caught, &die, NULL);
    (void)raise(caught);
}
