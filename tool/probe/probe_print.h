/* SPDX-License-Identifier: MIT
 *
 * probe_print.h - what `dio probe` found, for people (probe_table.c) and for programs (probe_json.c).
 */
#ifndef DIO_PROBE_PRINT_H
#define DIO_PROBE_PRINT_H

#include "probe/machine_facts.h"
#include "probe/path_facts.h"

/* Version of the JSON object: raised when a field changes its meaning or goes; new fields do not raise it. */
#define PROBE_SCHEMA_VERSION 1

/* On stdout. Return 0, or -1 where stdout takes no more. */
int probe_table_path(const struct path_facts *facts);
int probe_table_machine(const struct machine_facts *facts);

/* One object for all: start, a path at a time, then the end with the machine, which prints. */
struct json_object;
struct json_object *probe_json_start(void);
void probe_json_add(struct json_object *root, const struct path_facts *facts);
int probe_json_end(struct json_object *root, const struct machine_facts *facts, int exit_code);

#endif
