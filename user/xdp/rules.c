// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "xdp/pins.h"
#include "xdp/rules.h"

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

static bool same_form(int a, int b)
{
	struct bpf_map_info first = { 0 }, second = { 0 };
	uint32_t first_size = sizeof(first), second_size = sizeof(second);

	return bpf_obj_get_info_by_fd(a, &first, &first_size) == 0 &&
	       bpf_obj_get_info_by_fd(b, &second, &second_size) == 0 && first.type == second.type &&
	       first.key_size == second.key_size && first.value_size == second.value_size;
}

int pinned_rules_copy(const struct pinned_rules *from, const struct pinned_rules *to,
		      struct error *error)
{
	struct rule_key key, next, *previous = NULL;
	struct rule rule;

	if (!same_form(from->fd, to->fd))
		return error_set(error, "their keys or values differ in size");
	while (bpf_map_get_next_key(from->fd, previous, &next) == 0) {
		key = next;
		previous = &key;
		if (bpf_map_lookup_elem(from->fd, &key, &rule) == 0 &&
		    bpf_map_update_elem(to->fd, &key, &rule, BPF_ANY))
			return error_set(error, "%s", strerror(errno));
	}
	return 0;
}

int pinned_rules_open(const char *pin_dir, struct pinned_rules **rules, struct error *error)
{
	struct pin_dir *dir = pin_dir_open(pin_dir, PIN_DIR_ANY_USER, error);
	int result = dir ? pinned_rules_at(dir, rules, error) : -1;

	pin_dir_close(dir);
	return result;
}

int pinned_rules_at(const struct pin_dir *dir, struct pinned_rules **rules, struct error *error)
{
	int fd;

	if (pin_check_abi(dir, error))
		return -1;
	fd = pin_open_report(dir, PIN_RULES, error);
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

/* Set the error of a change that errno has ended. */
static int fail_to_write(const struct pinned_rules *rules, struct error *error)
{
	if (errno == ENOSPC)
		return error_set(error,
				 "the rules map is full with %u rules; remove some, or set "
				 "rules_max higher, stop the daemon and load again",
				 map_entries(rules->fd));
	return error_set(error, "the rules map cannot be written: %s", strerror(errno));
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
	if (bpf_map_update_elem(rules->fd, &key, &rule, BPF_ANY))
		return fail_to_write(rules, error);
	return 0;
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
	return errno == ENOENT ? 1 : fail_to_write(rules, error);
}

/* The leading changes that are either all removals or all not. */
static size_t same_kind(const struct rule_write *writes, size_t count)
{
	size_t same = 1;

	while (same < count && writes[same].removes == writes[0].removes)
		same++;
	return same;
}

/* Make changes of the same kind. Return 0 or -1; `*done` receives how many were made. */
static int write_batch(struct pinned_rules *rules, const struct rule_write *writes, size_t count,
		       struct rule_key *keys, struct rule *values, size_t *done)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	uint32_t made = count;
	int result;

	for (size_t i = 0; i < count; i++) {
		rule_key_fill(&keys[i], writes[i].prefix, writes[i].length);
		values[i].verdict = writes[i].verdict;
	}
	if (writes[0].removes)
		result = bpf_map_delete_batch(rules->fd, keys, &made, &options);
	else
		result = bpf_map_update_batch(rules->fd, keys, values, &made, &options);
	/* A failure before the first change leaves the number as it was. */
	*done = result && made == count ? 0 : made;
	if (!result || errno != ENOENT || !writes[0].removes)
		return result ? -1 : 0;
	++*done; /* missing, as it should be */
	return 0;
}

int pinned_rules_write(struct pinned_rules *rules, const struct rule_write *writes, size_t count,
		       size_t *done, struct error *error)
{
	struct rule_key *keys = calloc(RULES_STEP, sizeof(*keys));
	struct rule *values = calloc(RULES_STEP, sizeof(*values));
	int result = 0;

	*done = 0;
	if (!keys || !values)
		result = error_set(error, "out of memory");
	if (count > RULES_STEP)
		count = RULES_STEP;
	while (*done < count && !result) {
		size_t same = same_kind(writes + *done, count - *done), made;

		if (write_batch(rules, writes + *done, same, keys, values, &made))
			result = fail_to_write(rules, error);
		*done += made;
	}
	free(keys);
	free(values);
	return result;
}

int pinned_rules_step(struct pinned_rules *rules, struct rules_cursor *cursor, rule_callback each,
		      void *context, struct error *error)
{
	struct rule_key *keys = calloc(RULES_STEP, sizeof(*keys)), last = cursor->last;
	struct rule *values = calloc(RULES_STEP, sizeof(*values));
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	uint32_t got = RULES_STEP;
	int result = 0;

	if (!keys || !values) {
		result = error_set(error, "out of memory");
	} else if (bpf_map_lookup_batch(rules->fd, cursor->walked ? &last : NULL, &cursor->last,
					keys, values, &got, &options)) {
		cursor->done = true;
		if (errno != ENOENT) /* ENOENT: these are the last */
			result = error_set(error, "the rules map cannot be read: %s",
					   strerror(errno));
	}
	for (uint32_t i = 0; i < got && result == 0; i++)
		result = each(context, keys[i].text, keys[i].prefixlen / 8, values[i].verdict);
	cursor->walked += got;
	/* If the last rule was removed meanwhile, the kernel starts again with the first. */
	if (cursor->walked > 2 * pinned_rules_max(rules) + RULES_STEP)
		cursor->done = true;
	free(keys);
	free(values);
	return result;
}

int pinned_rules_each(struct pinned_rules *rules, rule_callback each, void *context,
		      struct error *error)
{
	struct rules_cursor cursor = { 0 };
	int result = 0;

	while (!cursor.done && !result)
		result = pinned_rules_step(rules, &cursor, each, context, error);
	return result;
}
