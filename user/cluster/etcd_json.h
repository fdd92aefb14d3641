/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values in the bodies of etcd's gateway: numbers are texts, bytes are base64, and what is zero is left
 * out.
 */
#ifndef XDP_ICP_ETCD_JSON_H
#define XDP_ICP_ETCD_JSON_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* Return a number. 0: there is none. */
uint64_t etcd_number(const json_t *object, const char *name);

/*
 * Return bytes, to be freed, with a NUL that *length does not count; they may be empty. NULL: no base64,
 * or out of memory.
 */
char *etcd_bytes(const json_t *object, const char *name, size_t *length);

/* For bodies. NULL: out of memory. */
json_t *etcd_make_number(uint64_t number);
json_t *etcd_make_bytes(const void *bytes, size_t length);

#endif
