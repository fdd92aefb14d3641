// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <curl/curl.h>

#include "control/client.h"
#include "control/protocol.h"
#include "control/quota.h"
#include "lib/clock.h"

#define LINE_MAX_BYTES (1u << 20) /* of a streamed response */
#define SECOND 1000000000ull	  /* in nanoseconds */
#define REFUSAL 400		  /* HTTP status from which on a response is an error */

/* A request and its response. */
struct transfer {
	const char *path;
	CURL *curl;
	char *request;
	char *text; /* of the response; of a stream: the line that is not complete yet */
	size_t length;
	control_line line; /* NULL: not a stream */
	void *context;
	bool enough;	   /* `line` has returned false */
	const char *fault; /* of the response, or NULL */
	uint64_t last;	   /* nanoseconds: when the daemon was heard of */
	uint64_t end;	   /* the same: when to end; 0: never */
};

/* --- what is received */

static long status_of(const struct transfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static bool is_printable(const char *text)
{
	while (*text >= ' ' && *text <= '~')
		text++;
	return !*text;
}

/*
 * Make a response safe to print, whatever process sent it: escape strings that are not printable
 * ASCII, and remove such keys. xdp-icpd sends neither. False: out of memory.
 */
static bool make_printable(json_t *json)
{
	const char *key, *text = json_string_value(json);
	json_t *value;
	void *next;
	size_t i;

	if (text && !is_printable(text)) {
		json_t *line = control_message(text);
		bool done = line && !json_string_set(json, json_string_value(line));

		json_decref(line);
		return done;
	}
	json_array_foreach (json, i, value)
		if (!make_printable(value))
			return false;
	json_object_foreach_safe(json, next, key, value) if (!is_printable(key))
		json_object_del(json, key);
	else if (!make_printable(value)) return false;
	return true;
}

/* Parse a response or a line of one; NULL and a fault if it is no object. */
static json_t *parse(struct transfer *transfer, const char *text, size_t length)
{
	json_t *json = json_loadb(text ? text : "", length, 0, NULL);

	if (json_is_object(json) && make_printable(json))
		return json;
	json_decref(json);
	transfer->fault = "not a JSON object";
	return NULL;
}

/* Pass the complete lines on. */
static void take_lines(struct transfer *transfer)
{
	char *next = transfer->text, *newline;

	while (!transfer->enough && !transfer->fault &&
	       (newline = memchr(next, '\n', transfer->length))) {
		json_t *json = parse(transfer, next, (size_t)(newline - next));

		transfer->enough = json && !transfer->line(transfer->context, json);
		json_decref(json);
		transfer->length -= (size_t)(newline + 1 - next);
		next = newline + 1;
	}
	memmove(transfer->text, next, transfer->length);
}

/* A callback of libcurl. A short count ends the transfer. */
static size_t take_bytes(char *bytes, size_t one, size_t count, void *context)
{
	struct transfer *transfer = context;
	size_t limit = transfer->line ? LINE_MAX_BYTES : QUOTA_ALL_BYTES;
	char *text = realloc(transfer->text, transfer->length + count);

	transfer->last = clock_ns(CLOCK_MONOTONIC);
	if (text)
		transfer->text = text;
	if (!text || transfer->length + count > limit) {
		transfer->fault = text ? "too large" : "out of memory";
		return 0;
	}
	memcpy(text + transfer->length, bytes, count);
	transfer->length += count;
	if (transfer->line && status_of(transfer) < REFUSAL)
		take_lines(transfer);
	return transfer->fault || transfer->enough ? 0 : count;
}

/* The same for headers, also those of keepalives. */
static size_t take_header(char *bytes, size_t one, size_t count, void *context)
{
	struct transfer *transfer = context;

	transfer->last = clock_ns(CLOCK_MONOTONIC);
	return count;
}

/* --- the transfer */

static enum control_result open_transfer(struct transfer *transfer, const char *path,
					 const char *method, const char *resource,
					 const json_t *body, struct error *error)
{
	char url[sizeof("http://xdp-icp") + 4096];

	*transfer = (struct transfer){ .path = path };
	if (!*path || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		error_set(error, "control socket '%s': the path must have 1 to %zu bytes", path,
			  sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
		return CONTROL_FAILED;
	}
	if ((size_t)snprintf(url, sizeof(url), "http://xdp-icp%s", resource) >= sizeof(url)) {
		error_set(error, "a name, prefix or URL is too long");
		return CONTROL_FAILED;
	}
	transfer->request = body ? json_dumps(body, JSON_COMPACT) : NULL;
	transfer->curl = curl_easy_init();
	if (!transfer->curl || (body && !transfer->request)) {
		error_set(error, "out of memory, or the request is not JSON");
		return CONTROL_FAILED;
	}
	if (body && strlen(transfer->request) > CONTROL_REQUEST_MAX) {
		error_set(error, "the request has %zu bytes, the limit is %u; split it",
			  strlen(transfer->request), CONTROL_REQUEST_MAX);
		return CONTROL_FAILED;
	}
	curl_easy_setopt(transfer->curl, CURLOPT_UNIX_SOCKET_PATH, path);
	curl_easy_setopt(transfer->curl, CURLOPT_PROXY, ""); /* whatever the environment says */
	curl_easy_setopt(transfer->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(transfer->curl, CURLOPT_URL, url);
	if (body) {
		curl_easy_setopt(transfer->curl, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)strlen(transfer->request));
		curl_easy_setopt(transfer->curl, CURLOPT_POSTFIELDS, transfer->request);
	}
	curl_easy_setopt(transfer->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(transfer->curl, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(transfer->curl, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(transfer->curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(transfer->curl, CURLOPT_HEADERDATA, transfer);
	return CONTROL_OK;
}

static void close_transfer(struct transfer *transfer)
{
	curl_easy_cleanup(transfer->curl);
	free(transfer->request);
	free(transfer->text);
}

/* Return the milliseconds until the transfer ends or times out, at most a second. */
static int time_left(const struct transfer *transfer)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC), end = transfer->end;

	if (!transfer->line || !status_of(transfer))
		end = transfer->last + CONTROL_TIMEOUT * SECOND;
	if (!end || end > now + SECOND)
		return 1000;
	return end > now ? (int)((end - now) / 1000000) + 1 : 0;
}

enum {
	TIME_OVER = -1,
	STOPPED = -2,
};

static void tick(const struct transfer *transfer, const struct control_wait *wait)
{
	curl_off_t sent = 0;

	curl_easy_getinfo(transfer->curl, CURLINFO_SIZE_UPLOAD_T, &sent);
	if (wait->tick)
		wait->tick(wait->context, (size_t)sent);
}

/*
 * Run a transfer until its end: CURLE_OK, or an error of libcurl. TIME_OVER, or STOPPED: the
 * descriptor of `wait` is readable.
 */
static int run(struct transfer *transfer, const struct control_wait *wait)
{
	struct curl_waitfd interrupt = { .fd = wait->stop, .events = CURL_WAIT_POLLIN };
	CURLM *multi = curl_multi_init();
	const CURLMsg *message;
	int running, left, result = TIME_OVER;
	uint64_t ticked = clock_ns(CLOCK_MONOTONIC);

	transfer->last = ticked;
	curl_multi_add_handle(multi, transfer->curl);
	do {
		curl_multi_perform(multi, &running);
		message = curl_multi_info_read(multi, &left);
		if (message)
			result = message->data.result;
		else
			curl_multi_poll(multi, &interrupt, wait->stop >= 0, time_left(transfer),
					NULL);
		if (clock_ns(CLOCK_MONOTONIC) - ticked >= SECOND) {
			ticked = clock_ns(CLOCK_MONOTONIC);
			tick(transfer, wait);
		}
	} while (!message && !interrupt.revents && time_left(transfer));
	if (!message && interrupt.revents)
		result = STOPPED;
	curl_multi_remove_handle(multi, transfer->curl);
	curl_multi_cleanup(multi);
	return result;
}

/* --- results */

static enum control_result connect_failed(struct transfer *transfer, struct error *error)
{
	const char *path = transfer->path;
	long number = 0;

	curl_easy_getinfo(transfer->curl, CURLINFO_OS_ERRNO, &number);
	switch (number) {
	case ENOENT:
	case ENOTDIR:
		error_set(error, "%s: no such socket; is xdp-icpd running, with this `control`?",
			  path);
		return CONTROL_NO_DAEMON;
	case ECONNREFUSED:
		error_set(error, "%s: no process listens there; is xdp-icpd running?", path);
		return CONTROL_NO_DAEMON;
	case EACCES:
	case EPERM:
		error_set(
			error,
			"%s: no permission to connect; become root, or a member of the group that "
			"the socket belongs to",
			path);
		return CONTROL_FAILED;
	default:
		error_set(error, "%s: %s", path, strerror((int)number));
		return CONTROL_FAILED;
	}
}

/* The transfer has ended with an error of libcurl, or is given up. */
static enum control_result failed(struct transfer *transfer, int result, struct error *error)
{
	const char *path = transfer->path;

	if (result == STOPPED)
		return CONTROL_STOPPED;
	if (transfer->fault)
		error_set(error, "%s: malformed response (%s); is that xdp-icpd, of this version?",
			  path, transfer->fault);
	else if (result == CURLE_COULDNT_CONNECT)
		return connect_failed(transfer, error);
	else if (result < 0)
		error_set(error,
			  "%s: no response from the daemon for %d s; is it stopped, or starved of "
			  "CPU?",
			  path, CONTROL_TIMEOUT);
	else if (result == CURLE_GOT_NOTHING || result == CURLE_RECV_ERROR ||
		 result == CURLE_PARTIAL_FILE || result == CURLE_SEND_ERROR)
		error_set(error, "%s: the daemon closed the connection; has it just exited?", path);
	else
		error_set(error, "%s: %s", path, curl_easy_strerror((CURLcode)result));
	return CONTROL_FAILED;
}

/* Take the response of a complete transfer. */
static enum control_result take_reply(struct transfer *transfer, json_t **reply,
				      struct error *error)
{
	json_t *json = parse(transfer, transfer->text, transfer->length);
	const char *text = json_string_value(json_object_get(json, "error"));

	if (status_of(transfer) < REFUSAL) {
		*reply = json;
		return json ? CONTROL_OK : failed(transfer, CURLE_OK, error);
	}
	if (text)
		error_set(error, "%s", text);
	else
		error_set(error, "%s: HTTP status %ld", transfer->path, status_of(transfer));
	json_decref(json);
	return CONTROL_REFUSED;
}

char *control_encode(const char *text)
{
	char *encoded = curl_easy_escape(NULL, text, 0);
	char *copy = encoded ? strdup(encoded) : NULL;

	curl_free(encoded);
	return copy;
}

enum control_result control_ask(const char *path, const char *method, const char *resource,
				const json_t *body, json_t **reply, struct error *error)
{
	return control_ask_and(path, method, resource, body, NULL, reply, error);
}

enum control_result control_ask_and(const char *path, const char *method, const char *resource,
				    const json_t *body, const struct control_wait *wait,
				    json_t **reply, struct error *error)
{
	static const struct control_wait nothing = { .stop = -1 };
	struct transfer transfer;
	enum control_result result;
	int end;

	*reply = NULL;
	result = open_transfer(&transfer, path, method, resource, body, error);
	if (result == CONTROL_OK) {
		end = run(&transfer, wait ? wait : &nothing);
		result = end == CURLE_OK ? take_reply(&transfer, reply, error)
					 : failed(&transfer, end, error);
	}
	close_transfer(&transfer);
	return result;
}

/* Hold SIGINT and SIGTERM back; return a file descriptor that is readable once one is received. */
static int hold_signals(sigset_t *former)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, former);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Discard the signals that were received. */
static void release_signals(int signals, const sigset_t *former)
{
	struct signalfd_siginfo received;

	while (read(signals, &received, sizeof(received)) > 0)
		;
	close(signals);
	sigprocmask(SIG_SETMASK, former, NULL);
}

enum control_result control_follow(const char *path, const char *resource, control_line line,
				   void *context, unsigned long seconds, struct error *error)
{
	struct transfer transfer;
	sigset_t former;
	const struct control_wait wait = { .stop = hold_signals(&former) };
	enum control_result result;
	json_t *reply;
	int end;

	result = open_transfer(&transfer, path, "GET", resource, NULL, error);
	transfer.line = line;
	transfer.context = context;
	if (seconds)
		transfer.end = clock_ns(CLOCK_MONOTONIC) + seconds * SECOND;
	if (result == CONTROL_OK) {
		end = run(&transfer, &wait);
		if (end == CURLE_OK && status_of(&transfer) >= REFUSAL) {
			result = take_reply(&transfer, &reply, error);
		} else if (end == CURLE_OK) {
			error_set(error, "%s: the daemon closed the stream; has it exited?", path);
			result = CONTROL_FAILED;
		} else if ((end > 0 && !transfer.enough) ||
			   (end == TIME_OVER && !status_of(&transfer))) {
			result = failed(&transfer, end, error);
		}
	}
	close_transfer(&transfer);
	release_signals(wait.stop, &former);
	return result;
}
