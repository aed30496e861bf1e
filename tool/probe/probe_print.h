/* SPDX-License-Identifier: MIT
 *
 * probe_print.h - what `dio probe` found, for people (probe_table.c) and for programs (probe_json.c).
 */
#ifndef DIO_PROBE_PRINT_H
#define DIO_PROBE_PRINT_H

#include "probe/machine_facts.h"
#include "probe/path_facts.h"

/* Version of the JSON object: raised when a field changes its meaning or is removed; new fields do not raise it. */
#define PROBE_SCHEMA_VERSION 1

/* Print on stdout. Return 0, or -1 where printing failed. */
int probe_table_path(const struct path_facts *facts);
int probe_table_machine(const struct machine_facts *facts);

/* One object for all paths and the machine: begin it, add a path at a time, then add the machine and print it. The last one
 * frees it and returns 0, or -1 where printing failed. */
struct json_object;
struct json_object *probe_json_start(void);
void probe_json_add(struct json_object *root, const struct path_facts *facts);
int probe_json_end(struct json_object *root, const struct machine_facts *facts, int exit_code);

#endif
