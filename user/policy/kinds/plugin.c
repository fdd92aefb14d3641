// SPDX-License-Identifier: GPL-2.0-or-later
/* Calls a shared object; see include/xdp_icp_plugin.h. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/path_safety.h"
#include "policy/kinds.h"
#include "policy/warning.h"
#include "xdp_icp_plugin.h"

#define SYMBOL "xdp_icp_plugin"
#define TTL_MAX 86400u /* seconds */

struct plugin {
	void *object;
	const struct xdp_icp_plugin *ops; /* in the object */
	void *state;			  /* private to the plugin */
	time_t loaded;			  /* seconds since 1970 */
	struct policy_warnings warnings;
};

/* Set an error about the plugin's file. Returns -1. */
static int wrong(const struct policy_spec *spec, const struct spec_value *file, const char *text,
		 struct error *error)
{
	return error_set(error, "%s: policy '%s': file: '%s' %s", file->where, spec->name,
			 file->text, text);
}

/*
 * Load the object. dlopen() recognises a loaded object by its path, and after a reload would return
 * the old object even if the file was replaced. So each call spells the path differently, with "/"
 * and "/." for the bits of a counter. An unchanged file still yields the same object, by its inode.
 */
static void *load(const char *path)
{
	char name[PATH_MAX + 2 * CHAR_BIT * sizeof(unsigned int)], *end = name;
	static unsigned int loads;

	for (unsigned int bits = ++loads; bits; bits >>= 1)
		end = stpcpy(end, bits & 1 ? "/." : "/");
	snprintf(end, PATH_MAX, "%s", path);
	return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

/* Return the error of dlopen() without the path as load() spelled it. */
static const char *reason(const char *path)
{
	const char *text = dlerror();
	const char *found = text ? strstr(text, path) : NULL;

	if (!text)
		return "unknown error";
	return found && strncmp(found + strlen(path), ": ", 2) == 0 ? found + strlen(path) + 2
								    : text;
}

static int find_object(struct plugin *plugin, const struct policy_spec *spec,
		       const struct spec_value *file, struct error *error)
{
	char path[PATH_MAX], text[512];
	struct error unsafe;
	struct stat status;

	if (file->text[0] != '/')
		return wrong(spec, file, "is not an absolute path; write it from the root on",
			     error);
	/* Write access to the object means code execution in the daemon. */
	if (path_resolve_safe(file->text, path, &unsafe)) {
		if (errno == EPERM)
			snprintf(text, sizeof(text), "is not safe: %.480s", unsafe.text);
		else
			snprintf(text, sizeof(text), "cannot be loaded: %s", strerror(errno));
		return wrong(spec, file, text, error);
	}
	if (stat(path, &status) || !S_ISREG(status.st_mode))
		return wrong(spec, file, "cannot be loaded: not a regular file", error);
	plugin->object = load(path);
	if (!plugin->object) {
		snprintf(text, sizeof(text), "cannot be loaded: %s", reason(path));
		return wrong(spec, file, text, error);
	}
	plugin->ops = dlsym(plugin->object, SYMBOL);
	if (!plugin->ops)
		return wrong(spec, file,
			     "is not a plugin: it has no symbol '" SYMBOL "'; see " SYMBOL ".h",
			     error);
	if (plugin->ops->abi != XDP_ICP_PLUGIN_ABI) {
		snprintf(text, sizeof(text),
			 "has ABI version %u, this daemon has %u; compile it with this "
			 "version's " SYMBOL ".h",
			 plugin->ops->abi, XDP_ICP_PLUGIN_ABI);
		return wrong(spec, file, text, error);
	}
	if (!plugin->ops->check || plugin->ops->basis < XDP_ICP_PLUGIN_URL ||
	    plugin->ops->basis > XDP_ICP_PLUGIN_OTHER)
		return wrong(spec, file, "is not a plugin: 'check' or 'basis' is not set", error);
	return 0;
}

static int open_state(struct plugin *plugin, const struct policy_spec *spec,
		      const struct spec_value *file, struct error *error)
{
	const struct spec_setting *setting = policy_spec_find(spec, "arguments");
	size_t count = setting ? setting->count : 0;
	const struct spec_value *place = count ? &setting->values[0] : file;
	char text[512] = "no reason given";
	const char **arguments;
	int result;

	if (!plugin->ops->open && !count)
		return 0;
	if (!plugin->ops->open)
		return error_set(error, "%s: policy '%s': arguments: the plugin takes none",
				 place->where, spec->name);
	arguments = calloc(count + 1, sizeof(arguments[0]));
	if (!arguments)
		return error_set(error, "out of memory");
	for (size_t i = 0; i < count; i++)
		arguments[i] = setting->values[i].text;
	result = plugin->ops->open(count, arguments, &plugin->state, text, sizeof(text));
	free(arguments);
	text[sizeof(text) - 1] = '\0';
	if (result)
		return error_set(error, "%s: policy '%s': arguments: %s", place->where, spec->name,
				 text);
	return 0;
}

/* Return the ttl in the terms of struct policy. */
static unsigned int ttl_of(const struct xdp_icp_plugin *ops)
{
	if (ops->basis == XDP_ICP_PLUGIN_OTHER)
		return 0;
	if (ops->ttl && ops->ttl < TTL_MAX)
		return ops->ttl;
	return ops->basis == XDP_ICP_PLUGIN_URL && !ops->ttl ? POLICY_TTL_URL : TTL_MAX;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct plugin *plugin = calloc(1, sizeof(*plugin));
	const struct spec_value *file;

	if (!plugin)
		return error_set(error, "out of memory");
	if (policy_spec_text(spec, "file", &file, error) < 0 ||
	    find_object(plugin, spec, file, error) || open_state(plugin, spec, file, error)) {
		if (plugin->object)
			dlclose(plugin->object);
		free(plugin);
		return -1;
	}
	plugin->loaded = time(NULL);
	policy->ttl = ttl_of(plugin->ops);
	policy->state = plugin;
	return 0;
}

static void destroy(struct policy *policy)
{
	struct plugin *plugin = policy->state;

	if (plugin->ops->close)
		plugin->ops->close(plugin->state);
	dlclose(plugin->object);
	free(plugin);
}

static void tell_state(const struct policy *policy, struct policy_state *state)
{
	const struct plugin *plugin = policy->state;

	*state = (struct policy_state){ .name = "loaded", .since = plugin->loaded };
	policy_warnings_tell(&plugin->warnings, state);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	struct policy_match match = { .verdict = ICP_OP_INVALID };
	struct plugin *plugin = policy->state;
	char source[INET6_ADDRSTRLEN];
	struct xdp_icp_plugin_query asked = { query->url, query->length, source, { 0 } };
	int result;

	query_source_text(query, source);
	memcpy(asked.address, &query->source, sizeof(asked.address));
	result = (int)plugin->ops->check(plugin->state, &asked);
	if (icp_is_verdict(result)) {
		match.verdict = result;
	} else if (result != XDP_ICP_PLUGIN_NOTHING) {
		match.gave_up = true;
		policy_warn(&plugin->warnings, policy,
			    "the plugin's check() returned %d, which is not a verdict", result);
	}
	return match;
}

static const struct policy_setting settings[] = {
	{ "file", "the absolute path of the shared object", .required = true },
	{ "arguments", "texts that are passed to its open()", .list = true },
	{ NULL },
};

const struct policy_kind policy_plugin = {
	.name = "plugin",
	.help = "a shared object with the interface of xdp_icp_plugin.h gives the verdict",
	.basis = POLICY_BASIS_OTHER,
	.main_thread = true,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
	.tell_state = tell_state,
};
