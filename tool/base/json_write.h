/* SPDX-License-Identifier: MIT
 *
 * json_write.h - builds and prints a JSON object. JSON is UTF-8, and names and messages are any bytes: U+FFFD stands for each
 * byte that belongs to no character.
 *
 * An object that is added belongs to the one that it is added to; json_write_end() frees the outermost one. Where there is no
 * memory the field is null.
 */
#ifndef DIO_JSON_WRITE_H
#define DIO_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

void json_write_text(struct json_object *to, const char *name, const char *text);

/* null where the text is empty. */
void json_write_text_or_null(struct json_object *to, const char *name, const char *text);

void json_write_int(struct json_object *to, const char *name, int64_t value);
void json_write_bool(struct json_object *to, const char *name, bool value);

/* With six digits behind the point. */
void json_write_real(struct json_object *to, const char *name, double value);

void json_write_null(struct json_object *to, const char *name);

/* Add an object without fields, or a list without elements. Returns it. */
struct json_object *json_write_object(struct json_object *to, const char *name);
struct json_object *json_write_list(struct json_object *to, const char *name);

/* Add an object without fields to a list. Returns it. */
struct json_object *json_write_element(struct json_object *list);

/* The outermost object: begin it; print it on stdout and free it. stdout is not flushed. */
struct json_object *json_write_begin(void);
void json_write_end(struct json_object *object);

#endif
