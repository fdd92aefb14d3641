// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/plan.h"
#include "cluster/suggest.h"
#include "icpctl/cluster_plan.h"
#include "icpctl/plan_svg.h"
#include "lib/escape.h"
#include "lib/plural.h"
#include "lib/shell_quote.h"
#include "lib/vec.h"
#include "policy/key.h"

/* --- options */

enum {
	OPTION_KEY = 0x300,
	OPTION_NO_QUERY,
	OPTION_MEMBERS,
	OPTION_SVG,
	OPTION_SUGGEST,
	OPTION_FORMAT,
	OPTION_SCHEME,
	OPTION_HOST,
	OPTION_CHANGES, /* and those behind it: enum plan_change_kind */
};

static const struct argp_option options[] = {
	{ "without", OPTION_CHANGES + PLAN_WITHOUT, "MEMBER", 0, "as if this member left" },
	{ "with", OPTION_CHANGES + PLAN_WITH, "MEMBER WEIGHT", 0,
	  "as if this member joined, or had another weight" },
	{ "assign", OPTION_CHANGES + PLAN_ASSIGN, "PREFIX=OWNER", 0,
	  "as if the prefix were assigned to a member or a verdict" },
	{ "unassign", OPTION_CHANGES + PLAN_UNASSIGN, "PREFIX", 0, "as if it were not assigned" },
	{ "drain", OPTION_CHANGES + PLAN_DRAIN, "MEMBER", 0, "as if this member were drained" },
	{ "undrain", OPTION_CHANGES + PLAN_UNDRAIN, "MEMBER", 0, "as if it were not drained" },
	{ "key", OPTION_KEY, "KEY", 0, "the key of the policy: url, host, host+1, ... (url)" },
	{ "no-query", OPTION_NO_QUERY, NULL, 0, "as if the policy had 'query' = false" },
	{ "members", OPTION_MEMBERS, "FILE", 0,
	  "the map that a daemon has saved, or lines of NAME WEIGHT; no daemon is asked" },
	{ "suggest", OPTION_SUGGEST, NULL, 0, "suggest assignments that balance the requests" },
	{ "svg", OPTION_SVG, "FILE", 0, "draw a picture of what moves" },
	{ "format", OPTION_FORMAT, "FORMAT", 0,
	  "urls, common, combined, squid, or a pattern (default: that of the first line)" },
	{ "scheme", OPTION_SCHEME, "SCHEME", 0, "of URLs where the log has only paths (http)" },
	{ "host", OPTION_HOST, "HOST", 0, "likewise; without it such lines are skipped" },
	{ 0 },
};

static error_t add_change(struct cluster_plan *plan, enum plan_change_kind kind,
			  const char *argument, struct argp_state *state)
{
	struct plan_change *change = icpctl_must(vec_append(plan->changes, plan->change_count));

	*change = (struct plan_change){ .kind = kind, .text = argument };
	if (kind != PLAN_WITH)
		return 0;
	/* The only option with two arguments. */
	if (state->next == state->argc)
		return icpctl_usage(state, plan->ctl, "--with %s: the WEIGHT is missing", argument);
	change->value = state->argv[state->next++];
	return 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct cluster_plan *plan = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		plan->input.scheme = "http";
		return 0;
	case OPTION_KEY:
		plan->key = argument;
		return 0;
	case OPTION_NO_QUERY:
		plan->no_query = true;
		return 0;
	case OPTION_MEMBERS:
		plan->members = argument;
		return 0;
	case OPTION_SVG:
		plan->svg = argument;
		return 0;
	case OPTION_SUGGEST:
		plan->suggest = true;
		return 0;
	case OPTION_FORMAT:
		plan->input.format = argument;
		return 0;
	case OPTION_SCHEME:
		plan->input.scheme = argument;
		return 0;
	case OPTION_HOST:
		plan->input.host = *argument ? argument : NULL;
		return 0;
	default:
		if (key < OPTION_CHANGES || key > OPTION_CHANGES + PLAN_UNDRAIN)
			return ARGP_ERR_UNKNOWN;
		return add_change(plan, key - OPTION_CHANGES, argument, state);
	}
}

const struct argp cluster_plan_options = { .options = options, .parser = parse };

/* --- common parts of what is printed */

static double percent(double part, double all)
{
	return all > 0 ? 100 * part / all : 0;
}

/* Print a file's name as it may be. */
static void print_name(const char *name)
{
	char *text = icpctl_must(escape(name, strlen(name)));

	fputs(text, stdout);
	free(text);
}

static void print_input(const struct cluster_plan *plan, const struct plan_input_sum *sum)
{
	print_name(plan->input.name);
	printf(": %" PRIu64 " %s", sum->requests, plural(sum->requests, "request", "requests"));
	if (sum->skipped)
		printf(", %" PRIu64 " %s skipped", sum->skipped,
		       plural(sum->skipped, "line", "lines"));
}

/* --- what a change moves */

static bool is_shown(const struct plan_owner *owner)
{
	return owner->members[PLAN_BEFORE] || owner->members[PLAN_AFTER] ||
	       owner->sums[PLAN_BEFORE].requests || owner->sums[PLAN_AFTER].requests;
}

static json_t *side_json(const struct membership *map, const struct plan_owner *owner, int side)
{
	const struct cluster_member *member = owner->members[side];
	json_t *json = json_pack("{s:I, s:I}", "keys", (json_int_t)owner->sums[side].keys,
				 "requests", (json_int_t)owner->sums[side].requests);

	if (member) {
		json_object_set_new(json, "weight", json_integer(member->weight));
		json_object_set_new(json, "drained", json_boolean(member->drained));
		json_object_set_new(json, "share", json_real(plan_share(map, member)));
	}
	return json;
}

static json_t *moves_json(const struct plan_result *result)
{
	json_t *list = json_array();

	for (size_t i = 0; i < result->move_count; i++) {
		const struct plan_move *move = &result->moves[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "from",
						      result->owners[move->from].name, "to",
						      result->owners[move->to].name, "keys",
						      (json_int_t)move->sum.keys, "requests",
						      (json_int_t)move->sum.requests));
	}
	return list;
}

static void print_plan_json(const struct plan_result *result,
			    const struct membership *const maps[PLAN_MAPS],
			    const struct plan_input_sum *sum)
{
	json_t *owners = json_array(), *json;

	for (size_t i = 0; i < result->owner_count; i++) {
		const struct plan_owner *owner = &result->owners[i];

		if (is_shown(owner))
			json_array_append_new(
				owners,
				json_pack("{s:s, s:o, s:o}", "name", owner->name, "before",
					  side_json(maps[PLAN_BEFORE], owner, PLAN_BEFORE), "after",
					  side_json(maps[PLAN_AFTER], owner, PLAN_AFTER)));
	}
	json = icpctl_must(json_pack(
		"{s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "ok", 1, "requests",
		(json_int_t)result->all.requests, "keys", (json_int_t)result->all.keys, "skipped",
		(json_int_t)sum->skipped, "moved_requests", (json_int_t)result->moved.requests,
		"moved_keys", (json_int_t)result->moved.keys, "moves", moves_json(result), "owners",
		owners));
	icpctl_print_json(json);
	json_decref(json);
}

static void print_side(const struct plan_result *result, const struct plan_owner *owner, int side)
{
	printf("  %10" PRIu64 "  %5.1f %%", owner->sums[side].requests,
	       percent((double)owner->sums[side].requests, (double)result->all.requests));
}

static void print_share(const struct membership *map, const struct cluster_member *member)
{
	if (member)
		printf("  %6u  %5.1f %%", member->weight, 100 * plan_share(map, member));
	else
		printf("  %6s  %7s", "-", "-");
}

static void print_plan(const struct cluster_plan *plan, const struct plan_result *result,
		       const struct membership *after, const struct plan_input_sum *sum)
{
	print_input(plan, sum);
	printf("; %" PRIu64 " %s\n", result->all.keys, plural(result->all.keys, "key", "keys"));
	printf("%" PRIu64 " %s (%.1f %%) and %" PRIu64 " %s (%.1f %%) move\n",
	       result->moved.requests, plural(result->moved.requests, "request", "requests"),
	       percent((double)result->moved.requests, (double)result->all.requests),
	       result->moved.keys, plural(result->moved.keys, "key", "keys"),
	       percent((double)result->moved.keys, (double)result->all.keys));
	if (result->move_count)
		printf("\n%-24s  %-24s  %10s  %10s\n", "FROM", "TO", "KEYS", "REQUESTS");
	for (size_t i = 0; i < result->move_count; i++) {
		const struct plan_move *move = &result->moves[i];

		printf("%-24s  %-24s  %10" PRIu64 "  %10" PRIu64 "  %5.1f %%\n",
		       result->owners[move->from].name, result->owners[move->to].name,
		       move->sum.keys, move->sum.requests,
		       percent((double)move->sum.requests, (double)result->all.requests));
	}
	printf("\n%-24s  %6s  %7s  %19s  %19s\n", "OWNER", "WEIGHT", "SHARE", "REQUESTS BEFORE",
	       "AFTER");
	for (size_t i = 0; i < result->owner_count; i++) {
		const struct plan_owner *owner = &result->owners[i];

		if (!is_shown(owner))
			continue;
		printf("%-24s", owner->name);
		print_share(after, owner->members[PLAN_AFTER]);
		print_side(result, owner, PLAN_BEFORE);
		print_side(result, owner, PLAN_AFTER);
		putchar('\n');
	}
}

static int draw(const struct cluster_plan *plan, const struct plan_result *result)
{
	FILE *file = fopen(plan->svg, "we");
	bool failed = !file;

	if (file) {
		plan_svg_write(file, result);
		failed = ferror(file);
		failed |= fclose(file) != 0;
	}
	return failed ? icpctl_fail(plan->ctl, ICPCTL_USAGE, "--svg: %s: %s", plan->svg,
				    strerror(errno))
		      : ICPCTL_OK;
}

static int add_to_plan(void *context, const char *url, size_t length, struct error *error)
{
	return plan_add(context, url, length, error);
}

static int make_plan(const struct cluster_plan *plan, const struct membership *before,
		     const struct membership *after, const struct url_key_form *form, FILE *file)
{
	const struct membership *const maps[PLAN_MAPS] = { before, after };
	struct plan *made = icpctl_must(plan_new(before, after, form));
	const struct plan_result *result;
	struct plan_input_sum sum;
	struct error error;
	int status = ICPCTL_OK;

	if (plan_input_read(file, &plan->input, add_to_plan, made, &sum, &error)) {
		plan_free(made);
		return icpctl_fail(plan->ctl, ICPCTL_USAGE, "%s", error.text);
	}
	result = plan_finish(made);
	icpctl_must((void *)result);
	if (plan->svg)
		status = draw(plan, result);
	if (status == ICPCTL_OK && plan->ctl->json)
		print_plan_json(result, maps, &sum);
	else if (status == ICPCTL_OK)
		print_plan(plan, result, after, &sum);
	plan_free(made);
	return status;
}

/* --- suggestions */

static json_t *suggestions_json(const struct membership *map, const struct suggest_result *result)
{
	json_t *list = json_array();

	for (size_t i = 0; i < result->count; i++) {
		const struct suggestion *one = &result->list[i];

		json_array_append_new(list, json_pack("{s:o, s:s, s:I}", "prefix",
						      icpctl_bytes(one->prefix, one->length),
						      "member", map->members[one->to].name,
						      "requests", (json_int_t)one->requests));
	}
	return list;
}

static void print_suggestions_json(const struct membership *map,
				   const struct suggest_result *result,
				   const struct plan_input_sum *sum)
{
	json_t *members = json_array(), *json;

	for (size_t i = 0; i < map->member_count; i++) {
		const struct cluster_member *member = &map->members[i];

		json_array_append_new(
			members, json_pack("{s:s, s:I, s:b, s:f, s:I, s:I}", "name", member->name,
					   "weight", (json_int_t)member->weight, "drained",
					   member->drained, "share", plan_share(map, member),
					   "requests_before", (json_int_t)result->members[i].before,
					   "requests_after", (json_int_t)result->members[i].after));
	}
	json = icpctl_must(
		json_pack("{s:b, s:I, s:I, s:b, s:o, s:o, s:o}", "ok", 1, "requests",
			  (json_int_t)result->requests, "skipped", (json_int_t)sum->skipped,
			  "balanced", result->balanced, "assignments",
			  suggestions_json(map, result), "members", members, "hottest",
			  icpctl_bytes(result->hottest.prefix ? result->hottest.prefix : "",
				       result->hottest.length)));
	icpctl_print_json(json);
	json_decref(json);
}

/* Print the command that makes the assignment. */
static void print_suggestion(const struct membership *map, const char *cluster,
			     const struct suggestion *one)
{
	char *prefix = icpctl_must(escape(one->prefix, one->length));
	char *quoted = icpctl_must(malloc(SHELL_QUOTE_SIZE(strlen(prefix))));

	printf("icpctl cluster assign %s%s%s%s %s\n", cluster ? "--cluster " : "",
	       cluster ? cluster : "", cluster ? " " : "", shell_quote(prefix, quoted),
	       map->members[one->to].name);
	free(quoted);
	free(prefix);
}

/* Say whether the shares are met, and if not, why. */
static void print_outcome(const struct membership *map, const struct suggest_result *result)
{
	const struct suggestion *hottest = &result->hottest;
	const double tolerance = 100 * SUGGEST_TOLERANCE, all = (double)result->requests;
	char *text;

	if (result->balanced && !result->count) {
		printf("# each member is within %.0f %% of its share already\n", tolerance);
		return;
	}
	if (result->balanced) {
		printf("# with %zu %s each member is within %.0f %% of its share\n", result->count,
		       plural(result->count, "assignment", "assignments"), tolerance);
		return;
	}
	printf("# %.0f %% of each share is not reached", tolerance);
	if ((double)hottest->requests >
	    (1 + SUGGEST_TOLERANCE) * result->members[hottest->to].wanted) {
		text = icpctl_must(escape(hottest->prefix, hottest->length));
		printf(": %s alone has %.1f %% of the requests, the share of %s is %.1f %%\n", text,
		       percent((double)hottest->requests, all), map->members[hottest->to].name,
		       percent(result->members[hottest->to].wanted, all));
		free(text);
	} else {
		printf(" by at most %u assignments: the keys are too few, too many or too "
		       "unequal\n",
		       SUGGEST_MAX);
	}
}

static void print_suggestions(const struct cluster_plan *plan, const char *cluster,
			      const struct membership *map, const struct suggest_result *result,
			      const struct plan_input_sum *sum)
{
	const double all = (double)result->requests;

	for (size_t i = 0; i < result->count; i++)
		print_suggestion(map, cluster, &result->list[i]);
	fputs("# ", stdout);
	print_input(plan, sum);
	putchar('\n');
	print_outcome(map, result);
	printf("#\n# %-24s  %6s  %7s  %19s  %19s\n", "MEMBER", "WEIGHT", "SHARE", "REQUESTS NOW",
	       "THEN");
	for (size_t i = 0; i < map->member_count; i++) {
		const struct suggest_member *member = &result->members[i];

		printf("# %-24s", map->members[i].name);
		print_share(map, &map->members[i]);
		printf("  %10" PRIu64 "  %5.1f %%  %10" PRIu64 "  %5.1f %%\n", member->before,
		       percent((double)member->before, all), member->after,
		       percent((double)member->after, all));
	}
}

static int add_to_suggest(void *context, const char *url, size_t length, struct error *error)
{
	return suggest_add(context, url, length, error);
}

static int make_suggestions(const struct cluster_plan *plan, const char *cluster,
			    const struct membership *map, const struct url_key_form *form,
			    FILE *file)
{
	struct suggest *suggest = icpctl_must(suggest_new(map, form));
	const struct suggest_result *result;
	struct plan_input_sum sum;
	struct error error;

	if (plan_input_read(file, &plan->input, add_to_suggest, suggest, &sum, &error)) {
		suggest_free(suggest);
		return icpctl_fail(plan->ctl, ICPCTL_USAGE, "%s", error.text);
	}
	result = suggest_finish(suggest);
	icpctl_must((void *)result);
	if (plan->ctl->json)
		print_suggestions_json(map, result, &sum);
	else
		print_suggestions(plan, cluster, map, result, &sum);
	suggest_free(suggest);
	return ICPCTL_OK;
}

/* --- the command */

static int check_options(const struct cluster_plan *plan, const char *cluster,
			 struct url_key_form *form)
{
	*form = (struct url_key_form){ .kind = URL_KEY_URL };
	if (plan->key && url_key_parse(plan->key, form))
		return icpctl_fail(
			plan->ctl, ICPCTL_USAGE,
			"--key '%s' is not a key; it can be url, host, path, or host+N or "
			"path+N for the first N directories, with N from 0 to %u",
			plan->key, URL_KEY_DIRECTORIES_MAX);
	form->query = !plan->no_query;
	if (cluster && !membership_is_name(cluster, strlen(cluster)))
		return icpctl_fail(
			plan->ctl, ICPCTL_USAGE,
			"--cluster '%s' is not the name of a cluster: 1 to 64 of A-Za-z0-9._-",
			cluster);
	if (plan->suggest && plan->svg)
		return icpctl_fail(plan->ctl, ICPCTL_USAGE,
				   "--svg cannot be used with --suggest; give the "
				   "suggestions as --assign instead");
	return ICPCTL_OK;
}

/* Run it with the maps of before and after. */
static int run(const struct cluster_plan *plan, const char *cluster,
	       const struct membership *before, const struct url_key_form *form, FILE *file)
{
	struct error error;
	const struct membership *after =
		plan_map_change(before, plan->changes, plan->change_count, &error);
	int status;

	if (!after)
		return icpctl_fail(plan->ctl, ICPCTL_USAGE, "%s", error.text);
	if (plan->suggest)
		status = make_suggestions(plan, cluster, after, form, file);
	else
		status = make_plan(plan, before, after, form, file);
	membership_unref(after);
	return status;
}

int cluster_plan_run(const struct cluster_plan *asked, const char *cluster, const char *path)
{
	struct cluster_plan plan = *asked;
	bool standard = strcmp(path, "-") == 0;
	const struct membership *map = NULL;
	struct url_key_form form;
	struct error error;
	FILE *file;
	int status = check_options(&plan, cluster, &form);

	if (status)
		return status;
	plan.input.name = standard ? "standard input" : path;
	if (!plan.members)
		status = plan_map_ask(plan.ctl, cluster, &map);
	else if (!(map = plan_map_read(plan.members, cluster, &error)))
		status = icpctl_fail(plan.ctl, ICPCTL_USAGE, "--members: %s", error.text);
	if (status)
		return status;
	file = standard ? stdin : fopen(path, "re");
	if (file)
		status = run(&plan, cluster, map, &form, file);
	else
		status = icpctl_fail(plan.ctl, ICPCTL_USAGE, "%s: %s", path, strerror(errno));
	if (file && !standard)
		fclose(file);
	membership_unref(map);
	return status;
}
