// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libconfuse parses the syntax; the table of options (options.h) interprets the values. To libconfuse every
 * option is a list of texts, each kept with its line, so that every error can name its line.
 */
#include <confuse.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/cluster_config.h"
#include "config/include.h"
#include "config/options.h"
#include "config/text.h"
#include "lib/path_safety.h"
#include "policy/policy.h"
#include "lib/regular_file.h"
#include "lib/vec.h"

#define OUT_OF_MEMORY "out of memory"

/* --- callbacks of libconfuse */

/* A value as stored in libconfuse's tree. */
struct value {
	unsigned int line;
	unsigned int section_line; /* first line of the section that contains it */
	char text[];
};

/*
 * The text being parsed. libconfuse passes no context to its callbacks and is not reentrant: its
 * scanner has static state.
 */
static struct parse {
	const char *name;
	cfg_t *root;
	struct error *error;
	bool failed; /* only the first error is reported */
} parse;

static int fail(unsigned int line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(unsigned int line, const char *format, ...)
{
	va_list args;

	if (parse.failed)
		return -1;
	parse.failed = true;
	va_start(args, format);
	vsnprintf(parse.error->text, sizeof(parse.error->text), format, args);
	va_end(args);
	return error_prefix(parse.error, "%s:%u: ", parse.name, line);
}

/* List the names of the options of a section, for a message. */
static void list_names(const cfg_t *section, char *names, size_t size)
{
	size_t used = 0;

	names[0] = '\0';
	for (const cfg_opt_t *option = section->opts; option->name && used < size; option++)
		if (!option->def.boolean) /* not removed, see add_setting() */
			used += snprintf(names + used, size - used, "%s%s", used ? ", " : "",
					 option->name);
}

static void on_error(cfg_t *section, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Report a syntax error found by libconfuse, with the correct syntax added. */
static void on_error(cfg_t *section, const char *format, va_list args)
{
	static const struct {
		const char *theirs, *before, *between, *after; /* NULL: nothing more */
	} texts[] = {
		{ "missing equal sign after option '%s'", "'",
		  "' must be followed by = and a value", NULL },
		{ "unexpected token '%s'", "unexpected '",
		  "'; write NAME = VALUE, with quotes around a text and braces around a list",
		  NULL },
		{ "premature end of file", "the file ends within an option", "; write NAME = VALUE",
		  NULL },
		{ "found duplicate title '%s'", "there is one named '",
		  "' already; each policy and each cluster needs a name of its own", NULL },
		{ "missing title for section '%s'", "a ", " needs a name; write ",
		  " \"NAME\" { ... }" },
		{ "missing opening brace for section '%s'", "a ", " is missing its {; write ",
		  " \"NAME\" { ... }" },
	};
	char message[512];
	const char *name = "";

	if (strcmp(format, "no such option '%s'") == 0) {
		list_names(section, message, sizeof(message));
		fail(section->line, "unknown option '%.200s'%s%s; the options are %s",
		     va_arg(args, const char *), section == parse.root ? "" : " of a ",
		     section == parse.root ? "" : section->name, message);
		return;
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(format, texts[i].theirs))
			continue;
		if (strchr(format, '%'))
			name = va_arg(args, const char *);
		fail(section->line, "%s%.200s%s%.200s%s", texts[i].before, name, texts[i].between,
		     texts[i].after ? name : "", texts[i].after ? texts[i].after : "");
		return;
	}
	vsnprintf(message, sizeof(message), format, args);
	fail(section->line, "%s", message);
}

/* Store a value. An option may be set once, and appended to with +=. */
static int on_value(cfg_t *section, cfg_opt_t *option, const char *text, void *result)
{
	struct value *value;

	/* These options have no default, so its member can count the assignments. */
	if (option->nvalues == 1 && option->def.number++)
		return fail(section->line,
			    "'%s' is set twice; set it once, or append with +=", option->name);
	value = malloc(sizeof(*value) + strlen(text) + 1);
	if (!value)
		return fail(section->line, OUT_OF_MEMORY);
	value->line = section->line;
	value->section_line = parse.root->line;
	strcpy(value->text, text);
	*(struct value **)result = value;
	return 0;
}

/* --- from libconfuse's tree to struct config */

#define NOT_IN_A_DROP_IN                                                                           \
	"'%s': only policies are allowed in this file; move it to the configuration"

static const struct value *get_value(const cfg_opt_t *option, unsigned int number)
{
	return option->values[number]->ptr;
}

static int read_option(struct config *config, const struct config_option *option,
		       const cfg_opt_t *values)
{
	uint64_t bit = 1ull << (option - config_options);

	if (values->nvalues && config->drop_in)
		return fail(get_value(values, 0)->line, NOT_IN_A_DROP_IN, option->name);
	if (values->nvalues && config->given & bit && strcmp(option->name, "include") == 0)
		return fail(get_value(values, 0)->line,
			    "an included file cannot include others; list them in the file that "
			    "includes this one");
	if (values->nvalues && config->given & bit)
		return fail(get_value(values, 0)->line,
			    "'%s' is set in another file already; set it once", option->name);
	if (values->nvalues)
		config->given |= bit;
	for (unsigned int i = 0; i < values->nvalues; i++) {
		const struct value *value = get_value(values, i);
		struct error error;

		if (i > 0 && !option->list)
			return fail(value->line, "%s takes one value, not %u", option->name,
				    values->nvalues);
		if (config_set(config, option, value->text, &error))
			return fail(value->line, "%s: %s", option->name, error.text);
	}
	return 0;
}

static int read_settings(struct policy_spec *spec, const cfg_t *section)
{
	for (const cfg_opt_t *option = section->opts; option->name; option++) {
		for (unsigned int i = 0; i < option->nvalues; i++) {
			const struct value *value = get_value(option, i);
			char where[512];

			snprintf(where, sizeof(where), "%s:%u", parse.name, value->line);
			if (policy_spec_add(spec, option->name, value->text, where))
				return fail(value->line, OUT_OF_MEMORY);
		}
	}
	return 0;
}

/* Return the first line of a section; for an empty one libconfuse knows only the last. */
static unsigned int section_line(const cfg_t *section)
{
	for (const cfg_opt_t *option = section->opts; option->name; option++)
		if (option->nvalues)
			return get_value(option, 0)->section_line;
	return section->line;
}

/* Append the section of a policy or a cluster to a list. */
static int read_section(struct policy_spec ***list, size_t *count, const cfg_t *section)
{
	struct policy_spec **added, *spec;
	char where[512];

	snprintf(where, sizeof(where), "%s:%u", parse.name, section_line(section));
	spec = policy_spec_new(section->title, where);
	if (!spec)
		return fail(section->line, OUT_OF_MEMORY);
	if (read_settings(spec, section)) {
		policy_spec_free(spec);
		return -1;
	}
	added = vec_append(*list, *count);
	if (!added) {
		policy_spec_free(spec);
		return fail(section->line, OUT_OF_MEMORY);
	}
	*added = spec;
	return 0;
}

static int read_tree(struct config *config, cfg_t *root)
{
	const cfg_opt_t *policies = cfg_getopt(root, "policy");
	const cfg_opt_t *clusters = cfg_getopt(root, "cluster");

	for (const struct config_option *option = config_options; option->name; option++)
		if (read_option(config, option, cfg_getopt(root, option->name)))
			return -1;
	for (unsigned int i = 0; i < policies->nvalues; i++)
		if (read_section(&config->policies, &config->policy_count,
				 policies->values[i]->section))
			return -1;
	if (clusters->nvalues && config->drop_in)
		return fail(section_line(clusters->values[0]->section), NOT_IN_A_DROP_IN,
			    clusters->name);
	for (unsigned int i = 0; i < clusters->nvalues; i++)
		if (read_section(&config->clusters, &config->cluster_count,
				 clusters->values[i]->section))
			return -1;
	return 0;
}

/* --- libconfuse's tree */

#define NAMES_MAX 128 /* of options, or of the settings of all kinds together */

/* Add an option, unless present, to a zero-terminated table. No list of options has a removed one. */
static void add_setting(cfg_opt_t *settings, const char *name, bool removed)
{
	size_t i = 0;

	while (settings[i].name && strcmp(settings[i].name, name))
		i++;
	if (settings[i].name || i >= NAMES_MAX - 1)
		return;
	settings[i] = (cfg_opt_t){
		.name = name,
		.type = CFGT_PTR,
		.flags = CFGF_LIST,
		.def.boolean = removed,
		.parsecb = on_value,
		.freecb = free,
	};
}

/* The kind of a policy is not known yet, so a section accepts the settings of all kinds. */
static cfg_t *make_root(void)
{
	cfg_opt_t settings[NAMES_MAX] = { { .name = NULL } }, top[NAMES_MAX] = { { .name = NULL } };
	cfg_opt_t cluster[NAMES_MAX] = { { .name = NULL } };
	size_t count = 0;

	for (size_t i = 0; policy_common_settings[i].name; i++)
		add_setting(settings, policy_common_settings[i].name, false);
	for (size_t kind = 0; policy_kinds[kind]; kind++)
		for (const struct policy_setting *s = policy_kinds[kind]->settings; s->name; s++)
			add_setting(settings, s->name, s->replaced_by);
	for (const struct policy_setting *s = cluster_config_settings; s->name; s++)
		add_setting(cluster, s->name, false);
	for (; config_options[count].name; count++)
		add_setting(top, config_options[count].name, false);
	top[count] = (cfg_opt_t){
		.name = "policy",
		.type = CFGT_SEC,
		.flags = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES,
		.subopts = settings,
	};
	top[count + 1] = top[count];
	top[count + 1].name = "cluster";
	top[count + 1].subopts = cluster;
	return cfg_init(top, CFGF_NONE);
}

static int read_clean_text(struct config *config, const char *text, const char *name,
			   struct error *error)
{
	cfg_t *root = make_root();
	int result = -1;

	if (!root)
		return error_set(error, OUT_OF_MEMORY);
	parse = (struct parse){ .name = name, .root = root, .error = error };
	cfg_set_error_function(root, on_error);
	if (cfg_parse_buf(root, text) != CFG_SUCCESS)
		fail(root->line, "not understood; write NAME = VALUE");
	else
		result = read_tree(config, root);
	cfg_free(root);
	parse = (struct parse){ 0 };
	return result;
}

static int read_text(struct config *config, const char *text, size_t size, const char *name,
		     const struct config_variables *known, struct error *error)
{
	char *copy;
	int result;

	if (size > CONFIG_TEXT_MAX)
		return error_set(error, "%s: more than %u bytes; put lists of URLs into files",
				 name, CONFIG_TEXT_MAX);
	copy = malloc(size + 1);
	if (!copy)
		return error_set(error, OUT_OF_MEMORY);
	memcpy(copy, text, size);
	copy[size] = '\0';
	result = config_text_clean(copy, size, name, config->drop_in ? NULL : &config->variables,
				   known, error);
	if (result == 0)
		result = read_clean_text(config, copy, name, error);
	free(copy);
	return result;
}

int config_read_file(struct config *config, const char *path, const struct config_variables *known,
		     struct error *error)
{
	const char *opened = path;
	char real[PATH_MAX];
	struct error reason;
	size_t size;
	char *text;
	int result;

	if (geteuid() == 0) {
		if (path_resolve_safe(path, real, error) == 0)
			opened = real;
		else if (errno == EPERM)
			return error_prefix(error, "%s is not read with root's rights: ", path);
		else
			return error_set(error,
					 "%s: cannot read: %s; name a configuration file that can "
					 "be read",
					 path, strerror(errno));
	}
	if (regular_file_read(opened, CONFIG_TEXT_MAX, &text, &size, &reason))
		return error_set(error, "%s: cannot read: %s; %s", path, reason.text,
				 access(opened, F_OK) == 0 && access(opened, R_OK)
					 ? "let the daemon's user read it"
					 : "name a configuration file that can be read");
	result = read_text(config, text, size, path, known, error);
	free(text);
	return result;
}

/* --- whole configurations */

/*
 * Complete `made`, or free it if `result`, the reader's, is an error. Return 0, or -1 with an
 * error.
 */
static int complete(struct config *made, int result, struct config **config, struct error *error)
{
	if (result == 0)
		result = config_default_listen(made, error);
	if (result == 0)
		result = cluster_config_check(made, error);
	if (result)
		config_free(made);
	else
		*config = made;
	return result;
}

int config_parse_text(const char *text, size_t size, const char *name, struct config **config,
		      struct error *error)
{
	struct config *made = config_default();

	if (!made)
		return error_set(error, OUT_OF_MEMORY);
	return complete(made, read_text(made, text, size, name, NULL, error), config, error);
}

int config_load_file(const char *path, const struct config *running, struct config **config,
		     struct error *error)
{
	const struct config_variables *known = running ? &running->variables : NULL;
	struct config *made = config_default();
	int result;

	if (!made)
		return error_set(error, OUT_OF_MEMORY);
	result = config_read_file(made, path, known, error);
	if (result == 0)
		result = config_read_included(made, path, known, error);
	return complete(made, result, config, error);
}

int config_load_drop_in(const char *path, struct config **config, struct error *error)
{
	struct config *made = config_default();

	if (!made)
		return error_set(error, OUT_OF_MEMORY);
	made->drop_in = true;
	return complete(made, config_read_file(made, path, NULL, error), config, error);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->include_count; i++)
		free(config->includes[i]);
	for (size_t i = 0; i < config->interface_count; i++)
		free(config->interfaces[i]);
	for (size_t i = 0; i < config->policy_count; i++)
		policy_spec_free(config->policies[i]);
	for (size_t i = 0; i < config->cluster_count; i++)
		policy_spec_free(config->clusters[i]);
	config_variables_free(&config->variables);
	free(config->clusters);
	free(config->policies);
	free(config->interfaces);
	free(config->includes);
	free(config->listen);
	free(config->control);
	free(config->pin_dir);
	free(config->user);
	free(config);
}
