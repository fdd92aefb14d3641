// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "config/render.h"
#include "lib/escape.h"

#define DIGITS "0123456789"
#define HARMLESS                                                                                   \
	DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"                              \
	       " !#%&()*+,-./:;<=>?@[]^_|~"

/* In double quotes any byte can be written as \xHH; do so for all but harmless ones. */
static void print_quoted(FILE *out, const char *text)
{
	size_t length;

	putc('"', out);
	for (;; text++) {
		length = strspn(text, HARMLESS);
		fwrite(text, 1, length, out);
		text += length;
		if (!*text)
			break;
		fprintf(out, "\\x%02x", (unsigned char)*text);
	}
	putc('"', out);
}

/* Print one of the values of an option; several stand in braces. */
static void print_value(FILE *out, const char *text, size_t index, size_t count)
{
	fputs(index ? ", " : count > 1 ? "{ " : "", out);
	if (*text && !text[strspn(text, DIGITS)]) /* a number */
		fputs(text, out);
	else
		print_quoted(out, text);
	if (count > 1 && index == count - 1)
		fputs(" }", out);
}

static void print_section(FILE *out, const char *what, const struct policy_spec *spec)
{
	fprintf(out, "%s ", what);
	print_quoted(out, spec->name);
	fputs(" {\n", out);
	for (size_t i = 0; i < spec->count; i++) {
		const struct spec_setting *setting = &spec->settings[i];

		fprintf(out, "        %s = ", setting->key);
		for (size_t k = 0; k < setting->count; k++)
			print_value(out, setting->values[k].text, k, setting->count);
		putc('\n', out);
	}
	fputs("}\n", out);
}

/* Close a stream of open_memstream() and return its text, or NULL. */
static char *close_text(FILE *out, char *const *text, bool failed)
{
	failed |= ferror(out) != 0;
	if (fclose(out) == 0 && !failed)
		return *text;
	free(*text);
	return NULL;
}

char *render_section(const char *head, const char *what, const struct policy_spec *spec)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputs(head, out);
	print_section(out, what, spec);
	return close_text(out, &text, false);
}

static void print_option(FILE *out, const struct config *config, const struct config_option *option)
{
	char buffer[CONFIG_VALUE_SIZE];
	size_t count = 0;

	while (config_get(config, option, count, buffer))
		count++;
	if (!count)
		return;
	fprintf(out, "%s = ", option->name);
	for (size_t i = 0; i < count; i++)
		print_value(out, config_get(config, option, i, buffer), i, count);
	putc('\n', out);
}

/* Print the sections of a list by name, each with its place. */
static int print_sections(FILE *out, const char *what, struct policy_spec *const *list,
			  size_t count)
{
	struct policy_spec **sorted = policy_specs_sorted(list, count);

	if (!sorted)
		return -1;
	for (size_t i = 0; i < count; i++) {
		char *where = escape(sorted[i]->where, strlen(sorted[i]->where));

		fprintf(out, "\n# %s\n", where ? where : "");
		print_section(out, what, sorted[i]);
		free(where);
	}
	free(sorted);
	return 0;
}

char *render_config(const struct config *config)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool failed;

	if (!out)
		return NULL;
	for (const struct config_option *option = config_options; option->name; option++)
		print_option(out, config, option);
	failed = print_sections(out, "cluster", config->clusters, config->cluster_count) ||
		 print_sections(out, "policy", config->policies, config->policy_count);
	return close_text(out, &text, failed);
}
