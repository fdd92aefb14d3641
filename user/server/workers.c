// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/clock.h"
#include "server/workers.h"

#define BY_CPUS_MOST 8		 /* threads, if nobody says how many */
#define LEFT_BYTES_MAX (4 << 20) /* of memory for what waits for the main thread */
#define LEFT_AT_ONCE 256	 /* of them are answered, then other events have their turn */
#define BATCHES_AT_ONCE 16	 /* from one socket, then the others have their turn */
#define BATCHES_AT_THE_END 1024	 /* a flood must not keep the daemon from ending */

/* A datagram that is left to the main thread. */
struct left {
	STAILQ_ENTRY(left) link;
	size_t listener;
	struct listener_datagram *datagram;
};

/* A listener of a worker, as what it leaves is told of. */
struct worker_socket {
	struct workers *workers;
	size_t number; /* of the main thread's listener for the same address */
	struct listener *listener;
};

struct worker {
	struct workers *workers;
	pthread_t thread;
	bool started;
	struct responder responder;
	struct pollfd *polled; /* one for each socket, and the end */
	struct worker_socket sockets[];
};

struct workers {
	struct listener **firsts;
	size_t listen_count;
	struct responder *responder; /* the main thread's; NULL: not started */
	int end;		     /* readable: the threads are to end */

	_Atomic uint64_t gates_until; /* nanoseconds of the monotonic clock */

	/* Held by workers for reading while they answer, by the main thread to change something. */
	pthread_rwlock_t lock;

	pthread_mutex_t left_lock;
	STAILQ_HEAD(left_list, left) left;
	size_t left_bytes;
	int left_there; /* readable while there are any */
	struct event *left_event;

	unsigned int count;
	struct worker *workers[];
};

unsigned int workers_wanted(unsigned int setting)
{
	cpu_set_t cpus;
	int count = 1;

	if (setting)
		return setting;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		count = CPU_COUNT(&cpus);
	return count < BY_CPUS_MOST ? count : BY_CPUS_MOST;
}

/* --- what is left to the main thread */

static size_t bytes_of(const struct left *left)
{
	return sizeof(*left) + listener_datagram_bytes(left->datagram);
}

static bool leave(void *context, struct listener_datagram *datagram)
{
	const struct worker_socket *socket = context;
	struct workers *workers = socket->workers;
	struct left *left = malloc(sizeof(*left));
	bool room;

	if (!left)
		return false;
	left->listener = socket->number;
	left->datagram = datagram;
	pthread_mutex_lock(&workers->left_lock);
	room = workers->left_bytes + bytes_of(left) <= LEFT_BYTES_MAX;
	if (room) {
		if (STAILQ_EMPTY(&workers->left))
			eventfd_write(workers->left_there, 1);
		STAILQ_INSERT_TAIL(&workers->left, left, link);
		workers->left_bytes += bytes_of(left);
	}
	pthread_mutex_unlock(&workers->left_lock);
	if (!room)
		free(left);
	return room;
}

/* The next that is left; NULL: there is none, and the file is not readable any more. */
static struct left *take(struct workers *workers)
{
	struct left *left;
	eventfd_t value;

	pthread_mutex_lock(&workers->left_lock);
	left = STAILQ_FIRST(&workers->left);
	if (left) {
		STAILQ_REMOVE_HEAD(&workers->left, link);
		workers->left_bytes -= bytes_of(left);
		if (STAILQ_EMPTY(&workers->left))
			eventfd_read(workers->left_there, &value);
	}
	pthread_mutex_unlock(&workers->left_lock);
	return left;
}

static bool answer_left(struct workers *workers)
{
	struct left *left = take(workers);

	if (!left)
		return false;
	listener_answer_datagram(workers->firsts[left->listener], left->datagram);
	free(left);
	return true;
}

static void on_left(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	for (int i = 0; i < LEFT_AT_ONCE && answer_left(context); i++)
		;
}

/* --- the threads */

static void answer_socket(struct worker *worker, struct listener *listener, int batches)
{
	struct workers *workers = worker->workers;
	bool more = true;

	for (int i = 0; i < batches && more && listener_receive(listener); i++) {
		pthread_rwlock_rdlock(&workers->lock);
		worker->responder.gates_current = clock_ns(CLOCK_MONOTONIC) < workers->gates_until;
		more = listener_answer(listener);
		pthread_rwlock_unlock(&workers->lock);
	}
}

static void *work(void *context)
{
	struct worker *worker = context;
	size_t count = worker->workers->listen_count;
	const struct pollfd *end = &worker->polled[count];

	pthread_setname_np(pthread_self(), "worker");
	while (!end->revents) {
		if (poll(worker->polled, count + 1, -1) < 0)
			continue; /* EINTR, or memory was short */
		for (size_t i = 0; i < count; i++)
			if (worker->polled[i].revents)
				answer_socket(worker, worker->sockets[i].listener, BATCHES_AT_ONCE);
	}
	for (size_t i = 0; i < count; i++)
		answer_socket(worker, worker->sockets[i].listener, BATCHES_AT_THE_END);
	return NULL;
}

static void worker_free(struct worker *worker)
{
	for (size_t i = 0; worker && i < worker->workers->listen_count; i++)
		listener_close(worker->sockets[i].listener);
	if (worker)
		free(worker->polled);
	free(worker);
}

static int worker_open(struct workers *workers, unsigned int number, struct error *error)
{
	size_t count = workers->listen_count;
	struct worker *worker = calloc(1, sizeof(*worker) + count * sizeof(worker->sockets[0]));

	if (!worker)
		return error_set(error, "out of memory");
	workers->workers[number] = worker;
	worker->workers = workers;
	worker->polled = calloc(count + 1, sizeof(worker->polled[0]));
	if (!worker->polled)
		return error_set(error, "out of memory");
	for (size_t i = 0; i < count; i++) {
		struct worker_socket *socket = &worker->sockets[i];

		socket->workers = workers;
		socket->number = i;
		/* The main thread only sends from its own, so that somebody else has to read it. */
		socket->listener = number ? listener_open_beside(workers->firsts[i], error)
					  : listener_share(workers->firsts[i], error);
		if (!socket->listener)
			return -1;
		worker->polled[i].fd = listener_fd(socket->listener);
		worker->polled[i].events = POLLIN;
	}
	worker->polled[count].fd = workers->end;
	worker->polled[count].events = POLLIN;
	return 0;
}

struct workers *workers_open(struct listener **firsts, size_t listen_count, unsigned int count,
			     struct error *error)
{
	struct workers *workers = calloc(1, sizeof(*workers) + count * sizeof(workers->workers[0]));
	pthread_rwlockattr_t attributes;

	if (!workers) {
		error_set(error, "out of memory");
		return NULL;
	}
	workers->firsts = firsts;
	workers->listen_count = listen_count;
	workers->count = count;
	STAILQ_INIT(&workers->left);
	pthread_mutex_init(&workers->left_lock, NULL);
	pthread_rwlockattr_init(&attributes);
	/* Or a flood would keep the main thread out. */
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&workers->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	workers->end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	workers->left_there = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (workers->end < 0 || workers->left_there < 0) {
		error_set(error, "workers: %s", strerror(errno));
		workers_free(workers);
		return NULL;
	}
	for (unsigned int i = 0; i < count; i++) {
		if (worker_open(workers, i, error)) {
			workers_free(workers);
			return NULL;
		}
	}
	return workers;
}

/* What a worker answers by becomes what the main thread does. */
static void follow(struct responder *responder, const struct responder *main_responder)
{
	uint64_t counters[ICP_COUNTER_MAX];

	memcpy(counters, responder->counters, sizeof(counters));
	*responder = *main_responder;
	responder->worker = true;
	memcpy(responder->counters, counters, sizeof(counters));
}

int workers_start(struct workers *workers, struct event_base *base, struct responder *responder,
		  struct error *error)
{
	sigset_t all, before;
	int result = 0;

	workers->left_event =
		event_new(base, workers->left_there, EV_READ | EV_PERSIST, on_left, workers);
	if (!workers->left_event || event_add(workers->left_event, NULL))
		return error_set(error, "out of memory");
	for (size_t i = 0; i < workers->listen_count; i++)
		listener_use(workers->firsts[i], responder, NULL, NULL);
	workers->responder = responder;
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned int i = 0; i < workers->count && result == 0; i++) {
		struct worker *worker = workers->workers[i];

		follow(&worker->responder, responder);
		for (size_t k = 0; k < workers->listen_count; k++)
			listener_use(worker->sockets[k].listener, &worker->responder, leave,
				     &worker->sockets[k]);
		result = pthread_create(&worker->thread, NULL, work, worker);
		worker->started = result == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result ? error_set(error, "a thread for each of %u workers: %s; set `workers` lower",
				  workers->count, strerror(result))
		      : 0;
}

void workers_pause(struct workers *workers)
{
	pthread_rwlock_wrlock(&workers->lock);
}

void workers_resume(struct workers *workers)
{
	for (unsigned int i = 0; workers->responder && i < workers->count; i++)
		follow(&workers->workers[i]->responder, workers->responder);
	pthread_rwlock_unlock(&workers->lock);
}

void workers_beat(struct workers *workers, unsigned int lease)
{
	workers->gates_until = clock_ns(CLOCK_MONOTONIC) + lease * 1000000ull;
}

void workers_counters(struct workers *workers, uint64_t counters[ICP_COUNTER_MAX])
{
	pthread_rwlock_wrlock(&workers->lock);
	for (unsigned int i = 0; i < workers->count; i++)
		for (int k = 0; k < ICP_COUNTER_MAX; k++)
			counters[k] += workers->workers[i]->responder.counters[k];
	pthread_rwlock_unlock(&workers->lock);
}

void workers_end(struct workers *workers)
{
	eventfd_write(workers->end, 1);
	for (unsigned int i = 0; i < workers->count; i++) {
		if (workers->workers[i]->started)
			pthread_join(workers->workers[i]->thread, NULL);
		workers->workers[i]->started = false;
	}
	while (workers->responder && answer_left(workers))
		;
}

void workers_free(struct workers *workers)
{
	if (!workers)
		return;
	for (unsigned int i = 0; i < workers->count; i++)
		worker_free(workers->workers[i]);
	if (workers->left_event)
		event_free(workers->left_event);
	if (workers->end >= 0)
		close(workers->end);
	if (workers->left_there >= 0)
		close(workers->left_there);
	pthread_rwlock_destroy(&workers->lock);
	pthread_mutex_destroy(&workers->left_lock);
	free(workers);
}
