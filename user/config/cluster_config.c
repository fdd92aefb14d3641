// SPDX-License-Identifier: GPL-2.0-or-later
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/registry.h"
#include "config/cluster_config.h"
#include "lib/sockaddr.h"
#include "lib/vec.h"

#define PREFIX_MAX_LENGTH 255u /* bytes of the keys' prefix */
#define ENDPOINT_MAX 255u      /* bytes */
#define MINUTE 60000	       /* milliseconds */
#define OUT_OF_MEMORY "out of memory"

const struct policy_setting cluster_config_settings[] = {
	{ "etcd", "the endpoints, https://HOST:PORT or http://HOST:PORT", .list = true,
	  .required = true },
	{ "prefix", "the prefix of the keys in etcd; default /xdp-icp/NAME" },
	{ "member", "the name of this member, 1 to 64 of A-Za-z0-9._-; default the host's name" },
	{ "weight", "the member's share, 1 to 10000; default 100" },
	{ "addresses", "the addresses announced to the other members; default those of 'listen'",
	  .list = true },
	{ "ttl", "how long the membership lasts without etcd, 1s to 10m; default 3s" },
	{ "state", "the directory for the last known map; default /var/lib/xdp-icp" },
	{ "members_min",
	  "with fewer members the last map stays, 1 to 10000; default half of its members" },
	{ "when_isolated",
	  "what counts while etcd cannot be reached for longer than 'ttl': keep, the last map, or "
	  "miss, nothing is this member's, and the kernel replies by it no longer than the daemon "
	  "lives; default keep" },
	{ "ca", "a file with the CAs for etcd's certificate; default those of the system" },
	{ "cert", "a file with this client's certificate" },
	{ "key", "a file with the certificate's key; default the file of 'cert'" },
	{ "user", "the user name for etcd" },
	{ "password_file", "a file with the password in its first line" },
	{ NULL },
};

/* The settings, and what they point to. */
struct read {
	struct cluster_settings settings;
	char *endpoints[ETCD_ENDPOINTS_MAX];
	size_t text_count;
	char **texts;
};

static struct read *read_of(struct cluster_settings *settings)
{
	return (struct read *)((char *)settings - offsetof(struct read, settings));
}

void cluster_config_free(struct cluster_settings *settings)
{
	struct read *read = settings ? read_of(settings) : NULL;

	if (!read)
		return;
	for (size_t i = 0; i < read->text_count; i++)
		free(read->texts[i]);
	free(read->texts);
	free(read);
}

/* Keep a text from malloc(), or NULL, until the settings are freed. NULL: out of memory. */
static char *keep(struct read *read, char *text)
{
	char **kept = text ? vec_append(read->texts, read->text_count) : NULL;

	if (kept)
		*kept = text;
	else
		free(text);
	return kept ? text : NULL;
}

static int wrong(const struct spec_value *value, const char *key, struct error *error,
		 const char *right)
{
	return error_set(error, "%s: %s '%.100s': %s", value->where, key, value->text, right);
}

/* --- single settings */

/* Return 1 and the value of a setting, 0 if it is not there. -1 with an error: it has several. */
static int find(const struct policy_spec *spec, const char *key, const struct spec_value **value,
		struct error *error)
{
	const struct spec_setting *setting = policy_spec_find(spec, key);

	if (!setting)
		return 0;
	*value = &setting->values[0];
	if (setting->count == 1)
		return 1;
	return error_set(error, "%s: %s takes one value, not %zu", setting->values[1].where, key,
			 setting->count);
}

/* Copy a text setting, unless it is not there. -1 with an error: it is empty, or too long. */
static int read_text(struct read *read, const struct policy_spec *spec, const char *key,
		     const char **text, struct error *error)
{
	const struct spec_value *value;
	int found = find(spec, key, &value, error);

	if (found <= 0)
		return found;
	if (!*value->text || strlen(value->text) >= PATH_MAX)
		return wrong(value, key, error, "it must not be empty, or longer than a path");
	*text = keep(read, strdup(value->text));
	return *text ? 1 : error_set(error, OUT_OF_MEMORY);
}

/* Likewise a path, which must be absolute. */
static int read_path(struct read *read, const struct policy_spec *spec, const char *key,
		     const char **path, struct error *error)
{
	const struct spec_value *value;
	int found = read_text(read, spec, key, path, error);

	if (found > 0 && **path != '/' && find(spec, key, &value, error) > 0)
		return wrong(value, key, error, "the path must begin with a slash");
	return found;
}

static bool is_endpoint(const char *text)
{
	const char *host = strncmp(text, "https://", 8) == 0  ? text + 8
			   : strncmp(text, "http://", 7) == 0 ? text + 7
							      : "";

	return *host && strlen(text) <= ENDPOINT_MAX &&
	       !host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789.-_:[]")];
}

static int read_endpoints(struct read *read, const struct policy_spec *spec, struct error *error)
{
	const struct spec_setting *setting = policy_spec_find(spec, "etcd");
	struct etcd_settings *etcd = &read->settings.etcd;

	if (!setting)
		return error_set(error,
				 "%s: cluster '%s': 'etcd' is missing; write etcd = "
				 "\"https://HOST:2379\"",
				 spec->where, spec->name);
	if (setting->count > ETCD_ENDPOINTS_MAX)
		return error_set(error, "%s: etcd: %zu endpoints; at most %u are possible",
				 spec->where, setting->count, ETCD_ENDPOINTS_MAX);
	for (size_t i = 0; i < setting->count; i++) {
		const struct spec_value *value = &setting->values[i];

		if (!is_endpoint(value->text))
			return wrong(value, "etcd", error,
				     "must be https://HOST:PORT or http://HOST:PORT");
		read->endpoints[i] = keep(read, strdup(value->text));
		if (!read->endpoints[i])
			return error_set(error, OUT_OF_MEMORY);
	}
	etcd->endpoints = read->endpoints;
	etcd->endpoint_count = setting->count;
	return 0;
}

static int read_prefix(struct read *read, const struct policy_spec *spec, struct error *error)
{
	const char **prefix = &read->settings.prefix;
	int found = read_path(read, spec, "prefix", prefix, error);
	const struct spec_setting *setting = policy_spec_find(spec, "prefix");
	char *made = NULL;

	if (found < 0)
		return -1;
	if (found > 0) {
		size_t length = strlen(*prefix);

		if (length <= PREFIX_MAX_LENGTH && (*prefix)[length - 1] != '/')
			return 0;
		return wrong(&setting->values[0], "prefix", error,
			     "it has at most 255 bytes, and no slash at its end");
	}
	*prefix = asprintf(&made, "/xdp-icp/%s", spec->name) < 0 ? NULL : keep(read, made);
	return *prefix ? 0 : error_set(error, OUT_OF_MEMORY);
}

static int read_member(struct read *read, const struct policy_spec *spec, struct error *error)
{
	const char **self = &read->settings.self;
	char host[HOST_NAME_MAX + 1] = "";
	const struct spec_value *value;
	int found = read_text(read, spec, "member", self, error);

	if (found < 0)
		return -1;
	if (!found) {
		gethostname(host, sizeof(host) - 1);
		*self = keep(read, strdup(host));
		if (!*self)
			return error_set(error, OUT_OF_MEMORY);
	}
	if (membership_is_member_name(*self, strlen(*self)))
		return 0;
	if (found && find(spec, "member", &value, error) > 0)
		return wrong(value, "member", error,
			     "a name has 1 to 64 of A-Za-z0-9._-, and is not a "
			     "verdict's");
	return error_set(error,
			 "%s: cluster '%s': the host's name '%s' cannot be that of a member; set "
			 "'member', 1 to 64 of A-Za-z0-9._-",
			 spec->where, spec->name, *self);
}

/* What 'addresses' or else 'listen' has, in one text. */
static int read_addresses(struct read *read, const struct policy_spec *spec,
			  const struct config *config, struct error *error)
{
	const struct spec_setting *setting = policy_spec_find(spec, "addresses");
	size_t count = setting ? setting->count : config->listen_count, size;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return error_set(error, OUT_OF_MEMORY);
	for (size_t i = 0; i < count; i++) {
		char address[SOCKADDR_TEXT_SIZE];

		if (!setting)
			sockaddr_text(&config->listen[i], address);
		fprintf(out, "%s%s", i ? ", " : "", setting ? setting->values[i].text : address);
	}
	read->settings.addresses = fclose(out) ? NULL : keep(read, text);
	if (!read->settings.addresses)
		return error_set(error, OUT_OF_MEMORY);
	if (size <= MEMBERSHIP_NOTE_MAX)
		return 0;
	if (setting)
		return wrong(&setting->values[0], "addresses", error,
			     "all together have at most 512 bytes");
	text[MEMBERSHIP_NOTE_MAX] = '\0';
	return 0;
}

static int read_when_isolated(struct read *read, const struct policy_spec *spec,
			      struct error *error)
{
	const struct spec_value *value;
	int found = find(spec, "when_isolated", &value, error);

	if (found <= 0)
		return found;
	read->settings.isolated_misses = strcmp(value->text, "miss") == 0;
	if (!read->settings.isolated_misses && strcmp(value->text, "keep") != 0)
		return wrong(value, "when_isolated", error, "must be keep or miss");
	return 0;
}

static int read_number(const struct policy_spec *spec, const char *key, long max,
		       unsigned int *number, struct error *error)
{
	const struct spec_value *value;
	int found = find(spec, key, &value, error);
	long parsed;

	if (found <= 0)
		return found;
	if (parse_number(value->text, 1, max, &parsed, error))
		return error_prefix(error, "%s: %s: ", value->where, key);
	*number = (unsigned int)parsed;
	return 0;
}

static int read_numbers(struct read *read, const struct policy_spec *spec, struct error *error)
{
	struct cluster_settings *settings = &read->settings;
	const struct spec_value *value;
	int found = find(spec, "ttl", &value, error);

	settings->weight = 100;
	settings->ttl = 3000;
	if (found < 0 ||
	    read_number(spec, "weight", MEMBERSHIP_WEIGHT_MAX, &settings->weight, error) ||
	    read_number(spec, "members_min", MEMBERSHIP_MEMBERS_MAX, &settings->members_min, error))
		return -1;
	if (found && parse_duration(value->text, 1000, 10 * MINUTE, &settings->ttl, error))
		return error_prefix(error, "%s: ttl: ", value->where);
	return 0;
}

static int read_credentials(struct read *read, const struct policy_spec *spec, struct error *error)
{
	struct etcd_settings *etcd = &read->settings.etcd;

	if (read_path(read, spec, "ca", &etcd->ca, error) < 0 ||
	    read_path(read, spec, "cert", &etcd->cert, error) < 0 ||
	    read_path(read, spec, "key", &etcd->key, error) < 0 ||
	    read_text(read, spec, "user", &etcd->user, error) < 0 ||
	    read_path(read, spec, "password_file", &etcd->password_file, error) < 0)
		return -1;
	if (etcd->key && !etcd->cert)
		return error_set(error, "%s: cluster '%s': 'key' is of no use without 'cert'",
				 spec->where, spec->name);
	if (!etcd->user != !etcd->password_file)
		return error_set(error, "%s: cluster '%s': 'user' and 'password_file' go together",
				 spec->where, spec->name);
	if (etcd->cert && !etcd->key)
		etcd->key = etcd->cert;
	return 0;
}

/* --- all of it */

static int read_all(struct read *read, const struct policy_spec *spec, const struct config *config,
		    struct error *error)
{
	if (!membership_is_name(spec->name, strlen(spec->name)) || spec->name[0] == '.')
		return error_set(error,
				 "%s: cluster '%.100s': a name has 1 to 64 of A-Za-z0-9._-, and no "
				 "dot at its beginning",
				 spec->where, spec->name);
	read->settings.name = keep(read, strdup(spec->name));
	read->settings.state = keep(read, strdup("/var/lib/xdp-icp"));
	if (!read->settings.name || !read->settings.state)
		return error_set(error, OUT_OF_MEMORY);
	if (read_endpoints(read, spec, error) || read_prefix(read, spec, error) ||
	    read_member(read, spec, error) || read_addresses(read, spec, config, error) ||
	    read_path(read, spec, "state", &read->settings.state, error) < 0 ||
	    read_when_isolated(read, spec, error) || read_numbers(read, spec, error))
		return -1;
	return read_credentials(read, spec, error);
}

struct cluster_settings *cluster_config_read(const struct policy_spec *spec,
					     const struct config *config, struct error *error)
{
	struct read *read = calloc(1, sizeof(*read));

	if (!read) {
		error_set(error, OUT_OF_MEMORY);
		return NULL;
	}
	if (read_all(read, spec, config, error) == 0)
		return &read->settings;
	cluster_config_free(&read->settings);
	return NULL;
}

int cluster_config_check(const struct config *config, struct error *error)
{
	if (config->cluster_count > CLUSTERS_MAX)
		return error_set(error, "%s: %zu clusters; at most %u are possible",
				 config->clusters[CLUSTERS_MAX]->where, config->cluster_count,
				 CLUSTERS_MAX);
	for (size_t i = 0; i < config->cluster_count; i++) {
		struct cluster_settings *settings =
			cluster_config_read(config->clusters[i], config, error);

		if (!settings)
			return -1;
		cluster_config_free(settings);
	}
	return 0;
}

bool cluster_config_is_used(const struct config *config)
{
	for (size_t i = 0; i < config->policy_count; i++)
		if (policy_spec_find(config->policies[i], "cluster"))
			return true;
	return false;
}

int cluster_config_check_policies(const struct config *config, struct error *error)
{
	for (size_t i = 0; i < config->policy_count; i++) {
		const struct spec_setting *named = policy_spec_find(config->policies[i], "cluster");

		if (named && !policy_specs_find(config->clusters, config->cluster_count,
						named->values[0].text))
			return wrong(&named->values[0], "cluster", error,
				     "there is none of that name; describe it, cluster \"NAME\" { "
				     "... }");
	}
	return 0;
}
