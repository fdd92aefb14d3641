// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/event.h"
#include "lib/thread.h"
#include "server/workers.h"

#define WORKERS_DEFAULT_MAX 8	     /* threads, if none are configured */
#define HANDOVER_BYTES_MAX (4 << 20) /* of memory for datagrams that wait for the main thread */
#define HANDOVERS_AT_ONCE 256	     /* handled per event, so that others are not starved */
#define BATCHES_AT_ONCE 16	     /* per socket, so that others are not starved */
#define BATCHES_AT_EXIT 1024 /* bounded, so that a flood cannot keep the daemon from ending */

/* A datagram handed over to the main thread. */
struct handover {
	STAILQ_ENTRY(handover) link;
	size_t listener;
	struct listener_datagram *datagram;
};

/* A socket of a worker, the context of hand_over(). */
struct worker_socket {
	struct workers *workers;
	size_t number; /* index of the primary listener of the same address */
	struct listener *listener;
};

struct worker {
	struct workers *workers;
	pthread_t thread;
	bool started;
	struct responder responder;
	struct pollfd *polled; /* one per socket, and workers->end */
	struct worker_socket sockets[];
};

struct workers {
	struct listener **primaries;
	size_t listen_count;
	struct responder *responder; /* of the main thread; NULL: not started */
	int end;		     /* eventfd, readable: the threads must end */

	_Atomic uint64_t gates_until; /* end of the lease, nanoseconds of the monotonic clock */

	/*
	 * Held for reading by workers while they reply, for writing by the main thread for changes.
	 */
	pthread_rwlock_t lock;

	pthread_mutex_t handover_lock;
	STAILQ_HEAD(handover_list, handover) handovers;
	size_t handover_count, handover_bytes;
	int handover_wake; /* eventfd, readable while the list is not empty */
	struct event *handover_event;

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
	return count < WORKERS_DEFAULT_MAX ? count : WORKERS_DEFAULT_MAX;
}

/* --- datagrams for the main thread */

static size_t bytes_of(const struct handover *handover)
{
	return sizeof(*handover) + listener_datagram_bytes(handover->datagram);
}

static bool hand_over(void *context, struct listener_datagram *datagram)
{
	const struct worker_socket *socket = context;
	struct workers *workers = socket->workers;
	struct handover *handover = malloc(sizeof(*handover));
	bool room;

	if (!handover)
		return false;
	handover->listener = socket->number;
	handover->datagram = datagram;
	pthread_mutex_lock(&workers->handover_lock);
	room = workers->handover_bytes + bytes_of(handover) <= HANDOVER_BYTES_MAX;
	if (room) {
		if (STAILQ_EMPTY(&workers->handovers))
			eventfd_write(workers->handover_wake, 1);
		STAILQ_INSERT_TAIL(&workers->handovers, handover, link);
		workers->handover_count++;
		workers->handover_bytes += bytes_of(handover);
	}
	pthread_mutex_unlock(&workers->handover_lock);
	if (!room)
		free(handover);
	return room;
}

/* Remove the first datagram; NULL, and the eventfd reset, if there is none. */
static struct handover *next_handover(struct workers *workers)
{
	struct handover *handover;
	eventfd_t value;

	pthread_mutex_lock(&workers->handover_lock);
	handover = STAILQ_FIRST(&workers->handovers);
	if (handover) {
		STAILQ_REMOVE_HEAD(&workers->handovers, link);
		workers->handover_count--;
		workers->handover_bytes -= bytes_of(handover);
		if (STAILQ_EMPTY(&workers->handovers))
			eventfd_read(workers->handover_wake, &value);
	}
	pthread_mutex_unlock(&workers->handover_lock);
	return handover;
}

static bool reply_handover(struct workers *workers)
{
	struct handover *handover = next_handover(workers);

	if (!handover)
		return false;
	listener_reply_datagram(workers->primaries[handover->listener], handover->datagram);
	free(handover);
	return true;
}

/* Datagrams that are handed over meanwhile have to wait: a gate that has changed comes first. */
static void on_handover(evutil_socket_t fd, short what, void *context)
{
	struct workers *workers = context;
	size_t count;

	pthread_mutex_lock(&workers->handover_lock);
	count = workers->handover_count;
	pthread_mutex_unlock(&workers->handover_lock);
	for (size_t i = 0; i < count && i < HANDOVERS_AT_ONCE && reply_handover(workers); i++)
		;
}

/* --- the threads */

static void reply_socket(struct worker *worker, struct listener *listener, int batches)
{
	struct workers *workers = worker->workers;
	bool more = true;

	for (int i = 0; i < batches && more && listener_receive(listener); i++) {
		pthread_rwlock_rdlock(&workers->lock);
		worker->responder.gates_current = clock_ns(CLOCK_MONOTONIC) < workers->gates_until;
		more = listener_reply(listener);
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
			continue; /* EINTR or ENOMEM */
		for (size_t i = 0; i < count; i++)
			if (worker->polled[i].revents)
				reply_socket(worker, worker->sockets[i].listener, BATCHES_AT_ONCE);
	}
	for (size_t i = 0; i < count; i++)
		reply_socket(worker, worker->sockets[i].listener, BATCHES_AT_EXIT);
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
		/* Workers read the primary sockets too: the main thread only sends. */
		socket->listener = number ? listener_open_sibling(workers->primaries[i], error)
					  : listener_share(workers->primaries[i], error);
		if (!socket->listener)
			return -1;
		worker->polled[i].fd = listener_fd(socket->listener);
		worker->polled[i].events = POLLIN;
	}
	worker->polled[count].fd = workers->end;
	worker->polled[count].events = POLLIN;
	return 0;
}

struct workers *workers_open(struct listener **primaries, size_t listen_count, unsigned int count,
			     struct error *error)
{
	struct workers *workers = calloc(1, sizeof(*workers) + count * sizeof(workers->workers[0]));
	pthread_rwlockattr_t attributes;

	if (!workers) {
		error_set(error, "out of memory");
		return NULL;
	}
	workers->primaries = primaries;
	workers->listen_count = listen_count;
	workers->count = count;
	STAILQ_INIT(&workers->handovers);
	pthread_mutex_init(&workers->handover_lock, NULL);
	pthread_rwlockattr_init(&attributes);
	/* Else a flood would lock out the main thread. */
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&workers->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	workers->end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	workers->handover_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (workers->end < 0 || workers->handover_wake < 0) {
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

/* Copy the main thread's responder, except for what each thread counts. */
static void copy_responder(struct responder *responder, const struct responder *main_responder)
{
	const struct responder own = *responder;

	*responder = *main_responder;
	responder->worker = true;
	memcpy(responder->counters, own.counters, sizeof(own.counters));
	responder->latency = own.latency;
}

int workers_start(struct workers *workers, struct event_base *base, struct responder *responder,
		  struct error *error)
{
	int result = 0;

	workers->handover_event =
		event_new(base, workers->handover_wake, EV_READ | EV_PERSIST, on_handover, workers);
	if (!workers->handover_event || event_add(workers->handover_event, NULL))
		return error_set(error, "out of memory");
	for (size_t i = 0; i < workers->listen_count; i++)
		listener_use(workers->primaries[i], responder, NULL, NULL);
	workers->responder = responder;
	for (unsigned int i = 0; i < workers->count && result == 0; i++) {
		struct worker *worker = workers->workers[i];

		copy_responder(&worker->responder, responder);
		for (size_t k = 0; k < workers->listen_count; k++)
			listener_use(worker->sockets[k].listener, &worker->responder, hand_over,
				     &worker->sockets[k]);
		result = thread_start(&worker->thread, NULL, work, worker);
		worker->started = result == 0;
	}
	return result ? error_set(error, "cannot start %u workers: %s; set `workers` lower",
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
		copy_responder(&workers->workers[i]->responder, workers->responder);
	pthread_rwlock_unlock(&workers->lock);
}

void workers_renew_lease(struct workers *workers, unsigned int lease)
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

void workers_latency(struct workers *workers, struct latency *latency)
{
	pthread_rwlock_wrlock(&workers->lock);
	for (unsigned int i = 0; i < workers->count; i++)
		latency_add(latency, &workers->workers[i]->responder.latency);
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
	while (workers->responder && reply_handover(workers))
		;
}

void workers_free(struct workers *workers)
{
	if (!workers)
		return;
	for (unsigned int i = 0; i < workers->count; i++)
		worker_free(workers->workers[i]);
	event_drop(workers->handover_event);
	if (workers->end >= 0)
		close(workers->end);
	if (workers->handover_wake >= 0)
		close(workers->handover_wake);
	pthread_rwlock_destroy(&workers->lock);
	pthread_mutex_destroy(&workers->handover_lock);
	free(workers);
}
