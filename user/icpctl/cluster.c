// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl cluster: the members of clusters, what is assigned to them, and their drains. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "icpctl/cluster_plan.h"
#include "lib/plural.h"

#define OPTION_CLUSTER 0x200

struct input {
	struct icpctl *ctl;
	struct icpctl_words words;
	const char *cluster; /* NULL: the only one */
	struct cluster_plan plan;
};

/* --- status */

static void print_member(const json_t *cluster, const json_t *member)
{
	const char *name = icpctl_string(member, "name");
	const char *addresses = icpctl_string(member, "addresses");
	bool self = strcmp(name, icpctl_string(cluster, "member")) == 0;

	printf("  %-24s weight %" JSON_INTEGER_FORMAT "%s%s%s%s\n", name,
	       icpctl_integer(member, "weight"),
	       json_is_true(json_object_get(member, "drained")) ? ", drained" : "",
	       self ? ", this one" : "", *addresses ? ", " : "", addresses);
}

static void print_number(const json_t *cluster, const char *member, const char *one,
			 const char *many)
{
	json_int_t number = icpctl_integer(cluster, member);

	printf(", %" JSON_INTEGER_FORMAT " %s", number, plural((size_t)number, one, many));
}

static void print_text(const json_t *cluster, const char *member)
{
	const char *text = json_string_value(json_object_get(cluster, member));

	if (text)
		printf("  %s\n", text);
}

void icpctl_print_cluster(const json_t *cluster)
{
	const json_t *age = json_object_get(cluster, "age");

	printf("%s, %s", icpctl_string(cluster, "name"), icpctl_string(cluster, "state"));
	print_number(cluster, "members", "member", "members");
	print_number(cluster, "assignments", "assigned prefix", "assigned prefixes");
	if (json_is_integer(age))
		printf(", confirmed %" JSON_INTEGER_FORMAT " s ago", json_integer_value(age));
	putchar('\n');
}

static void print_cluster(const json_t *cluster)
{
	const json_t *one;
	size_t i;

	icpctl_print_cluster(cluster);
	printf("  etcd %s, lease %s, revision %" JSON_INTEGER_FORMAT "\n",
	       icpctl_string(cluster, "endpoint"),
	       json_is_string(json_object_get(cluster, "lease")) ? icpctl_string(cluster, "lease")
								 : "none",
	       icpctl_integer(cluster, "revision"));
	print_text(cluster, "error");
	if (strcmp(icpctl_string(cluster, "state"), "below_floor") == 0)
		printf("  etcd has %" JSON_INTEGER_FORMAT
		       " members, fewer than %" JSON_INTEGER_FORMAT
		       " (members_min): the last map stays\n",
		       icpctl_integer(cluster, "members_found"),
		       icpctl_integer(cluster, "members_min"));
	print_text(cluster, "bad_key");
	print_text(cluster, "state_error");
	json_array_foreach (json_object_get(cluster, "list"), i, one)
		print_member(cluster, one);
	json_array_foreach (json_object_get(cluster, "drained"), i, one)
		printf("  %-24s drained, not there\n", json_string_value(one));
}

static void print_clusters(const json_t *reply)
{
	const json_t *clusters = json_object_get(reply, "clusters"), *cluster;
	size_t i;

	if (!json_array_size(clusters))
		puts("no cluster is configured");
	json_array_foreach (clusters, i, cluster)
		print_cluster(cluster);
}

static int run_status(const void *context)
{
	const struct input *input = context;

	return icpctl_show(input->ctl, "GET", "/v1/clusters", NULL, print_clusters);
}

/* --- changes */

static int run_assign(const void *context)
{
	const struct input *input = context;

	return icpctl_tell(
		input->ctl, "PUT", "/v1/clusters/assignments",
		icpctl_must(json_pack("{s:o*, s:o, s:o}", "cluster", icpctl_word(input->cluster),
				      "prefix", icpctl_word(input->words.argv[1]), "to",
				      icpctl_word(input->words.argv[2]))));
}

/* Delete what `resource` has at an argument of that name. */
static int delete (const struct input *input, const char *resource, const char *name,
		   const char *value)
{
	char *encoded = icpctl_encode(value);
	char *cluster = input->cluster ? icpctl_encode(input->cluster) : NULL;
	char *whole = icpctl_resource("%s?%s=%s%s%s", resource, name, encoded,
				      cluster ? "&cluster=" : "", cluster ? cluster : "");
	int status = icpctl_tell(input->ctl, "DELETE", whole, NULL);

	free(encoded);
	free(cluster);
	free(whole);
	return status;
}

static int run_unassign(const void *context)
{
	const struct input *input = context;
	size_t length;
	char *prefix = icpctl_unescape(input->words.argv[1], &length);
	int status;

	/* Here its bytes are percent-encoded. */
	if (strlen(prefix) == length)
		status = delete (input, "/v1/clusters/assignments", "prefix", prefix);
	else
		status = icpctl_fail(input->ctl, ICPCTL_USAGE, "a prefix has no NUL");
	free(prefix);
	return status;
}

static int run_drain(const void *context)
{
	const struct input *input = context;

	return icpctl_tell(
		input->ctl, "PUT", "/v1/clusters/drained",
		icpctl_must(json_pack("{s:o*, s:o}", "cluster", icpctl_word(input->cluster),
				      "member", icpctl_word(input->words.argv[1]))));
}

static int run_undrain(const void *context)
{
	const struct input *input = context;

	return delete (input, "/v1/clusters/drained", "member", input->words.argv[1]);
}

static int run_plan(const void *context)
{
	const struct input *input = context;

	return cluster_plan_run(&input->plan, input->cluster, input->words.argv[1]);
}

static const struct icpctl_action actions[] = {
	{ "status", "", 1, 1, run_status },
	{ "assign", " PREFIX MEMBER|VERDICT", 3, 3, run_assign },
	{ "unassign", " PREFIX", 2, 2, run_unassign },
	{ "drain", " MEMBER", 2, 2, run_drain },
	{ "undrain", " MEMBER", 2, 2, run_undrain },
	{ "plan", " FILE|-", 2, 2, run_plan },
	{ NULL },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	if (key == ARGP_KEY_INIT)
		state->child_inputs[0] = &input->plan;
	if (key != OPTION_CLUSTER)
		return icpctl_parse_words(key, state, input->ctl, actions, &input->words);
	input->cluster = argument;
	return 0;
}

static const struct argp_option options[] = {
	{ "cluster", OPTION_CLUSTER, "NAME", 0, "which cluster, if there are several" },
	{ 0 },
};

static const struct argp_child children[] = {
	{ &cluster_plan_options, 0, "Options of plan:", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.children = children,
	.args_doc = "status\nassign PREFIX MEMBER|VERDICT\nunassign PREFIX\ndrain MEMBER\n"
		    "undrain MEMBER\nplan FILE|-",
	.doc = "Prints the state of clusters and their members, and changes the keys in etcd that "
	       "apply to all members.\v"
	       "assign gives the URLs that begin with PREFIX to a member, or all members the same "
	       "verdict for them; the longest prefix counts. A drained member is neither "
	       "owner nor successor of any URL until undrain.\n"
	       "\n"
	       "plan tells how many keys and requests of FILE, an access log or a list of URLs, "
	       "the changes given as options would move, and between which members; it changes "
	       "nothing.\n"
	       "\n"
	       "  icpctl cluster assign http://www.example.org/admin/ origin-c\n"
	       "  icpctl cluster plan --key host+1 --without origin-b access.log",
};

int icpctl_cluster(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl, .plan = { .ctl = ctl } };
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	if (status == 0)
		status = input.words.action->run(&input);
	free(input.plan.changes);
	return status;
}
