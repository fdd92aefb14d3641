// SPDX-License-Identifier: GPL-2.0-or-later
/* What the generators' threads do. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "icpblast/state.h"
#include "lib/clock.h"

#define BATCH 64	   /* frames sent by one call if the rate is unlimited */
#define CALL_MAX (1 << 30) /* frames that one call of the kernel generates at most */

/*
 * A thread that sleeps is often late by some milliseconds, so it has to catch up to keep the rate.
 * After more than this, in nanoseconds, the process was stopped: no burst makes up for that.
 */
#define CATCH_UP (SECOND / 10)

static const struct timespec queue_pause = { .tv_nsec = 1000000 };

struct blast_sender blast_sender_of(const struct run *run, const struct generator *generator)
{
	__u32 share = (run->skeleton->rodata->config.slots - 1) / run->generator_count;
	__u32 first = 1 + generator->number * share;

	return (struct blast_sender){
		.budget = generator->budget,
		.next = clock_ns(CLOCK_MONOTONIC),
		.draw = run->draw_count / run->generator_count * generator->number,
		.first_slot = first,
		.slot = first,
		.end_slot = first + share,
	};
}

/* --- sending live frames */

/* The kernel runs the program repeatedly until a signal interrupts the call. */
void blast_send_live(struct generator *generator)
{
	struct run *run = generator->run;
	const struct blast_job *job = run->job;
	__u32 size = run->skeleton->rodata->config.frame_max;
	struct xdp_md context = { .data_end = size, .ingress_ifindex = job->path.ifindex };
	unsigned char frame[BLAST_FRAME_MAX] = { 0 };
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = size,
			    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = CALL_MAX,
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
			    /* At a given rate, no frame waits for a batch to fill. */
			    .batch_size = job->rate ? 1 : BATCH);
	int program = bpf_program__fd(run->skeleton->progs.blast_send);

	while (!run->stop) {
		int code = bpf_prog_test_run_opts(program, &options);

		if (code && code != -EINTR && code != -EAGAIN) {
			generator->code = -code;
			return;
		}
	}
}

/* --- sending by a packet socket */

struct batch {
	bool sampled[BATCH], unanswerable[BATCH];
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	/* The frame begins where its URL, and thereby the headers, are aligned to a word. */
	unsigned char buffers[BATCH][(BLAST_FRAME_MAX + 2 * ICP_WORD) / ICP_WORD * ICP_WORD]
		__attribute__((aligned(ICP_WORD)));
};

/* Record when a query is sent, if its turn to be sampled has come. Returns its slot, or 0. */
static __u32 sample(struct run *run, struct blast_sender *sender, __u32 index)
{
	__u32 slot = sender->slot;

	if (run->job->config.sample == 0 || ++sender->unsampled < run->job->config.sample)
		return 0;
	sender->unsampled = 0;
	sender->slot = slot + 1 < sender->end_slot ? slot + 1 : sender->first_slot;
	run->slots[slot].index = index;
	*(volatile __u64 *)&run->slots[slot].time = clock_ns(CLOCK_MONOTONIC);
	return slot;
}

static void add_query(struct run *run, struct batch *batch, unsigned int i,
		      struct blast_sender *sender)
{
	const struct blast_config *config = &run->skeleton->rodata->config;
	__u32 headers = blast_headers(config->ipv6, true);
	__u32 index = run->draws[sender->draw++ & (run->draw_count - 1)];
	const struct blast_query *query = query_of(run, index);
	unsigned char *frame = batch->buffers[i] + blast_lead(config->ipv6, true);
	__u32 slot;

	memcpy(frame, config->headers, headers);
	memcpy(frame + headers, query->url, query->url_size);
	slot = query->allowed ? sample(run, sender, index) : 0;
	blast_finish(frame, config->ipv6, query, config->first_port + sender->port,
		     slot << config->index_bits | (index + 1));
	sender->port = (sender->port + 1) % config->ports;
	batch->parts[i] = (struct iovec){ frame, headers + query->url_size };
	batch->messages[i].msg_hdr =
		(struct msghdr){ .msg_iov = &batch->parts[i], .msg_iovlen = 1 };
	batch->sampled[i] = slot != 0;
	batch->unanswerable[i] = query->allowed == 0;
}

/* Returns how many queries are due now, at most BATCH; if none, `*next` is when the next is. */
static __u64 due_count(const struct run *run, struct blast_sender *sender, __u64 *next)
{
	const __u64 interval = run->skeleton->rodata->config.interval;
	__u64 now = clock_ns(CLOCK_MONOTONIC), count = 0;

	if (interval == 0)
		return sender->budget < BATCH ? sender->budget : BATCH;
	if (now > sender->next + CATCH_UP)
		sender->next = now;
	while (sender->next <= now && count < BATCH && count < sender->budget) {
		sender->next += interval;
		count++;
	}
	*next = sender->next;
	return count;
}

static void count_sent(struct run *run, const struct batch *batch, unsigned int i, unsigned int end)
{
	pthread_mutex_lock(&run->lock);
	for (; i < end; i++) {
		run->socket_counts.sent++;
		run->socket_counts.sent_sampled += batch->sampled[i];
		run->socket_counts.sent_unanswerable += batch->unanswerable[i];
	}
	pthread_mutex_unlock(&run->lock);
}

/* Returns an errno, or 0 when all are sent or the run ends. */
static int send_batch(struct run *run, int fd, struct batch *batch, unsigned int count)
{
	unsigned int sent = 0;

	while (sent < count && !run->stop) {
		int n = sendmmsg(fd, batch->messages + sent, count - sent, 0);

		if (n > 0) {
			count_sent(run, batch, sent, sent + n);
			sent += n;
		} else if (errno == ENOBUFS) { /* the interface's queue is full */
			nanosleep(&queue_pause, NULL);
		} else if (errno != EINTR && errno != EAGAIN) {
			return errno;
		}
	}
	return 0;
}

void blast_send_by_socket(struct generator *generator)
{
	struct run *run = generator->run;
	struct blast_sender sender = blast_sender_of(run, generator);
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = run->job->path.ifindex,
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct batch *batch = calloc(1, sizeof(*batch));

	if (fd < 0 || !batch || bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		generator->code = errno;
		goto end;
	}
	while (!generator->code && !run->stop && sender.budget) {
		__u64 next = 0;
		__u64 count = due_count(run, &sender, &next);

		if (count == 0) {
			struct timespec until = { next / SECOND, next % SECOND };

			if (next > clock_ns(CLOCK_MONOTONIC) + SECOND / 10) /* to notice `stop` */
				nanosleep(&(struct timespec){ .tv_nsec = SECOND / 10 }, NULL);
			else
				clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
			continue;
		}
		for (__u64 i = 0; i < count; i++)
			add_query(run, batch, i, &sender);
		sender.budget -= count;
		generator->code = send_batch(run, fd, batch, count);
	}
end:
	free(batch);
	if (fd >= 0)
		close(fd);
}
