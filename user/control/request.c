// SPDX-License-Identifier: GPL-2.0-or-later
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "control/request.h"
#include "lib/escape.h"
#include "lib/event.h"

#define NO_PAGE "default-src 'none'; frame-ancestors 'none'"
#define STREAM_BLOCK 16384 /* bytes passed on at once */
#define VALUE_SIZE 256 /* bytes that jansson takes for a value at most, an object with a member */

static const struct timeval whole_timeout = { .tv_sec = CONTROL_DEADLINE };
static const struct timeval pause_timeout = { .tv_sec = CONTROL_STREAM_TIMEOUT };
static const struct timeval keepalive_interval = { .tv_sec = CONTROL_KEEPALIVE };

/* --- the connection */

/* Adjust the bytes held for the peer by `bytes`; false: its quota would be exceeded. */
static bool hold(struct control_request *request, ssize_t bytes)
{
	if (bytes > 0 &&
	    !quota_acquire(request->quota, request->uid, (struct quota_usage){ 0, (size_t)bytes }))
		return false;
	if (bytes < 0)
		quota_release(request->quota, request->uid,
			      (struct quota_usage){ 0, (size_t)-bytes });
	request->held += (size_t)bytes;
	return true;
}

/* Send bytes past libmicrohttpd, which has nothing to send before there is a response. */
static void send_now(const struct control_request *request, const char *text)
{
	send(request->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct control_request *request = context;

	if (request->stage == REQUEST_HANDLING) {
		if (!request->http_1_0)
			send_now(request, "HTTP/1.1 100 Continue\r\n\r\n");
		event_add(request->timer, &keepalive_interval);
		return;
	}
	if (request->stage == REQUEST_RECEIVING)
		send_now(request, "HTTP/1.1 408 Request Timeout\r\n"
				  "Content-Type: application/json\r\nConnection: close\r\n\r\n"
				  "{\"error\":\"the request is not complete in time\"}\n");
	request_hang_up(request);
}

/*
 * Has the peer closed the connection, or is there only something to read? The event is also for
 * reading, because libevent reports a socket that was closed with an error as readable. It is
 * edge-triggered, as nothing is read here.
 */
static void on_hangup(evutil_socket_t fd, short what, void *context)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLRDHUP };

	if (poll(&poll_fd, 1, 0) == 1)
		request_hang_up(context);
}

struct control_request *request_new(struct event *run, struct quota *quota, uid_t uid, int fd)
{
	struct control_request *request = calloc(1, sizeof(*request));
	struct event_base *base = event_get_base(run);

	if (!request)
		return NULL;
	request->run = run;
	request->quota = quota;
	request->uid = uid;
	request->may_change = uid == 0 || uid == geteuid();
	request->fd = fd;
	request->timer = evtimer_new(base, on_timer, request);
	request->hangup =
		event_new(base, fd, EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, on_hangup, request);
	if (request->timer && request->hangup && event_add(request->timer, &whole_timeout) == 0)
		return request;
	event_drop(request->timer);
	event_drop(request->hangup);
	free(request);
	return NULL;
}

static void request_free(struct control_request *request)
{
	if (request->response)
		MHD_destroy_response(request->response);
	if (request->lines)
		evbuffer_free(request->lines);
	json_decref(request->body);
	free(request->text);
	free(request);
}

static void park(struct control_request *request)
{
	request->parked = true;
	event_add(request->hangup, NULL);
	MHD_suspend_connection(request->connection);
}

static void wake(struct control_request *request)
{
	static const struct timeval at_once = { 0 };

	if (!request->parked)
		return;
	request->parked = false;
	event_del(request->hangup);
	MHD_resume_connection(request->connection);
	event_add(request->run, &at_once);
}

/* May free the request. */
static void tell_closed(struct control_request *request)
{
	void (*closed)(void *context) = request->on_close;

	request->closed = true;
	request->on_close = NULL;
	if (request->owed && closed)
		closed(request->context);
}

void request_hang_up(struct control_request *request)
{
	event_del(request->timer);
	shutdown(request->fd, SHUT_RDWR);
	wake(request);
	tell_closed(request);
}

void request_disconnect(struct control_request *request)
{
	quota_release(request->quota, request->uid, (struct quota_usage){ 1, request->held });
	event_free(request->timer);
	event_free(request->hangup);
	request->connection = NULL;
	if (request->owed)
		tell_closed(request);
	else
		request_free(request);
}

/* --- the body */

/* Make room for `more` bytes. False: the request has been refused. */
static bool make_room(struct control_request *request, size_t more)
{
	size_t limit = request->may_change ? CONTROL_REQUEST_MAX : CONTROL_REQUEST_MAX_READER;
	size_t room = request->room ? request->room : 4096;
	char *text;

	if (request->length + more > limit) {
		control_refuse(request, CONTROL_STATUS_TOO_LARGE,
			       "the request has more than %zu bytes; split it", limit);
		return false;
	}
	while (room < request->length + more)
		room *= 2;
	if (room == request->room)
		return true;
	if (!hold(request, (ssize_t)(room - request->room))) {
		control_refuse(request, CONTROL_STATUS_OVER_QUOTA,
			       "too much is buffered for your user or in all; try again");
		return false;
	}
	text = realloc(request->text, room);
	if (!text) {
		control_reply(request, NULL);
		return false;
	}
	request->text = text;
	request->room = room;
	return true;
}

void request_receive(struct control_request *request, const char *bytes, size_t length)
{
	if (request->response || !make_room(request, length))
		return;
	memcpy(request->text + request->length, bytes, length);
	request->length += length;
}

/* An upper bound of the number of values of a JSON text. */
static size_t count_values(const char *text, size_t length)
{
	bool quoted = false;
	size_t count = 1;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '"')
			quoted = !quoted;
		else if (quoted)
			i += text[i] == '\\';
		else
			count += text[i] == '[' || text[i] == '{' || text[i] == ',' ||
				 text[i] == ':';
	}
	return count;
}

/* Is there memory for the values of the body? False: the request has been refused. */
static bool allow_values(struct control_request *request)
{
	size_t count = count_values(request->text, request->length);

	if (request->may_change)
		return true;
	if (count > CONTROL_VALUES_MAX_READER)
		control_refuse(request, CONTROL_STATUS_TOO_LARGE,
			       "the request has more than %u values; split it",
			       CONTROL_VALUES_MAX_READER);
	else if (!hold(request, (ssize_t)(count * VALUE_SIZE)))
		control_refuse(request, CONTROL_STATUS_OVER_QUOTA,
			       "too much is buffered for your user or in all; try again");
	else
		return true;
	return false;
}

bool request_parse(struct control_request *request)
{
	json_error_t mistake;

	if (!request->length)
		return true;
	if (!allow_values(request))
		return false;
	request->body =
		json_loadb(request->text, request->length, JSON_REJECT_DUPLICATES, &mistake);
	free(request->text);
	request->text = NULL;
	if (json_is_object(request->body))
		return true;
	control_refuse(request, CONTROL_STATUS_BAD_REQUEST, "the body is not %s: %s",
		       request->body ? "a JSON object" : "JSON",
		       request->body ? "another value" : mistake.text);
	return false;
}

json_t *control_body(const struct control_request *request)
{
	return request->body;
}

const char *control_name(const struct control_request *request)
{
	return request->name;
}

const char *control_argument(const struct control_request *request, const char *key)
{
	return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, key);
}

const char *control_header(const struct control_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* --- the response */

enum MHD_Result request_continue(struct control_request *request)
{
	enum MHD_Result result;

	if (request->closed)
		return MHD_NO;
	if (request->owed && !request->lines) {
		event_add(request->timer, &keepalive_interval);
		park(request);
		return MHD_YES;
	}
	if (!request->response)
		return MHD_NO; /* out of memory */
	request->stage = request->lines ? REQUEST_STREAMING : REQUEST_RESPONDING;
	event_add(request->timer, request->lines ? &pause_timeout : &whole_timeout);
	result = MHD_queue_response(request->connection, request->status, request->response);
	MHD_destroy_response(request->response);
	request->response = NULL;
	return result;
}

static void set_response(struct control_request *request, struct MHD_Response *response,
			 enum control_status status, const char *type)
{
	request->response = response;
	request->status = status;
	if (response) {
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
		MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
		MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
		MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
		MHD_add_response_header(response, "Content-Security-Policy",
					request->security ? request->security : NO_PAGE);
	}
}

char *control_dump(const json_t *json, size_t *length)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
	char *line;

	*length = text ? strlen(text) + 1 : 0;
	line = text ? realloc(text, *length + 1) : NULL;
	if (!line)
		free(text);
	else
		strcpy(line + *length - 1, "\n");
	return line;
}

/* Takes ownership of `text`. */
static void respond(struct control_request *request, enum control_status status, const char *type,
		    char *text, size_t length)
{
	static const char no_memory[] = "{\"error\":\"out of memory\"}\n";
	static const char too_much[] = "{\"error\":\"too much is buffered for your user or in all; "
				       "try again, or ask for less at once\"}\n";
	const char *error = text ? NULL : no_memory;

	json_decref(request->body);
	request->body = NULL;
	free(request->text);
	request->text = NULL;
	hold(request, -(ssize_t)request->held);
	if (text && !hold(request, (ssize_t)length)) {
		free(text);
		error = too_much;
	}
	if (error) {
		status = error == no_memory ? CONTROL_STATUS_FAILED : CONTROL_STATUS_OVER_QUOTA;
		type = CONTROL_JSON;
	}
	set_response(request,
		     error ? MHD_create_response_from_buffer(strlen(error), (void *)error,
							     MHD_RESPMEM_PERSISTENT)
			   : MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE),
		     status, type);
	wake(request);
}

/*
 * Note that the handler has replied. False: there is no peer, and the request may have been freed.
 */
static bool is_awaited(struct control_request *request)
{
	request->owed = false;
	if (!request->connection)
		request_free(request);
	else if (!request->closed)
		return true;
	return false;
}

static void reply(struct control_request *request, enum control_status status, json_t *json)
{
	size_t length;
	char *text;

	if (is_awaited(request)) {
		text = control_dump(json, &length);
		respond(request, status, CONTROL_JSON, text, length);
	}
	json_decref(json);
}

void control_reply_text(struct control_request *request, const char *type, char *text,
			size_t length)
{
	if (is_awaited(request))
		respond(request, CONTROL_STATUS_OK, type, text, length);
	else
		free(text);
}

void control_reply_page(struct control_request *request, const char *security, char *text,
			size_t length)
{
	if (request->connection)
		request->security = security;
	control_reply_text(request, "text/html; charset=utf-8", text, length);
}

bool control_may_change(const struct control_request *request)
{
	return request->may_change;
}

void control_reply(struct control_request *request, json_t *response)
{
	reply(request, CONTROL_STATUS_OK, response);
}

void control_refuse(struct control_request *request, enum control_status status, const char *format,
		    ...)
{
	struct error error;
	char line[ESCAPE_MAX * sizeof(error.text)];
	va_list args;

	va_start(args, format);
	vsnprintf(error.text, sizeof(error.text), format, args);
	va_end(args);
	escape_line(error.text, line, sizeof(line));
	reply(request, status, json_pack("{s:s}", "error", line));
}

void control_on_close(struct control_request *request, void (*closed)(void *context), void *context)
{
	request->on_close = closed;
	request->context = context;
}

bool control_is_closed(const struct control_request *request)
{
	return request->closed;
}

bool control_reserve(struct control_request *request, size_t bytes)
{
	return !request->connection || hold(request, (ssize_t)bytes);
}

/* --- streamed responses */

/* The peer may be silent, and read slowly: it may be a pager. */
static ssize_t next_lines(void *context, uint64_t position, char *buffer, size_t size)
{
	struct control_request *request = context;
	int length = request->closed ? -1 : evbuffer_remove(request->lines, buffer, size);

	if (length < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (length == 0 && !request->owed)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (length > 0) {
		event_add(request->timer, &pause_timeout);
	} else {
		event_del(request->timer);
		park(request);
	}
	return length;
}

bool control_begin(struct control_request *request)
{
	request->lines = request->closed ? NULL : evbuffer_new();
	if (!request->lines)
		return false;
	set_response(request,
		     MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, next_lines,
						       request, NULL),
		     CONTROL_STATUS_OK, "application/x-ndjson");
	wake(request);
	return true;
}

bool control_stream(struct control_request *request, json_t *line)
{
	char *text = NULL;
	bool queued;

	if (!request->closed && evbuffer_get_length(request->lines) < CONTROL_BACKLOG_MAX)
		text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(16));
	json_decref(line);
	queued = text && evbuffer_add_printf(request->lines, "%s\n", text) > 0;
	free(text);
	if (queued && request->stage == REQUEST_STREAMING) {
		if (request->parked)
			event_add(request->timer, &pause_timeout);
		wake(request);
	}
	return queued;
}

void control_end(struct control_request *request)
{
	if (is_awaited(request))
		wake(request);
}
