/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of etcd 3.4 and later, through its HTTP and JSON gateway. It is used in one thread,
 * whose etcd_run() calls the callbacks; any thread may wake that up. Calls go to one endpoint, the
 * same until the caller moves on to the next. With a user, a token is requested before the first
 * call, and again when etcd no longer accepts it.
 */
#ifndef XDP_ICP_CLUSTER_ETCD_H
#define XDP_ICP_CLUSTER_ETCD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/error.h"

#define ETCD_ENDPOINTS_MAX 16u
#define ETCD_REPLY_MAX (16u << 20) /* bytes of a reply, and of a line of a watch */
#define ETCD_PASSWORD_MAX 1024u	   /* bytes of its file */

/* How to reach etcd. The texts must outlive the client. Files are read when they are needed. */
struct etcd_settings {
	size_t endpoint_count;	     /* 1 to ETCD_ENDPOINTS_MAX */
	char *const *endpoints;	     /* "https://HOST:PORT" */
	const char *ca, *cert, *key; /* paths; NULL: the system's authorities, no certificate */
	const char *user, *password_file; /* NULL: no authentication */
};

enum etcd_outcome {
	ETCD_OK,
	ETCD_UNREACHABLE, /* the next endpoint may do better */
	ETCD_COMPACTED,	  /* that revision is no longer there */
	ETCD_TOO_LARGE,	  /* more than ETCD_REPLY_MAX */
	ETCD_REFUSED,	  /* etcd's error; it is the same at all endpoints */
	ETCD_NOT_SENT,	  /* a file that the call needs cannot be read */
};

struct etcd_result {
	enum etcd_outcome outcome;
	json_t *reply;	    /* an object; NULL unless ETCD_OK */
	struct error error; /* set unless ETCD_OK: names the endpoint */
	uint64_t sent;	    /* when the call began, see etcd_now() */
};

struct etcd;

/* Return milliseconds of a clock that also runs while the machine is suspended, and never jumps. */
uint64_t etcd_now(void);

/* Check that this user may read the files of the settings. -1 with an error that names one. */
int etcd_check_files(const struct etcd_settings *settings, struct error *error);

/* NULL with an error. */
struct etcd *etcd_new(const struct etcd_settings *settings, struct error *error);
void etcd_free(struct etcd *etcd); /* calls are dropped; NULL is ignored */

/*
 * Post a body (takes the reference; NULL: out of memory) to a path such as "kv/range". `done` is called
 * once, within `timeout` milliseconds (and as many for a token), unless the call is dropped before.
 */
typedef void (*etcd_done)(void *context, const struct etcd_result *result);
void etcd_call(struct etcd *etcd, const char *path, json_t *body, unsigned int timeout,
	       etcd_done done, void *context);

/*
 * Likewise for a call whose reply is a stream: `line` receives the "result" of each object. `done`
 * is called at its end, never with ETCD_OK.
 */
typedef void (*etcd_line)(void *context, const json_t *result);
void etcd_stream(struct etcd *etcd, const char *path, json_t *body, etcd_line line, etcd_done done,
		 void *context);

/* Drop all calls of a context, without calling back. NULL: all calls. */
void etcd_drop(struct etcd *etcd, const void *context);

/*
 * Return the endpoint to which calls go; move on to the next one, without the calls that are
 * running.
 */
const char *etcd_endpoint(const struct etcd *etcd);
void etcd_next_endpoint(struct etcd *etcd);

/* Get a new token before the next call. */
void etcd_forget_token(struct etcd *etcd);

/* Send now what etcd_run() would send, before work that takes long. */
void etcd_send(struct etcd *etcd);

/* Process what happens, and return after `timeout` milliseconds, or once something has happened. */
void etcd_run(struct etcd *etcd, unsigned int timeout);

/* Let etcd_run() return, from any thread. */
void etcd_wake(struct etcd *etcd);

/*
 * Return when etcd_run() last began to process events. Until it ends nothing is sent or received.
 */
uint64_t etcd_woken(const struct etcd *etcd);

#endif
