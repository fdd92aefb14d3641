// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The origin at `tcp` or `http` did not answer `fall` times in a row; it matches until `rise`
 * checks in a row succeed. Until the first `fall` checks have failed the origin counts as well.
 *
 * A check is a connection and, for HTTP, a request whose answer has a status of 200 to 399; no more
 * than its first line is waited for or read. All of it together may take `timeout`. Time is
 * libevent's, which is monotonic: to set the clock makes no check late or early.
 *
 * Addresses are numbers. A name would have to be resolved, which may block, and its servers' health
 * would be checked as well; and which of its addresses would be meant?
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/gate.h"
#include "policy/kinds.h"
#include "lib/sockaddr.h"

#define INTERVAL_LEAST 10 /* ms */
#define INTERVAL_MOST 3600000
#define COUNT_MOST 1000
#define STATUS_LENGTH 12 /* bytes of "HTTP/1.1 200" */

struct health {
	struct gate gate;
	struct sockaddr_storage address;
	char *request; /* NULL: to be connected is enough */
	long fall, rise;
	unsigned int interval, timeout; /* ms */

	long contrary; /* checks in a row that spoke against the gate's state */
	struct event_base *base;
	struct event *tick, *deadline;
	struct bufferevent *stream; /* of the check under way, or NULL */
};

/* --- checks */

static void end_check(struct health *health, bool success)
{
	bool failed = health->gate.matches;

	bufferevent_free(health->stream);
	health->stream = NULL;
	event_del(health->deadline);
	if (success != failed) {
		health->contrary = 0;
		return;
	}
	if (++health->contrary < (failed ? health->rise : health->fall))
		return;
	health->contrary = 0;
	gate_set(&health->gate, !failed);
}

static void deadline_passed(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	end_check(context, false);
}

static void stream_event(struct bufferevent *stream, short what, void *context)
{
	struct health *health = context;

	if (!(what & BEV_EVENT_CONNECTED)) {
		end_check(health, false);
	} else if (!health->request) {
		end_check(health, true);
	} else {
		bufferevent_write(stream, health->request, strlen(health->request));
		bufferevent_enable(stream, EV_READ);
	}
}

static void stream_readable(struct bufferevent *stream, void *context)
{
	char status[STATUS_LENGTH];
	struct evbuffer *input = bufferevent_get_input(stream);

	if (evbuffer_copyout(input, status, sizeof(status)) < STATUS_LENGTH)
		return;
	end_check(context, memcmp(status, "HTTP/1.", 7) == 0 && status[8] == ' ' &&
				   (status[9] == '2' || status[9] == '3'));
}

static void begin_check(evutil_socket_t fd, short what, void *context)
{
	struct health *health = context;
	struct timeval timeout = gate_timeval(health->timeout);
	int size = health->address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
							 : sizeof(struct sockaddr_in);

	(void)fd;
	(void)what;
	/* The check before may take longer than the interval; one at a time is enough. */
	if (health->stream)
		return;
	/* Deferred, so that no check ends within bufferevent_socket_connect(). */
	health->stream = bufferevent_socket_new(health->base, -1,
						BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!health->stream)
		return;
	bufferevent_setcb(health->stream, stream_readable, NULL, stream_event, health);
	if (event_add(health->deadline, &timeout) ||
	    bufferevent_socket_connect(health->stream, (struct sockaddr *)&health->address, size))
		end_check(health, false);
}

/* Or a reload would take a dead origin for a live one, for as long as `fall` checks take. */
static void inherit(struct policy *policy, const struct policy *former)
{
	struct health *health = policy->state;
	const struct health *seen = former->state;
	bool same_request = health->request && seen->request
				    ? strcmp(health->request, seen->request) == 0
				    : health->request == seen->request;

	if (memcmp(&health->address, &seen->address, sizeof(health->address)) != 0 ||
	    !same_request || health->fall != seen->fall || health->rise != seen->rise ||
	    health->interval != seen->interval || health->timeout != seen->timeout)
		return;
	health->gate.matches = seen->gate.matches;
	health->contrary = seen->contrary;
}

static int start(struct policy *policy, struct event_base *base, policy_changed changed,
		 void *context, struct error *error)
{
	struct health *health = policy->state;
	struct timeval interval = gate_timeval(health->interval);

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

static void release(struct health *health)
{
	if (health->stream)
		bufferevent_free(health->stream);
	if (health->tick)
		event_free(health->tick);
	if (health->deadline)
		event_free(health->deadline);
	free(health->request);
	free(health);
}

static void destroy(struct policy *policy)
{
	release(policy->state);
}

/* --- settings */

/* Reads an address; `port` is that of one without, 0: it needs one. */
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
	/* HTTP/1.0, so that nothing but the answer comes and the server closes. */
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
				 "http://ADDRESS:PORT/PATH says what is checked",
				 spec->where, spec->name,
				 has_tcp ? "both 'tcp' and 'http' are there, write two policies"
					 : "neither 'tcp' nor 'http' is there");
	if (has_tcp ? read_address(health, spec, "tcp", tcp, tcp->text, 0, error)
		    : read_http(health, spec, http, error))
		return -1;
	if (policy_spec_number(spec, "fall", 1, COUNT_MOST, &health->fall, error) < 0 ||
	    policy_spec_number(spec, "rise", 1, COUNT_MOST, &health->rise, error) < 0 ||
	    policy_spec_duration(spec, "interval", INTERVAL_LEAST, INTERVAL_MOST, &health->interval,
				 error) < 0 ||
	    policy_spec_duration(spec, "timeout", INTERVAL_LEAST, INTERVAL_MOST, &health->timeout,
				 error) < 0)
		return -1;
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct health *health = calloc(1, sizeof(*health));

	if (!health)
		return error_set(error, "out of memory");
	health->fall = 3;
	health->rise = 2;
	health->interval = 1000;
	health->timeout = 1000;
	if (gate_create(&health->gate, policy, spec, error) || read_spec(health, spec, error)) {
		release(health);
		return -1;
	}
	policy->state = health;
	return 0;
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
};
