// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include <event2/buffer.h>

#include "helper/child.h"
#include "helper/pool.h"
#include "lib/log.h"

#define PAUSE_LEAST 100	 /* milliseconds before a child is started again */
#define PAUSE_MOST 30000 /* the pause doubles up to this */

struct job {
	TAILQ_ENTRY(job) by_age;  /* while it is open; then in a list of those to be answered */
	TAILQ_ENTRY(job) by_turn; /* while it waits for a child */
	uint64_t asked;		  /* milliseconds of the monotonic clock */
	void *question;		  /* NULL: its time is over, the child's line will be dropped */
	bool given;		  /* to a child, which has not answered */
	bool again;		  /* one child has died over it already */
	char *answer;		  /* a line, or NULL: none */
	size_t answer_length;
	size_t length;
	char line[];
};

TAILQ_HEAD(job_list, job);

struct worker {
	struct helper_pool *pool;
	struct helper_child child; /* input is NULL while it does not run */
	struct job *job;	   /* that it owes a line for, or NULL: it is idle */
	unsigned int pause;	   /* milliseconds before the next start */
	struct event *timer;	   /* while it runs: for a stall; else: for the next start */
};

struct helper_pool {
	struct event_base *base;
	char *name;
	char **arguments;
	unsigned int timeout;
	unsigned int stall;
	char *greeting; /* NULL: none */
	size_t greeting_length;
	helper_answer answer;
	void *context;
	struct job_list open; /* oldest first */
	struct event *expiry; /* of the oldest */
	struct job_list waiting;
	size_t waiting_bytes; /* of memory that they take */
	size_t worker_count;
	struct worker workers[];
};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000ull + time.tv_nsec / 1000000;
}

static void set_timer(struct event *timer, uint64_t milliseconds)
{
	struct timeval time = { milliseconds / 1000, milliseconds % 1000 * 1000 };

	event_add(timer, &time);
}

/* --- questions */

/* Sets the timer for the question that has waited longest. */
static void watch_expiry(struct helper_pool *pool)
{
	const struct job *oldest = TAILQ_FIRST(&pool->open);
	uint64_t time = now();

	if (!oldest)
		event_del(pool->expiry);
	else if (oldest->asked + pool->timeout > time)
		set_timer(pool->expiry, oldest->asked + pool->timeout - time);
	else
		set_timer(pool->expiry, 0);
}

static size_t bytes_of(size_t length)
{
	return sizeof(struct job) + length;
}

static void wait_first(struct helper_pool *pool, struct job *job)
{
	TAILQ_INSERT_HEAD(&pool->waiting, job, by_turn);
	pool->waiting_bytes += bytes_of(job->length);
}

static void wait_last(struct helper_pool *pool, struct job *job)
{
	TAILQ_INSERT_TAIL(&pool->waiting, job, by_turn);
	pool->waiting_bytes += bytes_of(job->length);
}

static void wait_no_more(struct helper_pool *pool, struct job *job)
{
	TAILQ_REMOVE(&pool->waiting, job, by_turn);
	pool->waiting_bytes -= bytes_of(job->length);
}

/* Gives what waits to the children that are idle. */
static void hand_out(struct helper_pool *pool)
{
	struct job *job;

	for (size_t i = 0; i < pool->worker_count && (job = TAILQ_FIRST(&pool->waiting)); i++) {
		struct worker *worker = &pool->workers[i];

		/* Without memory it goes on waiting, until its time is over. */
		if (!worker->child.input || worker->job ||
		    bufferevent_write(worker->child.input, job->line, job->length))
			continue;
		wait_no_more(pool, job);
		job->given = true;
		worker->job = job;
		set_timer(worker->timer, pool->stall);
	}
}

static bool any_runs(const struct helper_pool *pool)
{
	for (size_t i = 0; i < pool->worker_count; i++)
		if (pool->workers[i].child.input)
			return true;
	return false;
}

bool helper_pool_ask(struct helper_pool *pool, const char *line, size_t length, void *question)
{
	struct job *job;

	if (!any_runs(pool) || pool->waiting_bytes + bytes_of(length) > HELPER_QUEUE_BYTES_MAX)
		return false;
	job = malloc(bytes_of(length));
	if (!job)
		return false;
	*job = (struct job){ .asked = now(), .question = question, .length = length };
	memcpy(job->line, line, length);
	TAILQ_INSERT_TAIL(&pool->open, job, by_age);
	if (TAILQ_FIRST(&pool->open) == job)
		watch_expiry(pool);
	wait_last(pool, job);
	hand_out(pool);
	return true;
}

/* Takes the child's question from it. */
static struct job *take_back(struct worker *worker)
{
	struct job *job = worker->job;

	worker->job = NULL;
	job->given = false;
	return job;
}

/* The question gets its answer with those of the list `done`. */
static void finish(struct helper_pool *pool, struct job *job, struct job_list *done)
{
	TAILQ_REMOVE(&pool->open, job, by_age);
	TAILQ_INSERT_TAIL(done, job, by_age);
}

/*
 * Answers all of a list, whose jobs are not open any more. The last answer may free the pool; those
 * that are given to a child stay there, to keep the place of its line.
 */
static void answer_all(helper_answer answer, void *context, struct job_list *list)
{
	struct job *job;

	while ((job = TAILQ_FIRST(list))) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not follow TAILQ_REMOVE */
		void *question = job->question;
		size_t length = job->answer_length;
		char *line = job->answer;

		TAILQ_REMOVE(list, job, by_age);
		job->question = NULL;
		if (!job->given)
			free(job); /* NOLINT(clang-analyzer-unix.Malloc): the same */
		answer(context, question, line, length);
		free(line); /* NOLINT(clang-analyzer-unix.Malloc): the same */
	}
}

static void on_expiry(evutil_socket_t fd, short what, void *context)
{
	struct job_list expired = TAILQ_HEAD_INITIALIZER(expired);
	struct helper_pool *pool = context;
	uint64_t time = now();
	struct job *job;

	(void)fd;
	(void)what;
	while ((job = TAILQ_FIRST(&pool->open)) && job->asked + pool->timeout <= time) {
		if (!job->given)
			wait_no_more(pool, job);
		finish(pool, job, &expired);
	}
	watch_expiry(pool);
	answer_all(pool->answer, pool->context, &expired);
}

/* --- children */

/* Starts the worker again after its pause. */
static void start_later(struct worker *worker)
{
	set_timer(worker->timer, worker->pause);
	worker->pause = 2 * worker->pause < PAUSE_MOST ? 2 * worker->pause : PAUSE_MOST;
}

/*
 * Ends the child. Its question is the next that another gets, once; what nobody can be asked any
 * more is appended to `done`, to be answered.
 */
static void worker_stop(struct worker *worker, enum helper_parting how, struct job_list *done)
{
	struct job *job = worker->job ? take_back(worker) : NULL;
	struct helper_pool *pool = worker->pool;

	log_write(LOG_WARNING, "policy '%s': helper, process %d, is lost; another in %u ms",
		  pool->name, worker->child.pid, worker->pause);
	helper_child_part(&worker->child, how);
	start_later(worker);
	if (job && !job->question) {
		free(job);
	} else if (job && job->again) {
		finish(pool, job, done);
	} else if (job) {
		job->again = true;
		wait_first(pool, job);
	}
	while (!any_runs(pool) && (job = TAILQ_FIRST(&pool->waiting))) {
		wait_no_more(pool, job);
		finish(pool, job, done);
	}
	hand_out(pool);
	watch_expiry(pool);
}

/* Takes the lines that the child has written; what is answered is appended to `done`. */
static void take_lines(struct worker *worker, struct job_list *done)
{
	struct helper_pool *pool = worker->pool;
	struct evbuffer *input = bufferevent_get_input(worker->child.output);
	const char *fault = NULL;
	size_t length;
	char *line;

	while ((line = evbuffer_readln(input, &length, EVBUFFER_EOL_CRLF))) {
		struct job *job;

		if (!worker->job) {
			fault = "a line that nothing was asked for";
			free(line);
			break;
		}
		worker->pause = PAUSE_LEAST;
		event_del(worker->timer);
		job = take_back(worker);
		if (!job->question) { /* it comes too late */
			free(line);
			free(job);
			continue;
		}
		job->answer = line;
		job->answer_length = length;
		finish(pool, job, done);
	}
	if (!fault && evbuffer_get_length(input) >= HELPER_ANSWER_MAX)
		fault = "a line that is too long";
	if (fault) {
		log_write(LOG_WARNING, "policy '%s': helper, process %d: %s", pool->name,
			  worker->child.pid, fault);
		worker_stop(worker, HELPER_PART_KILL, done);
	}
	hand_out(pool);
	watch_expiry(pool);
}

static void on_readable(struct bufferevent *stream, void *context)
{
	struct job_list done = TAILQ_HEAD_INITIALIZER(done);
	struct worker *worker = context;
	struct helper_pool *pool = worker->pool;

	(void)stream;
	take_lines(worker, &done);
	answer_all(pool->answer, pool->context, &done);
}

/* Its output has ended, or it does not read any more. */
static void on_event(struct bufferevent *stream, short what, void *context)
{
	struct job_list done = TAILQ_HEAD_INITIALIZER(done);
	struct worker *worker = context;
	struct helper_pool *pool = worker->pool;

	(void)stream;
	(void)what;
	take_lines(worker, &done);
	if (worker->child.input)
		worker_stop(worker, HELPER_PART_ENDED, &done);
	answer_all(pool->answer, pool->context, &done);
}

/* The greeting is a question that has no asker. */
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
	job->given = true;
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
		helper_child_part(&worker->child, HELPER_PART_KINDLY);
		return error_set(error, "out of memory");
	}
	bufferevent_setcb(worker->child.output, on_readable, NULL, on_event, worker);
	bufferevent_setcb(worker->child.input, NULL, NULL, on_event, worker);
	bufferevent_setwatermark(worker->child.output, EV_READ, 0, HELPER_ANSWER_MAX);
	bufferevent_enable(worker->child.output, EV_READ);
	hand_out(pool);
	return 0;
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct job_list done = TAILQ_HEAD_INITIALIZER(done);
	struct worker *worker = context;
	struct helper_pool *pool = worker->pool;
	struct error error;

	(void)fd;
	(void)what;
	if (worker->child.input) {
		log_write(LOG_WARNING, "policy '%s': helper, process %d: no reply in time",
			  pool->name, worker->child.pid);
		/* Another child would do no better. */
		if (worker->job)
			worker->job->again = true;
		worker_stop(worker, HELPER_PART_KILL, &done);
		answer_all(pool->answer, pool->context, &done);
	} else if (worker_start(worker, &error)) {
		log_write(LOG_WARNING, "policy '%s': %s; tries again in %u ms", pool->name,
			  error.text, worker->pause);
		start_later(worker);
	}
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
		worker->pause = PAUSE_LEAST;
		worker->timer = evtimer_new(pool->base, on_timer, worker);
		if (!worker->timer)
			return -1;
	}
	return pool->expiry ? copy_settings(pool, settings) : -1;
}

struct helper_pool *helper_pool_new(struct event_base *base, const struct helper_settings *settings,
				    helper_answer answer, void *context, struct error *error)
{
	struct helper_pool *pool =
		calloc(1, sizeof(*pool) + settings->children * sizeof(pool->workers[0]));

	if (!pool) {
		error_write(error, "out of memory");
		return NULL;
	}
	pool->base = base;
	pool->answer = answer;
	pool->context = context;
	pool->worker_count = settings->children;
	TAILQ_INIT(&pool->open);
	TAILQ_INIT(&pool->waiting);
	if (prepare(pool, settings)) {
		error_write(error, "out of memory");
		helper_pool_free(pool);
		return NULL;
	}
	/* A child that goes away before it has read must not end the process. */
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < pool->worker_count; i++) {
		if (worker_start(&pool->workers[i], error)) {
			helper_pool_free(pool);
			return NULL;
		}
	}
	return pool;
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
	helper_answer answer;
	void *context;

	if (!pool)
		return;
	for (size_t i = 0; i < pool->worker_count; i++) {
		struct worker *worker = &pool->workers[i];

		struct job *job = worker->job ? take_back(worker) : NULL;

		if (job && !job->question)
			free(job);
		if (worker->child.input)
			helper_child_part(&worker->child, HELPER_PART_KINDLY);
		if (worker->timer)
			event_free(worker->timer);
	}
	TAILQ_CONCAT(&open, &pool->open, by_age);
	answer = pool->answer;
	context = pool->context;
	if (pool->expiry)
		event_free(pool->expiry);
	for (size_t i = 0; pool->arguments && pool->arguments[i]; i++)
		free(pool->arguments[i]);
	free(pool->arguments);
	free(pool->greeting);
	free(pool->name);
	free(pool);
	answer_all(answer, context, &open);
}
