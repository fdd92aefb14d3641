// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One frame of `icpctl top`. All texts are printable ASCII: the client of the control socket
 * ensures that (control/client.h), so that no name can move the cursor.
 */
#include <curses.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "icpctl/icpctl.h"
#include "icpctl/rates.h"
#include "icpctl/top.h"
#include "lib/clock.h"

#define LABEL 13	  /* columns of the labels on the left */
#define LINES_OF_A_LIST 2 /* at most: interfaces, losses */
#define DETAIL_LINES 2	  /* of the selected policy */
#define MORE_SIZE 12	  /* columns of ", 255 more" */
#define OTHERS_SIZE 55	  /* columns of a policy's line without its name and state */
#define DEADLINE 0.005001 /* seconds, and what rounding may add */
#define SHORT_SIZE 16	  /* bytes of a number in few characters */
#define TROUBLE (A_BOLD | COLOR_PAIR(1))

static const char *const orders[] = { "rank", "rate", "total", "name" };

/* A policy, or what else decides. */
struct row {
	const char *name, *kind, *verdict, *place;
	const json_t *json;
	const json_t *state;   /* NULL: none */
	double kernel, daemon; /* decisions a second */
	json_int_t total;
	size_t rank;
};

/* --- texts */

/* Write text, cut at the right margin. Return the column behind it. */
static int __attribute__((format(printf, 3, 4))) put(int y, int x, const char *format, ...)
{
	char line[1024];
	va_list args;

	if (y < 0 || y >= LINES || x >= COLS)
		return x;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	mvaddnstr(y, x, line, COLS - x);
	return x + (int)strlen(line);
}

/* "0.0" to "9999", "12.3k", "12.34M": 6 characters, mostly. */
static const char *short_number(double number, char text[SHORT_SIZE])
{
	if (number < 1000)
		snprintf(text, SHORT_SIZE, "%.1f", number);
	else if (number < 10000)
		snprintf(text, SHORT_SIZE, "%.0f", number);
	else if (number < 1e6)
		snprintf(text, SHORT_SIZE, "%.1fk", number / 1e3);
	else if (number < 1e9)
		snprintf(text, SHORT_SIZE, "%.2fM", number / 1e6);
	else
		snprintf(text, SHORT_SIZE, "%.2fG", number / 1e9);
	return text;
}

static const char *short_count(json_int_t count, char text[SHORT_SIZE])
{
	if (count < 100000)
		snprintf(text, SHORT_SIZE, "%d", (int)count);
	else
		short_number((double)count, text);
	return text;
}

static const char *short_age(json_int_t seconds, char text[SHORT_SIZE])
{
	static const struct {
		json_int_t seconds;
		const char *name;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
	size_t i = 0;

	while (i < 3 && seconds < units[i].seconds)
		i++;
	snprintf(text, SHORT_SIZE, "%d %s", (int)(seconds / units[i].seconds), units[i].name);
	return text;
}

static const char *verdict_name(const char *verdict)
{
	return strncmp(verdict, "ICP_OP_", 7) == 0 ? verdict + 7 : verdict;
}

/* --- lists that go on in the next line */

struct list {
	int y, x, left; /* where the next item goes; lines that are left */
	size_t hidden;
};

static struct list list_begin(int y, const char *label, int lines)
{
	put(y, 0, "%s", label);
	return (struct list){ .y = y, .x = LABEL, .left = lines };
}

static void list_add(struct list *list, int attributes, const char *text)
{
	int length = (int)strlen(text);

	if (list->x > LABEL && list->x + 2 + length > COLS - MORE_SIZE * (list->left == 1)) {
		if (list->hidden || list->left == 1) {
			list->hidden++;
			return;
		}
		list->left--;
		list->y++;
		list->x = LABEL;
	}
	if (list->x > LABEL)
		list->x = put(list->y, list->x, ", ");
	attron(attributes);
	list->x = put(list->y, list->x, "%s", text);
	attroff(attributes);
}

/* Return the next line. */
static int list_end(struct list *list)
{
	if (list->hidden)
		put(list->y, list->x, ", %zu more", list->hidden);
	else if (list->x == LABEL)
		put(list->y, list->x, "none");
	return list->y + 1;
}

/* --- the upper part */

static int draw_title(const struct top *top)
{
	const json_t *status = top->now.status;
	const char *drain = json_string_value(json_object_get(status, "drain"));
	const char *reason = json_string_value(json_object_get(status, "reason"));
	char age[SHORT_SIZE], when[CLOCK_TEXT_SIZE];
	int y = 1, x;

	clock_text(time(NULL), when);
	attron(A_REVERSE);
	mvhline(0, 0, ' ', COLS);
	put(0, 0, "xdp-icpd %s  mode %s  up %s  generation %" JSON_INTEGER_FORMAT,
	    icpctl_string(status, "version"), icpctl_string(status, "mode"),
	    short_age(icpctl_integer(status, "uptime"), age), icpctl_integer(status, "generation"));
	x = COLS - (int)strlen(when);
	put(0, x > 60 ? x : COLS, "%s", when);
	attroff(A_REVERSE);
	attron(TROUBLE);
	if (top->error.text[0])
		put(y++, 0, "trying again: %s", top->error.text);
	if (drain)
		put(y++, 0, "drained: every query gets %s", drain);
	if (reason)
		put(y++, 0, "nothing is answered in the kernel: %s", reason);
	attroff(TROUBLE);
	return y;
}

/* How many of the daemon's replies were sent within the time that Squid waits at least. */
static void put_latency(const struct top *top, int y, int x)
{
	const json_t *now = json_object_get(top->now.status, "latency");
	const json_t *last = json_object_get(top->before.status, "latency"), *bucket;
	json_int_t all = 0, in_time = 0;
	size_t i;

	json_array_foreach (now, i, bucket) {
		json_int_t count = rates_growth(json_array_get(last, i), bucket, "replies");
		const json_t *within = json_object_get(bucket, "within");

		all += count;
		if (json_is_number(within) && json_number_value(within) <= DEADLINE)
			in_time += count;
	}
	if (all > 0)
		put(y, x, " (%.1f %% within 5 ms)", 100.0 * (double)in_time / (double)all);
}

static int draw_rates(const struct top *top, double seconds, int y)
{
	const json_t *last = json_object_get(top->before.status, "answered");
	const json_t *now = json_object_get(top->now.status, "answered");
	double kernel = rates_of(last, now, "kernel", seconds);
	double daemon = rates_of(last, now, "daemon", seconds);
	char a[SHORT_SIZE], b[SHORT_SIZE], c[SHORT_SIZE];
	int x;

	put(y, 0, "answered");
	if (seconds <= 0) {
		put(y, LABEL, "rates come with the next reply of the daemon");
		return y + 1;
	}
	x = put(y, LABEL, "%s/s: kernel %s", short_number(kernel + daemon, a),
		short_number(kernel, b));
	if (kernel + daemon > 0)
		x = put(y, x, " (%.1f %%)", 100 * kernel / (kernel + daemon));
	x = put(y, x, ", daemon %s", short_number(daemon, c));
	put_latency(top, y, x);
	return y + 1;
}

/* Add up what has been decided in kernel and daemon. */
static double rate_of_verdict(const json_t *before, const json_t *now, const char *verdict,
			      double seconds)
{
	const json_t *last = json_object_get(before, "decided");
	const json_t *decided = json_object_get(now, "decided");

	return rates_of(json_object_get(last, "kernel"), json_object_get(decided, "kernel"),
			verdict, seconds) +
	       rates_of(json_object_get(last, "daemon"), json_object_get(decided, "daemon"),
			verdict, seconds);
}

static int draw_verdicts(const struct top *top, double seconds, int y)
{
	const json_t *last = json_object_get(top->before.policies, "all");
	const json_t *now = json_object_get(top->now.policies, "all");
	struct list list;
	json_t *count;
	const char *verdict;

	if (seconds <= 0)
		return y;
	list = list_begin(y, "verdicts", 1);
	json_object_foreach (json_object_get(json_object_get(now, "decided"), "daemon"), verdict,
			     count) {
		double rate = rate_of_verdict(last, now, verdict, seconds);
		char text[64], number[SHORT_SIZE];

		if (rate <= 0)
			continue;
		snprintf(text, sizeof(text), "%s %s/s", verdict, short_number(rate, number));
		list_add(&list, 0, text);
	}
	return list_end(&list);
}

static int draw_maps(const json_t *status, int y)
{
	struct list list = list_begin(y, "maps", LINES_OF_A_LIST);
	const json_t *room;
	const char *name;

	json_object_foreach (json_object_get(status, "maps"), name, room) {
		json_int_t used = icpctl_integer(room, "entries");
		json_int_t max = icpctl_integer(room, "capacity");
		char text[128], a[SHORT_SIZE], b[SHORT_SIZE];

		if (used == 0)
			continue;
		snprintf(text, sizeof(text), "%s %s of %s", name, short_count(used, a),
			 short_count(max, b));
		list_add(&list, (double)used >= 0.9 * (double)max ? (int)TROUBLE : 0, text);
	}
	return list_end(&list);
}

/* The child processes of policies: how many are busy, and the requests that wait for them. */
static int draw_helpers(const struct top *top, int y)
{
	struct list list = list_begin(y, "helpers", LINES_OF_A_LIST);
	const json_t *policy;
	size_t i;

	json_array_foreach (json_object_get(top->now.policies, "policies"), i, policy) {
		const json_t *helper = json_object_get(policy, "helper");
		json_int_t running = icpctl_integer(helper, "running");
		json_int_t children = icpctl_integer(helper, "children");
		char text[256];

		if (!json_is_object(helper))
			continue;
		snprintf(text, sizeof(text),
			 "%s %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
			 " run, %" JSON_INTEGER_FORMAT " busy, %" JSON_INTEGER_FORMAT " queued",
			 icpctl_string(policy, "name"), running, children,
			 icpctl_integer(helper, "busy"), icpctl_integer(helper, "queued"));
		list_add(&list, running < children ? (int)TROUBLE : 0, text);
	}
	return list_end(&list);
}

static int draw_interfaces(const json_t *status, int y)
{
	struct list list = list_begin(y, "interfaces", LINES_OF_A_LIST);
	const json_t *interface;
	size_t i;

	json_array_foreach (json_object_get(status, "interfaces"), i, interface) {
		const char *mode = icpctl_string(interface, "mode");
		char text[128];

		snprintf(text, sizeof(text), "%s %s", icpctl_string(interface, "name"), mode);
		list_add(&list, strcmp(mode, "lost") == 0 ? (int)TROUBLE : 0, text);
	}
	return list_end(&list);
}

/* Add the counters of a group that grow. `lost`: what they count is a loss. */
static void add_counters(struct list *list, const struct top *top, const char *group,
			 double seconds, bool lost)
{
	const json_t *last = json_object_get(top->before.status, group);
	json_t *counters = json_object_get(top->now.status, group);
	const char *name;
	json_t *value;

	json_object_foreach (counters, name, value) {
		double rate = rates_of(last, counters, name, seconds);
		char text[128], a[SHORT_SIZE];

		if (rate <= 0)
			continue;
		snprintf(text, sizeof(text), "%s.%s %s/s", group, name, short_number(rate, a));
		list_add(list, lost ? (int)TROUBLE : 0, text);
	}
}

static int draw_counters(const struct top *top, double seconds, int y)
{
	struct list list = list_begin(y, "passed up", LINES_OF_A_LIST);

	add_counters(&list, top, "passed", seconds, false);
	list = list_begin(list_end(&list), "losses", LINES_OF_A_LIST);
	add_counters(&list, top, "failed", seconds, true);
	add_counters(&list, top, "silent", seconds, false);
	return list_end(&list);
}

static int draw_reload(const json_t *status, int y)
{
	const json_t *last = json_object_get(status, "last_reload");
	const char *error = json_string_value(json_object_get(last, "error"));
	char when[CLOCK_TEXT_SIZE];

	if (!json_is_object(last))
		return y;
	clock_text(icpctl_integer(last, "time"), when);
	if (error)
		attron(TROUBLE);
	put(y, 0, "reload");
	put(y, LABEL, error ? "failed %s: %s" : "%s", when, error);
	attroff(TROUBLE);
	return y + 1;
}

/* --- policies */

static json_int_t sum(const json_t *counts)
{
	json_int_t all = 0;
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)counts, key, value)
		all += json_integer_value(value);
	return all;
}

static double growth(const json_t *before, const json_t *now, const char *where, double seconds)
{
	const json_t *last = json_object_get(json_object_get(before, "decided"), where);
	const json_t *counts = json_object_get(json_object_get(now, "decided"), where);
	double rate = 0;
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)counts, key, value)
		rate += rates_of(last, counts, key, seconds);
	return rate;
}

static void fill_row(struct row *row, const json_t *before, const json_t *now, double seconds)
{
	const json_t *decided = json_object_get(now, "decided");
	const json_t *state = json_object_get(now, "state");

	row->json = now;
	row->state = json_is_object(state) ? state : NULL;
	row->kernel = growth(before, now, "kernel", seconds);
	row->daemon = growth(before, now, "daemon", seconds);
	row->total =
		sum(json_object_get(decided, "kernel")) + sum(json_object_get(decided, "daemon"));
}

static const json_t *find_policy(const json_t *list, const char *name, size_t hint)
{
	const json_t *one = json_array_get(list, hint);
	size_t i;

	if (one && strcmp(icpctl_string(one, "name"), name) == 0)
		return one;
	json_array_foreach (list, i, one)
		if (strcmp(icpctl_string(one, "name"), name) == 0)
			return one;
	return NULL;
}

static int compare_rows(const void *left, const void *right, void *context)
{
	const struct row *a = left, *b = right;
	const struct top *top = context;
	double by_rate = b->kernel + b->daemon - a->kernel - a->daemon;
	int order = 0;

	if (top->order == TOP_BY_RATE)
		order = (by_rate > 0) - (by_rate < 0);
	else if (top->order == TOP_BY_TOTAL)
		order = (b->total > a->total) - (b->total < a->total);
	else if (top->order == TOP_BY_NAME)
		order = strcmp(a->name, b->name);
	return order ? order : (a->rank > b->rank) - (a->rank < b->rank);
}

/* Return the rows in their order, for free(). */
static struct row *make_rows(struct top *top, double seconds)
{
	static const struct {
		const char *member, *name;
	} others[] = { { "by_rule", "(rules)" },
		       { "by_drain", "(drain)" },
		       { "by_default", "(default)" } };
	const json_t *now = top->now.policies, *before = top->before.policies, *policy;
	const json_t *policies = json_object_get(now, "policies");
	struct row *rows = icpctl_must(calloc(json_array_size(policies) + 3, sizeof(*rows)));
	size_t i;

	top->rows = 0;
	json_array_foreach (policies, i, policy) {
		struct row *row = &rows[top->rows];
		const char *verdict = json_string_value(json_object_get(policy, "verdict"));

		row->name = icpctl_string(policy, "name");
		row->kind = icpctl_string(policy, "kind");
		row->verdict = verdict ? verdict_name(verdict) : "(varies)";
		row->place = json_is_true(json_object_get(policy, "kernel")) ? "kernel" : "daemon";
		row->rank = top->rows++;
		fill_row(row, find_policy(json_object_get(before, "policies"), row->name, i),
			 policy, seconds);
	}
	for (i = 0; i < 3; i++) {
		const json_t *one = json_object_get(now, others[i].member);
		struct row *row = &rows[top->rows];

		*row = (struct row){ .name = others[i].name,
				     .kind = "",
				     .verdict = "",
				     .place = "",
				     .rank = top->rows };
		fill_row(row, json_object_get(before, others[i].member), one, seconds);
		if (i == 2) {
			row->verdict = verdict_name(icpctl_string(now, "default"));
			row->place = json_is_true(json_object_get(now, "default_kernel"))
					     ? "kernel"
					     : "daemon";
		}
		top->rows += i == 2 || row->total;
	}
	qsort_r(rows, top->rows, sizeof(*rows), compare_rows, top);
	return rows;
}

/* Find the row that was selected, and move from there. */
static void select_row(struct top *top, const struct row *rows)
{
	size_t row = 0;
	ssize_t moved;

	while (top->selected && row < top->rows && strcmp(rows[row].name, top->selected) != 0)
		row++;
	if (row == top->rows)
		row = top->row < top->rows ? top->row : top->rows - 1;
	moved = (ssize_t)row + top->move;
	top->move = 0;
	top->row = moved < 0 ? 0 : (size_t)moved >= top->rows ? top->rows - 1 : (size_t)moved;
	free(top->selected);
	top->selected = icpctl_must(strdup(rows[top->row].name));
	if (top->row < top->first)
		top->first = top->row;
	if (top->page && top->row >= top->first + top->page)
		top->first = top->row - top->page + 1;
	if (top->first + top->page > top->rows)
		top->first = top->rows > top->page ? top->rows - top->page : 0;
}

/* The name and the state share what is left beside the other columns. */
static int name_width(void)
{
	int half = (COLS - OTHERS_SIZE) / 2;

	return half < 8 ? 8 : half > 40 ? 40 : half;
}

static void draw_row(const struct row *row, int y, bool selected)
{
	int name = name_width();
	char kernel[SHORT_SIZE], daemon[SHORT_SIZE], total[SHORT_SIZE], age[SHORT_SIZE];
	bool trouble = json_is_true(json_object_get(row->state, "trouble"));
	bool matches = json_is_true(json_object_get(row->state, "matches"));
	int attributes = (selected ? (int)A_REVERSE : 0) | (trouble ? (int)TROUBLE : 0);
	int x;

	attron(attributes);
	if (selected)
		mvhline(y, 0, ' ', COLS);
	x = put(y, 0, "%-*.*s %-9.9s %-12.12s %-6s %8s %8s %6s ", name, name, row->name, row->kind,
		row->verdict, row->place, short_number(row->kernel, kernel),
		short_number(row->daemon, daemon), short_count(row->total, total));
	if (row->state)
		put(y, x, "%s%s %s", matches ? "! " : "", icpctl_string(row->state, "name"),
		    short_age(time(NULL) - icpctl_integer(row->state, "since"), age));
	attroff(attributes);
}

/* What the line has no room for: below the policies, in as many lines as there are. */
static void draw_details(const struct row *row, int y)
{
	const char *where = json_string_value(json_object_get(row->json, "where"));
	const char *why = json_string_value(json_object_get(row->json, "why"));
	char *text = NULL, when[CLOCK_TEXT_SIZE];
	size_t length, at = 0;
	FILE *out = icpctl_must(open_memstream(&text, &length));

	fprintf(out, "%s:", row->name);
	if (row->state) {
		clock_text(icpctl_integer(row->state, "since"), when);
		fprintf(out, " %s since %s (%s);", icpctl_string(row->state, "name"), when,
			icpctl_string(row->state, "why"));
	}
	if (why)
		fprintf(out, " in the daemon: %s;", why);
	if (json_is_integer(json_object_get(row->json, "last_decided"))) {
		clock_text(icpctl_integer(row->json, "last_decided"), when);
		fprintf(out, " decided last %s;", when);
	}
	if (where)
		fprintf(out, " %s", where);
	fclose(out);
	icpctl_must(text);
	for (int i = 0; i < DETAIL_LINES && at < strlen(text); i++, at += (size_t)COLS)
		put(y + i, 0, "%.*s", COLS, text + at);
	free(text);
}

static void draw_policies(struct top *top, double seconds, int y)
{
	struct row *rows = make_rows(top, seconds);
	int bottom = LINES - DETAIL_LINES - 1, name = name_width();

	top->page = bottom > y + 1 ? (size_t)(bottom - y - 1) : 0;
	select_row(top, rows);
	attron(A_BOLD);
	put(y++, 0, "%-*s %-9s %-12s %-6s %8s %8s %6s %s", name, "POLICY", "KIND", "VERDICT", "IN",
	    "KERNEL/S", "DAEMON/S", "TOTAL", "STATE");
	attroff(A_BOLD);
	for (size_t i = 0; i < top->page && top->first + i < top->rows; i++)
		draw_row(&rows[top->first + i], y++, top->first + i == top->row);
	if (bottom >= y)
		draw_details(&rows[top->row], bottom);
	free(rows);
}

void top_draw(struct top *top)
{
	double seconds = rates_seconds(top->before.status, top->now.status);
	const json_t *status = top->now.status;
	int y;

	erase();
	y = draw_title(top);
	y = draw_rates(top, seconds, y);
	y = draw_verdicts(top, seconds, y);
	y = draw_maps(status, y);
	y = draw_interfaces(status, y);
	y = draw_helpers(top, y);
	y = draw_counters(top, seconds, y);
	y = draw_reload(status, y);
	draw_policies(top, seconds, y + 1);
	attron(A_REVERSE);
	mvhline(LINES - 1, 0, ' ', COLS);
	put(LINES - 1, 0, "q quit  s sorted by %s  up down pgup pgdn select  %zu of %zu",
	    orders[top->order], top->row + 1, top->rows);
	attroff(A_REVERSE);
	refresh();
}
