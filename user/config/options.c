// SPDX-License-Identifier: GPL-2.0-or-later
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "config/options.h"
#include "icp/opcode.h"
#include "lib/pin_dir.h"
#include "lib/sockaddr.h"
#include "lib/vec.h"

#define OUT_OF_MEMORY "out of memory"
#define METRICS_PORT 9130

static void *member(const struct config *config, const struct config_option *option)
{
	return (char *)config + option->offset;
}

/* --- one value, set and returned as text */

/* Parameters of the functions that return a value. */
#define GET                                                                                        \
	const struct config *config, const struct config_option *option, size_t index, char *buffer

static int set_listen(struct config *config, const char *text, struct error *error)
{
	struct sockaddr_storage address, *added;

	if (sockaddr_parse(text, ICP_PORT, &address, error))
		return -1;
	for (size_t i = 0; i < config->listen_count; i++)
		if (memcmp(&config->listen[i], &address, sizeof(address)) == 0)
			return error_set(error, "'%s' is given twice; once is enough", text);
	added = vec_append(config->listen, config->listen_count);
	if (!added)
		return error_set(error, OUT_OF_MEMORY);
	*added = address;
	return 0;
}

static const char *get_listen(GET)
{
	if (index >= config->listen_count)
		return NULL;
	sockaddr_text(&config->listen[index], buffer);
	return buffer;
}

/* Append to a list in which nothing is twice. */
static int add_text(char ***list, size_t *count, const char *text, struct error *error)
{
	char **added;

	for (size_t i = 0; i < *count; i++)
		if (strcmp((*list)[i], text) == 0)
			return error_set(error, "'%s' is given twice; once is enough", text);
	added = vec_append(*list, *count);
	if (!added)
		return error_set(error, OUT_OF_MEMORY);
	*added = strdup(text);
	return *added ? 0 : error_set(error, OUT_OF_MEMORY);
}

static int set_include(struct config *config, const char *text, struct error *error)
{
	if (!*text)
		return error_set(error, "an empty path; name a directory, or leave it out");
	return add_text(&config->includes, &config->include_count, text, error);
}

/* The included options and policies are part of the configuration already. */
static const char *get_include(GET)
{
	return NULL;
}

static int set_interfaces(struct config *config, const char *text, struct error *error)
{
	if (!*text || strlen(text) >= IF_NAMESIZE || strpbrk(text, "/ \t\n\r\v\f:"))
		return error_set(error,
				 "'%s' is not the name of an interface; `ip link` shows the names",
				 text);
	return add_text(&config->interfaces, &config->interface_count, text, error);
}

static const char *get_interfaces(GET)
{
	return index < config->interface_count ? config->interfaces[index] : NULL;
}

static const char *const modes[] = {
	[CONFIG_MODE_AUTO] = "auto",
	[CONFIG_MODE_NATIVE] = "native",
	[CONFIG_MODE_GENERIC] = "generic",
	[CONFIG_MODE_OFF] = "off",
};

static int set_mode(struct config *config, const char *text, struct error *error)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(text, modes[i]))
			continue;
		config->mode = i;
		return 0;
	}
	return error_set(error, "unknown mode '%s'; it can be auto, native, generic or off", text);
}

static const char *get_mode(GET)
{
	return index ? NULL : modes[config->mode];
}

static int set_on_exit(struct config *config, const char *text, struct error *error)
{
	bool keep = strcmp(text, "keep") == 0;

	if (!keep && strcmp(text, "close"))
		return error_set(error, "'%s' must be keep or close", text);
	config->on_exit = keep ? CONFIG_ON_EXIT_KEEP : CONFIG_ON_EXIT_CLOSE;
	return 0;
}

static const char *get_on_exit(GET)
{
	return index ? NULL : config->on_exit == CONFIG_ON_EXIT_KEEP ? "keep" : "close";
}

static int set_log(struct config *config, const char *text, struct error *error)
{
	config->log_json = strcmp(text, "json") == 0;
	if (!config->log_json && strcmp(text, "text"))
		return error_set(error, "'%s' must be text or json", text);
	return 0;
}

static const char *get_log(GET)
{
	return index ? NULL : config->log_json ? "json" : "text";
}

static const char *get_text(GET)
{
	return index ? NULL : *(char *const *)member(config, option);
}

static int set_text(char **member, const char *text, struct error *error)
{
	char *copy = strdup(text);

	if (!copy)
		return error_set(error, OUT_OF_MEMORY);
	free(*member);
	*member = copy;
	return 0;
}

static int set_control(struct config *config, const char *text, struct error *error)
{
	size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (!*text || strlen(text) > max)
		return error_set(error, "a path of %zu bytes; a socket's has 1 to %zu",
				 strlen(text), max);
	return set_text(&config->control, text, error);
}

static int set_metrics(struct config *config, const char *text, struct error *error)
{
	return sockaddr_parse(text, METRICS_PORT, &config->metrics, error);
}

static int set_pin_dir(struct config *config, const char *text, struct error *error)
{
	if (pin_dir_check(text, error))
		return -1;
	return set_text(&config->pin_dir, text, error);
}

static int set_user(struct config *config, const char *text, struct error *error)
{
	if (!*text)
		return error_set(error, "an empty name; name a user, such as nobody");
	return set_text(&config->user, text, error);
}

static int set_default(struct config *config, const char *text, struct error *error)
{
	config->default_verdict = verdict_from_name(text, strlen(text));
	if (config->default_verdict == ICP_OP_INVALID)
		return error_set(error, "unknown verdict '%s'; it can be " VERDICT_NAMES, text);
	return 0;
}

static int set_answer_request_zero(struct config *config, const char *text, struct error *error)
{
	return parse_bool(text, &config->answer_request_zero, error);
}

static const char *get_default(GET)
{
	return index ? NULL : opcode_short_name(config->default_verdict);
}

static const char *get_answer_request_zero(GET)
{
	return index ? NULL : config->answer_request_zero ? "true" : "false";
}

static const char *get_metrics(GET)
{
	if (index || !config->metrics.ss_family)
		return NULL;
	sockaddr_text(&config->metrics, buffer);
	return buffer;
}

const char *config_get(const struct config *config, const struct config_option *option,
		       size_t index, char buffer[CONFIG_VALUE_SIZE])
{
	unsigned int number;

	if (option->get)
		return option->get(config, option, index, buffer);
	number = *(const unsigned int *)member(config, option);
	if (index || number < (unsigned long)option->min) /* less: not set */
		return NULL;
	snprintf(buffer, CONFIG_VALUE_SIZE, "%u%s", number, option->duration ? "ms" : "");
	return buffer;
}

int config_set(struct config *config, const struct config_option *option, const char *text,
	       struct error *error)
{
	long number;

	if (option->set)
		return option->set(config, text, error);
	if (option->duration)
		return parse_duration(text, option->min, option->max, member(config, option),
				      error);
	if (parse_number(text, option->min, option->max, &number, error))
		return -1;
	*(unsigned int *)member(config, option) = number;
	return 0;
}

/* --- comparing an option of two configurations */

static bool same_listen(const struct config *a, const struct config *b, size_t offset)
{
	return a->listen_count == b->listen_count &&
	       memcmp(a->listen, b->listen, a->listen_count * sizeof(*a->listen)) == 0;
}

static bool same_interfaces(const struct config *a, const struct config *b, size_t offset)
{
	if (a->interface_count != b->interface_count)
		return false;
	for (size_t i = 0; i < a->interface_count; i++)
		if (strcmp(a->interfaces[i], b->interfaces[i]) != 0)
			return false;
	return true;
}

static bool same_text(const struct config *a, const struct config *b, size_t offset)
{
	char *const *left = (char *const *)((const char *)a + offset);
	char *const *right = (char *const *)((const char *)b + offset);

	return strcmp(*left, *right) == 0;
}

/* --- the table */

/* Offset and size of the members of struct config from `first` to `last`, both included. */
#define MEMBERS(first, last)                                                                       \
	offsetof(struct config, first), offsetof(struct config, last) +                            \
						sizeof(((struct config *)0)->last) -               \
						offsetof(struct config, first)
#define MEMBER(name) MEMBERS(name, name)
#define HOUR 3600000 /* milliseconds */

const struct config_option config_options[] = {
	{ "include", MEMBERS(include_count, includes), set_include, .get = get_include,
	  .list = true },
	{ "listen", MEMBERS(listen_count, listen), set_listen, .get = get_listen, .list = true,
	  .restart = true, .same = same_listen },
	{ "interfaces", MEMBERS(interface_count, interfaces), set_interfaces, .get = get_interfaces,
	  .list = true, .restart = true, .same = same_interfaces },
	{ "mode", MEMBER(mode), set_mode, .get = get_mode, .restart = true },
	{ "control", MEMBER(control), set_control, .get = get_text, .restart = true,
	  .same = same_text },
	{ "metrics", MEMBER(metrics), set_metrics, .get = get_metrics, .restart = true },
	{ "pin_dir", MEMBER(pin_dir), set_pin_dir, .get = get_text, .restart = true,
	  .same = same_text },
	{ "user", MEMBER(user), set_user, .get = get_text, .restart = true, .same = same_text },
	{ "default", MEMBER(default_verdict), set_default, .get = get_default },
	{ "answer_request_zero", MEMBER(answer_request_zero), set_answer_request_zero,
	  .get = get_answer_request_zero },
	{ "rules_max", MEMBER(rules_max), NULL, 1, CONFIG_ENTRIES_MAX, .restart = true },
	{ "prefixes_max", MEMBER(prefixes_max), NULL, 0, CONFIG_ENTRIES_MAX, .restart = true },
	{ "verdicts_max", MEMBER(verdicts_max), NULL, 1, CONFIG_ENTRIES_MAX, .restart = true },
	{ "lease", MEMBER(lease), NULL, 100, HOUR, .duration = true },
	{ "drain_time", MEMBER(drain_time), NULL, 0, HOUR, .duration = true },
	{ "on_exit", MEMBER(on_exit), set_on_exit, .get = get_on_exit },
	{ "log", MEMBER(log_json), set_log, .get = get_log },
	{ "workers", MEMBER(workers), NULL, 1, CONFIG_WORKERS_MAX, .restart = true },
	{ NULL },
};

_Static_assert(sizeof(config_options) / sizeof(config_options[0]) <= 64, "`given` has 64 bits");

static void swap_bytes(char *a, char *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		char byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

void config_keep_startup_options(struct config *config, struct config *running,
				 char names[CONFIG_NAMES_SIZE])
{
	struct config_variables variables = config->variables;
	size_t used = 0;

	config->variables = running->variables;
	running->variables = variables;
	names[0] = '\0';
	for (const struct config_option *option = config_options; option->name; option++) {
		char *read = member(config, option), *kept = member(running, option);
		bool same = option->same ? option->same(config, running, option->offset)
					 : memcmp(read, kept, option->size) == 0;

		if (!option->restart)
			continue;
		if (!same && used < CONFIG_NAMES_SIZE)
			used += snprintf(names + used, CONFIG_NAMES_SIZE - used, "%s%s",
					 used ? ", " : "", option->name);
		swap_bytes(read, kept, option->size);
	}
}

/* --- the defaults */

struct config *config_default(void)
{
	struct config *config = calloc(1, sizeof(*config));

	if (!config)
		return NULL;
	config->mode = CONFIG_MODE_AUTO;
	config->control = strdup("/run/xdp-icp/control.sock");
	config->pin_dir = strdup("/sys/fs/bpf/xdp-icp");
	config->user = strdup(XDP_ICP_USER);
	config->default_verdict = ICP_OP_MISS;
	config->rules_max = 4096;
	config->verdicts_max = 65536;
	config->lease = 3000;
	if (!config->control || !config->pin_dir || !config->user) {
		config_free(config);
		return NULL;
	}
	return config;
}

int config_default_listen(struct config *config, struct error *error)
{
	if (config->listen_count)
		return 0;
	return set_listen(config, "0.0.0.0", error) || set_listen(config, "[::]", error) ? -1 : 0;
}
