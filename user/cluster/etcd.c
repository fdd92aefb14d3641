// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each call is a transfer of libcurl's multi interface. libcurl calls back only to hand over bytes: all
 * else happens after it has returned, so that callbacks may begin and drop calls as they like. A call
 * that is over stays in the list, marked, until etcd_run() ends.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <curl/curl.h>

#include "cluster/etcd.h"
#include "lib/clock.h"
#include "lib/regular_file.h"

#define CONNECT_TIMEOUT 3000 /* milliseconds, of a stream */
#define CONNECTIONS_KEPT 4
#define MESSAGE_SHOWN 200 /* bytes of etcd's own words */
#define TOKEN_MAX 8192u	  /* bytes */
#define VALUES_FREE 1000u /* of a reply of any size, and one more for each */
#define VALUE_BYTES 8u	  /* bytes of text */
#define OUT_OF_MEMORY "out of memory"

/* Codes of gRPC in etcd's errors. */
enum {
	GRPC_UNKNOWN = 2,
	GRPC_INVALID = 3,
	GRPC_DEADLINE = 4,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
};

enum state {
	CALL_WAITS, /* for a token */
	CALL_RUNS,
	CALL_OVER,
};

struct call {
	TAILQ_ENTRY(call) link;
	struct etcd *etcd;
	enum state state;
	char *path, *body;
	unsigned int timeout; /* milliseconds; 0: a stream */
	etcd_line line;
	etcd_done done;
	const void *context;
	bool renewed; /* its token is new */
	uint64_t sent;
	const char *endpoint;
	CURL *easy; /* NULL: not yet */
	struct curl_slist *headers;
	char *text; /* that has been received and not processed */
	size_t length, capacity;
	bool too_large;
	char why[CURL_ERROR_SIZE];
};

TAILQ_HEAD(calls, call);

struct etcd {
	struct etcd_settings settings;
	CURLM *multi;
	struct calls calls;
	size_t endpoint; /* to which calls go */
	char *token;	 /* NULL: none yet, or none needed */
	struct call *login;
	uint64_t woken;
};

uint64_t etcd_now(void)
{
	return clock_ns(CLOCK_BOOTTIME) / 1000000;
}

/* --- the end of a call */

static void release(struct call *call)
{
	if (call->easy) {
		curl_multi_remove_handle(call->etcd->multi, call->easy);
		curl_easy_cleanup(call->easy);
	}
	curl_slist_free_all(call->headers);
	call->easy = NULL;
	call->headers = NULL;
	free(call->text);
	call->text = NULL;
	call->length = 0;
}

static void call_free(struct call *call)
{
	TAILQ_REMOVE(&call->etcd->calls, call, link);
	release(call);
	free(call->path);
	free(call->body);
	free(call);
}

static void end(struct call *call)
{
	call->state = CALL_OVER;
	if (call->etcd->login == call)
		call->etcd->login = NULL;
	release(call);
}

/* End a call with a result, whose reply is released. */
static void finish(struct call *call, struct etcd_result *result)
{
	result->sent = call->sent;
	end(call);
	call->done((void *)call->context, result);
	json_decref(result->reply);
	result->reply = NULL;
}

static void fail(struct call *call, enum etcd_outcome outcome, const char *why)
{
	struct etcd_result result = { .outcome = outcome };

	error_set(&result.error, "%s: %s", call->endpoint, why);
	finish(call, &result);
}

/* --- sending */

static size_t receive(char *bytes, size_t one, size_t size, void *context)
{
	struct call *call = context;
	size_t needed = call->length + size + 1;
	char *text = call->text;

	call->too_large = size > ETCD_REPLY_MAX - call->length;
	if (call->too_large)
		return 0; /* libcurl ends the transfer */
	if (!text || needed > call->capacity) {
		call->capacity = needed + (text ? call->capacity : 0);
		text = realloc(text, call->capacity);
	}
	if (!text)
		return 0;
	memcpy(text + call->length, bytes, size);
	call->text = text;
	call->length += size;
	text[call->length] = '\0';
	return size;
}

static bool add_header(struct call *call, const char *header)
{
	struct curl_slist *list = curl_slist_append(call->headers, header);

	if (list)
		call->headers = list;
	return list;
}

static bool add_headers(struct call *call)
{
	char *token;
	bool added;

	/* No "Expect: 100-continue". */
	if (!add_header(call, "Content-Type: application/json") || !add_header(call, "Expect:"))
		return false;
	if (!call->etcd->token || call == call->etcd->login)
		return true;
	if (asprintf(&token, "Authorization: %s", call->etcd->token) < 0)
		return false;
	added = add_header(call, token);
	free(token);
	return added;
}

/* Set an option unless one has failed before. */
#define SET(option, value) (failed = failed || curl_easy_setopt(easy, option, value) != CURLE_OK)

static bool set_options(struct call *call)
{
	const struct etcd_settings *settings = &call->etcd->settings;
	CURL *easy = call->easy;
	char url[1024];
	bool failed = snprintf(url, sizeof(url), "%s/v3/%s", call->endpoint, call->path) >=
		      (int)sizeof(url);

	SET(CURLOPT_URL, url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* a call that ends does not wait for a resolver */
	SET(CURLOPT_HTTPHEADER, call->headers);
	SET(CURLOPT_POSTFIELDS, call->body);
	SET(CURLOPT_ERRORBUFFER, call->why);
	SET(CURLOPT_PRIVATE, call);
	SET(CURLOPT_WRITEFUNCTION, receive);
	SET(CURLOPT_WRITEDATA, call);
	SET(CURLOPT_TIMEOUT_MS, (long)call->timeout);
	SET(CURLOPT_CONNECTTIMEOUT_MS, call->timeout ? (long)call->timeout : CONNECT_TIMEOUT);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, 15L);
	SET(CURLOPT_TCP_KEEPINTVL, 5L);
	if (settings->ca)
		SET(CURLOPT_CAINFO, settings->ca);
	if (settings->cert)
		SET(CURLOPT_SSLCERT, settings->cert);
	if (settings->key)
		SET(CURLOPT_SSLKEY, settings->key);
	return !failed;
}

static void send_call(struct call *call)
{
	call->state = CALL_RUNS;
	call->sent = etcd_now();
	call->endpoint = etcd_endpoint(call->etcd);
	call->easy = curl_easy_init();
	if (!call->easy || !call->body || !call->path || !add_headers(call) || !set_options(call) ||
	    curl_multi_add_handle(call->etcd->multi, call->easy) != CURLM_OK)
		fail(call, ETCD_UNREACHABLE, OUT_OF_MEMORY);
}

static struct call *call_new(struct etcd *etcd, const char *path, json_t *body, etcd_done done,
			     void *context)
{
	struct call *call = calloc(1, sizeof(*call));

	if (call) {
		*call = (struct call){
			.etcd = etcd,
			.path = strdup(path),
			.body = body ? json_dumps(body, JSON_COMPACT) : NULL,
			.endpoint = etcd_endpoint(etcd),
			.done = done,
			.context = context,
		};
		TAILQ_INSERT_TAIL(&etcd->calls, call, link);
	}
	json_decref(body);
	return call;
}

/* --- files */

static int check_file(const char *setting, const char *path, struct error *error)
{
	if (!path || access(path, R_OK) == 0)
		return 0;
	return error_set(error, "%s '%s': cannot read: %s; let the daemon's user read it", setting,
			 path, strerror(errno));
}

int etcd_check_files(const struct etcd_settings *settings, struct error *error)
{
	return check_file("ca", settings->ca, error) || check_file("cert", settings->cert, error) ||
			       check_file("key", settings->key, error) ||
			       check_file("password_file", settings->password_file, error)
		       ? -1
		       : 0;
}

/* --- tokens */

/* Read the first line of the file. Returns a text to be freed; NULL with an error. */
static char *read_password(const char *path, struct error *error)
{
	struct error reason;
	char *text;
	size_t size;

	if (regular_file_read(path, ETCD_PASSWORD_MAX, &text, &size, &reason)) {
		error_set(error, "%s: cannot read: %s; let the daemon's user read it", path,
			  reason.text);
		return NULL;
	}
	text[strcspn(text, "\r\n")] = '\0';
	return text;
}

/* Send all calls that have waited, or end them with the login's error. */
static void after_login(struct etcd *etcd, const struct etcd_result *login)
{
	struct call *call, *next;

	for (call = TAILQ_FIRST(&etcd->calls); call; call = next) {
		struct etcd_result result = { .outcome = login->outcome, .error = login->error };

		next = TAILQ_NEXT(call, link); /* nothing is removed before etcd_run() ends */
		if (call->state != CALL_WAITS)
			continue;
		if (login->outcome == ETCD_OK)
			send_call(call);
		else
			finish(call, &result);
	}
}

/* A token becomes part of a header. */
static bool is_token(const char *text)
{
	size_t length = text ? strnlen(text, TOKEN_MAX + 1) : 0;

	for (size_t i = 0; i < length; i++)
		if (!isgraph((unsigned char)text[i]))
			return false;
	return length >= 1 && length <= TOKEN_MAX;
}

static void on_login(void *context, const struct etcd_result *result)
{
	const char *token = json_string_value(json_object_get(result->reply, "token"));
	struct etcd_result login = { .outcome = result->outcome, .error = result->error };
	struct etcd *etcd = context;

	free(etcd->token);
	etcd->token = is_token(token) ? strdup(token) : NULL;
	if (result->outcome == ETCD_OK && !etcd->token) {
		login.outcome = ETCD_UNREACHABLE;
		error_set(&login.error, "%s: no token in its reply", etcd_endpoint(etcd));
	} else if (result->outcome == ETCD_REFUSED) {
		error_prefix(&login.error, "user %s: ", etcd->settings.user);
	}
	after_login(etcd, &login);
}

static void log_in(struct etcd *etcd, unsigned int timeout)
{
	struct etcd_result failed = { .outcome = ETCD_NOT_SENT };
	char *password = read_password(etcd->settings.password_file, &failed.error);
	struct call *call;
	json_t *body;

	if (!password) {
		after_login(etcd, &failed);
		return;
	}
	body = json_pack("{s:s, s:s}", "name", etcd->settings.user, "password", password);
	explicit_bzero(password, strlen(password));
	free(password);
	if (!body) {
		error_set(&failed.error, "%s: the password, or 'user', is not UTF-8",
			  etcd->settings.password_file);
		after_login(etcd, &failed);
		return;
	}
	call = call_new(etcd, "auth/authenticate", body, on_login, etcd);
	if (call) {
		/* Short calls may wait for it as well. */
		call->timeout = timeout && timeout < CONNECT_TIMEOUT ? timeout : CONNECT_TIMEOUT;
		etcd->login = call;
		send_call(call);
	} else {
		error_set(&failed.error, OUT_OF_MEMORY);
		after_login(etcd, &failed);
	}
}

/* Send a call, after a login if there is no token. */
static void begin(struct call *call)
{
	struct etcd_result unable = { .outcome = ETCD_NOT_SENT };
	struct etcd *etcd = call->etcd;

	if (etcd_check_files(&etcd->settings, &unable.error)) {
		finish(call, &unable);
		return;
	}
	if (!etcd->settings.user || etcd->token) {
		send_call(call);
		return;
	}
	call->state = CALL_WAITS;
	if (!etcd->login)
		log_in(etcd, call->timeout);
}

/* --- what was received */

static bool is_about_token(json_int_t code, const char *message)
{
	return code == GRPC_UNAUTHENTICATED ||
	       (code == GRPC_INVALID &&
		(strstr(message, "auth token") || strstr(message, "auth store")));
}

static enum etcd_outcome outcome_of(json_int_t code)
{
	switch (code) {
	case GRPC_OUT_OF_RANGE:
		return ETCD_COMPACTED;
	case GRPC_UNKNOWN:
	case GRPC_DEADLINE:
	case GRPC_INTERNAL:
	case GRPC_UNAVAILABLE:
		return ETCD_UNREACHABLE;
	default:
		return ETCD_REFUSED;
	}
}

/*
 * End a call by what etcd says is wrong, or send it again with a new token. What replies with a stream,
 * as a keepalive does, has the error in an object.
 */
static void refuse(struct call *call, const json_t *reply)
{
	const json_t *inner = json_object_get(reply, "error");
	const json_t *error = json_is_object(inner) ? inner : reply;
	const json_t *number = json_object_get(error, "code");
	const char *message = json_string_value(json_object_get(error, "message"));
	char text[MESSAGE_SHOWN];
	json_int_t code;

	code = json_integer_value(number ? number : json_object_get(error, "grpc_code"));
	snprintf(text, sizeof(text), "%s", message ? message : "an error without a message");
	if (is_about_token(code, text) && call->etcd->settings.user && !call->renewed &&
	    call != call->etcd->login) {
		call->renewed = true;
		release(call);
		call->state = CALL_WAITS;
		etcd_forget_token(call->etcd);
		begin(call);
		return;
	}
	fail(call, outcome_of(code), text);
}

static long status_of(const struct call *call)
{
	long status = 0;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/*
 * Parse a text of JSON. NULL: it is none, or has more values than keys of etcd have: two bytes can
 * become 300 of memory.
 */
static json_t *parse(const char *text, size_t length, size_t flags)
{
	size_t values = 0;

	for (size_t i = 0; i < length; i++)
		values += text[i] == ',' || (text[i] | 0x20) == '{'; /* or '[' */
	return values <= VALUES_FREE + length / VALUE_BYTES ? json_loadb(text, length, flags, NULL)
							    : NULL;
}

/* A whole reply. */
static void process_reply(struct call *call)
{
	struct etcd_result result = { .outcome = ETCD_OK };
	long status = status_of(call);

	result.reply = parse(call->text ? call->text : "", call->length, JSON_DISABLE_EOF_CHECK);
	if (json_is_object(result.reply) && status == 200) {
		finish(call, &result);
		return;
	}
	if (json_is_object(result.reply)) {
		refuse(call, result.reply);
	} else {
		char why[MESSAGE_SHOWN + 96];

		snprintf(why, sizeof(why), "status %ld, not JSON: '%.*s'; is it etcd 3.4 or later?",
			 status, MESSAGE_SHOWN, call->text ? call->text : "");
		fail(call, ETCD_UNREACHABLE, why);
	}
	json_decref(result.reply);
}

static void process_line(struct call *call, const char *line, size_t length)
{
	json_t *json = parse(line, length, 0);
	const json_t *result = json_object_get(json, "result");

	if (json_is_object(result))
		call->line((void *)call->context, result);
	else if (json_is_object(json))
		refuse(call, json);
	else
		fail(call, ETCD_UNREACHABLE, "a line that is not a JSON object");
	json_decref(json);
}

/* Process the whole lines of a stream. A callback may end the call. */
static void process_lines(struct call *call)
{
	char *text = call->text, *line = text, *newline;
	size_t length = call->length;

	if (!text || !memchr(text, '\n', length))
		return;
	call->text = NULL;
	call->length = 0;
	while (call->state == CALL_RUNS && (newline = memchr(line, '\n', length))) {
		if (newline > line)
			process_line(call, line, (size_t)(newline - line));
		length -= (size_t)(newline + 1 - line);
		line = newline + 1;
	}
	if (call->state == CALL_RUNS && !call->text && length) {
		memmove(text, line, length + 1);
		call->text = text;
		call->length = length;
	} else {
		free(text);
	}
}

/* libcurl's reason, with the files that it is about. */
static void fail_transfer(struct call *call, CURLcode code)
{
	const struct etcd_settings *settings = &call->etcd->settings;
	const char *why = call->why[0] ? call->why : curl_easy_strerror(code);
	struct error text;

	if (code == CURLE_SSL_CERTPROBLEM && settings->cert)
		error_set(&text, "cert '%s', key '%s': %s", settings->cert, settings->key, why);
	else if (code == CURLE_SSL_CACERT_BADFILE && settings->ca)
		error_set(&text, "ca '%s': %s", settings->ca, why);
	else if (code == CURLE_PEER_FAILED_VERIFICATION && !settings->ca)
		error_set(&text, "%s; set 'ca' if the authority is your own", why);
	else
		error_set(&text, "%s", why);
	fail(call, ETCD_UNREACHABLE, text.text);
}

static void process_end(struct call *call, CURLcode code)
{
	if (call->too_large)
		fail(call, ETCD_TOO_LARGE, "a reply that is too large");
	else if (code != CURLE_OK)
		fail_transfer(call, code);
	else if (call->line && status_of(call) == 200)
		fail(call, ETCD_UNREACHABLE, "the server closed the watch");
	else
		process_reply(call);
}

/* --- what the caller has */

struct etcd *etcd_new(const struct etcd_settings *settings, struct error *error)
{
	static bool initialised;
	struct etcd *etcd = calloc(1, sizeof(*etcd));

	/* Its own lock comes first in 7.84; the daemon's first client is made by the main thread. */
	if (!initialised && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		initialised = true;
	if (etcd) {
		etcd->settings = *settings;
		TAILQ_INIT(&etcd->calls);
		etcd->multi = curl_multi_init();
	}
	if (!initialised || !etcd || !etcd->multi) {
		free(etcd);
		error_set(error, OUT_OF_MEMORY);
		return NULL;
	}
	curl_multi_setopt(etcd->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
	return etcd;
}

void etcd_free(struct etcd *etcd)
{
	struct call *call, *next;

	if (!etcd)
		return;
	for (call = TAILQ_FIRST(&etcd->calls); call; call = next) {
		next = TAILQ_NEXT(call, link);
		call_free(call);
	}
	curl_multi_cleanup(etcd->multi);
	free(etcd->token);
	free(etcd);
}

/* Begin a call; `line` NULL: its reply is no stream. */
static void start(struct etcd *etcd, const char *path, json_t *body, unsigned int timeout,
		  etcd_line line, etcd_done done, void *context)
{
	struct call *call = call_new(etcd, path, body, done, context);
	struct etcd_result result = { .outcome = ETCD_UNREACHABLE };

	if (!call) {
		error_set(&result.error, OUT_OF_MEMORY);
		done(context, &result);
		return;
	}
	call->timeout = timeout;
	call->line = line;
	begin(call);
}

void etcd_call(struct etcd *etcd, const char *path, json_t *body, unsigned int timeout,
	       etcd_done done, void *context)
{
	start(etcd, path, body, timeout, NULL, done, context);
}

void etcd_stream(struct etcd *etcd, const char *path, json_t *body, etcd_line line, etcd_done done,
		 void *context)
{
	start(etcd, path, body, 0, line, done, context);
}

void etcd_drop(struct etcd *etcd, const void *context)
{
	struct call *call;

	TAILQ_FOREACH (call, &etcd->calls, link)
		if (call->state != CALL_OVER && (!context || call->context == context))
			end(call);
}

const char *etcd_endpoint(const struct etcd *etcd)
{
	return etcd->settings.endpoints[etcd->endpoint];
}

void etcd_next_endpoint(struct etcd *etcd)
{
	etcd->endpoint = (etcd->endpoint + 1) % etcd->settings.endpoint_count;
}

void etcd_forget_token(struct etcd *etcd)
{
	free(etcd->token);
	etcd->token = NULL;
}

static void process_messages(struct etcd *etcd)
{
	const CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(etcd->multi, &left))) {
		CURLcode code = message->data.result; /* the message ends with the handle */
		struct call *call = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		if (call->line)
			process_lines(call);
		if (call->state == CALL_RUNS)
			process_end(call, code);
	}
}

void etcd_send(struct etcd *etcd)
{
	int running;

	/* What is received at the same time is only stored. */
	curl_multi_perform(etcd->multi, &running);
}

void etcd_run(struct etcd *etcd, unsigned int timeout)
{
	struct call *call, *next;

	curl_multi_poll(etcd->multi, NULL, 0, (int)timeout, NULL);
	etcd->woken = etcd_now();
	etcd_send(etcd);
	TAILQ_FOREACH (call, &etcd->calls, link)
		if (call->state == CALL_RUNS && call->line)
			process_lines(call);
	process_messages(etcd);
	for (call = TAILQ_FIRST(&etcd->calls); call; call = next) {
		next = TAILQ_NEXT(call, link);
		if (call->state == CALL_OVER)
			call_free(call);
	}
}

void etcd_wake(struct etcd *etcd)
{
	curl_multi_wakeup(etcd->multi);
}

uint64_t etcd_woken(const struct etcd *etcd)
{
	return etcd->woken;
}
