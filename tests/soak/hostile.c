// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Send hostile frames on a device at a given rate, and check every reply.
 *
 * The socket's send buffer limits the frames in flight to fewer than the queues of a veth and the
 * network stack hold: hostile frames must not displace good queries. Prints the counters as a line
 * of JSON every second and at the end; SIGTERM ends it. Exit 1 if a reply was bad.
 */
#include <argp.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"
#include "support/burst.h"

#define IN_FLIGHT_BYTES (24 << 10) /* as the kernel counts, which doubles it: about 50 frames */
#define RECEIVE_BYTES (8 << 20)
#define CORPUS_MAX 256
#define FINDINGS_SHOWN 5 /* of each judgement */
#define WAIT_MS 2

static struct frame_config config = { .first = FRAME_FIRST };
static unsigned long rate = 20000;
static const char *device, *corpus;

static struct {
	unsigned long sent, replies[REPLY_JUDGEMENTS], unseen;
} counts;

static const char *const judgement_names[] = { "other", "good", "larger", "forbidden", "wrong" };

static void load_message(const char *path)
{
	unsigned char *bytes = malloc(MESSAGE_MAX);
	FILE *file = fopen(path, "rb");

	if (!bytes || !file)
		err(2, "%s", path);
	config.corpus_size[config.corpus_count] = fread(bytes, 1, MESSAGE_MAX, file);
	config.corpus[config.corpus_count++] = bytes;
	fclose(file);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Sorted by name, so that a run can be repeated. */
static void load_corpus(void)
{
	struct dirent **entries;
	int count = scandir(corpus, &entries, is_visible, alphasort);
	char path[4096];

	if (count < 0)
		err(2, "%s", corpus);
	config.corpus = calloc(CORPUS_MAX, sizeof(*config.corpus));
	config.corpus_size = calloc(CORPUS_MAX, sizeof(*config.corpus_size));
	if (!config.corpus || !config.corpus_size)
		err(2, "calloc");
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", corpus, entries[i]->d_name);
		if (config.corpus_count < CORPUS_MAX)
			load_message(path);
		free(entries[i]);
	}
	free(entries);
}

static int open_socket(void)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int send_bytes = IN_FLIGHT_BYTES, receive_bytes = RECEIVE_BYTES, one = 1;
	struct ifreq request = { 0 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(2, "a packet socket");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		err(2, "%s", device);
	memcpy(config.own_mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
	address.sll_ifindex = if_nametoindex(device);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof(receive_bytes)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		err(2, "%s", device);
	return fd;
}

/* Send the next `count` frames. Frames refused by a device that is down count as not sent. */
static void send_frames(int fd, unsigned int count)
{
	static struct frame frames[BURST];
	struct burst burst;
	int sent;

	for (unsigned int i = 0; i < count; i++) {
		frame_make(&config, config.first + counts.sent + i, &frames[i]);
		burst_put(&burst, i, frames[i].bytes, frames[i].size);
	}
	sent = sendmmsg(fd, burst.messages, count, 0);
	if (sent > 0) {
		counts.sent += sent;
		return;
	}
	if (errno != EINTR && errno != ENETDOWN && errno != ENOBUFS && errno != EAGAIN &&
	    errno != ENXIO)
		err(2, "sending frame %#lx, %s, %zu bytes", config.first + counts.sent,
		    frames[0].kind, frames[0].size);
}

static void show(const char *what, const unsigned char *bytes, size_t size)
{
	fprintf(stderr, "  %s:", what);
	for (size_t i = 0; i < size; i++)
		fprintf(stderr, "%s%02x", i % 32 ? "" : "\n    ", bytes[i]);
	fprintf(stderr, "\n");
}

static void report(enum reply_judgement judgement, uint32_t number, const unsigned char *reply,
		   size_t size)
{
	struct frame frame;

	if (counts.replies[judgement] > FINDINGS_SHOWN)
		return;
	if (number < FRAME_FIRST) {
		fprintf(stderr, "%s: a reply with request number %#x\n", judgement_names[judgement],
			number);
	} else {
		frame_make(&config, number, &frame);
		fprintf(stderr, "%s: a reply to frame %#x of the kind \"%s\"\n",
			judgement_names[judgement], number, frame.kind);
		show("frame", frame.bytes, frame.size);
	}
	show("reply", reply, size);
}

static void receive_replies(int fd)
{
	static unsigned char buffers[BURST][MESSAGE_MAX];
	struct burst burst;
	int count;

	do {
		count = burst_receive(&burst, fd, buffers);
		for (int i = 0; i < count; i++) {
			size_t size = burst.messages[i].msg_len;
			enum reply_judgement judgement;
			uint32_t number = 0;

			judgement = reply_judge(&config, buffers[i], size, &number);
			counts.replies[judgement]++;
			if (judgement > REPLY_GOOD)
				report(judgement, number, buffers[i], size);
		}
	} while (count == BURST);
}

static void print_counts(int fd)
{
	struct tpacket_stats statistics = { 0 };
	socklen_t size = sizeof(statistics);

	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
		counts.unseen += statistics.tp_drops;
	printf("{\"sent\": %lu, \"unseen\": %lu", counts.sent, counts.unseen);
	for (int i = REPLY_GOOD; i < REPLY_JUDGEMENTS; i++)
		printf(", \"%s\": %lu", judgement_names[i], counts.replies[i]);
	printf("}\n");
	fflush(stdout);
}

static void run(int fd)
{
	double start = now(), shown = start;
	struct timespec wait = { .tv_nsec = WAIT_MS * 1000000 };

	while (!stopped) {
		double time = now();
		unsigned long due = (time - start) * rate;

		/* After a delay, catch up by at most a second. */
		if (due > counts.sent + rate) {
			start += (double)(due - counts.sent - rate) / rate;
			due = counts.sent + rate;
		}
		for (int i = 0; i < 8 && due - counts.sent >= BURST && due > counts.sent; i++)
			send_frames(fd, BURST);
		receive_replies(fd);
		if (time - shown >= 1) {
			print_counts(fd);
			shown = time;
		}
		if (due < counts.sent + BURST)
			nanosleep(&wait, NULL);
	}
	/* Replies in flight. */
	for (int i = 0; i < 100; i++) {
		nanosleep(&wait, NULL);
		receive_replies(fd);
	}
	print_counts(fd);
}

static struct in6_addr parse_address(const char *text, struct argp_state *state)
{
	struct in6_addr address;

	if (!address_parse(text, &address))
		argp_error(state, "%s is not an IP address", text);
	return address;
}

static error_t parse_argument(int key, char *text, struct argp_state *state)
{
	switch (key) {
	case 's':
		config.seed = strtoull(text, NULL, 0);
		return 0;
	case 'f':
		config.first = strtoul(text, NULL, 0);
		if (config.first < FRAME_FIRST)
			argp_error(state, "frames begin at %#x", FRAME_FIRST);
		return 0;
	case 'r':
		rate = strtoul(text, NULL, 10);
		if (rate == 0)
			argp_error(state, "the rate must be a number above 0");
		return 0;
	case 'c':
		corpus = text;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0) {
			device = text;
		} else if (state->arg_num == 1) {
			struct ether_addr mac;

			if (!ether_aton_r(text, &mac))
				argp_error(state, "%s is not a MAC address", text);
			memcpy(config.server_mac, &mac, ETH_ALEN);
		} else if (state->arg_num < 4) {
			config.source[state->arg_num - 2] = parse_address(text, state);
		} else if (config.server_count < FRAME_SERVER_ADDRESSES) {
			config.server[config.server_count++] = parse_address(text, state);
		} else {
			argp_error(state, "at most %d addresses", FRAME_SERVER_ADDRESSES);
		}
		return 0;
	case ARGP_KEY_END:
		if (config.server_count < 2)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "seed", 's', "N", 0, "other frames (0)", 0 },
		{ "first", 'f', "N", 0, "number of the first frame", 0 },
		{ "rate", 'r', "N", 0, "frames a second (20000)", 0 },
		{ "corpus", 'c', "DIRECTORY", 0, "messages to send too", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_argument,
		.args_doc = "DEVICE SERVER_MAC SOURCE SOURCE6 SERVER SERVER6 [OTHER...]",
		.doc = "Sends hostile frames from the SOURCE addresses, and checks the replies. "
		       "The "
		       "server may reply from the OTHER addresses as well.",
	};
	int fd;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (corpus)
		load_corpus();
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	fd = open_socket();
	run(fd);
	return counts.replies[REPLY_LARGER] || counts.replies[REPLY_FORBIDDEN] ||
	       counts.replies[REPLY_WRONG];
}
