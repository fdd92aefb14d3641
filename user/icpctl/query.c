// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * icpctl query: query ICP servers as a cache does. Of one server each reply is printed as it comes, of
 * several a table with a row for each, to see who wants a URL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "icp/dump.h"
#include "icp/client.h"
#include "icpctl/icpctl.h"
#include "icp/opcode.h"
#include "lib/plural.h"

enum {
	OPTION_DUMP = 0x200,
	OPTION_SRC_RTT
};

#define SERVERS_MAX 64

struct input {
	struct icpctl *ctl;
	const char *servers[SERVERS_MAX];
	size_t server_count;
	unsigned long count;
	unsigned long timeout; /* milliseconds */
	bool dump;
	bool src_rtt;
	struct icpctl_words urls;
};

/* The results of the queries to one server for one URL. */
struct tally {
	unsigned long answered;
	double *milliseconds; /* of the replies */
	struct error error;   /* why the last query without a reply has none */
};

static const struct argp_option options[] = {
	{ "server", 's', "ADDR[:PORT]", 0,
	  "the server; a name, an IPv4 or an IPv6 address, as [::1]:3130 (127.0.0.1:3130); given "
	  "several times: print a table of what each replies" },
	{ "count", 'n', "COUNT", 0, "query COUNT times for each URL, one after the other (1)" },
	{ "timeout", 'w', "MS", 0, "wait MS milliseconds for a reply (1000)" },
	{ "src-rtt", OPTION_SRC_RTT, NULL, 0,
	  "ask for the cost as well (the option SRC_RTT), as is always done with several servers" },
	{ "dump", OPTION_DUMP, NULL, 0, "draw both datagrams in the box form of RFC 2186" },
	{ 0 },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	switch (key) {
	case 's':
		if (input->server_count == SERVERS_MAX)
			return icpctl_usage(state, input->ctl, "no more than %d servers at once",
					    SERVERS_MAX);
		input->servers[input->server_count++] = argument;
		return 0;
	case 'n':
		if (!icpctl_number(argument, 1, 1000000, &input->count))
			return icpctl_usage(state, input->ctl,
					    "COUNT must be a number from 1 to 1000000, not '%s'",
					    argument);
		return 0;
	case 'w':
		if (!icpctl_number(argument, 1, 3600000, &input->timeout))
			return icpctl_usage(state, input->ctl,
					    "MS must be a number from 1 to 3600000, not '%s'",
					    argument);
		return 0;
	case OPTION_SRC_RTT:
		input->src_rtt = true;
		return 0;
	case OPTION_DUMP:
		input->dump = true;
		return 0;
	default:
		return icpctl_parse_words(key, state, input->ctl, NULL, &input->urls);
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "URL...",
	.doc = "Queries ICP servers as a cache does, and prints the verdict and the time that it "
	       "took.\v"
	       "The exit status is 4 if a query got no well-formed reply in time.",
};

static int by_size(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;

	return (a > b) - (a < b);
}

static double median(const struct tally *tally)
{
	const double *middle = &tally->milliseconds[tally->answered / 2];

	return tally->answered % 2 ? middle[0] : (middle[-1] + middle[0]) / 2;
}

/* --- text output */

static void print_reply(const struct icp_exchange *exchange, const json_t *url)
{
	printf("%s  %.3f ms  ", opcode_name(exchange->opcode), exchange->milliseconds);
	if (exchange->cost != ICP_NO_COST)
		printf("cost %d  ", exchange->cost);
	printf("%s\n", json_string_value(url));
}

static void print_tally(const struct tally *tally, unsigned long count, const json_t *url)
{
	printf("%lu of %lu answered", tally->answered, count);
	if (tally->answered)
		printf(", min %.3f ms, median %.3f ms, max %.3f ms", tally->milliseconds[0],
		       median(tally), tally->milliseconds[tally->answered - 1]);
	printf("  %s\n", json_string_value(url));
}

#define ROW "%-23s  %-19s  %5s  %12s"

static void print_header(const struct input *input)
{
	printf(ROW "%s  URL\n", "SERVER", "VERDICT", "COST", "TIME",
	       input->count > 1 ? "  REPLIES" : "");
}

/* A row of the table: the last reply, and the median of the times. */
static void print_row(const struct input *input, const struct icp_client *client,
		      const struct icp_exchange *last, const struct tally *tally, const json_t *url)
{
	char cost[16] = "-", time[32] = "-";

	if (last->reply_size && last->cost != ICP_NO_COST)
		snprintf(cost, sizeof(cost), "%d", last->cost);
	if (tally->answered)
		snprintf(time, sizeof(time), "%.3f ms", median(tally));
	printf(ROW, icp_client_server(client),
	       last->reply_size ? opcode_name(last->opcode) : "no-reply", cost, time);
	if (input->count > 1)
		printf("  %lu/%lu", tally->answered, input->count);
	printf("  %s\n", json_string_value(url));
	if (!last->reply_size)
		icpctl_fail(input->ctl, ICPCTL_NO_REPLY, "%s", tally->error.text);
}

/* --- JSON output */

static void set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value))
		icpctl_must(NULL);
}

static json_t *hexadecimal(const unsigned char *bytes, size_t size)
{
	char *text = icpctl_hexadecimal(bytes, size, "");
	json_t *json = json_string(text);

	free(text);
	return json;
}

static json_t *json_of_reply(const struct input *input, const struct icp_exchange *exchange,
			     const struct error *error)
{
	json_t *json = icpctl_must(json_object());

	if (exchange->reply_size) {
		set(json, "verdict", json_string(opcode_name(exchange->opcode)));
		set(json, "ms", json_real(exchange->milliseconds));
		if (exchange->cost != ICP_NO_COST)
			set(json, "cost", json_integer(exchange->cost));
	} else {
		set(json, "verdict", json_null());
		set(json, "error", json_string(error->text));
	}
	if (input->dump) {
		set(json, "query", hexadecimal(exchange->query, exchange->query_size));
		if (exchange->reply_size)
			set(json, "answer", hexadecimal(exchange->reply, exchange->reply_size));
	}
	return json;
}

/* The object of a server and URL: the last reply, statistics, and all replies if there are several. */
static json_t *json_of_tally(const struct tally *tally, unsigned long count,
			     const struct icp_client *client, json_t *url, json_t *replies)
{
	json_t *json = icpctl_must(json_copy(json_array_get(replies, count - 1)));

	set(json, "url", json_incref(url));
	set(json, "server", json_string(icp_client_server(client)));
	if (count == 1)
		return json;
	set(json, "sent", json_integer((json_int_t)count));
	set(json, "answered", json_integer((json_int_t)tally->answered));
	if (tally->answered) {
		set(json, "min_ms", json_real(tally->milliseconds[0]));
		set(json, "median_ms", json_real(median(tally)));
		set(json, "max_ms", json_real(tally->milliseconds[tally->answered - 1]));
	}
	set(json, "answers", json_incref(replies));
	return json;
}

/* --- queries */

struct asking {
	const struct input *input;
	struct icp_client *clients[SERVERS_MAX]; /* as many as servers */
	struct icp_exchange exchange;		 /* of the last query */
	json_t *results;
	unsigned long unanswered;
	bool table; /* print one, with a row for each server and URL */
};

/* Return 0, or an exit status after reporting that nothing can be sent. */
static int ask_once(struct asking *asking, struct icp_client *client, const char *url,
		    size_t length, const json_t *shown, struct tally *tally, json_t *replies)
{
	const struct input *input = asking->input;
	struct icp_exchange *exchange = &asking->exchange;
	int result = icp_client_ask(client, url, length, input->src_rtt || asking->table,
				    (unsigned int)input->timeout, exchange, &tally->error);

	if (result < 0)
		return icpctl_fail(input->ctl, ICPCTL_USAGE, "%s", tally->error.text);
	if (result)
		asking->unanswered++;
	else
		tally->milliseconds[tally->answered++] = exchange->milliseconds;
	if (input->ctl->json) {
		json_array_append_new(replies, json_of_reply(input, exchange, &tally->error));
		return 0;
	}
	if (input->dump) {
		dump_datagram(stdout, exchange->query, exchange->query_size);
		if (!result)
			dump_datagram(stdout, exchange->reply, exchange->reply_size);
	}
	if (asking->table)
		return 0;
	if (result)
		icpctl_fail(input->ctl, ICPCTL_NO_REPLY, "%s  %s", tally->error.text,
			    json_string_value(shown));
	else
		print_reply(exchange, shown);
	return 0;
}

static int ask_server(struct asking *asking, struct icp_client *client, const char *url,
		      size_t length, json_t *shown)
{
	const struct input *input = asking->input;
	struct tally tally = { .milliseconds = calloc(input->count, sizeof(double)) };
	json_t *replies = icpctl_must(json_array());
	int status = 0;

	icpctl_must(tally.milliseconds);
	for (unsigned long i = 0; i < input->count && status == 0; i++)
		status = ask_once(asking, client, url, length, shown, &tally, replies);
	qsort(tally.milliseconds, tally.answered, sizeof(double), by_size);
	if (status == 0 && input->ctl->json)
		json_array_append_new(asking->results,
				      json_of_tally(&tally, input->count, client, shown, replies));
	else if (status == 0 && asking->table)
		print_row(input, client, &asking->exchange, &tally, shown);
	else if (status == 0 && input->count > 1)
		print_tally(&tally, input->count, shown);
	json_decref(replies);
	free(tally.milliseconds);
	return status;
}

static int ask_for(struct asking *asking, const char *text)
{
	int status = 0;
	size_t length;
	char *url = icpctl_unescape(text, &length);
	json_t *shown = icpctl_bytes(url, length);

	for (size_t i = 0; i < asking->input->server_count && status == 0; i++)
		status = ask_server(asking, asking->clients[i], url, length, shown);
	json_decref(shown);
	free(url);
	return status;
}

static void print_results(const struct asking *asking)
{
	json_t *reply = icpctl_must(json_object());

	set(reply, "ok", json_boolean(asking->unanswered == 0));
	if (asking->unanswered)
		set(reply, "error",
		    json_sprintf("%lu %s without a reply", asking->unanswered,
				 plural(asking->unanswered, "query", "queries")));
	set(reply, "results", json_incref(asking->results));
	icpctl_print_json(reply);
	json_decref(reply);
}

/* Open a socket for each server. Return 0, or an exit status after reporting the error. */
static int open_clients(struct asking *asking)
{
	const struct input *input = asking->input;
	struct error error;

	for (size_t i = 0; i < input->server_count; i++) {
		asking->clients[i] = icp_client_open(input->servers[i], &error);
		if (!asking->clients[i])
			return icpctl_fail(input->ctl, ICPCTL_USAGE, "%s", error.text);
	}
	return 0;
}

int icpctl_query(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl, .count = 1, .timeout = 1000 };
	struct asking *asking;
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	if (status)
		return status;
	if (!input.server_count)
		input.servers[input.server_count++] = "127.0.0.1";
	asking = icpctl_must(calloc(1, sizeof(*asking)));
	asking->input = &input;
	asking->results = icpctl_must(json_array());
	asking->table = input.server_count > 1;
	status = open_clients(asking);
	if (status == 0 && asking->table && !ctl->json)
		print_header(&input);
	for (int i = 0; i < input.urls.argc && status == 0; i++)
		status = ask_for(asking, input.urls.argv[i]);
	if (status == 0 && ctl->json)
		print_results(asking);
	if (status == 0 && asking->unanswered)
		status = ICPCTL_NO_REPLY;
	for (size_t i = 0; i < input.server_count && asking->clients[i]; i++)
		icp_client_close(asking->clients[i]);
	json_decref(asking->results);
	free(asking);
	return status;
}
