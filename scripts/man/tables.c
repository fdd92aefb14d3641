// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fills the tables of the program into a manual page: copies scdoc source from standard input to
 * standard output and replaces lines that begin with @.
 *
 *	@counters		every counter and what it counts
 *	@kinds			every policy kind in one line
 *	@settings common	the settings that all kinds take
 *	@settings KIND		the settings of one kind
 *	@cluster		those of a cluster
 *
 * Any other such line is an error, so that a page cannot name a kind that does not exist.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/cluster_config.h"
#include "counters.h"
#include "policy/policy.h"

/* Writes a help text as a sentence, with the characters escaped that scdoc would interpret. */
static void put_sentence(const char *text)
{
	putchar('\t');
	for (const char *c = text; *c; c++) {
		if (strchr("\\*_<#`|[]~", *c))
			putchar('\\');
		putchar(c == text ? toupper((unsigned char)*c) : *c);
	}
	puts(".\n");
}

static void put_entry(const char *name, const char *remark, const char *help)
{
	printf("*%s*%s\n", name, remark);
	put_sentence(help);
}

static void put_counters(void)
{
	static const struct {
		const char *group, *name, *help;
	} counters[] = {
#define X(identifier, group, name, help) { group, name, help },
		ICP_COUNTERS(X)
#undef X
	};
	char name[64];

	put_entry("answered.kernel", "", "queries that the XDP program answered");
	put_entry("answered.daemon", "", "queries that the daemon answered");
	for (size_t i = 0; i < ICP_COUNTER_MAX; i++) {
		if (!*counters[i].name)
			continue;
		snprintf(name, sizeof(name), "%s.%s", counters[i].group, counters[i].name);
		put_entry(name, "", counters[i].help);
	}
}

static void put_kinds(void)
{
	for (size_t i = 0; policy_kinds[i]; i++)
		put_entry(policy_kinds[i]->name, "", policy_kinds[i]->help);
}

static void put_settings_of(const struct policy_setting *settings)
{
	for (; settings->name; settings++) {
		const char *remark = settings->list ? " = { _VALUE_, ... }" : " = _VALUE_";

		if (settings->replaced_by)
			continue;
		printf("*%s*%s%s\n", settings->name, remark,
		       settings->required ? " (required)" : "");
		put_sentence(settings->help);
	}
}

static int put_settings(const char *name)
{
	const struct policy_setting *settings = NULL;

	if (strcmp(name, "common") == 0)
		settings = policy_common_settings;
	for (size_t i = 0; policy_kinds[i] && !settings; i++)
		if (strcmp(policy_kinds[i]->name, name) == 0)
			settings = policy_kinds[i]->settings;
	if (!settings)
		return -1;
	put_settings_of(settings);
	return 0;
}

/* Returns -1 if there is no such table. */
static int put_table(const char *directive)
{
	static const char settings[] = "settings ";

	if (strcmp(directive, "counters") == 0)
		put_counters();
	else if (strcmp(directive, "kinds") == 0)
		put_kinds();
	else if (strcmp(directive, "cluster") == 0)
		put_settings_of(cluster_config_settings);
	else if (strncmp(directive, settings, strlen(settings)) == 0)
		return put_settings(directive + strlen(settings));
	else
		return -1;
	return 0;
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		if (*line != '@') {
			fputs(line, stdout);
			continue;
		}
		line[strcspn(line, "\n")] = '\0';
		if (put_table(line + 1)) {
			fprintf(stderr, "tables: no such table: %s\n", line);
			return EXIT_FAILURE;
		}
	}
	free(line);
	return ferror(stdin) || fclose(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
