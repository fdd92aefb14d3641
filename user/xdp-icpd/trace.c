// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "lib/event.h"
#include "lib/netset.h"
#include "lib/clock.h"
#include "icp/counter_names.h"
#include "xdp-icpd/trace.h"
#include "lib/escape.h"
#include "xdp/trace.h"
#include "lib/log.h"
#include "lib/sockaddr.h"
#include "lib/vec.h"
#include "server/trace.h"
#include "icp/opcode.h"

#define TRACERS_MAX 8
#define TRACERS_MAX_READERS 6 /* so that readers cannot lock root out */
#define POLL_MS 20	      /* interval at which records are read */
#define POLLS_PER_LEASE 5     /* polls per renewal of the lease on tracing in the kernel */
#define LEASE_NS 1000000000ull

struct tracer {
	struct control_request *peer;
	char *url; /* prefix of the URL; NULL: any */
	size_t url_length;
	bool by_source;
	struct netset_network source;
	uint64_t lost; /* records that the peer was too slow for, not reported yet */
};

struct tracing {
	struct daemon *daemon;
	struct kernel_trace *kernel; /* NULL: userspace alone */
	struct event *poll;
	unsigned int polls;
	uint64_t lost; /* value of the counter at the last report */
	struct tracer tracers[TRACERS_MAX];
	size_t count;
	struct trace_entry *entries; /* of this poll */
	size_t entry_count;
};

/* --- output */

static bool wanted(const struct tracer *tracer, const struct trace_record *record)
{
	const __u8 *network = tracer->source.address.s6_addr;
	unsigned int whole = tracer->source.bits / 8, rest = tracer->source.bits % 8;

	if (tracer->by_source && (memcmp(record->source, network, whole) != 0 ||
				  (rest && (record->source[whole] ^ network[whole]) >> (8 - rest))))
		return false;
	return !tracer->url || (tracer->url_length <= record->url_length &&
				tracer->url_length <= sizeof(record->url) &&
				memcmp(record->url, tracer->url, tracer->url_length) == 0);
}

static json_t *address_json(const __u8 address[16], __be16 port)
{
	static const __u8 mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct sockaddr_storage socket_address = { 0 };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&socket_address;
	struct sockaddr_in *in = (struct sockaddr_in *)&socket_address;
	char text[SOCKADDR_TEXT_SIZE];

	if (memcmp(address, mapped, sizeof(mapped)) == 0) {
		in->sin_family = AF_INET;
		in->sin_port = (ICP_FORCE in_port_t)port;
		memcpy(&in->sin_addr, address + 12, 4);
	} else {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = (ICP_FORCE in_port_t)port;
		memcpy(&in6->sin6_addr, address, 16);
	}
	sockaddr_text(&socket_address, text);
	return json_string(text);
}

static const char *const deciders[] = {
	[TRACE_BY_NONE] = NULL,		[TRACE_BY_DRAIN] = "drain",
	[TRACE_BY_RULE] = "rule",	[TRACE_BY_POLICY] = "policy",
	[TRACE_BY_DEFAULT] = "default", [TRACE_BY_PREVIOUS_CHAIN] = "former",
};

/* Return a new reference. `offset` is realtime minus monotonic clock, in nanoseconds. */
static json_t *line_of(const struct trace_entry *entry, uint64_t offset)
{
	const struct trace_record *record = &entry->record;
	const struct counter_name *outcome = &counter_names[record->counter];
	size_t length =
		record->url_length < sizeof(record->url) ? record->url_length : sizeof(record->url);
	bool answered = record->counter == ICP_COUNT_ANSWERED;
	json_t *line = json_object();

	json_object_set_new(line, "time", json_real((record->time + offset) / 1e9));
	json_object_set_new(line, "source", address_json(record->source, record->source_port));
	json_object_set_new(line, "destination",
			    address_json(record->destination, record->destination_port));
	json_object_set_new(line, "request", json_integer(be32_to_host(record->request_number)));
	json_object_set_new(line, "by", json_string(entry->by_kernel ? "kernel" : "daemon"));
	json_object_set_new(line, "verdict",
			    answered ? json_string(opcode_name(record->verdict)) : json_null());
	/* The name of the counter: "answered", "passed.horizon", "silent.opcode". */
	json_object_set_new(
		line, "outcome",
		json_sprintf("%s%s%s", outcome->group, *outcome->name ? "." : "", outcome->name));
	if (deciders[entry->decider])
		json_object_set_new(line, "decider", json_string(deciders[entry->decider]));
	if (entry->decider == TRACE_BY_POLICY)
		json_object_set_new(line, "policy", control_text(entry->policy));
	json_object_set_new(line, "url", length ? control_bytes(record->url, length) : json_null());
	if (length < record->url_length)
		json_object_set_new(line, "url_length", json_integer(record->url_length));
	return line;
}

/* Send a line (takes the reference; NULL: none), preceded by the number of lost ones. */
static void send_line(struct tracer *tracer, json_t *line)
{
	if (tracer->lost &&
	    control_stream(tracer->peer, json_pack("{s:I}", "lost", (json_int_t)tracer->lost)))
		tracer->lost = 0;
	if (!line)
		return;
	if (tracer->lost || !control_stream(tracer->peer, json_incref(line)))
		tracer->lost++;
	json_decref(line);
}

static int by_time(const void *a, const void *b)
{
	const struct trace_entry *one = a, *other = b;

	return one->record.time < other->record.time ? -1 : one->record.time > other->record.time;
}

/* --- records */

static void collect(void *context, struct trace_entry *entry)
{
	struct tracing *tracing = context;

	struct trace_entry *added = vec_append(tracing->entries, tracing->entry_count);

	if (added)
		*added = *entry;
	else
		tracing->daemon->server.responder.counters[ICP_COUNT_FAILED_TRACE]++;
}

/* Set the decider of a record of the kernel. */
static void find_decider(const struct daemon *daemon, struct trace_entry *entry)
{
	const struct trace_record *record = &entry->record;

	if (record->counter != ICP_COUNT_ANSWERED || record->rank == RANK_NONE) {
		entry->decider = TRACE_BY_NONE;
	} else if (record->rank == RANK_DRAIN) {
		entry->decider = TRACE_BY_DRAIN;
	} else if (record->rank == RANK_RULE) {
		entry->decider = TRACE_BY_RULE;
	} else if (record->generation != kernel_generation(daemon->xdp.kernel)) {
		entry->decider = TRACE_BY_PREVIOUS_CHAIN;
	} else if (record->rank < chain_count(daemon->chain)) {
		entry->decider = TRACE_BY_POLICY;
		trace_entry_name(entry, chain_policy(daemon->chain, record->rank)->name);
	} else {
		entry->decider = TRACE_BY_DEFAULT;
	}
}

static void collect_kernel_record(void *context, const struct trace_record *record)
{
	struct tracing *tracing = context;
	struct trace_entry entry = { .record = *record, .by_kernel = true };

	if (record->counter >= ICP_COUNTER_MAX)
		return;
	find_decider(tracing->daemon, &entry);
	collect(tracing, &entry);
}

/* Return the number of records that found no room, since the daemon started. */
static uint64_t count_lost(struct daemon *daemon)
{
	uint64_t counters[ICP_COUNTER_MAX] = { 0 };

	if (daemon->xdp.kernel)
		kernel_counters(daemon->xdp.kernel, counters);
	server_counters(&daemon->server, counters);
	return counters[ICP_COUNT_FAILED_TRACE];
}

void daemon_trace_flush(struct daemon *daemon)
{
	struct tracing *tracing = daemon->tracing;
	uint64_t offset;

	if (!tracing || !tracing->count)
		return;
	offset = clock_ns(CLOCK_REALTIME) - clock_kernel_ns();
	if (tracing->kernel)
		kernel_trace_read(tracing->kernel);
	trace_log_consume(daemon->server.trace_log, collect, tracing);
	if (tracing->entry_count)
		qsort(tracing->entries, tracing->entry_count, sizeof(*tracing->entries), by_time);
	for (size_t i = 0; i < tracing->entry_count; i++) {
		const struct trace_entry *entry = &tracing->entries[i];
		json_t *line = NULL;

		for (size_t k = 0; k < tracing->count; k++) {
			if (!wanted(&tracing->tracers[k], &entry->record))
				continue;
			if (!line)
				line = line_of(entry, offset);
			send_line(&tracing->tracers[k], json_incref(line));
		}
		json_decref(line);
	}
	tracing->entry_count = 0;
}

/* --- start and end */

size_t daemon_tracers(const struct daemon *daemon)
{
	return daemon->tracing ? daemon->tracing->count : 0;
}

static void remove_tracer(struct tracing *tracing, size_t number)
{
	free(tracing->tracers[number].url);
	control_end(tracing->tracers[number].peer);
	tracing->tracers[number] = tracing->tracers[--tracing->count];
}

void daemon_trace_end(struct daemon *daemon)
{
	struct tracing *tracing = daemon->tracing;

	if (!tracing)
		return;
	if (daemon->xdp.kernel)
		kernel_trace_until(daemon->xdp.kernel, 0);
	trace_log_enable(daemon->server.trace_log, false);
	while (tracing->count)
		remove_tracer(tracing, 0);
	kernel_trace_close(tracing->kernel);
	event_drop(tracing->poll);
	free(tracing->entries);
	free(tracing);
	daemon->tracing = NULL;
}

static void report_lost(struct tracing *tracing)
{
	uint64_t lost = count_lost(tracing->daemon);

	for (size_t i = 0; i < tracing->count; i++) {
		tracing->tracers[i].lost += lost - tracing->lost;
		send_line(&tracing->tracers[i], NULL);
	}
	tracing->lost = lost;
}

static void on_poll(evutil_socket_t fd, short what, void *context)
{
	struct daemon *daemon = context;
	struct tracing *tracing = daemon->tracing;

	for (size_t i = tracing->count; i-- > 0;)
		if (control_is_closed(tracing->tracers[i].peer))
			remove_tracer(tracing, i);
	if (!tracing->count) {
		daemon_trace_end(daemon);
		return;
	}
	daemon_trace_flush(daemon);
	if (++tracing->polls % POLLS_PER_LEASE)
		return;
	report_lost(tracing);
	if (daemon->xdp.kernel)
		kernel_trace_until(daemon->xdp.kernel, clock_kernel_ns() + LEASE_NS);
}

static int begin(struct daemon *daemon, struct error *error)
{
	static const struct timeval interval = { .tv_usec = POLL_MS * 1000 };
	struct tracing *tracing = calloc(1, sizeof(*tracing));

	if (!tracing)
		return error_set(error, "out of memory");
	daemon->tracing = tracing;
	tracing->daemon = daemon;
	tracing->lost = count_lost(daemon);
	tracing->poll = event_new(daemon->base, -1, EV_PERSIST, on_poll, daemon);
	if (daemon->xdp.kernel)
		tracing->kernel = kernel_trace_open(daemon->xdp.kernel, collect_kernel_record,
						    tracing, error);
	else
		error_set(error, "out of memory");
	if ((daemon->xdp.kernel && !tracing->kernel) || !tracing->poll ||
	    event_add(tracing->poll, &interval)) {
		daemon_trace_end(daemon);
		return -1;
	}
	/* Discard records made before this client. */
	if (tracing->kernel)
		kernel_trace_read(tracing->kernel);
	tracing->entry_count = 0;
	trace_log_enable(daemon->server.trace_log, true);
	if (daemon->xdp.kernel)
		kernel_trace_until(daemon->xdp.kernel, clock_kernel_ns() + LEASE_NS);
	return 0;
}

/* Read the filters of a request. Return 0, or -1 and `error`; `tracer->url` is to be freed. */
static int read_filters(struct tracer *tracer, struct error *error)
{
	const char *source = control_argument(tracer->peer, "source");
	const char *url = control_argument(tracer->peer, "url");

	tracer->by_source = source;
	if (source && netset_network_parse(source, &tracer->source, error))
		return error_prefix(error, "source: ");
	if (!url)
		return 0;
	tracer->url = unescape(url, strlen(url), &tracer->url_length);
	if (!tracer->url)
		return error_set(error, "out of memory");
	if (tracer->url_length > PREFIX_MAX)
		return error_set(error, "url: more than the %d bytes that are traced", PREFIX_MAX);
	return 0;
}

void get_trace(void *context, struct control_request *request)
{
	enum control_status status = CONTROL_STATUS_BAD_REQUEST;
	const size_t limit = control_may_change(request) ? TRACERS_MAX : TRACERS_MAX_READERS;
	struct tracer tracer = { .peer = request };
	struct daemon *daemon = context;
	struct error error;

	if (read_filters(&tracer, &error))
		goto refuse;
	status = CONTROL_STATUS_OVER_QUOTA;
	if (daemon->tracing && daemon->tracing->count >= limit) {
		error_set(&error, "%zu clients are already tracing; %s%zu is the limit",
			  daemon->tracing->count,
			  limit < TRACERS_MAX ? "for all but root and the daemon's user " : "",
			  limit);
		goto refuse;
	}
	status = CONTROL_STATUS_FAILED;
	if (!daemon->tracing && begin(daemon, &error))
		goto refuse;
	error_set(&error, "out of memory");
	if (!control_begin(request))
		goto refuse;
	daemon->tracing->tracers[daemon->tracing->count++] = tracer;
	return;
refuse:
	free(tracer.url);
	control_refuse(request, status, "%s", error.text);
}
