// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <netinet/in.h>

#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "support/etcd_server.h"

struct etcd_server etcd_server;

static struct evconnlistener *listening;

static void on_event(struct bufferevent *connection, short what, void *context)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(connection);
}

static void on_written(struct bufferevent *connection, void *context)
{
	bufferevent_free(connection);
}

static void on_read(struct bufferevent *connection, void *context)
{
	struct evbuffer *input = bufferevent_get_input(connection);
	struct evbuffer *response = bufferevent_get_output(connection);
	struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	struct etcd_request request;
	char *text, *body;
	bool close;

	if (end.pos < 0)
		return;
	text = strndup((char *)evbuffer_pullup(input, -1), evbuffer_get_length(input));
	body = text + end.pos + 4;
	body[-1] = '\0';
	if (strlen(body) == strtoul(strstr(text, "Content-Length:") + 15, NULL, 10)) {
		request.head = strstr(text, "\r\n");
		request.path = strstr(text, "/v3/") + 4;
		request.body = body;
		text[strcspn(text, "\r")] = '\0';
		text[request.path - text + (ptrdiff_t)strcspn(request.path, " ")] = '\0';
		request.head += 2;
		evbuffer_drain(input, evbuffer_get_length(input));
		etcd_server.requests++;
		close = etcd_server.reply(&request, response);
		if (close)
			bufferevent_setcb(connection, NULL, on_written, on_event, NULL);
	}
	free(text);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
			  struct sockaddr *address, int length, void *context)
{
	struct bufferevent *connection =
		bufferevent_socket_new(etcd_server.base, fd, BEV_OPT_CLOSE_ON_FREE);

	bufferevent_setcb(connection, on_read, NULL, on_event, NULL);
	bufferevent_enable(connection, EV_READ | EV_WRITE);
}

int etcd_server_open(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof(address);

	/* Nothing of that is for etcd. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	etcd_server.base = event_base_new();
	listening = evconnlistener_new_bind(etcd_server.base, on_connection, NULL,
					    LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&address,
					    length);
	if (!listening)
		return -1;
	getsockname(evconnlistener_get_fd(listening), (struct sockaddr *)&address, &length);
	sprintf(etcd_server.endpoint, "http://127.0.0.1:%u", ntohs(address.sin_port));
	return 0;
}

int etcd_server_close(void **state)
{
	evconnlistener_free(listening);
	for (int i = 0; i < 3; i++) /* connections end */
		event_base_loop(etcd_server.base, EVLOOP_NONBLOCK);
	event_base_free(etcd_server.base);
	return 0;
}

void etcd_server_begin(etcd_server_reply reply)
{
	etcd_server.reply = reply;
	etcd_server.requests = etcd_server.stage = 0;
	memset(etcd_server.seen, 0, sizeof(etcd_server.seen));
}

void etcd_server_respond(struct evbuffer *response, const char *status, const char *text)
{
	evbuffer_add_printf(response, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
			    strlen(text), text);
}
