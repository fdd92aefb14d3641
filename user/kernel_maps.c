// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel_pins.h"

#define BATCH 4096u /* entries that one system call moves */

struct kernel {
	int fd[PIN_MAX];
	int directory; /* locked while the maps are owned, or -1 */
	struct kernel_sizes sizes;
	struct pinned_rules *rules;
	bool swept; /* nothing is left of a reload that another daemon did not finish */
};

struct kernel *kernel_open(const char *pin_dir, bool own, enum kernel_result *result,
			   struct error *error)
{
	struct kernel *kernel = malloc(sizeof(*kernel));

	*result = KERNEL_NO_MEANS;
	if (!kernel) {
		error_set(error, "out of memory");
		return NULL;
	}
	libraries_open();
	memset(kernel->fd, 0xff, sizeof(kernel->fd));
	kernel->rules = NULL;
	kernel->directory = -1;
	kernel->swept = false;
	if (pin_check_abi(pin_dir, error))
		goto fail;
	for (int pin = 0; pin < PIN_MAX; pin++) {
		kernel->fd[pin] = pin_open_told(pin_dir, pin, error);
		if (kernel->fd[pin] < 0)
			goto fail;
	}
	if (own) {
		kernel->directory = open(pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (kernel->directory < 0 || flock(kernel->directory, LOCK_EX | LOCK_NB)) {
			error_set(error,
				  "%s: another daemon is using these maps; stop it, or give this "
				  "one a pin_dir of its own",
				  pin_dir);
			*result = KERNEL_OCCUPIED;
			goto fail;
		}
	}
	kernel->rules = pinned_rules_adopt(kernel->fd[PIN_RULES]);
	if (!kernel->rules) {
		error_set(error, "out of memory");
		goto fail;
	}
	kernel->sizes.rules = map_entries(kernel->fd[PIN_RULES]);
	kernel->sizes.prefixes = map_entries(kernel->fd[PIN_PREFIXES]) / 2;
	*result = KERNEL_OK;
	return kernel;

fail:
	kernel_close(kernel);
	return NULL;
}

void kernel_close(struct kernel *kernel)
{
	if (!kernel)
		return;
	if (kernel->rules) {
		pinned_rules_close(kernel->rules);
		kernel->fd[PIN_RULES] = -1;
	}
	for (int pin = 0; pin < PIN_MAX; pin++)
		if (kernel->fd[pin] >= 0)
			close(kernel->fd[pin]);
	if (kernel->directory >= 0)
		close(kernel->directory);
	free(kernel);
}

void kernel_leave(const struct kernel *kernel, const char *pin_dir)
{
	if (kernel_interfaces(kernel, NULL, 0) == 0)
		pins_remove(pin_dir);
}

struct pinned_rules *kernel_rules(const struct kernel *kernel)
{
	return kernel->rules;
}

struct kernel_sizes kernel_sizes(const struct kernel *kernel)
{
	return kernel->sizes;
}

size_t kernel_interfaces(const struct kernel *kernel, struct kernel_interface *interfaces,
			 size_t max)
{
	uint32_t *previous = NULL, key, next;
	size_t count = 0;

	while (bpf_map_get_next_key(kernel->fd[PIN_INTERFACES], previous, &next) == 0) {
		struct attachment note;

		key = next;
		previous = &key;
		if (bpf_map_lookup_elem(kernel->fd[PIN_INTERFACES], &key, &note))
			continue;
		if (count < max) {
			struct kernel_interface *interface = &interfaces[count];

			*interface = (struct kernel_interface){
				.ifindex = key,
				.native = note.native,
				.dispatcher = note.dispatcher,
				.program_id = note.program_id,
			};
			if (!if_indextoname(key, interface->name))
				interface->name[0] = '\0';
			interface->attached =
				note.attached_id && attached_id(key) == note.attached_id;
		}
		count++;
	}
	return count;
}

int kernel_counters(const struct kernel *kernel, uint64_t counters[ICP_COUNTER_MAX])
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values = cpus > 0 ? calloc(cpus, sizeof(*values)) : NULL;
	int err = values ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < ICP_COUNTER_MAX && !err; i++) {
		if (bpf_map_lookup_elem(kernel->fd[PIN_COUNTERS], &i, values)) {
			err = -errno;
			break;
		}
		for (int cpu = 0; cpu < cpus; cpu++)
			counters[i] += values[cpu];
	}
	free(values);
	return err;
}

static int compare_destinations(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct destination_key)); /* the key comes first */
}

/* Puts in what is in the list. Returns 0 or -errno. */
static int put_destinations(int fd, const struct kernel_destination *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bpf_map_update_elem(fd, &list[i].key, &list[i].value, BPF_ANY))
			return -errno;
	return 0;
}

/* Takes out what is not in the list, which is sorted. */
static void drop_destinations(int fd, const struct kernel_destination *list, size_t count)
{
	struct destination_key key, next;

	/* The key after one that is about to go is asked for first. */
	for (bool more = bpf_map_get_next_key(fd, NULL, &next) == 0; more;) {
		key = next;
		more = bpf_map_get_next_key(fd, &key, &next) == 0;
		if (!count || !bsearch(&key, list, count, sizeof(*list), compare_destinations))
			bpf_map_delete_elem(fd, &key);
	}
}

int kernel_set_destinations(struct kernel *kernel, struct kernel_destination *list, size_t count,
			    struct error *error)
{
	int fd = kernel->fd[PIN_DESTINATIONS];
	int err;

	if (count)
		qsort(list, count, sizeof(*list), compare_destinations);
	err = put_destinations(fd, list, count);
	drop_destinations(fd, list, count);
	if (err) /* there may be room now */
		err = put_destinations(fd, list, count);
	if (err)
		return error_set(error,
				 "the kernel takes no more than %u pairs of address and interface "
				 "(%s); listen on fewer addresses",
				 map_entries(fd), strerror(-err));
	return 0;
}

/* Waits until no CPU runs the program with what it read before. */
static void wait_for_packets(void)
{
	/* Not where CPUs are isolated from the tick; no packet takes that long. */
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(100000);
}

static int active_chain(const struct kernel *kernel, struct map_chain *chain)
{
	struct map_control control = { 0 };
	uint32_t key = 0;

	if (bpf_map_lookup_elem(kernel->fd[PIN_CONTROL], &key, &control))
		return -errno;
	if (bpf_map_lookup_elem(kernel->fd[PIN_CHAIN], &control.active, chain))
		return -errno;
	return control.active;
}

/* Removes the entries of all generations but one. */
static void sweep(struct kernel *kernel, uint32_t generation)
{
	int fd = kernel->fd[PIN_PREFIXES];
	struct prefix_key *keys = calloc(BATCH, sizeof(*keys));
	struct prefix_key *dead = NULL;
	struct prefix_entry *entries = calloc(BATCH, sizeof(*entries));
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	size_t count = 0, room = 0;
	uint32_t token;
	bool first = true;
	int err = 0;

	while (keys && entries && !err) {
		uint32_t got = BATCH;

		err = bpf_map_lookup_batch(fd, first ? NULL : &token, &token, keys, entries, &got,
					   &options);
		if (err && errno != ENOENT) /* ENOENT: these are the last */
			break;
		first = false;
		for (uint32_t i = 0; i < got; i++) {
			if (entries[i].generation == generation)
				continue;
			if (count == room) {
				size_t more = room ? 2 * room : BATCH;
				struct prefix_key *grown = reallocarray(dead, more, sizeof(*dead));

				if (!grown)
					goto remove;
				dead = grown;
				room = more;
			}
			dead[count++] = keys[i];
		}
	}
remove:
	for (size_t done = 0; done < count;) {
		uint32_t some = count - done < BATCH ? count - done : BATCH;

		if (bpf_map_delete_batch(fd, dead + done, &some, &options))
			for (size_t i = done; i < done + some; i++)
				bpf_map_delete_elem(fd, &dead[i]);
		done += some;
	}
	free(keys);
	free(entries);
	free(dead);
}

static void fill_entry(struct prefix_key *key, struct prefix_entry *value,
		       const struct compiled_entry *entry, const struct map_chain *chain)
{
	struct prefix_states states;

	*value = (struct prefix_entry){
		.generation = chain->generation,
		.rank = entry->rank,
		.verdict = entry->verdict,
		.cost = entry->cost,
		.length = entry->length,
	};
	memcpy(value->text, entry->text, entry->length);
	prefix_fill(&states, chain->seed, (const text_word *)value->text, entry->length / ICP_WORD);
	key->hash = prefix_hash((const text_word *)value->text, &states, entry->length);
}

/* Puts the chain's prefixes beside those of the chain that counts. Returns 0 or -errno. */
static int put_prefixes(struct kernel *kernel, const struct compiled *compiled,
			const struct map_chain *chain)
{
	struct prefix_key *keys = calloc(BATCH, sizeof(*keys));
	struct prefix_entry *values = calloc(BATCH, sizeof(*values));
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	int err = keys && values ? 0 : -ENOMEM;

	for (size_t done = 0; done < compiled->count && !err;) {
		uint32_t some = 0, put;

		while (some < BATCH && done + some < compiled->count) {
			fill_entry(&keys[some], &values[some], &compiled->entries[done + some],
				   chain);
			some++;
		}
		/* Memory comes in portions; a moment later there is more. */
		for (int tries = 0; some && tries < 1000; tries++) {
			put = some;
			err = bpf_map_update_batch(kernel->fd[PIN_PREFIXES], keys, values, &put,
						   &options);
			err = err ? -errno : 0;
			if (!err || err != -ENOMEM)
				break;
			memmove(keys, keys + put, (some - put) * sizeof(*keys));
			memmove(values, values + put, (some - put) * sizeof(*values));
			some -= put;
			done += put;
			usleep(1000);
		}
		done += some;
	}
	free(keys);
	free(values);
	return err;
}

static int switch_chain(struct kernel *kernel, const struct map_chain *chain, uint32_t slot,
			struct error *error)
{
	struct map_control control = { .active = slot };
	uint32_t key = 0;

	if (bpf_map_update_elem(kernel->fd[PIN_CHAIN], &slot, chain, BPF_ANY) ||
	    bpf_map_update_elem(kernel->fd[PIN_CONTROL], &key, &control, BPF_ANY))
		return error_set(error, "the kernel's maps cannot be written: %s", strerror(errno));
	wait_for_packets();
	return 0;
}

int kernel_set_chain(struct kernel *kernel, const struct compiled *compiled,
		     bool answer_request_zero, struct error *error)
{
	struct map_chain old = { 0 }, chain;
	int active = active_chain(kernel, &old);
	int err;

	if (active < 0)
		return error_set(error, "the kernel's maps cannot be read: %s", strerror(-active));
	if (compiled->count > kernel->sizes.prefixes)
		return error_set(error,
				 "the chain has %zu prefixes and the kernel's map holds %u; set "
				 "prefixes_max to at least %zu, stop the daemon and load anew",
				 compiled->count, kernel->sizes.prefixes, compiled->count);
	chain = (struct map_chain){
		.generation = old.generation + 1,
		.horizon = compiled->horizon,
		.default_rank = compiled->default_rank,
		.default_verdict = compiled->default_verdict,
		.answer_request_zero = answer_request_zero,
		.lengths = compiled->lengths,
	};
	if (getrandom(&chain.seed, sizeof(chain.seed), 0) != sizeof(chain.seed))
		return error_set(error, "no random numbers: %s", strerror(errno));
	if (!kernel->swept)
		sweep(kernel, old.generation);
	kernel->swept = true;
	err = put_prefixes(kernel, compiled, &chain);
	if (err) {
		sweep(kernel, old.generation);
		return error_set(error, "the kernel takes no more prefixes: %s", strerror(-err));
	}
	if (switch_chain(kernel, &chain, !active, error))
		return -1;
	sweep(kernel, chain.generation);
	return 0;
}

int kernel_close_chain(struct kernel *kernel, struct error *error)
{
	struct map_chain old = { 0 }, chain;
	int active = active_chain(kernel, &old);

	if (active < 0)
		return error_set(error, "the kernel's maps cannot be read: %s", strerror(-active));
	chain = (struct map_chain){ .generation = old.generation + 1 };
	prefix_lengths_clear(&chain.lengths);
	if (switch_chain(kernel, &chain, !active, error))
		return -1;
	sweep(kernel, chain.generation);
	return 0;
}

/* The maps as prefix_longest() wants them: the entry stays until the next look-up. */
struct prefix_table {
	int fd;
	struct prefix_entry entry;
};

static const void *prefix_table_lookup(void *context, const __u64 *hash)
{
	struct prefix_table *table = context;

	return bpf_map_lookup_elem(table->fd, hash, &table->entry) ? NULL : &table->entry;
}

int kernel_decide(const struct kernel *kernel, const char *url, size_t length,
		  struct decision *decision, struct error *error)
{
	struct prefix_table table = { .fd = kernel->fd[PIN_PREFIXES] };
	__u64 text[PREFIX_WORDS] = { 0 };
	struct prefix_states states;
	const struct prefix_entry *entry;
	struct map_chain chain;
	struct rule rule = { ICP_OP_INVALID };
	__u32 matched = 0;
	int found;

	if (length > PREFIX_URL_MAX) {
		*decision = decision_pass(ICP_COUNT_PASSED_LONG);
		return 0;
	}
	found = pinned_rules_find(kernel->rules, url, length, &rule.verdict);
	if (found > 0) {
		*decision = decide_by_rule(&rule);
		return 0;
	}
	if (found < 0 || active_chain(kernel, &chain) < 0)
		return error_set(error, "the kernel's maps cannot be read: %s", strerror(errno));
	memcpy(text, url, length);
	prefix_fill(&states, chain.seed, (const text_word *)text, PREFIX_WORDS);
	entry = prefix_longest((const text_word *)text, &states, length, &chain.lengths,
			       prefix_table_lookup, &table, &matched);
	*decision = decide_by_chain(&chain, entry, matched, (const text_word *)text);
	return 0;
}
