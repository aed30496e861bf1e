/* SPDX-License-Identifier: MIT
 *
 * json_text.h - text for JSON, which must be UTF-8, of names and messages, which are any bytes.
 */
#ifndef DIO_JSON_TEXT_H
#define DIO_JSON_TEXT_H

struct json_object;

/* A string of the text, with U+FFFD for each byte that belongs to no character in UTF-8. NULL: no memory. */
struct json_object *json_text(const char *text);

#endif
