// SPDX-License-Identifier: GPL-2.0-or-later
/* A setup as the configuration and the list files that an operator would write. */
#include <limits.h>
#include <stdlib.h>

#include "subject.h"

static const char *const list_keys[KIND_MAX] = { "urls",     "urls",  "texts", "texts", "patterns",
						 "patterns", "hosts", "from",  "path" };

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

static void write_file(const struct policy_setup *policy, const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file) {
		perror(path);
		exit(2);
	}
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

static void write_policy(const struct setup *setup, size_t place, const char *directory, FILE *out)
{
	const struct policy_setup *policy = &setup->policies[place];
	bool first = true, has_file = policy->count == 0;
	char path[PATH_MAX];

	fputs("policy ", out);
	quote(policy->name, out);
	fprintf(out, " { kind = %s verdict = %s not = %s", kind_names[policy->kind],
		verdict_name(policy->verdict), policy->negate ? "yes" : "no");
	if (policy->cost >= 0)
		fprintf(out, " cost = %d", policy->cost);
	if (policy->kind == KIND_FLAG) {
		fprintf(out, " path = '%s/%s' }\n", directory,
			policy->count ? policy->entries[0].text.at : "none");
		return;
	}
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
		snprintf(path, sizeof(path), "%s/%zu.list", directory, place);
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
