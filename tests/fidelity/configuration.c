// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "configuration.h"
#include "lately.h"
#include "owners.h"
#include "seams.h"
#include "texts.h"

static const char *const list_keys[KIND_MAX] = {
	[KIND_PREFIX] = "urls",	 [KIND_EXACT] = "urls",	   [KIND_SUBSTRING] = "texts",
	[KIND_SUFFIX] = "texts", [KIND_GLOB] = "patterns", [KIND_REGEX] = "patterns",
	[KIND_HOST] = "hosts",	 [KIND_SOURCE] = "from",   [KIND_SCHEDULE] = "times",
};

/* In single quotes everything but these two is as it is. */
static void quote(struct text text, FILE *out)
{
	fputc('\'', out);
	for (size_t i = 0; i < text.length; i++) {
		if (text.at[i] == '\'' || text.at[i] == '\\')
			fputc('\\', out);
		fputc(text.at[i], out);
	}
	fputc('\'', out);
}

static FILE *create(const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file) {
		perror(path);
		exit(2);
	}
	return file;
}

static void write_file(const struct policy_setup *policy, const char *path)
{
	FILE *file = create(path);

	for (size_t i = 0; i < policy->count; i++) {
		const struct entry *entry = &policy->entries[i];

		if (!entry->in_file)
			continue;
		fwrite(entry->text.at, 1, entry->text.length, file);
		if (entry->verdict)
			fprintf(file, "\t%s", verdict_name(entry->verdict));
		fputc('\n', file);
	}
	fclose(file);
}

static void write_partition(const struct policy_setup *policy, FILE *out)
{
	const struct owners owners = owners_of(policy);
	struct text prefix, owner;

	fprintf(out, " key = '%s' query = %s depth = %d others = %s member = '%.*s' members = {",
		owners.key, owners.query ? "yes" : "no", owners.depth, verdict_name(owners.others),
		(int)owners.self.length, owners.self.at);
	for (size_t i = 0; i < owners.count; i++)
		fprintf(out, "%s '%.*s %u'", i ? "," : "", (int)owners.members[i].name.length,
			owners.members[i].name.at, owners.members[i].weight);
	fputs(" } assign = {", out);
	for (size_t i = 0, count = 0; i < policy->count; i++) {
		const struct entry *entry = &policy->entries[i];
		char line[TEXT_MOST + 64];
		struct text text = { line, 0 };

		if (!is_assigned(entry, &prefix, &owner))
			continue;
		text.length = snprintf(line, sizeof(line), "%s %.*s", prefix.at,
				       entry->verdict ? 64 : (int)owner.length,
				       entry->verdict ? verdict_name(entry->verdict) : owner.at);
		fputs(count++ ? ", " : " ", out);
		quote(text, out);
	}
	fputs(" }", out);
}

/* The settings of the kinds that are no lists. */
static void write_settings(const struct policy_setup *policy, const char *path, FILE *out)
{
	char resource[16] = "";
	int above = 0, below = 0;

	switch (policy->kind) {
	case KIND_FLAG:
		fprintf(out, " path = '%.*s/%s'", (int)(strrchr(path, '/') - path), path,
			gate_text(policy).at);
		break;
	case KIND_LOAD:
		sscanf(gate_text(policy).at, "%15s %d %d", resource, &above, &below);
		fprintf(out, " above = %d below = %d", above, below);
		if (strcmp(resource, load_names[LOAD_AVERAGE]) != 0)
			fprintf(out, " pressure = %s", resource);
		break;
	case KIND_HEALTH:
		fprintf(out, " tcp = '127.0.0.1:%d'", 1 + gate_text(policy).at[0] % 100);
		break;
	case KIND_HELPER:
		fputs(" program = { '/bin/true' }", out);
		break;
	case KIND_LUA:
		fclose(create(path)); /* see seams.c for what it replies */
		fprintf(out, " file = '%s'", path);
		break;
	case KIND_PLUGIN:
		fprintf(out, " file = '%s' arguments = { ",
			plugin_path(policy->sees, policy->ttl > 0 ? policy->ttl : 0));
		quote(policy->name, out);
		fputs(" }", out);
		break;
	case KIND_PARTITION:
		write_partition(policy, out);
		break;
	case KIND_RECENT:
		fprintf(out, " key = '%s' query = %s window = %us entries_max = %u",
			lately_settings(policy).key, lately_settings(policy).query ? "yes" : "no",
			lately_settings(policy).window, lately_settings(policy).most);
		break;
	default:
		break;
	}
	if ((policy->kind == KIND_HELPER || policy->kind == KIND_LUA) && policy->ttl >= 0)
		fprintf(out, " ttl = %ds", policy->ttl);
}

static void write_policy(const struct setup *setup, size_t place, const char *directory, FILE *out)
{
	const struct policy_setup *policy = &setup->policies[place];
	bool first = true, has_file = policy->count == 0 && policy->kind != KIND_SCHEDULE;
	char path[PATH_MAX];

	fputs("policy ", out);
	quote(policy->name, out);
	fprintf(out, " { kind = %s verdict = %s not = %s", kind_names[policy->kind],
		verdict_name(policy->verdict), policy->negate ? "yes" : "no");
	if (policy->cost >= 0)
		fprintf(out, " cost = %d", policy->cost);
	snprintf(path, sizeof(path), "%s/%zu.list", directory, place);
	if (!list_keys[policy->kind]) {
		write_settings(policy, path, out);
		fputs(" }\n", out);
		return;
	}
	if (policy->kind == KIND_SCHEDULE && policy->count == 0)
		fprintf(out, " times = '%s'", gate_text(policy).at);
	for (size_t i = 0; i < policy->count; i++) {
		has_file = has_file || policy->entries[i].in_file;
		if (policy->entries[i].in_file)
			continue;
		if (first)
			fprintf(out, " %s = {", list_keys[policy->kind]);
		fputs(first ? " " : ", ", out);
		quote(policy->entries[i].text, out);
		first = false;
	}
	fputs(first ? "" : " }", out);
	if (has_file) {
		write_file(policy, path);
		fprintf(out, " file = '%s'", path);
	}
	fputs(" }\n", out);
}

void configuration_write(const struct setup *setup, const char *directory, FILE *out)
{
	fprintf(out, "default = %s\n", verdict_name(setup->default_verdict));
	for (size_t i = 0; i < setup->policy_count; i++)
		write_policy(setup, i, directory, out);
}
