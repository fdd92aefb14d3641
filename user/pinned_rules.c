// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "kernel_pins.h"
#include "pinned_rules.h"

struct pinned_rules {
	int fd;
};

static void rule_key_fill(struct rule_key *key, const char *text, size_t length)
{
	memset(key, 0, sizeof(*key));
	if (length > PREFIX_MAX)
		length = PREFIX_MAX;
	key->prefixlen = 8 * length;
	memcpy(key->text, text, length);
}

struct pinned_rules *pinned_rules_adopt(int fd)
{
	struct pinned_rules *rules = malloc(sizeof(*rules));

	if (rules)
		rules->fd = fd;
	return rules;
}

int pinned_rules_open(const char *pin_dir, struct pinned_rules **rules, struct error *error)
{
	int fd;

	if (pin_check_abi(pin_dir, error))
		return -1;
	fd = pin_open_told(pin_dir, PIN_RULES, error);
	if (fd < 0)
		return -1;
	*rules = pinned_rules_adopt(fd);
	if (*rules)
		return 0;
	close(fd);
	return error_set(error, "out of memory");
}

void pinned_rules_close(struct pinned_rules *rules)
{
	if (rules)
		close(rules->fd);
	free(rules);
}

int pinned_rules_find(const struct pinned_rules *rules, const char *url, size_t length,
		      enum icp_opcode *verdict)
{
	struct rule_key key;
	struct rule rule;

	rule_key_fill(&key, url, length);
	if (bpf_map_lookup_elem(rules->fd, &key, &rule))
		return errno == ENOENT ? 0 : -errno;
	*verdict = rule.verdict;
	return 1;
}

size_t pinned_rules_max(const struct pinned_rules *rules)
{
	return map_entries(rules->fd);
}

int pinned_rules_put(struct pinned_rules *rules, const char *prefix, size_t length,
		     enum icp_opcode verdict, struct error *error)
{
	struct rule rule = { .verdict = verdict };
	struct rule_key key;

	if (length > PREFIX_URL_MAX)
		return error_set(error, "a rule's prefix has at most %u bytes, this one %zu",
				 PREFIX_URL_MAX, length);
	rule_key_fill(&key, prefix, length);
	if (bpf_map_update_elem(rules->fd, &key, &rule, BPF_ANY) == 0)
		return 0;
	if (errno == ENOSPC)
		return error_set(error,
				 "the rules map is full with %u rules; take some out, or set "
				 "rules_max higher, stop the daemon and load anew",
				 map_entries(rules->fd));
	return error_set(error, "the rules map cannot be written: %s", strerror(errno));
}

int pinned_rules_remove(struct pinned_rules *rules, const char *prefix, size_t length,
			struct error *error)
{
	struct rule_key key;

	if (length > PREFIX_URL_MAX)
		return 1;
	rule_key_fill(&key, prefix, length);
	if (bpf_map_delete_elem(rules->fd, &key) == 0)
		return 0;
	if (errno == ENOENT)
		return 1;
	return error_set(error, "the rules map cannot be written: %s", strerror(errno));
}

int pinned_rules_each(struct pinned_rules *rules,
		      int (*each)(void *context, const char *prefix, size_t length,
				  enum icp_opcode verdict),
		      void *context, struct error *error)
{
	struct rule_key key, next, *previous = NULL;
	int result = 0;

	while (bpf_map_get_next_key(rules->fd, previous, &next) == 0) {
		struct rule rule;

		key = next;
		previous = &key;
		if (bpf_map_lookup_elem(rules->fd, &key, &rule))
			continue; /* taken out meanwhile */
		result = each(context, key.text, key.prefixlen / 8, rule.verdict);
		if (result)
			return result;
	}
	if (errno != ENOENT)
		return error_set(error, "the rules map cannot be read: %s", strerror(errno));
	return result;
}
