/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The protocol of the control socket, a stream socket in the file system between icpctl and the
 * daemon. The client sends one JSON object on one line; the server sends one JSON object, its
 * response, and closes the connection. What the requests mean is defined by the server's handler.
 *
 *	{"command": "status"}           ->  {"ok": true, ...}
 *	{"command": "no such thing"}    ->  {"ok": false, "error": "one line for the user"}
 *
 * A response that takes long to compute is preceded by blanks as keepalives. A streamed response
 * (trace) has one JSON object per line until either side closes.
 *
 * URLs, prefixes, names and paths may contain any bytes and are encoded as in lib/escape.h.
 */
#ifndef XDP_ICP_CONTROL_PROTOCOL_H
#define XDP_ICP_CONTROL_PROTOCOL_H

#include <stddef.h>

#include <jansson.h>

/* Bytes of a request with its newline: from a peer that may load rules, and from any other. */
#define CONTROL_REQUEST_MAX (64u << 20)
#define CONTROL_REQUEST_MAX_READER (1u << 20)
#define CONTROL_KEEPALIVE 3 /* seconds between blanks before a response that takes time */
#define CONTROL_TIMEOUT 10  /* seconds of silence after which a client gives up */

/* Return a JSON string of any bytes, as in lib/escape.h; a new reference. NULL: out of memory. */
json_t *control_bytes(const void *bytes, size_t length);
json_t *control_text(const char *text);

/*
 * Return {"ok": false, "error": text}, the text filtered by escape_line(); a new reference.
 * NULL: out of memory.
 */
json_t *control_refusal(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
