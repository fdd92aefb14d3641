// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "xdp-icpd/census.h"

#define PAUSE 20000   /* microseconds between two slices */
#define VERDICTS 1000 /* in a slice */
/* The slices done at once: enough for the default maximum of rules. */
#define FIRST_SLICES (4096 / RULES_STEP)
/* The kernel looks for the next entry among as many slots: in larger maps that takes milliseconds. */
#define VERDICTS_MAX (1u << 18)

#define UNKNOWN ((size_t)-1) /* not counted yet, or the map is too large */

struct census_counts {
	size_t rules, verdicts;
};

struct census {
	struct daemon *daemon;
	struct event *next; /* slice */
	struct census_counts known;
	struct rules_cursor rules;
	struct kernel_cursor verdicts;
	size_t rules_seen;
};

static int see_rule(void *context, const char *prefix, size_t length, enum icp_opcode verdict)
{
	struct census *census = context;

	census->rules_seen++;
	return 0;
}

/* Walk a part of the rules, so many slices, then of the verdicts. */
static void walk(struct census *census, unsigned int slices)
{
	static const struct timeval pause = { .tv_usec = PAUSE };
	const struct xdp *xdp = &census->daemon->xdp;
	struct error ignored;

	for (; !census->rules.done && slices; slices--) {
		if (rules_step(census->daemon->server.rules, &census->rules, see_rule, census,
			       &ignored))
			census->rules.done = true;
		if (census->rules.done)
			census->known.rules = census->rules_seen;
	}
	if (census->rules.done && !census->verdicts.done) {
		kernel_count_verdicts(xdp->kernel, &census->verdicts, VERDICTS);
		if (census->verdicts.done)
			census->known.verdicts = census->verdicts.count;
	}
	if (!census->rules.done || !census->verdicts.done)
		event_add(census->next, &pause);
}

static void on_next(evutil_socket_t fd, short what, void *context)
{
	walk(context, 1);
}

static struct census *census_new(struct daemon *daemon)
{
	struct census *census = calloc(1, sizeof(*census));

	if (!census)
		return NULL;
	census->daemon = daemon;
	census->known = (struct census_counts){ UNKNOWN, UNKNOWN };
	census->rules.done = census->verdicts.done = true;
	census->next = evtimer_new(daemon->base, on_next, census);
	if (census->next)
		return census;
	free(census);
	return NULL;
}

/* Return what is known, and begin to count again. */
static struct census_counts count(struct daemon *daemon)
{
	const struct kernel *kernel = daemon->xdp.kernel;
	struct census *census = daemon->census;

	if (!census)
		census = daemon->census = census_new(daemon);
	if (!census)
		return (struct census_counts){ UNKNOWN, UNKNOWN };
	if (census->verdicts.done)
		census->verdicts =
			(struct kernel_cursor){ .done = !kernel || kernel_sizes(kernel).verdicts >
									   VERDICTS_MAX };
	/* Few rules are counted at once, also during a long walk of verdicts. */
	if (census->rules.done) {
		census->rules = (struct rules_cursor){ 0 };
		census->rules_seen = 0;
		walk(census, FIRST_SLICES);
	}
	return census->known;
}

static void add(struct kernel_room *rooms, size_t *count, const char *map, size_t used,
		size_t capacity)
{
	if (used != UNKNOWN)
		rooms[(*count)++] = (struct kernel_room){ map, used, capacity };
}

size_t census_rooms(struct daemon *daemon, struct kernel_room rooms[CENSUS_ROOMS])
{
	const struct kernel *kernel = daemon->xdp.kernel;
	const struct census_counts counted = count(daemon);
	size_t known = kernel ? kernel_rooms(kernel, rooms) : 0;

	add(rooms, &known, "rules", counted.rules, rules_max(daemon->server.rules));
	if (kernel)
		add(rooms, &known, "verdicts", counted.verdicts, kernel_sizes(kernel).verdicts);
	return known;
}

long long census_rules(const struct daemon *daemon)
{
	const struct census *census = daemon->census;

	return census && census->known.rules != UNKNOWN ? (long long)census->known.rules : -1;
}

void census_end(struct daemon *daemon)
{
	if (!daemon->census)
		return;
	event_free(daemon->census->next);
	free(daemon->census);
	daemon->census = NULL;
}
