// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "icpblast/run.h"
#include "icpblast.skel.h"

#define DRAWS_MIN (1u << 20) /* 4 MB */
#define DRAWS_MAX (1u << 24)
#define DRAWS_A_QUERY 8
#define BATCH 64	   /* frames that are sent together, flat out */
#define CALL_MAX (1 << 30) /* frames that one call of the kernel generates at most */
#define LINGER 1.0	   /* seconds without any reply: what is owed is lost */
#define SECOND 1000000000ull

static const struct timespec tick = { .tv_nsec = 1000000 };
static const struct timespec while_it_runs = { .tv_nsec = 20000000 }; /* looking costs, too */
static volatile sig_atomic_t interrupted;

struct generator {
	struct run *run;
	pthread_t thread;
	int core;
	__u32 number; /* of `count` */
	__u64 budget;
	atomic_bool done;
	int problem; /* an errno */
};

struct run {
	const struct blast_job *job;
	struct icpblast_bpf *skeleton;
	int watch; /* keeps the check attached; -1: it is not */
	int *held; /* sockets that hold the source ports */
	size_t held_count;
	size_t query_size, slot_size, draw_count;
	unsigned char *queries; /* mapped */
	__u32 *draws;
	struct blast_slot *slots;
	struct generator *generators;
	__u32 generator_count;
	struct blast_counts own; /* what the socket's senders have sent */
	pthread_mutex_t lock;
	atomic_bool stop;
};

static __u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static const struct blast_query *query_of(const struct run *run, __u32 index)
{
	return (const struct blast_query *)(run->queries + index * run->query_size);
}

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
	/* A second reply makes up for no other that has not come. */
	__u64 came = blast_good(counts) + blast_bad(counts) - counts->bad[BLAST_FAULT_TWICE];

	return owed > came ? owed - came : 0;
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
	add_counts(sum, &run->own);
	pthread_mutex_unlock(&run->lock);
}

/* --- setting up */

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level, (void)format, (void)arguments;
	return 0;
}

static void *map_memory(const struct bpf_map *map, size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *memory;

	size = (size + page - 1) / page * page;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	return memory == MAP_FAILED ? NULL : memory;
}

/* Programs and maps are made for the longest URL that there is. */
static int load(struct run *run, struct error *error)
{
	const struct blast_job *job = run->job;
	struct icpblast_bpf *skeleton;
	struct blast_config *config;
	size_t url_size = 0;
	int code;

	libbpf_set_print(print_nothing);
	run->skeleton = skeleton = icpblast_bpf__open();
	if (!skeleton)
		return error_set(error, "the generator: %s", strerror(errno));
	for (run->draw_count = DRAWS_MIN;
	     run->draw_count < DRAWS_A_QUERY * job->urls.count && run->draw_count < DRAWS_MAX;)
		run->draw_count *= 2;
	config = (struct blast_config *)&skeleton->rodata->config;
	*config = job->config;
	config->draws_mask = run->draw_count - 1;
	config->interval = job->rate ? SECOND * run->generator_count / job->rate : 0;
	for (size_t i = 0; i < job->urls.count; i++)
		if (strlen(job->urls.list[i].text) + 1 > url_size)
			url_size = strlen(job->urls.list[i].text) + 1;
	config->frame_max = blast_headers(config->ipv6, true) + url_size;
	config->url_words = (url_size + ICP_WORD - 1) / ICP_WORD;
	blast_headers_make(config);
	run->query_size = offsetof(struct blast_query, url) + config->url_words * ICP_WORD;
	bpf_map__set_value_size(skeleton->maps.queries, run->query_size);
	bpf_map__set_max_entries(skeleton->maps.queries, job->urls.count);
	bpf_map__set_max_entries(skeleton->maps.draws, run->draw_count / BLAST_DRAWS_A_LINE);
	bpf_program__set_autoload(skeleton->progs.blast_send, job->sending == BLAST_SENDING_LIVE);
	bpf_program__set_autoload(skeleton->progs.blast_check, !job->path.loopback);
	bpf_program__set_autoload(skeleton->progs.blast_watch, job->path.loopback);
	code = icpblast_bpf__load(skeleton);
	if (code)
		return error_set(error, "the kernel does not take the generator: %s%s",
				 strerror(-code),
				 code == -EPERM ? "; it needs root" : "; it needs Linux 5.18");
	return 0;
}

static int fill(struct run *run, struct error *error)
{
	const struct icpblast_bpf *skeleton = run->skeleton;
	const struct blast_job *job = run->job;

	run->queries = map_memory(skeleton->maps.queries, job->urls.count * run->query_size);
	run->draws = map_memory(skeleton->maps.draws, run->draw_count * sizeof(*run->draws));
	run->slots = map_memory(skeleton->maps.slots, BLAST_SLOTS * sizeof(*run->slots));
	if (!run->queries || !run->draws || !run->slots)
		return error_set(error, "the maps: %s", strerror(errno));
	for (size_t i = 0; i < job->urls.count; i++)
		blast_query_make((struct blast_query *)query_of(run, i), run->query_size,
				 (const struct blast_config *)&skeleton->rodata->config,
				 job->urls.list[i].text,
				 job->config.echo ? BLAST_ALLOWED(ICP_OP_QUERY)
						  : job->urls.list[i].allowed);
	return 0;
}

/* Where each core's generator begins, and which slots are its. */
static struct blast_sender sender_of(const struct run *run, const struct generator *generator)
{
	__u32 share = (BLAST_SLOTS - 1) / run->generator_count;
	__u32 first = 1 + generator->number * share;

	return (struct blast_sender){
		.budget = generator->budget,
		.next = now_ns(),
		.draw = run->draw_count / run->generator_count * generator->number,
		.first_slot = first,
		.slot = first,
		.end_slot = first + share,
	};
}

static int set_senders(struct run *run, struct error *error)
{
	int cpus = libbpf_num_possible_cpus();
	struct blast_sender *each = calloc(cpus, sizeof(*each));
	__u32 zero = 0;
	int result = 0;

	if (!each)
		return error_set(error, "out of memory");
	for (__u32 i = 0; i < run->generator_count; i++)
		each[run->generators[i].core] = sender_of(run, &run->generators[i]);
	if (bpf_map_update_elem(bpf_map__fd(run->skeleton->maps.senders), &zero, each, 0))
		result = error_set(error, "the generator's state: %s", strerror(errno));
	free(each);
	return result;
}

/* On the interface, native if it can; on a packet socket where the responder may have the place. */
static int attach(struct run *run, struct error *error)
{
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, options);
	const struct blast_path *path = &run->job->path;
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = host_to_be16(path->ipv6 ? ETH_P_IPV6 : ETH_P_IP),
		.sll_ifindex = path->ifindex,
	};
	int program, link = -1;

	if (path->loopback) {
		program = bpf_program__fd(run->skeleton->progs.blast_watch);
		run->watch = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
		if (run->watch < 0 ||
		    setsockopt(run->watch, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)) ||
		    bind(run->watch, (struct sockaddr *)&address, sizeof(address)))
			return error_set(error, "a packet socket on %s: %s", path->name,
					 strerror(errno));
		return 0;
	}
	program = bpf_program__fd(run->skeleton->progs.blast_check);
	for (unsigned int i = 0; i < 2 && link < 0; i++) {
		options.flags = i == 0 ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
		link = bpf_link_create(program, path->ifindex, BPF_XDP, &options);
		if (link == -EBUSY || link == -EEXIST)
			break;
	}
	if (link < 0)
		return error_set(error, "%s: the check of the replies cannot be attached: %s%s",
				 path->name, strerror(-link),
				 link == -EBUSY || link == -EEXIST
					 ? "; the interface carries an XDP program already, take "
					   "it off by `ip link set dev INTERFACE xdp off`"
					 : "");
	run->watch = link; /* the attachment ends with this descriptor */
	return 0;
}

/* Replies on the loopback interface reach the stack too: somebody must have their ports. */
static int hold_ports(struct run *run, struct error *error)
{
	const struct blast_job *job = run->job;

	if (!job->path.loopback)
		return 0;
	run->held = calloc(job->config.ports, sizeof(*run->held));
	if (!run->held)
		return error_set(error, "out of memory");
	for (; run->held_count < job->config.ports; run->held_count++) {
		in_port_t port = htons(job->config.first_port + run->held_count);
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = port };
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = port };
		int one = 1;
		int fd = socket(job->path.ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			return error_set(error, "socket: %s", strerror(errno));
		run->held[run->held_count] = fd;
		if (job->path.ipv6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
		if (job->path.ipv6 ? bind(fd, (struct sockaddr *)&in6, sizeof(in6))
				   : bind(fd, (struct sockaddr *)&in, sizeof(in))) {
			run->held_count++;
			return error_set(error,
					 "source port %u: %s; choose others by --source-port",
					 ntohs(port), strerror(errno));
		}
	}
	return 0;
}

/* --- sending live frames */

/* The kernel calls the program again and again, until a signal comes. */
static void send_live(struct generator *generator)
{
	struct run *run = generator->run;
	const struct blast_job *job = run->job;
	__u32 size = run->skeleton->rodata->config.frame_max;
	struct xdp_md context = { .data_end = size, .ingress_ifindex = job->path.ifindex };
	unsigned char frame[BLAST_FRAME_MAX] = { 0 };
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = size,
			    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = CALL_MAX,
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
			    /* What is sent at its time is not to wait for others. */
			    .batch_size = job->rate ? 1 : BATCH);
	int program = bpf_program__fd(run->skeleton->progs.blast_send);

	while (!run->stop) {
		int code = bpf_prog_test_run_opts(program, &options);

		if (code && code != -EINTR && code != -EAGAIN) {
			generator->problem = -code;
			return;
		}
	}
}

/* --- sending by a packet socket */

struct batch {
	struct blast_counts counts;
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	/* The frame stands behind what brings its URL, and so its headers, to a whole word. */
	unsigned char rooms[BATCH][(BLAST_FRAME_MAX + 2 * ICP_WORD) / ICP_WORD * ICP_WORD]
		__attribute__((aligned(ICP_WORD)));
};

static __u32 sample(struct run *run, struct blast_sender *sender, struct blast_counts *counts,
		    __u32 index)
{
	__u32 slot = sender->slot;

	if (run->job->config.sample == 0 || ++sender->unsampled < run->job->config.sample)
		return 0;
	sender->unsampled = 0;
	sender->slot = slot + 1 < sender->end_slot ? slot + 1 : sender->first_slot;
	counts->sent_sampled++;
	run->slots[slot].index = index;
	*(volatile __u64 *)&run->slots[slot].time = now_ns();
	return slot;
}

static void prepare(struct run *run, struct batch *batch, unsigned int i,
		    struct blast_sender *sender)
{
	const struct blast_config *config = &run->skeleton->rodata->config;
	__u32 headers = blast_headers(config->ipv6, true);
	__u32 index = run->draws[sender->draw++ & (run->draw_count - 1)];
	const struct blast_query *query = query_of(run, index);
	unsigned char *frame = batch->rooms[i] + blast_lead(config->ipv6, true);
	__u32 slot;

	memcpy(frame, config->headers, headers);
	memcpy(frame + headers, query->url, query->url_size);
	slot = sample(run, sender, &batch->counts, index);
	blast_finish(frame, config->ipv6, query, config->first_port + sender->port,
		     slot << BLAST_INDEX_BITS | (index + 1));
	sender->port = (sender->port + 1) % config->ports;
	batch->parts[i] = (struct iovec){ frame, headers + query->url_size };
	batch->messages[i].msg_hdr =
		(struct msghdr){ .msg_iov = &batch->parts[i], .msg_iovlen = 1 };
	batch->counts.sent++;
	batch->counts.sent_unanswerable += query->allowed == 0;
}

/* How many are due; if none, when the next is. */
static __u64 due_count(const struct run *run, struct blast_sender *sender, __u64 *next)
{
	const __u64 interval = run->skeleton->rodata->config.interval;
	__u64 now = now_ns(), count = 0;

	if (interval == 0)
		return sender->budget < BATCH ? sender->budget : BATCH;
	while (sender->next <= now && count < BATCH && count < sender->budget) {
		sender->next += interval;
		count++;
	}
	*next = sender->next;
	return count;
}

static int send_batch(int fd, struct batch *batch, unsigned int count)
{
	unsigned int sent = 0;

	while (sent < count) {
		int n = sendmmsg(fd, batch->messages + sent, count - sent, 0);

		if (n < 0 && errno != EINTR && errno != ENOBUFS && errno != EAGAIN)
			return errno;
		if (n > 0)
			sent += n;
	}
	return 0;
}

static void send_by_socket(struct generator *generator)
{
	struct run *run = generator->run;
	struct blast_sender sender = sender_of(run, generator);
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = run->job->path.ifindex,
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct batch *batch = calloc(1, sizeof(*batch));

	if (fd < 0 || !batch || bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		generator->problem = errno;
		goto end;
	}
	while (!generator->problem && !run->stop && sender.budget) {
		__u64 next = 0;
		__u64 count = due_count(run, &sender, &next);

		if (count == 0) {
			struct timespec until = { next / SECOND, next % SECOND };

			if (next > now_ns() + SECOND / 10) /* to see `stop` */
				nanosleep(&(struct timespec){ .tv_nsec = SECOND / 10 }, NULL);
			else
				clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
			continue;
		}
		memset(&batch->counts, 0, sizeof(batch->counts));
		for (__u64 i = 0; i < count; i++)
			prepare(run, batch, i, &sender);
		sender.budget -= count;
		generator->problem = send_batch(fd, batch, count);
		pthread_mutex_lock(&run->lock);
		run->own.sent += batch->counts.sent;
		run->own.sent_sampled += batch->counts.sent_sampled;
		run->own.sent_unanswerable += batch->counts.sent_unanswerable;
		pthread_mutex_unlock(&run->lock);
	}
end:
	free(batch);
	if (fd >= 0)
		close(fd);
}

/* --- the run */

static void *generate(void *context)
{
	struct generator *generator = context;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(generator->core, &one);
	generator->problem = pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	if (!generator->problem && generator->run->job->sending == BLAST_SENDING_LIVE)
		send_live(generator);
	else if (!generator->problem)
		send_by_socket(generator);
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
	/* No SA_RESTART: a generator is to leave the kernel at SIGUSR1. */
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Whoever looks on is to do so from another core, if there is one. */
static void step_aside(const struct blast_job *job)
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

	step_aside(run->job);

	/* The generators leave these to the one who waits for the end. */
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
	return code ? error_set(error, "a thread: %s", strerror(code)) : 0;
}

/* A signal may come just before the call that it is to end: again, until it has. */
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
		if (generator->problem)
			result = error_set(error, "sending on %s from core %d: %s",
					   run->job->path.name, generator->core,
					   strerror(generator->problem));
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
	fprintf(stderr,
		"%4.0f s: %.0f queries/s, %.0f good replies/s, %llu bad, %llu without a reply\n",
		seconds, (counts->sent - before->sent) / part,
		(blast_good(counts) - blast_good(before)) / part, blast_bad(counts),
		blast_lost(counts));
}

/* Waits for time or number to be reached, and measures from the first query on. */
static void follow(struct run *run, struct blast_result *result)
{
	const struct blast_job *job = run->job;
	struct blast_counts now, first = { 0 }, shown = { 0 };
	__u64 began = 0, shown_at = 0, t;
	bool ends_soon;

	for (;;) {
		read_counts(run, &now);
		t = now_ns();
		if (!began && now.sent) {
			began = shown_at = t;
			first = shown = now;
		}
		if (interrupted || all_done(run) || (job->number && now.sent >= job->number) ||
		    (job->time > 0 && began && t - began >= job->time * SECOND))
			break;
		if (began && t - shown_at >= SECOND && !job->quiet) {
			show_progress(&now, &shown, (t - began) / 1e9, (t - shown_at) / 1e9);
			shown = now;
			shown_at = t;
		}
		ends_soon = job->number || !began || t - began > (job->time - 0.1) * SECOND;
		nanosleep(ends_soon ? &tick : &while_it_runs, NULL);
	}
	result->seconds = began ? (t - began) / 1e9 : 0;
	if (result->seconds > 0) {
		result->sent_rate = (now.sent - first.sent) / result->seconds;
		result->good_rate = (blast_good(&now) - blast_good(&first)) / result->seconds;
	}
}

/* Replies may be on their way still. */
static void linger(struct run *run, struct blast_result *result)
{
	__u64 since = now_ns(), last = 0, came;

	for (;;) {
		read_counts(run, &result->counts);
		came = blast_good(&result->counts) + blast_bad(&result->counts);
		if (came != last)
			since = now_ns();
		last = came;
		/* Those to whom silence is owed wait the whole time. */
		if ((blast_lost(&result->counts) == 0 && result->counts.sent_unanswerable == 0) ||
		    now_ns() - since > LINGER * SECOND || interrupted)
			return;
		nanosleep(&tick, NULL);
	}
}

static int execute(struct run *run, struct blast_result *result, struct error *error)
{
	const struct blast_job *job = run->job;
	int code;

	if (load(run, error) || fill(run, error) || set_senders(run, error) ||
	    hold_ports(run, error) || attach(run, error))
		return -1;
	if (!blast_draw(run->draws, run->draw_count, job->urls.count, job->zipf, job->seed))
		return error_set(error, "out of memory");
	catch_signals();
	code = start(run, error);
	if (code == 0)
		follow(run, result);
	if (stop(run, error))
		code = -1;
	if (code == 0)
		linger(run, result);
	return code;
}

int blast_run(const struct blast_job *job, struct blast_result *result, struct error *error)
{
	struct run run = { .job = job, .watch = -1 };
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
	if (run.watch >= 0)
		close(run.watch);
	for (size_t i = 0; i < run.held_count; i++)
		close(run.held[i]);
	free(run.held);
	free(run.generators);
	icpblast_bpf__destroy(run.skeleton);
	pthread_mutex_destroy(&run.lock);
	return code;
}
