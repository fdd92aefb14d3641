// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "icp/client.h"
#include "lib/clock.h"

struct icp_client {
	int fd;
	struct addrinfo *addresses;
	struct addrinfo *next; /* to try if the address in use refuses */
	char server[NI_MAXHOST + NI_MAXSERV + 4];
};

/* --- the server's address */

/* Split ADDR[:PORT] in place; `*port` is NULL if there is none. False: mismatched brackets. */
static bool split_port(char *text, char **host, char **port)
{
	char *colon = strrchr(text, ':');

	*host = text;
	*port = NULL;
	if (*text == '[') {
		char *bracket = strchr(text, ']');

		if (!bracket || (bracket[1] != '\0' && bracket[1] != ':'))
			return false;
		*host = text + 1;
		if (bracket[1] == ':')
			*port = bracket + 2;
		*bracket = '\0';
	} else if (colon && strchr(text, ':') == colon) { /* more than one: an IPv6 address */
		*port = colon + 1;
		*colon = '\0';
	}
	return true;
}

static bool is_port(const char *text)
{
	unsigned int port = 0;

	if (!*text || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		port = port * 10 + (unsigned int)(*text - '0');
	}
	return port >= 1 && port <= 65535;
}

static int resolve(const char *server, struct addrinfo **addresses, struct error *error)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
	char *text = strdup(server);
	char default_port[8];
	char *port;
	char *host;
	int result;

	if (!text)
		return error_set(error, "out of memory");
	snprintf(default_port, sizeof(default_port), "%d", ICP_PORT);
	if (!split_port(text, &host, &port) || !*host || (port && !is_port(port))) {
		free(text);
		return error_set(
			error,
			"server '%s': must be ADDR or ADDR:PORT with a port from 1 to 65535, "
			"such as 192.0.2.1:3130 or [2001:db8::1]:3130",
			server);
	}
	result = getaddrinfo(host, port ? port : default_port, &hints, addresses);
	free(text);
	if (result)
		return error_set(error, "server '%s': %s", server,
				 result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
	return 0;
}

/* Connect to the next address for which that succeeds. Returns -1 if there is none. */
static int connect_next(struct icp_client *client, struct error *error)
{
	error_set(error, "no address to connect to");
	while (client->next) {
		const struct addrinfo *address = client->next;
		char host[NI_MAXHOST];
		char port[NI_MAXSERV];
		int fd;

		client->next = address->ai_next;
		if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof(host), port,
				sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
			continue;
		snprintf(client->server, sizeof(client->server),
			 address->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
		fd = socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, address->ai_addr, address->ai_addrlen)) {
			error_set(error, "%s: %s", client->server, strerror(errno));
			if (fd >= 0)
				close(fd);
			continue;
		}
		if (client->fd >= 0)
			close(client->fd);
		client->fd = fd;
		return 0;
	}
	return -1;
}

struct icp_client *icp_client_open(const char *server, struct error *error)
{
	struct icp_client *client = calloc(1, sizeof(*client));

	if (!client) {
		error_set(error, "out of memory");
		return NULL;
	}
	client->fd = -1;
	if (resolve(server, &client->addresses, error)) {
		free(client);
		return NULL;
	}
	client->next = client->addresses;
	if (connect_next(client, error)) {
		icp_client_close(client);
		return NULL;
	}
	return client;
}

void icp_client_close(struct icp_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	freeaddrinfo(client->addresses);
	free(client);
}

const char *icp_client_server(const struct icp_client *client)
{
	return client->server;
}

/* --- messages */

static __be32 new_request_number(void)
{
	static __u32 next;

	/* Random start, so that a late reply to an earlier run is not mistaken for ours. */
	if (next == 0 && getrandom(&next, sizeof(next), 0) != sizeof(next))
		next = (__u32)getpid();
	if (++next == 0)
		next = 1;
	return host_to_be32(next);
}

static void make_query(struct icp_exchange *exchange, const char *url, size_t length,
		       bool want_cost)
{
	struct icp_query query = { 0 };

	exchange->query_size = sizeof(query) + length + 1;
	query.header.opcode = ICP_OP_QUERY;
	query.header.version = ICP_VERSION;
	query.header.length = host_to_be16((__u16)exchange->query_size);
	query.header.request_number = new_request_number();
	query.header.options = host_to_be32(want_cost ? ICP_FLAG_SRC_RTT : 0);
	memcpy(exchange->query, &query, sizeof(query));
	memcpy(exchange->query + sizeof(query), url, length);
	exchange->query[sizeof(query) + length] = '\0';
}

/* Return what is wrong with a received datagram; NULL: it is the reply. */
static const char *fault(const struct icp_exchange *exchange, size_t size)
{
	const unsigned char *url = exchange->query + ICP_QUERY_HEADER_SIZE;
	size_t url_size = exchange->query_size - ICP_QUERY_HEADER_SIZE; /* with the NUL */
	struct icp_header reply;
	struct icp_header query;

	if (size < sizeof(reply))
		return "less than a header";
	memcpy(&reply, exchange->reply, sizeof(reply));
	memcpy(&query, exchange->query, sizeof(query));
	if (reply.version != ICP_VERSION)
		return "another version";
	if (be16_to_host(reply.length) != size)
		return "a wrong length field";
	if (reply.request_number != query.request_number)
		return "another request number";
	if (!icp_is_verdict(reply.opcode))
		return "an opcode that no reply has";
	if (size == sizeof(reply) || exchange->reply[size - 1] != '\0')
		return "no NUL at the end";
	if (reply.opcode == ICP_OP_ERR && size == ICP_ERR_SIZE)
		return NULL;
	if (size - sizeof(reply) != url_size ||
	    memcmp(exchange->reply + sizeof(reply), url, url_size) != 0)
		return "another URL";
	return NULL;
}

static void accept_reply(struct icp_exchange *exchange, size_t size)
{
	struct icp_header reply;

	memcpy(&reply, exchange->reply, sizeof(reply));
	exchange->reply_size = size;
	exchange->opcode = reply.opcode;
	if (be32_to_host(reply.options) & ICP_FLAG_SRC_RTT)
		exchange->cost = (int)(be32_to_host(reply.option_data) & 0xffff);
}

/* --- the exchange */

static double now_in_milliseconds(void)
{
	return (double)clock_ns(CLOCK_MONOTONIC) / 1e6;
}

static int send_query(int fd, const struct icp_exchange *exchange)
{
	/* The first attempt may report a pending ICMP error of an earlier query. */
	for (int attempt = 0; attempt < 2; attempt++)
		if (send(fd, exchange->query, exchange->query_size, 0) >= 0)
			return 0;
	return -1;
}

/* Wait until the socket is readable. Returns false at the deadline. */
static bool wait_until(int fd, double deadline)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	for (;;) {
		double left = deadline - now_in_milliseconds();
		struct timespec timeout;
		int result;

		if (left <= 0)
			return false;
		timeout.tv_sec = (time_t)(left / 1e3);
		timeout.tv_nsec = (long)((left - (double)timeout.tv_sec * 1e3) * 1e6);
		result = ppoll(&poll_fd, 1, &timeout, NULL);
		if (result > 0)
			return true;
		if (result < 0 && errno != EINTR)
			return false;
	}
}

/* Return as icp_client_ask() does, or 2 if the address in use refuses. */
static int exchange_once(struct icp_client *client, unsigned int timeout,
			 struct icp_exchange *exchange, struct error *error)
{
	double start = now_in_milliseconds();
	const char *last_fault = NULL;

	if (send_query(client->fd, exchange)) {
		error_set(error, "%s: cannot send: %s", client->server, strerror(errno));
		return 1;
	}
	while (wait_until(client->fd, start + timeout)) {
		ssize_t size =
			recv(client->fd, exchange->reply, sizeof(exchange->reply), MSG_DONTWAIT);

		exchange->milliseconds = now_in_milliseconds() - start;
		if (size < 0 && errno == ECONNREFUSED) {
			error_set(error, "%s: nothing listens there; is the ICP server running?",
				  client->server);
			return 2;
		}
		if (size < 0 && (errno == EAGAIN || errno == EINTR)) /* such as a wrong checksum */
			continue;
		if (size < 0) {
			error_set(error, "%s: %s", client->server, strerror(errno));
			return 1;
		}
		last_fault = fault(exchange, (size_t)size);
		if (!last_fault) {
			accept_reply(exchange, (size_t)size);
			return 0;
		}
	}
	if (last_fault)
		error_set(error, "%s: no reply within %u ms; the last datagram had %s",
			  client->server, timeout, last_fault);
	else
		error_set(error, "%s: no reply within %u ms", client->server, timeout);
	return 1;
}

int icp_client_ask(struct icp_client *client, const char *url, size_t length, bool want_cost,
		   unsigned int timeout, struct icp_exchange *exchange, struct error *error)
{
	struct error ignored;
	int result;

	if (length > ICP_CLIENT_URL_MAX)
		return error_set(error, "the URL has %zu bytes; a query holds %u at most", length,
				 ICP_CLIENT_URL_MAX);
	exchange->reply_size = 0;
	exchange->cost = ICP_NO_COST;
	make_query(exchange, url, length, want_cost);
	do
		result = exchange_once(client, timeout, exchange, error);
	while (result == 2 && connect_next(client, &ignored) == 0);
	return result == 2 ? 1 : result;
}
