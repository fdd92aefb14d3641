/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket speaks HTTP/1.1 with JSON on a stream socket in the file system, one request a
 * connection:
 *
 *	curl --unix-socket /run/xdp-icp/control.sock http://xdp-icp/v1/status
 *
 * A request may have an object as its body, whatever its Content-Type. The response is an object,
 * which for a status of 400 and above is {"error": "one line for the user"}; a streamed response
 * has one object a line until either side closes. A response that takes long to compute is preceded
 * by "100 Continue" as keepalives, which every HTTP client has to skip.
 *
 * URLs, prefixes, names and paths may contain any bytes and are encoded as in lib/escape.h, also
 * where they are part of the resource, which is percent-encoded in addition.
 */
#ifndef XDP_ICP_CONTROL_PROTOCOL_H
#define XDP_ICP_CONTROL_PROTOCOL_H

#include <stddef.h>

#include <jansson.h>

#define CONTROL_JSON "application/json"

/* Bytes of a body: from a peer that may load rules, and from any other. */
#define CONTROL_REQUEST_MAX (64u << 20)
#define CONTROL_REQUEST_MAX_READER (1u << 20)

/* In a reader's: values, of which a byte of a request can be one. */
#define CONTROL_VALUES_MAX_READER 20000u

#define CONTROL_KEEPALIVE 3 /* seconds between keepalives */
#define CONTROL_TIMEOUT 10  /* seconds of silence after which a client gives up */

/* Return a JSON string of any bytes, as in lib/escape.h; a new reference. NULL: out of memory. */
json_t *control_bytes(const void *bytes, size_t length);
json_t *control_text(const char *text);

/* Likewise of a message, parts of which may be escaped already: backslashes are kept. */
json_t *control_message(const char *text);

#endif
