/* SPDX-License-Identifier: MIT
 *
 * probe_json.c - see probe_print.h.
 */
#include "probe/probe_print.h"

#include "base/json_text.h"

#include <json.h>
#include <stdio.h>
#include <string.h>

static void add_text(struct json_object *to, const char *name, const char *text)
{
    (void)json_object_object_add(to, name, json_text(text));
}

static void add_number(struct json_object *to, const char *name, int64_t number)
{
    (void)json_object_object_add(to, name, json_object_new_int64(number));
}

static void add_bool(struct json_object *to, const char *name, bool is)
{
    (void)json_object_object_add(to, name, json_object_new_boolean(is));
}

/* UINT64_MAX stands for unlimited, which is null. */
static void add_limit(struct json_object *to, const char *name, uint64_t limit)
{
    (void)json_object_object_add(to, name, limit == UINT64_MAX ? NULL : json_object_new_int64((int64_t)limit));
}

static struct json_object *add_object(struct json_object *to, const char *name)
{
    struct json_object *const object = json_object_new_object();
    (void)json_object_object_add(to, name, object);
    return object;
}

static void add_value(struct json_object *to, const char *name, uint32_t bytes, uint32_t source)
{
    struct json_object *const value = add_object(to, name);
    add_number(value, "bytes", bytes);
    add_text(value, "source", jdb_direct_source_name(source));
}

static struct json_object *trial_object(const struct trial *trial)
{
    struct json_object *const object = json_object_new_object();
    add_text(object, "name", trial->name);
    add_bool(object, "ok", trial->result >= 0);
    add_number(object, "bytes", trial->result >= 0 ? trial->result : 0);
    add_number(object, "errno", trial->result < 0 ? -trial->result : 0);
    if (trial->result < 0)
        add_text(object, "error", strerror(-(int)trial->result));
    return object;
}

static void add_trials(struct json_object *to, const char *name, const struct trial *trials, size_t count)
{
    struct json_object *const list = json_object_new_array();
    for (size_t i = 0; i < count; i++)
        if (trials[i].is_made)
            (void)json_object_array_add(list, trial_object(&trials[i]));
    (void)json_object_object_add(to, name, list);
}

static void add_devices(struct json_object *to, const struct device_chain *chain)
{
    struct json_object *const list = json_object_new_array();
    for (size_t i = 0; i < chain->count; i++) {
        const struct device_link *const link = &chain->links[i];
        struct json_object *const device = json_object_new_object();
        add_text(device, "name", link->name);
        add_number(device, "depth", link->depth);
        add_number(device, "logical_block_size", link->logical_size);
        add_number(device, "physical_block_size", link->physical_size);
        add_number(device, "memory_align", link->memory_align);
        add_bool(device, "partition", link->is_partition);
        add_bool(device, "rotational", link->is_rotational);
        if (link->backing[0] != '\0') {
            add_text(device, "backing_file", link->backing);
            add_bool(device, "backing_direct", link->is_backing_direct);
        }
        (void)json_object_array_add(list, device);
    }
    (void)json_object_object_add(to, "devices", list);
}

static void add_limits(struct json_object *to, const jdb_direct *limits)
{
    struct json_object *const required = add_object(to, "required");
    add_value(required, "memory", limits->memory_align, limits->memory_source);
    add_value(required, "write", limits->write_align, limits->write_source);
    add_value(required, "read", limits->read_align, limits->read_source);
    struct json_object *const recommended = add_object(to, "recommended");
    add_number(recommended, "memory", limits->recommended_memory_align);
    add_number(recommended, "write", limits->recommended_write_size);
    add_number(recommended, "read", limits->recommended_read_size);
    struct json_object *const atomic = add_object(to, "atomic_write");
    add_number(atomic, "min", limits->atomic_min_size);
    add_number(atomic, "max", limits->atomic_max_size);
    add_number(atomic, "segments", limits->atomic_segments_count);
}

static void add_verdict(struct json_object *to, const jdb_direct *limits)
{
    struct json_object *const verdict = add_object(to, "direct");
    add_text(verdict, "state", jdb_direct_state_name(limits->state));
    add_text(verdict, "read", jdb_direct_state_name(limits->read_state));
    add_text(verdict, "write", jdb_direct_state_name(limits->write_state));
    add_text(verdict, "source", jdb_direct_source_name(limits->state_source));
    add_text(verdict, "reason", limits->reason);
}

static void add_file_system(struct json_object *to, const struct mount_facts *mount)
{
    struct json_object *const file_system = add_object(to, "file_system");
    add_text(file_system, "type", mount->type);
    add_text(file_system, "mounted_at", mount->point);
    add_text(file_system, "source", mount->source);
    add_text(file_system, "options", mount->options);
}

static void add_write_test(struct json_object *to, const struct write_facts *written)
{
    if (!written->is_made)
        return;
    struct json_object *const test = add_object(to, "write_test");
    add_number(test, "errno", -written->error);
    add_trials(test, "trials", written->trials, written->error == 0 ? WRITE_TRIAL_COUNT : 0);
    add_number(test, "written_pages", written->written_pages);
    add_number(test, "dirtied_pages", written->dirtied_pages);
}

void probe_json_add(struct json_object *root, const struct path_facts *facts)
{
    struct json_object *const path = json_object_new_object();
    add_text(path, "path", facts->path);
    add_number(path, "errno", -facts->error);
    if (facts->error != 0)
        add_text(path, "error", strerror(-facts->error));
    add_text(path, "kind", facts->is_device ? "device" : facts->is_directory ? "directory" : "file");
    add_bool(path, "on_temporary_file", facts->is_on_temporary);
    if (facts->error == 0) {
        add_verdict(path, &facts->limits);
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
    (void)json_object_array_add(json_object_object_get(root, "paths"), path);
}

struct json_object *probe_json_start(void)
{
    struct json_object *const root = json_object_new_object();
    add_number(root, "schema_version", PROBE_SCHEMA_VERSION);
    add_text(root, "version", JDB_VERSION_STRING);
    (void)json_object_object_add(root, "paths", json_object_new_array());
    return root;
}

static void add_machine(struct json_object *root, const struct machine_facts *facts)
{
    struct json_object *const machine = add_object(root, "machine");
    add_text(machine, "kernel", facts->kernel);
    add_number(machine, "page_size", (int64_t)facts->page_size);
    struct json_object *const uring = add_object(machine, "io_uring");
    add_bool(uring, "works", facts->uring_error == 0);
    add_number(uring, "errno", -facts->uring_error);
    add_text(uring, "hint", facts->uring_hint);
    add_number(uring, "sysctl_disabled", facts->uring_disabled);
    add_number(uring, "seccomp_mode", facts->seccomp_mode);
    struct json_object *const memlock = add_object(machine, "memlock");
    add_limit(memlock, "soft", facts->memlock_soft);
    add_limit(memlock, "hard", facts->memlock_hard);
    add_bool(memlock, "cap_ipc_lock", facts->has_ipc_lock);
    add_number(memlock, "need", (int64_t)facts->memlock_need);
    add_text(machine, "transparent_huge_pages", facts->thp);
    struct json_object *const list = json_object_new_array();
    for (size_t i = 0; i < facts->huge_count; i++) {
        struct json_object *const huge = json_object_new_object();
        add_number(huge, "page_size", (int64_t)facts->huge[i].page_size);
        add_number(huge, "total", (int64_t)facts->huge[i].total);
        add_number(huge, "free", (int64_t)facts->huge[i].free);
        (void)json_object_array_add(list, huge);
    }
    (void)json_object_object_add(machine, "huge_pages", list);
    add_number(machine, "numa_nodes", facts->node_count);
}

int probe_json_end(struct json_object *root, const struct machine_facts *facts, int exit_code)
{
    add_machine(root, facts);
    add_number(root, "exit_code", exit_code);
    const int flags = JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;
    const int printed = puts(json_object_to_json_string_ext(root, flags));
    (void)json_object_put(root);
    return printed >= 0 && fflush(stdout) == 0 ? 0 : -1;
}
