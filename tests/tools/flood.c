// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Send COUNT queries to a responder and check every byte of every reply.
 *
 * Several sockets are used, each with a limited number of queries in flight, so that a datagram was
 * lost by the responder or the path, not in a buffer of ours: the ring of a veth has 256 places, of
 * which up to 15 become free late, and two floods may share it. There are no retries. A query is
 * lost if its reply does not arrive in time. Queries that need no reply are not waited for, but a
 * reply to them is checked. The result is a line of JSON; exit 0 only if every query that needs a
 * reply got exactly one, and it was right. On SIGTERM no more queries are sent, and those in flight
 * are waited for.
 */
#include <arpa/inet.h>
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "icp.h"
#include "support/burst.h"

#define SOCKETS_MAX 64
#define WINDOW_MAX 65536
#define RECEIVE_BYTES (4 << 20)

static const struct {
	const char *name;
	enum icp_opcode opcode;
} verdicts[] = {
	{ "hit", ICP_OP_HIT },	     { "miss", ICP_OP_MISS },
	{ "err", ICP_OP_ERR },	     { "miss_nofetch", ICP_OP_MISS_NOFETCH },
	{ "denied", ICP_OP_DENIED },
};

#define VERDICTS (sizeof(verdicts) / sizeof(verdicts[0]))

/* Which part must reply; losses are counted separately, for the caller has different excuses. */
enum replier {
	REPLIER_KERNEL,
	REPLIER_DAEMON,
	REPLIER_NONE
};

static const char *const repliers[] = { "kernel", "daemon", "none" };

#define REPLIERS (sizeof(repliers) / sizeof(repliers[0]))

/* A query without its request number, and a bitmask of the verdicts that are right. */
struct question {
	unsigned char *query;
	size_t size;
	unsigned int allowed;
	enum replier replier;
};

/* A query in flight. */
struct awaited {
	unsigned long number;
	double since; /* seconds of the monotonic clock */
};

struct asker {
	int fd;
	struct awaited *awaited; /* an array of the socket's share of the window */
	unsigned int count;	 /* of these */
};

static struct {
	const char *address, *port, *file;
	unsigned long count, sockets, window, limit, rate, timeout;
	bool announce;
} options = { .port = "3130", .sockets = 8, .window = 64, .limit = 300, .timeout = 60 };

static struct question *questions;
static size_t question_count;
static struct asker askers[SOCKETS_MAX];
static unsigned char *answered; /* by request number, 1 to COUNT */

static struct {
	unsigned long sent, expected, answered, wrong, duplicates;
	unsigned long lost[REPLIERS];
	unsigned long verdicts[VERDICTS];
} outcome;

static unsigned int parse_verdicts(char *text, unsigned long line)
{
	unsigned int set = 0;
	char *rest = text;
	char *name;

	while ((name = strsep(&rest, ","))) {
		size_t i = 0;

		while (i < VERDICTS && strcmp(verdicts[i].name, name) != 0)
			i++;
		if (i == VERDICTS)
			errx(2, "%s:%lu: no verdict: %s", options.file, line, name);
		set |= 1u << i;
	}
	return set;
}

static enum replier parse_replier(const char *name, unsigned long line)
{
	enum replier replier = REPLIER_KERNEL;

	while (replier < REPLIERS && strcmp(repliers[replier], name) != 0)
		replier++;
	if (replier == REPLIERS)
		errx(2, "%s:%lu: unknown replier '%s'; it can be kernel, daemon or none",
		     options.file, line, name);
	return replier;
}

static void make_question(struct question *question, const char *url)
{
	struct icp_query header = {
		.header = {
			.opcode = ICP_OP_QUERY,
			.version = ICP_VERSION,
			.sender_host_address = host_to_be32(0xc0000207),
		},
		.requester_host_address = host_to_be32(0xc0000263),
	};

	question->size = sizeof(header) + strlen(url) + 1;
	if (question->size > MESSAGE_MAX)
		errx(2, "%s: a URL of more than %zu bytes", options.file,
		     MESSAGE_MAX - sizeof(header) - 1);
	header.header.length = host_to_be16(question->size);
	question->query = malloc(question->size);
	if (!question->query)
		err(2, "malloc");
	memcpy(question->query, &header, sizeof(header));
	strcpy((char *)question->query + sizeof(header), url);
}

/* Read lines of URL TAB VERDICT[,VERDICT...] [TAB REPLIER]; the default is kernel. */
static void read_questions(void)
{
	FILE *file = fopen(options.file, "r");
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	if (!file)
		err(2, "%s", options.file);
	while ((length = getline(&line, &room, file)) > 0) {
		size_t number = question_count + 1;
		struct question *question;
		char *rest = line, *url, *verdicts_text;

		if (line[length - 1] == '\n')
			line[length - 1] = '\0';
		url = strsep(&rest, "\t");
		verdicts_text = strsep(&rest, "\t");
		if (!verdicts_text)
			errx(2, "%s:%zu: no tabulator", options.file, number);
		questions = reallocarray(questions, number, sizeof(*questions));
		if (!questions)
			err(2, "reallocarray");
		question = &questions[question_count++];
		question->allowed = parse_verdicts(verdicts_text, number);
		question->replier = rest ? parse_replier(rest, number) : REPLIER_KERNEL;
		make_question(question, url);
	}
	free(line);
	fclose(file);
	if (question_count == 0)
		errx(2, "%s: no URL", options.file);
}

/* Connect them, so that only replies from the address asked are received. */
static void open_sockets(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *to;
	int bytes = RECEIVE_BYTES;
	int code = getaddrinfo(options.address, options.port, &hints, &to);

	if (code)
		errx(2, "%s port %s: %s", options.address, options.port, gai_strerror(code));
	for (unsigned long i = 0; i < options.sockets; i++) {
		askers[i].awaited =
			calloc(options.window / options.sockets, sizeof(*askers[i].awaited));
		if (!askers[i].awaited)
			err(2, "calloc");
		askers[i].fd = socket(to->ai_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		/* Holds replies while this process is not scheduled. */
		if (askers[i].fd >= 0)
			setsockopt(askers[i].fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
		if (askers[i].fd < 0 || connect(askers[i].fd, to->ai_addr, to->ai_addrlen))
			err(2, "%s port %s", options.address, options.port);
	}
	freeaddrinfo(to);
}

static const struct question *question_of(unsigned long number)
{
	return &questions[number % question_count];
}

/* Is a device down, or its address gone? Such a query counts as not sent. */
static bool is_unreachable(int code)
{
	return code == ENETDOWN || code == ENETUNREACH || code == EHOSTUNREACH ||
	       code == EADDRNOTAVAIL;
}

/* How many queries the rate allows by now, or all. */
static unsigned long due(double since)
{
	double count = options.rate ? (now() - since) * options.rate : (double)options.count;

	return count < options.count ? (unsigned long)count : options.count;
}

/* Send what the socket's share of the window allows, at most a batch; return the number. */
static unsigned int send_queries(struct asker *asker, unsigned long limit)
{
	static unsigned char buffers[BURST][MESSAGE_MAX];
	struct burst burst;
	unsigned int share = options.window / options.sockets;
	unsigned int n = 0;
	double time = now();
	int sent;

	while (!stopped && n < BURST && asker->count + n < share && outcome.sent + n < limit) {
		__u32 number = outcome.sent + n + 1;
		const struct question *question = question_of(number);
		struct icp_header *header = (struct icp_header *)buffers[n];

		memcpy(buffers[n], question->query, question->size);
		header->request_number = host_to_be32(number);
		burst_put(&burst, n, buffers[n], question->size);
		n++;
	}
	if (n == 0)
		return 0;
	sent = sendmmsg(asker->fd, burst.messages, n, 0);
	if (sent < 0) {
		/* Refusals of earlier queries are reported here too; those count as lost. */
		if (errno != EAGAIN && errno != ECONNREFUSED && errno != ENOBUFS &&
		    !is_unreachable(errno))
			err(2, "sendmmsg");
		return 0;
	}
	for (int i = 0; i < sent; i++) {
		unsigned long number = ++outcome.sent;

		if (question_of(number)->replier == REPLIER_NONE)
			continue;
		outcome.expected++;
		asker->awaited[asker->count++] = (struct awaited){ number, time };
	}
	return sent;
}

/* Remove a query from those in flight, unless it was given up before. */
static void end_wait(struct asker *asker, unsigned long number)
{
	for (unsigned int i = 0; i < asker->count; i++) {
		if (asker->awaited[i].number == number) {
			asker->awaited[i] = asker->awaited[--asker->count];
			return;
		}
	}
}

static void give_up(struct asker *asker)
{
	double oldest = now() - options.timeout;

	for (unsigned int i = 0; i < asker->count;) {
		const struct question *question = question_of(asker->awaited[i].number);

		if (asker->awaited[i].since > oldest) {
			i++;
			continue;
		}
		if (outcome.lost[REPLIER_KERNEL] + outcome.lost[REPLIER_DAEMON] == 0)
			warnx("no reply in %lu s to %s", options.timeout,
			      question->query + ICP_QUERY_HEADER_SIZE);
		outcome.lost[question->replier]++;
		asker->awaited[i] = asker->awaited[--asker->count];
	}
}

/* Is this, byte for byte, a reply that the file allows? */
static bool right(const unsigned char *reply, size_t size, const struct question *question)
{
	const struct icp_header *header = (const struct icp_header *)reply;
	struct icp_header expected = *(const struct icp_header *)question->query;
	size_t verdict = 0;

	while (verdict < VERDICTS && verdicts[verdict].opcode != header->opcode)
		verdict++;
	if (verdict == VERDICTS || !(question->allowed & 1u << verdict))
		return false;
	outcome.verdicts[verdict]++;
	expected.opcode = header->opcode;
	expected.length = host_to_be16(question->size - 4);
	expected.request_number = header->request_number;
	return size == question->size - 4 && memcmp(reply, &expected, sizeof(expected)) == 0 &&
	       memcmp(reply + sizeof(expected), question->query + ICP_QUERY_HEADER_SIZE,
		      size - sizeof(expected)) == 0;
}

static void check_reply(struct asker *asker, const unsigned char *reply, size_t size)
{
	const struct icp_header *header = (const struct icp_header *)reply;
	__u32 number = size >= sizeof(*header) ? be32_to_host(header->request_number) : 0;

	if (number == 0 || number > outcome.sent) {
		outcome.wrong++;
		return;
	}
	if (answered[number]) {
		outcome.duplicates++;
		return;
	}
	answered[number] = 1;
	outcome.answered++;
	end_wait(asker, number);
	if (!right(reply, size, question_of(number))) {
		if (outcome.wrong++ == 0)
			warnx("a wrong reply to %s: opcode %u, %zu bytes",
			      question_of(number)->query + ICP_QUERY_HEADER_SIZE, header->opcode,
			      size);
	}
}

/* Receive at most a batch; return the number of replies. */
static unsigned int receive_replies(struct asker *asker)
{
	static unsigned char buffers[BURST][MESSAGE_MAX];
	struct burst burst;
	int n = burst_receive(&burst, asker->fd, buffers);

	if (n < 0) {
		if (errno != EAGAIN && errno != ECONNREFUSED && errno != EINTR &&
		    !is_unreachable(errno))
			err(2, "recvmmsg");
		return 0;
	}
	for (int i = 0; i < n; i++)
		check_reply(asker, buffers[i], burst.messages[i].msg_len);
	return n;
}

static void wait_for_replies(void)
{
	struct pollfd fds[SOCKETS_MAX];

	for (unsigned long i = 0; i < options.sockets; i++)
		fds[i] = (struct pollfd){ .fd = askers[i].fd, .events = POLLIN };
	poll(fds, options.sockets, options.rate ? 5 : 100); /* milliseconds */
}

static void flood(void)
{
	double start = now();

	while (now() - start < options.limit) {
		unsigned long limit = due(start);
		unsigned int moved = 0;
		unsigned int awaited = 0;

		for (unsigned long i = 0; i < options.sockets; i++) {
			moved += receive_replies(&askers[i]);
			moved += send_queries(&askers[i], limit);
			give_up(&askers[i]);
			awaited += askers[i].count;
		}
		if (options.announce && outcome.sent) {
			printf("begun\n");
			fflush(stdout);
			options.announce = false;
		}
		if ((stopped || outcome.sent == options.count) && awaited == 0)
			return;
		if (!moved)
			wait_for_replies();
	}
	/* Out of time: queries still in flight are lost. */
	options.timeout = 0;
	for (unsigned long i = 0; i < options.sockets; i++)
		give_up(&askers[i]);
}

static unsigned long lost(void)
{
	return outcome.lost[REPLIER_KERNEL] + outcome.lost[REPLIER_DAEMON];
}

static void print_outcome(double seconds)
{
	const char *separator = "";

	printf("{\"sent\": %lu, \"expected\": %lu, \"answered\": %lu, \"wrong\": %lu, \"lost\": "
	       "%lu, "
	       "\"lost_kernel\": %lu, \"lost_daemon\": %lu, \"duplicates\": %lu, \"verdicts\": {",
	       outcome.sent, outcome.expected, outcome.answered, outcome.wrong, lost(),
	       outcome.lost[REPLIER_KERNEL], outcome.lost[REPLIER_DAEMON], outcome.duplicates);
	for (size_t i = 0; i < VERDICTS; i++) {
		if (outcome.verdicts[i] == 0)
			continue;
		printf("%s\"%s\": %lu", separator, verdicts[i].name, outcome.verdicts[i]);
		separator = ", ";
	}
	printf("}, \"seconds\": %.3f}\n", seconds);
}

static unsigned long number_of(const char *text, unsigned long max, struct argp_state *state)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*end || number == 0 || number > max)
		argp_error(state, "%s is no number from 1 to %lu", text, max);
	return number;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	switch (key) {
	case 's':
		options.sockets = number_of(text, SOCKETS_MAX, state);
		return 0;
	case 'w':
		options.window = number_of(text, WINDOW_MAX, state);
		return 0;
	case 't':
		options.limit = number_of(text, 3600, state);
		return 0;
	case 'r':
		options.rate = number_of(text, 10000000, state);
		return 0;
	case 'l':
		options.timeout = number_of(text, 3600, state);
		return 0;
	case 'a':
		options.announce = true;
		return 0;
	case 'p':
		options.port = text;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			options.address = text;
		else if (state->arg_num == 1)
			options.count = number_of(text, 1000000000, state);
		else if (state->arg_num == 2)
			options.file = text;
		else
			argp_usage(state);
		return 0;
	case ARGP_KEY_END:
		if (state->arg_num < 3)
			argp_usage(state);
		if (options.window < options.sockets)
			argp_error(state, "the window must be a query a socket at least");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option argp_options[] = {
		{ "sockets", 's', "N", 0, "sockets to ask from (8)", 0 },
		{ "window", 'w', "N", 0, "queries awaiting a reply, of all sockets (64)", 0 },
		{ "rate", 'r', "N", 0, "queries a second (as many as the window allows)", 0 },
		{ "lost-after", 'l', "SECONDS", 0, "a query without a reply is lost after (60)",
		  0 },
		{ "announce", 'a', NULL, 0, "print a line once the first queries are sent", 0 },
		{ "time", 't', "SECONDS", 0, "stop after (300)", 0 },
		{ "port", 'p', "PORT", 0, "the responder's (3130)", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse_option,
		.args_doc = "ADDRESS COUNT FILE",
		.doc = "Sends COUNT ICP queries for the URLs of FILE, lines of "
		       "URL TAB VERDICT[,VERDICT...] [TAB kernel|daemon|none], and checks every "
		       "reply. The last column says which part must send one (kernel).",
	};
	double start;

	signal(SIGTERM, stop);
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	read_questions();
	answered = calloc(options.count + 1, 1);
	if (!answered)
		err(2, "calloc");
	open_sockets();
	start = now();
	flood();
	print_outcome(now() - start);
	return outcome.wrong || outcome.duplicates || lost() ||
	       (!stopped && outcome.sent != options.count);
}
