// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "server/server.h"

int server_open(struct server *server, const struct sockaddr_storage *addresses, size_t count,
		unsigned int workers, bool latencies, struct error *error)
{
	unsigned int wanted = workers_wanted(workers);

	server->listeners = calloc(count, sizeof(struct listener *));
	if (!server->listeners)
		return error_set(error, "out of memory");
	server->listener_count = count;
	for (size_t i = 0; i < count; i++) {
		server->listeners[i] = listener_open(&addresses[i], latencies, error);
		if (!server->listeners[i])
			return -1;
	}
	if (wanted == 1)
		return 0;
	server->workers = workers_open(server->listeners, count, wanted, error);
	return server->workers ? 0 : -1;
}

int server_set_rules(struct server *server, struct rules *rules, struct error *error)
{
	server->rules = rules;
	server->trace_log = trace_log_new();
	if (!server->rules || !server->trace_log)
		return error_set(error, "out of memory");
	server->responder.rules = server->rules;
	server->responder.tallies = &server->tallies;
	server->responder.trace_log = server->trace_log;
	return 0;
}

int server_start(struct server *server, struct event_base *base, struct error *error)
{
	if (server->workers)
		return workers_start(server->workers, base, &server->responder, error);
	for (size_t i = 0; i < server->listener_count; i++)
		if (listener_start(server->listeners[i], base, &server->responder))
			return error_set(error, "out of memory");
	return 0;
}

void server_pause(struct server *server)
{
	if (server->workers)
		workers_pause(server->workers);
}

void server_resume(struct server *server)
{
	if (server->workers)
		workers_resume(server->workers);
}

void server_renew_lease(struct server *server, unsigned int lease)
{
	if (server->workers)
		workers_renew_lease(server->workers, lease);
}

void server_counters(struct server *server, uint64_t counters[ICP_COUNTER_MAX])
{
	for (int i = 0; i < ICP_COUNTER_MAX; i++)
		counters[i] += server->responder.counters[i];
	if (server->workers)
		workers_counters(server->workers, counters);
}

struct latency server_latency(struct server *server)
{
	struct latency latency = server->responder.latency;

	if (server->workers)
		workers_latency(server->workers, &latency);
	return latency;
}

void server_drain(struct server *server)
{
	if (server->workers)
		workers_end(server->workers);
	for (size_t i = 0; !server->workers && i < server->listener_count; i++)
		if (server->listeners[i])
			listener_drain(server->listeners[i]);
}

void server_close(struct server *server)
{
	for (size_t i = 0; i < server->listener_count; i++)
		listener_close(server->listeners[i]);
	free(server->listeners);
	server->listeners = NULL;
	server->listener_count = 0;
	workers_free(server->workers);
	server->workers = NULL;
}

void server_free(struct server *server)
{
	trace_log_free(server->trace_log);
	rules_free(server->rules);
}
