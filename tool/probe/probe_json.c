/* SPDX-License-Identifier: MIT
 *
 * probe_json.c - see probe_print.h.
 */
#include "probe/probe_print.h"

#include "base/json_write.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

/* UINT64_MAX stands for unlimited, which is null. */
static void add_limit(struct json_object *to, const char *name, uint64_t limit)
{
    if (limit == UINT64_MAX)
        json_write_null(to, name);
    else
        json_write_int(to, name, (int64_t)limit);
}

static void add_value(struct json_object *to, const char *name, uint32_t bytes, uint32_t source)
{
    struct json_object *const value = json_write_object(to, name);
    json_write_int(value, "bytes", bytes);
    json_write_text(value, "source", jdb_direct_source_name(source));
}

static void add_trial(struct json_object *list, const struct trial *trial)
{
    struct json_object *const object = json_write_element(list);
    json_write_text(object, "name", trial->name);
    json_write_bool(object, "ok", trial->result >= 0);
    json_write_int(object, "bytes", trial->result >= 0 ? trial->result : 0);
    json_write_int(object, "errno", trial->result < 0 ? -trial->result : 0);
    if (trial->result < 0)
        json_write_text(object, "error", strerror(-(int)trial->result));
}

static void add_trials(struct json_object *to, const char *name, const struct trial *trials, size_t count)
{
    struct json_object *const list = json_write_list(to, name);
    for (size_t i = 0; i < count; i++)
        if (trials[i].is_made)
            add_trial(list, &trials[i]);
}

static void add_devices(struct json_object *to, const struct device_chain *chain)
{
    struct json_object *const list = json_write_list(to, "devices");
    for (size_t i = 0; i < chain->count; i++) {
        const struct device_link *const link = &chain->links[i];
        struct json_object *const device = json_write_element(list);
        json_write_text(device, "name", link->name);
        json_write_int(device, "depth", link->depth);
        json_write_int(device, "logical_block_size", link->logical_size);
        json_write_int(device, "physical_block_size", link->physical_size);
        json_write_int(device, "memory_align", link->memory_align);
        json_write_bool(device, "partition", link->is_partition);
        json_write_bool(device, "rotational", link->is_rotational);
        if (link->backing[0] != '\0') {
            json_write_text(device, "backing_file", link->backing);
            json_write_bool(device, "backing_direct", link->is_backing_direct);
        }
    }
}

static void add_limits(struct json_object *to, const jdb_direct *limits)
{
    struct json_object *const required = json_write_object(to, "required");
    add_value(required, "memory", limits->memory_align, limits->memory_source);
    add_value(required, "write", limits->write_align, limits->write_source);
    add_value(required, "read", limits->read_align, limits->read_source);
    struct json_object *const recommended = json_write_object(to, "recommended");
    json_write_int(recommended, "memory", limits->recommended_memory_align);
    json_write_int(recommended, "write", limits->recommended_write_size);
    json_write_int(recommended, "read", limits->recommended_read_size);
    struct json_object *const atomic = json_write_object(to, "atomic_write");
    json_write_int(atomic, "min", limits->atomic_min_size);
    json_write_int(atomic, "max", limits->atomic_max_size);
    json_write_int(atomic, "segments", limits->atomic_segments_count);
}

static void add_state(struct json_object *to, const jdb_direct *limits)
{
    struct json_object *const state = json_write_object(to, "direct");
    json_write_text(state, "state", jdb_direct_state_name(limits->state));
    json_write_text(state, "read", jdb_direct_state_name(limits->read_state));
    json_write_text(state, "write", jdb_direct_state_name(limits->write_state));
    json_write_text(state, "source", jdb_direct_source_name(limits->state_source));
    json_write_text(state, "reason", limits->reason);
}

static void add_file_system(struct json_object *to, const struct mount_facts *mount)
{
    struct json_object *const file_system = json_write_object(to, "file_system");
    json_write_text(file_system, "type", mount->type);
    json_write_text(file_system, "mounted_at", mount->point);
    json_write_text(file_system, "source", mount->source);
    json_write_text(file_system, "options", mount->options);
}

static void add_write_test(struct json_object *to, const struct write_facts *written)
{
    if (!written->is_made)
        return;
    struct json_object *const test = json_write_object(to, "write_test");
    json_write_int(test, "errno", -written->error);
    add_trials(test, "trials", written->trials, written->error == 0 ? WRITE_TRIAL_COUNT : 0);
    json_write_int(test, "written_pages", written->written_pages);
    json_write_int(test, "dirtied_pages", written->dirtied_pages);
}

void probe_json_add(struct json_object *root, const struct path_facts *facts)
{
    struct json_object *const path = json_write_element(json_object_object_get(root, "paths"));
    json_write_text(path, "path", facts->path);
    json_write_int(path, "errno", -facts->error);
    if (facts->error != 0)
        json_write_text(path, "error", strerror(-facts->error));
    json_write_text(path, "kind", facts->is_device ? "device" : facts->is_directory ? "directory" : "file");
    json_write_bool(path, "on_temporary_file", facts->is_on_temporary);
    if (facts->error == 0) {
        add_state(path, &facts->limits);
        add_file_system(path, &facts->mount);
        add_devices(path, &facts->chain);
    }
    if (facts->error == 0 && (!facts->is_directory || facts->is_on_temporary)) {
        add_limits(path, &facts->limits);
        add_trials(path, "trial_reads", facts->reads, READ_TRIAL_COUNT);
        add_trials(path, "uncached", &facts->uncached, 1);
        add_trials(path, "polled", &facts->polled, 1);
    }
    add_write_test(path, &facts->write);
}

struct json_object *probe_json_start(void)
{
    struct json_object *const root = json_write_begin();
    json_write_int(root, "schema_version", PROBE_SCHEMA_VERSION);
    json_write_text(root, "version", JDB_VERSION_STRING);
    (void)json_write_list(root, "paths");
    return root;
}

static void add_machine(struct json_object *root, const struct machine_facts *facts)
{
    struct json_object *const machine = json_write_object(root, "machine");
    json_write_text(machine, "kernel", facts->kernel);
    json_write_int(machine, "page_size", (int64_t)facts->page_size);
    struct json_object *const uring = json_write_object(machine, "io_uring");
    json_write_bool(uring, "works", facts->uring_error == 0);
    json_write_int(uring, "errno", -facts->uring_error);
    json_write_text(uring, "hint", facts->uring_hint);
    json_write_int(uring, "sysctl_disabled", facts->uring_disabled);
    json_write_int(uring, "seccomp_mode", facts->seccomp_mode);
    struct json_object *const memlock = json_write_object(machine, "memlock");
    add_limit(memlock, "soft", facts->memlock_soft);
    add_limit(memlock, "hard", facts->memlock_hard);
    json_write_bool(memlock, "cap_ipc_lock", facts->has_ipc_lock);
    json_write_int(memlock, "need", (int64_t)facts->memlock_need);
    json_write_text(machine, "transparent_huge_pages", facts->thp);
    struct json_object *const list = json_write_list(machine, "huge_pages");
    for (size_t i = 0; i < facts->huge_count; i++) {
        struct json_object *const huge = json_write_element(list);
        json_write_int(huge, "page_size", (int64_t)facts->huge[i].page_size);
        json_write_int(huge, "total", (int64_t)facts->huge[i].total);
        json_write_int(huge, "free", (int64_t)facts->huge[i].free);
    }
    json_write_int(machine, "numa_nodes", facts->node_count);
}

int probe_json_end(struct json_object *root, const struct machine_facts *facts, int exit_code)
{
    add_machine(root, facts);
    json_write_int(root, "exit_code", exit_code);
    json_write_end(root);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -1;
}
