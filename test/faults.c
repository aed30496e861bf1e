/* SPDX-License-Identifier: MIT */
#include "faults.h"

#include "os/fork.h"

#include <stdatomic.h>

static atomic_bool armed;
static atomic_bool has_failed;
static atomic_long left;
static bool all_later;
static enum os_call armed_kind;
static int armed_err;
static atomic_ulong calls[OS_CALL_COUNT];
static int (*asked)(enum os_call kind);
static const struct os_topology *made_up;
static void (*noted)(bool is_held);
static void (*wanted)(const void *lock);

static void arm(enum os_call kind, unsigned after, int err, bool all)
{
    armed_kind = kind;
    armed_err = err;
    all_later = all;
    atomic_store(&left, (long)after);
    atomic_store(&has_failed, false);
    atomic_store(&armed, true);
}

void faults_arm(enum os_call kind, unsigned after, int err)
{
    arm(kind, after, err, false);
}

void faults_arm_all(enum os_call kind, unsigned after, int err)
{
    arm(kind, after, err, true);
}

bool faults_disarm(void)
{
    atomic_store(&armed, false);
    return atomic_load(&has_failed);
}

void faults_set_hook(int (*hook)(enum os_call kind))
{
    asked = hook;
}

void faults_set_topology(const struct os_topology *topology)
{
    made_up = topology;
}

bool jdb__os_topology(struct os_topology *ret_topology)
{
    if (made_up != NULL)
        *ret_topology = *made_up;
    return made_up != NULL;
}

void faults_set_lock_hook(void (*hook)(bool is_held))
{
    noted = hook;
}

void faults_set_wanted_hook(void (*hook)(const void *lock))
{
    wanted = hook;
}

unsigned long faults_calls(enum os_call kind)
{
    return atomic_load(&calls[kind]);
}

void jdb__lock_wanted(const void *lock)
{
    if (wanted != NULL)
        wanted(lock);
}

void jdb__lock_noted(bool is_held)
{
    if (noted != NULL)
        noted(is_held);
}

int jdb__os_fault(enum os_call kind)
{
    atomic_fetch_add(&calls[kind], 1);
    const int err = asked != NULL ? asked(kind) : 0;
    if (err != 0)
        return err;
    if (!atomic_load(&armed) || (armed_kind != FAULTS_ANY && armed_kind != kind))
        return 0;
    const long before = atomic_fetch_sub(&left, 1);
    if (before > 0 || (before < 0 && !all_later))
        return 0;
    atomic_store(&has_failed, true);
    return armed_err;
}
