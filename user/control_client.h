/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The asking side of the control socket (control.h), which waits for the answer. */
#ifndef XDP_ICP_CONTROL_CLIENT_H
#define XDP_ICP_CONTROL_CLIENT_H

#include <jansson.h>

#include "error.h"

/* What control_ask() returns; all but 0 with an error that names the path and the remedy. */
enum control_result {
	CONTROL_ANSWERED = 0,
	CONTROL_NO_DAEMON = 1, /* nobody listens at the path, or the path does not exist */
	CONTROL_FAILED = -1,   /* no permission, no answer within CONTROL_TIMEOUT, no sense in it */
};

/*
 * Sends the request (the reference stays the caller's) and waits for the answer, a JSON object
 * that the caller owns; `*reply` is NULL if there is none. An answer of {"ok": false} is an answer.
 * The daemon may be silent for CONTROL_TIMEOUT seconds at most.
 */
enum control_result control_ask(const char *path, const json_t *request, json_t **reply,
				struct error *error);

#endif
