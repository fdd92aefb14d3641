// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Matches once `fall` consecutive checks of the origin at `tcp` or `http` have failed, until `rise`
 * consecutive checks succeed. Initially the origin is taken to be healthy.
 *
 * A check is a connection and, for HTTP, a request to which the response has a status of 200 to
 * 399; only the status line is read. `timeout` covers the whole check. Timers are libevent's, which
 * are monotonic: setting the clock does not affect them.
 *
 * Addresses are numeric. Resolving a name may block, would check the health of the name servers
 * too, and does not tell which of several addresses is meant.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/gate.h"
#include "policy/kinds.h"
#include "lib/clock.h"
#include "lib/event.h"
#include "lib/plural.h"
#include "lib/sockaddr.h"

#define INTERVAL_MIN 10 /* ms */
#define INTERVAL_MAX 3600000
#define COUNT_MAX 1000
#define STATUS_LENGTH 12 /* bytes of "HTTP/1.1 200" */

struct health {
	struct gate gate;
	struct sockaddr_storage address;
	char *request; /* NULL: a connection is enough */
	long fall, rise;
	unsigned int interval, timeout; /* ms */

	long streak;	   /* consecutive checks that contradict the gate's state */
	bool checked;	   /* a check has ended */
	char failure[128]; /* why the last check that failed did */
	struct event_base *base;
	struct event *tick, *deadline;
	struct bufferevent *stream; /* of the check in progress, or NULL */
};

/* --- checks */

/* `failure` NULL: the check has succeeded. */
static void end_check(struct health *health, const char *failure)
{
	bool failed = health->gate.matches, success = !failure;

	health->checked = true;
	if (failure)
		snprintf(health->failure, sizeof(health->failure), "%s", failure);
	bufferevent_free(health->stream);
	health->stream = NULL;
	event_del(health->deadline);
	if (success != failed) {
		health->streak = 0;
		return;
	}
	if (++health->streak < (failed ? health->rise : health->fall))
		return;
	health->streak = 0;
	gate_set(&health->gate, !failed);
}

static void deadline_passed(evutil_socket_t fd, short what, void *context)
{
	struct health *health = context;
	char failure[sizeof(health->failure)];

	snprintf(failure, sizeof(failure), "not complete within %u ms", health->timeout);
	end_check(health, failure);
}

static void stream_event(struct bufferevent *stream, short what, void *context)
{
	struct health *health = context;

	if (what & BEV_EVENT_ERROR) {
		end_check(health, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	} else if (!(what & BEV_EVENT_CONNECTED)) {
		end_check(health, "connection closed before a response");
	} else if (!health->request) {
		end_check(health, NULL);
	} else {
		bufferevent_write(stream, health->request, strlen(health->request));
		bufferevent_enable(stream, EV_READ);
	}
}

static void stream_readable(struct bufferevent *stream, void *context)
{
	char status[STATUS_LENGTH], failure[32];
	struct evbuffer *input = bufferevent_get_input(stream);

	if (evbuffer_copyout(input, status, sizeof(status)) < STATUS_LENGTH)
		return;
	if (memcmp(status, "HTTP/1.", 7) != 0 || status[8] != ' ') {
		end_check(context, "the response is not HTTP/1");
	} else if (status[9] == '2' || status[9] == '3') {
		end_check(context, NULL);
	} else {
		snprintf(failure, sizeof(failure), "HTTP status %.3s", status + 9);
		end_check(context, failure);
	}
}

static void begin_check(evutil_socket_t fd, short what, void *context)
{
	struct health *health = context;
	struct timeval timeout = clock_timeval(health->timeout);
	int size = health->address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
							 : sizeof(struct sockaddr_in);

	/* A check may take longer than the interval; run one at a time. */
	if (health->stream)
		return;
	/* Deferred, so that bufferevent_socket_connect() does not end the check itself. */
	health->stream = bufferevent_socket_new(health->base, -1,
						BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!health->stream)
		return;
	bufferevent_setcb(health->stream, stream_readable, NULL, stream_event, health);
	if (event_add(health->deadline, &timeout) ||
	    bufferevent_socket_connect(health->stream, (struct sockaddr *)&health->address, size))
		end_check(health, strerror(errno));
}

/* Without this a dead origin would count as healthy after a reload, until `fall` checks failed. */
static void inherit(struct policy *policy, const struct policy *old)
{
	struct health *health = policy->state;
	const struct health *before = old->state;
	bool same_request = health->request && before->request
				    ? strcmp(health->request, before->request) == 0
				    : health->request == before->request;

	if (memcmp(&health->address, &before->address, sizeof(health->address)) != 0 ||
	    !same_request || health->fall != before->fall || health->rise != before->rise ||
	    health->interval != before->interval || health->timeout != before->timeout)
		return;
	gate_inherit(&health->gate, &before->gate);
	health->streak = before->streak;
	health->checked = before->checked;
	memcpy(health->failure, before->failure, sizeof(health->failure));
}

static void tell_state(const struct policy *policy, struct policy_state *state)
{
	const struct health *health = policy->state;
	bool down = health->gate.matches;

	gate_tell(&health->gate, "down", "up", state);
	state->trouble = down;
	if (down && health->streak)
		snprintf(state->why, sizeof(state->why),
			 "%ld of %ld checks in a row have succeeded; the last failure: %s",
			 health->streak, health->rise, health->failure);
	else if (down)
		snprintf(state->why, sizeof(state->why), "%ld %s in a row failed, the last: %s",
			 health->fall, plural((size_t)health->fall, "check", "checks"),
			 health->failure);
	else if (health->streak)
		snprintf(state->why, sizeof(state->why),
			 "%ld of %ld checks in a row have failed, the last: %s", health->streak,
			 health->fall, health->failure);
	else
		snprintf(state->why, sizeof(state->why), "%s",
			 health->checked ? "the last check succeeded" : "not checked yet");
}

static int start(struct policy *policy, struct event_base *base, policy_changed changed,
		 void *context, struct error *error)
{
	struct health *health = policy->state;
	struct timeval interval = clock_timeval(health->interval);

	gate_start(&health->gate, changed, context);
	health->base = base;
	health->tick = event_new(base, -1, EV_PERSIST, begin_check, health);
	health->deadline = evtimer_new(base, deadline_passed, health);
	if (!health->tick || !health->deadline || event_add(health->tick, &interval))
		return error_set(error, "policy '%s': cannot watch the origin: out of memory",
				 policy->name);
	event_active(health->tick, EV_TIMEOUT, 0);
	return 0;
}

static void destroy(struct policy *policy)
{
	struct health *health = policy->state;

	if (health->stream)
		bufferevent_free(health->stream);
	event_drop(health->tick);
	event_drop(health->deadline);
	free(health->request);
	free(health);
}

/* --- settings */

/* Parse an address; `port` is the default, 0: a port is required. */
static int read_address(struct health *health, const struct policy_spec *spec, const char *key,
			const struct spec_value *value, const char *text, unsigned int port,
			struct error *error)
{
	struct error wrong;

	if (sockaddr_parse(text, port, &health->address, &wrong) == 0)
		return 0;
	return error_set(error,
			 "%s: policy '%s': %s: bad address '%s'; write it as 192.0.2.1:80 or "
			 "[2001:db8::1]:80, with numbers, not names",
			 value->where, spec->name, key, text);
}

static int read_http(struct health *health, const struct policy_spec *spec,
		     const struct spec_value *value, struct error *error)
{
	static const char scheme[] = "http://";
	const char *host = value->text + sizeof(scheme) - 1, *path;
	int length, result;
	char *address;

	if (strncmp(value->text, scheme, sizeof(scheme) - 1))
		return error_set(error,
				 "%s: policy '%s': http: '%s' does not begin with http://; for "
				 "other protocols use tcp",
				 value->where, spec->name, value->text);
	for (const char *c = value->text; *c; c++)
		if (*c >= 0 && (*c <= ' ' || *c == '\x7f'))
			return error_set(error,
					 "%s: policy '%s': http: there is white space in the URL; "
					 "write it as %%20",
					 value->where, spec->name);
	length = strcspn(host, "/?#");
	path = host + length;
	address = strndup(host, length);
	if (!address)
		return error_set(error, "out of memory");
	result = read_address(health, spec, "http", value, address, 80, error);
	/* HTTP/1.0, so that the server sends no interim response and closes the connection. */
	if (result == 0 &&
	    asprintf(&health->request,
		     "GET %s%.*s HTTP/1.0\r\nHost: %s\r\nUser-Agent: xdp-icp/" XDP_ICP_VERSION
		     "\r\nConnection: close\r\n\r\n",
		     *path == '/' ? "" : "/", (int)strcspn(path, "#"), path, address) < 0) {
		health->request = NULL;
		result = error_set(error, "out of memory");
	}
	free(address);
	return result;
}

static int read_spec(struct health *health, const struct policy_spec *spec, struct error *error)
{
	const struct spec_value *tcp, *http;
	int has_tcp = policy_spec_text(spec, "tcp", &tcp, error);
	int has_http = has_tcp < 0 ? -1 : policy_spec_text(spec, "http", &http, error);

	if (has_http < 0)
		return -1;
	if (has_tcp == has_http)
		return error_set(error,
				 "%s: policy '%s': %s; 'tcp' = ADDRESS:PORT or 'http' = "
				 "http://ADDRESS:PORT/PATH gives what to check",
				 spec->where, spec->name,
				 has_tcp ? "both 'tcp' and 'http' are set, write two policies"
					 : "neither 'tcp' nor 'http' is set");
	if (has_tcp ? read_address(health, spec, "tcp", tcp, tcp->text, 0, error)
		    : read_http(health, spec, http, error))
		return -1;
	return policy_spec_number(spec, "fall", 1, COUNT_MAX, &health->fall, error) < 0 ||
			       policy_spec_number(spec, "rise", 1, COUNT_MAX, &health->rise,
						  error) < 0 ||
			       policy_spec_duration(spec, "interval", INTERVAL_MIN, INTERVAL_MAX,
						    &health->interval, error) < 0 ||
			       policy_spec_duration(spec, "timeout", INTERVAL_MIN, INTERVAL_MAX,
						    &health->timeout, error) < 0
		       ? -1
		       : 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct health *health = gate_create(policy, spec, sizeof(*health), error);

	if (!health)
		return -1;
	health->fall = 3;
	health->rise = 2;
	health->interval = 1000;
	health->timeout = 1000;
	return read_spec(health, spec, error);
}

static const struct policy_setting settings[] = {
	{ "tcp", "ADDRESS:PORT that accepts connections while the origin is healthy" },
	{ "http", "URL (http://ADDRESS:PORT/PATH) that returns status 200 to 399 while the origin "
		  "is healthy" },
	{ "interval", "from one check to the next, 10ms to 1h; default 1s" },
	{ "timeout", "limit for the whole of a check, 10ms to 1h; default 1s" },
	{ "fall", "failed checks in a row after which the policy matches, 1 to 1000; default 3" },
	{ "rise",
	  "successful checks in a row after which it no longer matches, 1 to 1000; default 2" },
	{ NULL },
};

const struct policy_kind policy_health = {
	.name = "health",
	.help = "the origin at 'tcp' or 'http' failed 'fall' checks in a row",
	.basis = POLICY_BASIS_HOST,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = gate_match,
	.start = start,
	.inherit = inherit,
	.tell_state = tell_state,
};
