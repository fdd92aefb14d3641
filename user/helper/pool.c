// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include <event2/buffer.h>

#include "helper/child.h"
#include "helper/pool.h"
#include "lib/clock.h"
#include "lib/event.h"
#include "lib/log.h"

#define PAUSE_MIN 100	/* milliseconds before a child is started again */
#define PAUSE_MAX 30000 /* the pause doubles up to this */
#define NS_PER_MS 1000000ull

struct job {
	TAILQ_ENTRY(job) age_link;   /* in `open`; then in a list of those that are done */
	TAILQ_ENTRY(job) queue_link; /* in `queue` */
	uint64_t asked;		     /* nanoseconds of the monotonic clock */
	void *request;		     /* NULL: timed out, the child's line is dropped */
	bool sent;		     /* to a child that has not replied yet */
	bool retried;		     /* a child has ended without replying to it */
	char *reply;		     /* a line, or NULL: none */
	size_t reply_length;
	size_t length;
	char line[];
};

TAILQ_HEAD(job_list, job);

struct worker {
	struct helper_pool *pool;
	struct helper_child child; /* input is NULL while it does not run */
	struct job *job;	   /* whose reply is pending; NULL: idle */
	unsigned int pause;	   /* milliseconds before the start after the next end */
	unsigned int waits;	   /* milliseconds before this start */
	struct event *timer;	   /* while it runs: the stall limit; else: the next start */
};

struct helper_pool {
	struct event_base *base;
	char *name;
	char **arguments;
	unsigned int timeout;
	unsigned int stall;
	char *greeting; /* NULL: none */
	size_t greeting_length;
	helper_reply reply;
	void (*changed)(void *context);
	void *context;
	char ended[256];       /* how the last child that has ended did, or "" */
	struct job_list open;  /* all without a reply, oldest first */
	struct event *expiry;  /* of the oldest */
	struct job_list queue; /* those of them that wait for a child */
	size_t queue_length;
	size_t queue_bytes; /* of memory */
	struct helper_pool_use use;
	size_t worker_count;
	struct worker workers[];
};

static uint64_t now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void set_timer(struct event *timer, uint64_t milliseconds)
{
	struct timeval time = clock_timeval(milliseconds);

	event_add(timer, &time);
}

/* --- jobs */

static uint64_t expiry(const struct helper_pool *pool, const struct job *job)
{
	return job->asked + pool->timeout * NS_PER_MS;
}

/* Set the expiry timer for the oldest job. */
static void update_expiry(struct helper_pool *pool)
{
	const struct job *oldest = TAILQ_FIRST(&pool->open);
	uint64_t time = now();

	if (!oldest)
		event_del(pool->expiry);
	else if (expiry(pool, oldest) > time)
		set_timer(pool->expiry, (expiry(pool, oldest) - time + NS_PER_MS - 1) / NS_PER_MS);
	else
		set_timer(pool->expiry, 0);
}

static size_t job_size(size_t length)
{
	return sizeof(struct job) + length;
}

static void queue_first(struct helper_pool *pool, struct job *job)
{
	TAILQ_INSERT_HEAD(&pool->queue, job, queue_link);
	pool->queue_length++;
	pool->queue_bytes += job_size(job->length);
}

static void queue_last(struct helper_pool *pool, struct job *job)
{
	TAILQ_INSERT_TAIL(&pool->queue, job, queue_link);
	pool->queue_length++;
	pool->queue_bytes += job_size(job->length);
}

static void queue_remove(struct helper_pool *pool, struct job *job)
{
	TAILQ_REMOVE(&pool->queue, job, queue_link);
	pool->queue_length--;
	pool->queue_bytes -= job_size(job->length);
}

/* Send queued jobs to idle children. */
static void dispatch(struct helper_pool *pool)
{
	struct job *job;

	for (size_t i = 0; i < pool->worker_count && (job = TAILQ_FIRST(&pool->queue)); i++) {
		struct worker *worker = &pool->workers[i];

		/* Without memory the job stays queued until it expires. */
		if (!worker->child.input || worker->job ||
		    bufferevent_write(worker->child.input, job->line, job->length))
			continue;
		queue_remove(pool, job);
		job->sent = true;
		worker->job = job;
		set_timer(worker->timer, pool->stall);
	}
}

static bool any_running(const struct helper_pool *pool)
{
	for (size_t i = 0; i < pool->worker_count; i++)
		if (pool->workers[i].child.input)
			return true;
	return false;
}

bool helper_pool_ask(struct helper_pool *pool, const char *line, size_t length, void *request)
{
	struct job *job;

	if (!any_running(pool) || pool->queue_bytes + job_size(length) > HELPER_QUEUE_BYTES_MAX)
		return false;
	job = malloc(job_size(length));
	if (!job)
		return false;
	*job = (struct job){ .asked = now(), .request = request, .length = length };
	memcpy(job->line, line, length);
	TAILQ_INSERT_TAIL(&pool->open, job, age_link);
	if (TAILQ_FIRST(&pool->open) == job)
		update_expiry(pool);
	queue_last(pool, job);
	dispatch(pool);
	return true;
}

/* Detach the child's job. */
static struct job *detach_job(struct worker *worker)
{
	struct job *job = worker->job;

	worker->job = NULL;
	job->sent = false;
	return job;
}

/* Move an open job to the list `done`, whose callbacks deliver() calls. */
static void complete(struct helper_pool *pool, struct job *job, struct job_list *done)
{
	TAILQ_REMOVE(&pool->open, job, age_link);
	TAILQ_INSERT_TAIL(done, job, age_link);
}

/*
 * Call the callback for each job of a list. The last call may free the pool, which is therefore not
 * used here. A job that a child still has to reply to is not freed: it marks whose line comes next.
 */
static void deliver(helper_reply callback, void *context, struct job_list *list)
{
	struct job *job;

	while ((job = TAILQ_FIRST(list))) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not follow TAILQ_REMOVE */
		void *request = job->request;
		size_t length = job->reply_length;
		char *line = job->reply;

		TAILQ_REMOVE(list, job, age_link);
		job->request = NULL;
		if (!job->sent)
			free(job); /* NOLINT(clang-analyzer-unix.Malloc): the same */
		callback(context, request, line, length);
		free(line); /* NOLINT(clang-analyzer-unix.Malloc): the same */
	}
}

static void on_expiry(evutil_socket_t fd, short what, void *context)
{
	struct job_list expired = TAILQ_HEAD_INITIALIZER(expired);
	struct helper_pool *pool = context;
	uint64_t time = now();
	struct job *job;

	while ((job = TAILQ_FIRST(&pool->open)) && expiry(pool, job) <= time) {
		if (!job->sent)
			queue_remove(pool, job);
		complete(pool, job, &expired);
	}
	update_expiry(pool);
	deliver(pool->reply, pool->context, &expired);
}

/* --- children */

static void report_change(const struct helper_pool *pool)
{
	if (pool->changed)
		pool->changed(pool->context);
}

/* `how` follows the name of the process. */
static void note_end(const struct worker *worker, pid_t pid, const char *how)
{
	struct helper_pool *pool = worker->pool;

	snprintf(pool->ended, sizeof(pool->ended), "process %d %s, restart after %u ms", pid, how,
		 worker->waits);
	log_write(LOG_INFO, "policy '%s': helper, %s", pool->name, pool->ended);
}

static void on_end(void *context, pid_t pid, const char *how)
{
	struct worker *worker = context;

	note_end(worker, pid, how);
	report_change(worker->pool);
}

/* Restart the child after a pause, which doubles. */
static void start_later(struct worker *worker)
{
	worker->waits = worker->pause;
	set_timer(worker->timer, worker->pause);
	worker->pause = 2 * worker->pause < PAUSE_MAX ? 2 * worker->pause : PAUSE_MAX;
}

/*
 * Stop the child, for a fault or, if that is NULL, because it seems to have exited. Its job is
 * retried once, ahead of the queue. Jobs that no child can reply to are appended to `done`.
 */
static void worker_stop(struct worker *worker, const char *fault, struct job_list *done)
{
	struct job *job = worker->job ? detach_job(worker) : NULL;
	struct helper_pool *pool = worker->pool;
	pid_t pid = worker->child.pid;

	start_later(worker);
	note_end(worker, pid, fault ? fault : "closed its output");
	if (fault)
		helper_child_stop(&worker->child, CHILD_STOP_KILL);
	else
		helper_child_await_end(&worker->child, on_end, worker);
	if (job && !job->request) {
		free(job);
	} else if (job && job->retried) {
		complete(pool, job, done);
	} else if (job) {
		job->retried = true;
		queue_first(pool, job);
	}
	while (!any_running(pool) && (job = TAILQ_FIRST(&pool->queue))) {
		queue_remove(pool, job);
		complete(pool, job, done);
	}
	dispatch(pool);
	update_expiry(pool);
	if (fault)
		report_change(pool);
}

/* Read the lines that the child has written; append the jobs that they reply to to `done`. */
static void read_replies(struct worker *worker, struct job_list *done)
{
	struct helper_pool *pool = worker->pool;
	struct evbuffer *input = bufferevent_get_input(worker->child.output);
	const char *fault = NULL;
	bool recovered = false;
	size_t length;
	char *line;

	while ((line = evbuffer_readln(input, &length, EVBUFFER_EOL_CRLF))) {
		struct job *job;

		if (!worker->job) {
			fault = "wrote a line without a request";
			free(line);
			break;
		}
		recovered |= worker->pause != PAUSE_MIN;
		worker->pause = PAUSE_MIN;
		event_del(worker->timer);
		job = detach_job(worker);
		if (!job->request) { /* timed out, or the greeting */
			free(line);
			free(job);
			continue;
		}
		pool->use.replies++;
		pool->use.waited += now() - job->asked;
		job->reply = line;
		job->reply_length = length;
		complete(pool, job, done);
	}
	if (!fault && evbuffer_get_length(input) >= HELPER_REPLY_MAX)
		fault = "wrote a line that is too long";
	if (fault)
		worker_stop(worker, fault, done);
	else if (recovered)
		report_change(pool);
	dispatch(pool);
	update_expiry(pool);
}

/*
 * The child has closed its output or no longer reads its input; or, with `what` 0, it has written.
 */
static void on_event(struct bufferevent *stream, short what, void *context)
{
	struct job_list done = TAILQ_HEAD_INITIALIZER(done);
	struct worker *worker = context;
	struct helper_pool *pool = worker->pool;

	read_replies(worker, &done);
	if (what && worker->child.input)
		worker_stop(worker, NULL, &done);
	deliver(pool->reply, pool->context, &done);
}

static void on_readable(struct bufferevent *stream, void *context)
{
	on_event(stream, 0, context);
}

/* The greeting is a job without a request: its reply is dropped. */
static int greet(struct worker *worker)
{
	const struct helper_pool *pool = worker->pool;
	struct job *job;

	if (!pool->greeting)
		return 0;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -1;
	if (bufferevent_write(worker->child.input, pool->greeting, pool->greeting_length)) {
		free(job);
		return -1;
	}
	job->sent = true;
	worker->job = job;
	set_timer(worker->timer, HELPER_STALL);
	return 0;
}

static int worker_start(struct worker *worker, struct error *error)
{
	struct helper_pool *pool = worker->pool;

	if (helper_child_start(&worker->child, pool->base, pool->arguments, error))
		return -1;
	if (greet(worker)) {
		helper_child_stop(&worker->child, CHILD_STOP_GRACEFUL);
		return error_set(error, "out of memory");
	}
	bufferevent_setcb(worker->child.output, on_readable, NULL, on_event, worker);
	bufferevent_setcb(worker->child.input, NULL, NULL, on_event, worker);
	bufferevent_setwatermark(worker->child.output, EV_READ, 0, HELPER_REPLY_MAX);
	bufferevent_enable(worker->child.output, EV_READ);
	dispatch(pool);
	return 0;
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct job_list done = TAILQ_HEAD_INITIALIZER(done);
	struct worker *worker = context;
	struct helper_pool *pool = worker->pool;
	struct error error;

	if (worker->child.input) {
		/* No retry: another child would stall as well. */
		if (worker->job)
			worker->job->retried = true;
		worker_stop(worker, "sent no reply in time", &done);
		deliver(pool->reply, pool->context, &done);
		return;
	}
	if (worker_start(worker, &error)) {
		start_later(worker);
		snprintf(pool->ended, sizeof(pool->ended), "%.200s, retry after %u ms", error.text,
			 worker->waits);
	}
	report_change(pool);
}

/* --- the pool */

static int copy_settings(struct helper_pool *pool, const struct helper_settings *settings)
{
	size_t count = 0;

	while (settings->arguments[count])
		count++;
	pool->timeout = settings->timeout;
	pool->stall = settings->stall;
	if (settings->greeting) {
		pool->greeting = malloc(settings->greeting_length);
		if (!pool->greeting)
			return -1;
		memcpy(pool->greeting, settings->greeting, settings->greeting_length);
		pool->greeting_length = settings->greeting_length;
	}
	pool->name = strdup(settings->name);
	pool->arguments = calloc(count + 1, sizeof(pool->arguments[0]));
	if (!pool->name || !pool->arguments)
		return -1;
	for (size_t i = 0; i < count; i++) {
		pool->arguments[i] = strdup(settings->arguments[i]);
		if (!pool->arguments[i])
			return -1;
	}
	return 0;
}

static int prepare(struct helper_pool *pool, const struct helper_settings *settings)
{
	pool->expiry = evtimer_new(pool->base, on_expiry, pool);
	for (size_t i = 0; i < pool->worker_count; i++) {
		struct worker *worker = &pool->workers[i];

		worker->pool = pool;
		worker->pause = PAUSE_MIN;
		worker->timer = evtimer_new(pool->base, on_timer, worker);
		if (!worker->timer)
			return -1;
	}
	return pool->expiry ? copy_settings(pool, settings) : -1;
}

struct helper_pool *helper_pool_new(struct event_base *base, const struct helper_settings *settings,
				    helper_reply reply, void *context, struct error *error)
{
	struct helper_pool *pool =
		calloc(1, sizeof(*pool) + settings->children * sizeof(pool->workers[0]));

	if (!pool) {
		error_write(error, "out of memory");
		return NULL;
	}
	pool->base = base;
	pool->reply = reply;
	pool->changed = settings->changed;
	pool->context = context;
	pool->worker_count = settings->children;
	pool->use.since = time(NULL);
	TAILQ_INIT(&pool->open);
	TAILQ_INIT(&pool->queue);
	if (prepare(pool, settings)) {
		error_write(error, "out of memory");
		helper_pool_free(pool);
		return NULL;
	}
	/* Writing to a child that has exited must not end the daemon. */
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < pool->worker_count; i++) {
		if (worker_start(&pool->workers[i], error)) {
			helper_pool_free(pool);
			return NULL;
		}
	}
	return pool;
}

struct helper_pool_use helper_pool_use(const struct helper_pool *pool)
{
	struct helper_pool_use use = pool->use;

	use.queued = pool->queue_length;
	for (size_t i = 0; i < pool->worker_count; i++)
		use.busy += pool->workers[i].child.input && pool->workers[i].job;
	return use;
}

struct helper_pool_state helper_pool_state(const struct helper_pool *pool)
{
	struct helper_pool_state state = { .children = pool->worker_count, .ended = pool->ended };

	for (size_t i = 0; i < pool->worker_count; i++) {
		const struct worker *worker = &pool->workers[i];

		state.running += worker->child.input != NULL;
		state.sound += worker->child.input && worker->pause == PAUSE_MIN;
	}
	return state;
}

size_t helper_pool_children(const struct helper_pool *pool, int *pids, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < pool->worker_count && count < max; i++)
		if (pool->workers[i].child.input)
			pids[count++] = pool->workers[i].child.pid;
	return count;
}

void helper_pool_free(struct helper_pool *pool)
{
	struct job_list open = TAILQ_HEAD_INITIALIZER(open);
	helper_reply callback;
	void *context;

	if (!pool)
		return;
	for (size_t i = 0; i < pool->worker_count; i++) {
		struct worker *worker = &pool->workers[i];
		struct job *job = worker->job ? detach_job(worker) : NULL;

		if (job && !job->request)
			free(job);
		if (worker->child.input)
			helper_child_stop(&worker->child, CHILD_STOP_GRACEFUL);
		helper_child_forget(worker);
		event_drop(worker->timer);
	}
	TAILQ_CONCAT(&open, &pool->open, age_link);
	callback = pool->reply;
	context = pool->context;
	event_drop(pool->expiry);
	for (size_t i = 0; pool->arguments && pool->arguments[i]; i++)
		free(pool->arguments[i]);
	free(pool->arguments);
	free(pool->greeting);
	free(pool->name);
	free(pool);
	deliver(callback, context, &open);
}
