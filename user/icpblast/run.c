// SPDX-License-Identifier: GPL-2.0-or-later
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "icpblast/state.h"
#include "lib/clock.h"
#include "lib/progress.h"

#define REPLY_WAIT 1.0 /* seconds without a reply, after which those that are missing are lost */

static const struct timespec tick = { .tv_nsec = 1000000 };
/* Reading the counts costs time. */
static const struct timespec poll_interval = { .tv_nsec = 20000000 };
static volatile sig_atomic_t interrupted;

/* --- counts */

__u64 blast_good(const struct blast_counts *counts)
{
	__u64 sum = 0;

	for (size_t i = 0; i < BLAST_OPCODES; i++)
		sum += counts->good[i];
	return sum;
}

__u64 blast_bad(const struct blast_counts *counts)
{
	__u64 sum = 0;

	for (size_t i = 0; i < BLAST_FAULT_MAX; i++)
		sum += counts->bad[i];
	return sum;
}

__u64 blast_lost(const struct blast_counts *counts)
{
	__u64 owed = counts->sent - counts->sent_unanswerable;
	/* A duplicate does not make up for a missing reply. */
	__u64 received = blast_good(counts) + blast_bad(counts) - counts->bad[BLAST_FAULT_TWICE];

	return owed > received ? owed - received : 0;
}

static void add_counts(struct blast_counts *sum, const struct blast_counts *one)
{
	__u64 *to = (__u64 *)sum;
	const __u64 *from = (const __u64 *)one;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

static void read_counts(struct run *run, struct blast_counts *sum)
{
	int cpus = libbpf_num_possible_cpus();
	struct blast_counts *each = calloc(cpus, sizeof(*each));
	__u32 zero = 0;

	memset(sum, 0, sizeof(*sum));
	if (each && bpf_map_lookup_elem(bpf_map__fd(run->skeleton->maps.counts), &zero, each) == 0)
		for (int i = 0; i < cpus; i++)
			add_counts(sum, &each[i]);
	free(each);
	pthread_mutex_lock(&run->lock);
	add_counts(sum, &run->socket_counts);
	pthread_mutex_unlock(&run->lock);
}

/* --- the run */

static void *generate(void *context)
{
	struct generator *generator = context;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(generator->core, &one);
	generator->code = pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	if (!generator->code && generator->run->job->sending == BLAST_SENDING_LIVE)
		blast_send_live(generator);
	else if (!generator->code)
		blast_send_by_socket(generator);
	generator->done = true;
	return NULL;
}

static void on_signal(int number)
{
	if (number != SIGUSR1)
		interrupted = 1;
}

static void catch_signals(void)
{
	/* No SA_RESTART: SIGUSR1 makes a generator leave the kernel. */
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Move this thread to a core that generates nothing, if there is one. */
static void leave_cores(const struct blast_job *job)
{
	cpu_set_t others;

	sched_getaffinity(0, sizeof(others), &others);
	for (int core = 0; core < CPU_SETSIZE; core++)
		if (CPU_ISSET(core, &job->cores))
			CPU_CLR(core, &others);
	if (CPU_COUNT(&others))
		sched_setaffinity(0, sizeof(others), &others);
}

static int start(struct run *run, struct error *error)
{
	sigset_t signals, former;
	int code = 0;

	leave_cores(run->job);

	/* The generators block these, so that the main thread handles them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, &former);
	for (__u32 i = 0; i < run->generator_count && code == 0; i++) {
		struct generator *generator = &run->generators[i];

		code = pthread_create(&generator->thread, NULL, generate, generator);
		if (code) {
			generator->done = true;
			run->stop = true;
			run->generator_count = i;
		}
	}
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	return code ? error_set(error, "cannot start a thread: %s", strerror(code)) : 0;
}

/* Repeat the signal: it may arrive just before the call that it is meant to interrupt. */
static int stop(struct run *run, struct error *error)
{
	int result = 0;

	run->stop = true;
	for (__u32 i = 0; i < run->generator_count; i++) {
		struct generator *generator = &run->generators[i];

		while (!generator->done) {
			pthread_kill(generator->thread, SIGUSR1);
			nanosleep(&tick, NULL);
		}
		pthread_join(generator->thread, NULL);
		if (generator->code)
			result = error_set(error, "cannot send on %s from core %d: %s",
					   run->job->path.name, generator->core,
					   strerror(generator->code));
	}
	return result;
}

static bool all_done(const struct run *run)
{
	for (__u32 i = 0; i < run->generator_count; i++)
		if (!run->generators[i].done)
			return false;
	return true;
}

static void show_progress(const struct blast_counts *counts, const struct blast_counts *before,
			  double seconds, double part)
{
	progress_show(
		"%4.0f s: %.0f queries/s, %.0f good replies/s, %llu bad, %llu without a reply",
		seconds, (counts->sent - before->sent) / part,
		(blast_good(counts) - blast_good(before)) / part, blast_bad(counts),
		blast_lost(counts));
}

/* Wait until the time or the number is reached, or a signal comes. */
static void measure(struct run *run, __u64 began, struct blast_result *result)
{
	const struct blast_job *job = run->job;
	struct blast_counts now, shown = { 0 };
	__u64 shown_at = began, t;
	bool done, ends_soon;

	for (;;) {
		done = all_done(run); /* before the counts are read, which are final then */
		read_counts(run, &now);
		t = clock_ns(CLOCK_MONOTONIC);
		if (interrupted || done || (job->number && now.sent >= job->number) ||
		    (job->time > 0 && t - began >= job->time * SECOND))
			break;
		if (t - shown_at >= SECOND && !job->quiet) {
			show_progress(&now, &shown, (t - began) / 1e9, (t - shown_at) / 1e9);
			shown = now;
			shown_at = t;
		}
		ends_soon = job->number || t - began > (job->time - 0.1) * SECOND;
		nanosleep(ends_soon ? &tick : &poll_interval, NULL);
	}
	progress_end();
	result->seconds = (t - began) / 1e9;
	result->sent_rate = now.sent / result->seconds;
	result->good_rate = blast_good(&now) / result->seconds;
}

/* Wait for replies in flight. */
static void await_replies(struct run *run, struct blast_result *result)
{
	__u64 since = clock_ns(CLOCK_MONOTONIC), last = 0, received;

	for (;;) {
		read_counts(run, &result->counts);
		received = blast_good(&result->counts) + blast_bad(&result->counts);
		if (received != last)
			since = clock_ns(CLOCK_MONOTONIC);
		last = received;
		/* That a query gets no reply can only be seen by waiting for the whole time. */
		if ((blast_lost(&result->counts) == 0 && result->counts.sent_unanswerable == 0) ||
		    clock_ns(CLOCK_MONOTONIC) - since > REPLY_WAIT * SECOND || interrupted)
			return;
		nanosleep(&tick, NULL);
	}
}

static int execute(struct run *run, struct blast_result *result, struct error *error)
{
	__u64 began;
	int code;

	if (blast_setup(run, error))
		return -1;
	catch_signals();
	began = clock_ns(CLOCK_MONOTONIC);
	code = start(run, error);
	if (code == 0)
		measure(run, began, result);
	interrupted = 0; /* another signal ends the wait for replies */
	if (stop(run, error))
		code = -1;
	if (code == 0)
		await_replies(run, result);
	return code;
}

int blast_run(const struct blast_job *job, struct blast_result *result, struct error *error)
{
	struct run run = { .job = job, .attachment = -1 };
	__u64 left = job->number;
	int code = -1;

	memset(result, 0, sizeof(*result));
	pthread_mutex_init(&run.lock, NULL);
	run.generator_count = CPU_COUNT(&job->cores);
	run.generators = calloc(run.generator_count, sizeof(*run.generators));
	if (run.generators) {
		for (int core = 0, i = 0; core < CPU_SETSIZE; core++) {
			__u64 share = left / (run.generator_count - i ?: 1);

			if (!CPU_ISSET(core, &job->cores))
				continue;
			run.generators[i] = (struct generator){
				.run = &run,
				.core = core,
				.number = i,
				.budget = job->number ? share : ~0ull,
			};
			left -= share;
			i++;
		}
		code = execute(&run, result, error);
	} else {
		error_set(error, "out of memory");
	}
	blast_teardown(&run);
	free(run.generators);
	pthread_mutex_destroy(&run.lock);
	return code;
}
