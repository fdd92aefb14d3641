// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <linux/membarrier.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "chain/image.h"
#include "lib/clock.h"
#include "lib/vec.h"
#include "xdp/bpflog.h"
#include "xdp/namespace.h"
#include "xdp/pins.h"
#include "xdp/recents.h"
#include "xdp/shared_map.h"

/* The maps that are written through memory: bytes of an entry, and entries at least. */
static const struct {
	size_t value;
	uint32_t entries;
} shared_maps[PIN_MAX] = {
	[PIN_PREFIXES] = { sizeof(struct prefix_bucket), 2 },
	[PIN_TEXTS] = { sizeof(struct prefix_line), 2 },
	[PIN_AUTOMATA] = { sizeof(struct automaton_group), 2 * AUTOMATON_GROUPS },
	[PIN_PARTITIONS] = { sizeof(struct partition_line), 2 * PARTITION_LINES },
	[PIN_RECENT] = { sizeof(struct recent_slot), RECENT_SLOTS(1) },
	[PIN_WATCH] = { sizeof(struct map_watch), 2 },
};

struct kernel {
	int fd[PIN_MAX];
	struct shared_map shared[PIN_MAX];
	struct kernel_sizes sizes;
	struct pinned_rules *rules;
	struct map_chain current;   /* activated by this daemon */
	uint32_t slot;		    /* half of the maps with that chain */
	uint32_t last_prepared;	    /* generation */
	struct map_watch *watch;    /* one per half, in `shared` */
	struct map_control control; /* copy of the map, if this process holds the lock */
	struct kernel_use use;	    /* of the current chain */
	uint32_t destinations;
	struct recents recents;
};

struct kernel *kernel_open(const struct pin_dir *dir, struct error *error)
{
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	uint32_t zero = 0;
	int err;

	if (!kernel) {
		error_set(error, "out of memory");
		return NULL;
	}
	bpf_log_init();
	memset(kernel->fd, 0xff, sizeof(kernel->fd));
	if (pin_check_abi(dir, error))
		goto fail;
	for (int pin = 0; pin < PIN_MAX; pin++) {
		kernel->fd[pin] = pin_open_report(dir, pin, error);
		if (kernel->fd[pin] < 0)
			goto fail;
		if (!shared_maps[pin].value)
			continue;
		err = shared_map_open(&kernel->shared[pin], kernel->fd[pin], shared_maps[pin].value,
				      shared_maps[pin].entries);
		if (err) {
			error_set(error, "%s/%s: %s", dir->path, pin_names[pin], strerror(-err));
			goto fail;
		}
	}
	kernel->watch = kernel->shared[PIN_WATCH].memory;
	kernel->rules = pinned_rules_adopt(kernel->fd[PIN_RULES]);
	if (!kernel->rules) {
		error_set(error, "out of memory");
		goto fail;
	}
	recents_open(&kernel->recents, &kernel->shared[PIN_RECENT]);
	kernel->sizes = pin_sizes(dir);
	if (!kernel->sizes.prefixes) {
		error_set(error,
			  "%s: the maps do not fit together; load again with `xdp-icp-load "
			  "INTERFACE`",
			  dir->path);
		goto fail;
	}
	if (bpf_map_lookup_elem(kernel->fd[PIN_CONTROL], &zero, &kernel->control)) {
		error_set(error, "%s/control: %s", dir->path, strerror(errno));
		goto fail;
	}
	/* Left by a daemon that died. Written back with the next change. */
	kernel->control.trace_until = 0;
	kernel->control.namespace = network_namespace();
	return kernel;

fail:
	kernel_close(kernel);
	return NULL;
}

void kernel_close(struct kernel *kernel)
{
	if (!kernel)
		return;
	recents_close(&kernel->recents);
	if (kernel->rules) {
		pinned_rules_close(kernel->rules);
		kernel->fd[PIN_RULES] = -1;
	}
	for (int pin = 0; pin < PIN_MAX; pin++) {
		shared_map_close(&kernel->shared[pin]);
		if (kernel->fd[pin] >= 0)
			close(kernel->fd[pin]);
	}
	free(kernel);
}

void kernel_unpin_unused(const struct kernel *kernel, const struct pin_dir *dir)
{
	if (kernel_interfaces(kernel, NULL, 0))
		return;
	pins_remove(dir);
	pin_dir_remove(dir);
}

struct pinned_rules *kernel_rules(const struct kernel *kernel)
{
	return kernel->rules;
}

uint32_t kernel_prefixes_used(const struct kernel *kernel)
{
	return kernel->use.lines;
}

struct kernel_sizes kernel_sizes(const struct kernel *kernel)
{
	return kernel->sizes;
}

size_t kernel_rooms(const struct kernel *kernel, struct kernel_room rooms[KERNEL_ROOMS])
{
	const struct kernel_use *use = &kernel->use;
	const struct kernel_room known[KERNEL_ROOMS] = {
		{ "prefixes", use->lines, kernel->sizes.prefixes },
		{ "answers", use->answers, ANSWERS_MAX - 1 },
		{ "automata", use->groups, AUTOMATON_GROUPS },
		{ "recent", recents_count(&kernel->recents), kernel->sizes.recents },
		{ "sources", use->sources, kernel->sizes.sources },
		{ "destinations", kernel->destinations, map_entries(kernel->fd[PIN_DESTINATIONS]) },
	};

	memcpy(rooms, known, sizeof(known));
	return KERNEL_ROOMS;
}

void kernel_count_verdicts(const struct kernel *kernel, struct kernel_cursor *cursor, size_t max)
{
	struct verdict_key key;

	for (size_t i = 0; i < max && !cursor->done; i++) {
		const struct verdict_key *last = cursor->count ? &cursor->last : NULL;

		cursor->done = cursor->count >= kernel->sizes.verdicts ||
			       bpf_map_get_next_key(kernel->fd[PIN_VERDICTS], last, &key);
		if (cursor->done)
			break;
		cursor->last = key;
		cursor->count++;
	}
}

uint64_t kernel_heartbeat(const struct kernel *kernel)
{
	return __atomic_load_n(&kernel->watch[kernel->slot].heartbeat, __ATOMIC_ACQUIRE);
}

size_t kernel_interfaces(const struct kernel *kernel, struct kernel_interface *interfaces,
			 size_t max)
{
	uint32_t *previous = NULL, key, next, id;
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
			/*
			 * libxdp replaces the dispatcher whenever another program is attached or
			 * detached, so its id says nothing.
			 */
			id = attached_id(key);
			interface->attached =
				note.dispatcher ? id != 0 : id != 0 && id == note.attached_id;
			/* Asked last: an interface that is deleted loses its name before its program. */
			if (!if_indextoname(key, interface->name))
				interface->name[0] = '\0';
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
	return memcmp(a, b, sizeof(struct destination_key)); /* key is the first member */
}

/* Insert or update all entries of the list. Return 0 or -errno. */
static int insert_destinations(int fd, const struct kernel_destination *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bpf_map_update_elem(fd, &list[i].key, &list[i].value, BPF_ANY))
			return -errno;
	return 0;
}

/* Wait until no CPU still runs the program with data read before. */
static void wait_for_packets(void)
{
	/* membarrier fails on nohz_full CPUs; no packet takes this long. */
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(100000);
}

/* Remove entries that are not in the list, which is sorted. */
static void remove_destinations(int fd, const struct kernel_destination *list, size_t count)
{
	struct destination_key key, next;
	size_t removed = 0;

	/* Get the next key before removing this one. */
	for (bool more = bpf_map_get_next_key(fd, NULL, &next) == 0; more;) {
		key = next;
		more = bpf_map_get_next_key(fd, &key, &next) == 0;
		if (!count || !bsearch(&key, list, count, sizeof(*list), compare_destinations))
			removed += bpf_map_delete_elem(fd, &key) == 0;
	}
	/* The memory of an entry may be reused at once: wait for its readers. */
	if (removed)
		wait_for_packets();
}

/* Return 0, or -1 and errno with the map unchanged. */
static int set_control(struct kernel *kernel, struct map_control control)
{
	uint32_t key = 0;

	if (bpf_map_update_elem(kernel->fd[PIN_CONTROL], &key, &control, BPF_ANY))
		return -1;
	kernel->control = control;
	return 0;
}

static bool is_odd_broadcast(const struct kernel_destination *destination)
{
	return destination->value.kind == DESTINATION_BROADCAST &&
	       (destination->key.address[15] & 3) != 3;
}

/* Invalidate what the program cached of the map. Return 0 or -errno. */
static int publish_destinations(struct kernel *kernel, const struct kernel_destination *list,
				size_t count)
{
	struct map_control control = kernel->control;

	if (++control.destinations == 0)
		control.destinations = 1;
	control.odd_broadcast = 0;
	for (size_t i = 0; i < count; i++)
		control.odd_broadcast |= is_odd_broadcast(&list[i]);
	return set_control(kernel, control) ? -errno : 0;
}

int kernel_set_destinations(struct kernel *kernel, struct kernel_destination *list, size_t count,
			    struct error *error)
{
	int fd = kernel->fd[PIN_DESTINATIONS];
	int err, published;

	if (count)
		qsort(list, count, sizeof(*list), compare_destinations);
	kernel->destinations = count;
	err = insert_destinations(fd, list, count);
	remove_destinations(fd, list, count);
	if (err) /* the removals may have made room */
		err = insert_destinations(fd, list, count);
	published = publish_destinations(kernel, list, count);
	if (published)
		return error_set(error, "the kernel's maps cannot be written: %s",
				 strerror(-published));
	if (err)
		return error_set(
			error,
			"the kernel supports no more than %u pairs of address and interface "
			"(%s); listen on fewer addresses",
			map_entries(fd), strerror(-err));
	return 0;
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

/* Remove the addresses of all generations but one. Return 0 or -errno. */
static int remove_old_sources(const struct kernel *kernel, uint32_t generation)
{
	int fd = kernel->fd[PIN_SOURCES], err;
	struct source_key key, next, *dead = NULL, *stale;
	size_t count = 0;

	for (err = bpf_map_get_next_key(fd, NULL, &next); !err;
	     err = bpf_map_get_next_key(fd, &key, &next)) {
		key = next;
		if (key.generation == generation)
			continue;
		stale = vec_append(dead, count);
		if (!stale) {
			err = -ENOMEM;
			break;
		}
		*stale = key;
	}
	err = err == -ENOENT ? 0 : err;
	for (size_t i = 0; i < count && !err; i++) {
		err = bpf_map_delete_elem(fd, &dead[i]);
		err = err == -ENOENT ? 0 : err;
	}
	free(dead);
	return err;
}

/*
 * Return a generation that no chain has had: what is left of a preparation that was not completed,
 * or not followed by a switch, must not become part of another chain.
 */
static uint32_t next_generation(const struct kernel *kernel, const struct map_chain *active)
{
	uint32_t last = kernel->last_prepared;

	return (last > active->generation ? last : active->generation) + 1;
}

/* Write the texts and their answers to the inactive half, and fill `chain`. Return 0 or -errno. */
static int write_texts(const struct kernel *kernel, const struct compiled *compiled,
		       struct map_chain *chain, uint32_t slot)
{
	const struct shared_map *buckets = &kernel->shared[PIN_PREFIXES];
	const struct shared_map *lines = &kernel->shared[PIN_TEXTS];
	const struct image_place place = {
		.buckets = shared_map_half(buckets, slot),
		.lines = shared_map_half(lines, slot),
		.first_bucket = shared_map_first(buckets, slot),
		.first_line = shared_map_first(lines, slot),
		.first_answer = slot * ANSWERS_MAX,
	};
	int err = chain_image_write(chain, compiled, &place) ? -errno : 0;

	for (uint32_t i = 0; i < compiled->answer_count && !err; i++) {
		uint32_t index = place.first_answer + i + 1;

		if (bpf_map_update_elem(kernel->fd[PIN_ANSWERS], &index, &compiled->answers[i],
					BPF_ANY))
			err = -errno;
	}
	return err;
}

/* Write the automata, and the places among the owners of URLs. */
static void write_tables(const struct kernel *kernel, const struct compiled *compiled,
			 uint32_t slot)
{
	if (compiled->group_count)
		memcpy(shared_map_half(&kernel->shared[PIN_AUTOMATA], slot), compiled->groups,
		       compiled->group_count * sizeof(struct automaton_group));
	if (compiled->partition.lines)
		memcpy(shared_map_half(&kernel->shared[PIN_PARTITIONS], slot),
		       compiled->partition.lines, PARTITION_LINES * sizeof(struct partition_line));
}

/* Insert the addresses under the new generation. Return 0 or -errno. */
static int write_sources(const struct kernel *kernel, const struct compiled *compiled,
			 uint32_t generation)
{
	for (size_t i = 0; i < compiled->source_count; i++) {
		const struct compiled_source *source = &compiled->sources[i];
		const struct source_entry entry = { source->rank, source->verdict, source->cost };
		struct source_key key = {
			.prefixlen = SOURCE_GENERATION_BITS + source->network.bits,
			.generation = generation,
		};

		memcpy(key.address, &source->network.address, sizeof(key.address));
		if (bpf_map_update_elem(kernel->fd[PIN_SOURCES], &key, &entry, BPF_ANY))
			return -errno;
	}
	return 0;
}

/* Store the gates and renew the lease of this generation. */
static void renew_lease(struct map_watch *watch, uint32_t generation, struct candidate gate)
{
	struct map_watch update = {
		.gate = {
			.rank = gate.rank,
			.cost = gate.verdict.cost,
			.has_cost = gate.verdict.cost != ICP_NO_COST,
			.verdict = gate.verdict.opcode,
		},
	};

	__atomic_store_n(&watch->gate_word, update.gate_word, __ATOMIC_RELEASE);
	__atomic_store_n(&watch->heartbeat, clock_kernel_ns(), __ATOMIC_RELEASE);
	__atomic_store_n(&watch->generation, generation, __ATOMIC_RELEASE);
}

/*
 * Each half has its own lease; otherwise queries that depend on it would be passed up for a while.
 */
static int switch_chain(struct kernel *kernel, struct map_chain chain, uint32_t slot,
			const struct candidate *gate, struct error *error)
{
	struct map_control control = kernel->control;

	chain.first_decided = slot * DECIDED_ENTRIES;
	control.active = slot;
	__atomic_store_n(&kernel->watch[slot].generation, 0, __ATOMIC_RELEASE);
	if (gate)
		renew_lease(&kernel->watch[slot], chain.generation, *gate);
	if (bpf_map_update_elem(kernel->fd[PIN_CHAIN], &slot, &chain, BPF_ANY))
		return error_set(error, "the kernel's maps cannot be written: %s", strerror(errno));
	/* Two updates are not ordered on other CPUs: none may see the second before the first. */
	wait_for_packets();
	if (set_control(kernel, control))
		return error_set(error, "the kernel's maps cannot be written: %s", strerror(errno));
	wait_for_packets();
	kernel->current = chain;
	kernel->slot = slot;
	return 0;
}

int kernel_prepare_chain(struct kernel *kernel, const struct compiled *compiled,
			 bool answer_request_zero, unsigned int lease,
			 struct kernel_chain *prepared, struct error *error)
{
	struct map_chain old = { 0 }, *chain = &prepared->chain;
	int active = active_chain(kernel, &old);
	int err;

	if (active < 0)
		return error_set(error, "the kernel's maps cannot be read: %s", strerror(-active));
	if (compiled->lines > kernel->sizes.prefixes)
		return error_set(
			error,
			"the chain has %zu " TEXTS_NAME " of %zu lines of %u bytes, and the "
			"kernel's maps have room for %u; " ADVICE_FOR_ROOM,
			compiled->count, compiled->lines, PREFIX_LINE, kernel->sizes.prefixes);
	if (compiled->recent_entries > kernel->sizes.recents)
		return error_set(
			error,
			"the policies of the kind recent may have %zu keys, and the kernel's map "
			"has room for %u; " ADVICE_FOR_ROOM,
			compiled->recent_entries, kernel->sizes.recents);
	if (compiled->source_count > kernel->sizes.sources)
		return error_set(
			error,
			"the chain has %zu networks of queriers, and the kernel's map has room for "
			"%u; " ADVICE_FOR_ROOM,
			compiled->source_count, kernel->sizes.sources);
	prepared->slot = !active;
	prepared->recents_of = NULL;
	prepared->use = (struct kernel_use){
		.lines = compiled->lines,
		.answers = compiled->answer_count,
		.groups = compiled->group_count,
		.sources = compiled->source_count,
	};
	/* Left by earlier chains, or by one whose preparation failed; there must be room. */
	err = remove_old_sources(kernel, old.generation);
	if (!err)
		err = write_texts(kernel, compiled, chain, prepared->slot);
	chain->generation = kernel->last_prepared = next_generation(kernel, &old);
	chain->answer_request_zero = answer_request_zero;
	chain->recent_homes = kernel->recents.table.homes;
	chain->lease = lease * 1000000ull;
	write_tables(kernel, compiled, prepared->slot);
	if (!err)
		err = write_sources(kernel, compiled, chain->generation);
	if (err)
		return error_set(error, "the kernel does not take the chain: %s", strerror(-err));
	return 0;
}

int kernel_switch_chain(struct kernel *kernel, const struct kernel_chain *prepared,
			const struct candidate *gate, struct error *error)
{
	struct map_watch *watch = &kernel->watch[prepared->slot];
	struct recent_store *stores[RECENTS_MAX];
	int result;

	recents_begin_switch(&kernel->recents, prepared->recents_of, stores, watch);
	result = switch_chain(kernel, prepared->chain, prepared->slot, gate, error);
	recents_end_switch(&kernel->recents, stores, watch, result == 0);
	if (result == 0)
		kernel->use = prepared->use;
	return result;
}

void kernel_refresh_recents(struct kernel *kernel, const struct chain *chain)
{
	struct map_watch *watch = &kernel->watch[kernel->slot];
	struct recent_store *stores[RECENTS_MAX];

	recents_begin_switch(&kernel->recents, chain, stores, watch);
	recents_end_switch(&kernel->recents, stores, watch, true);
}

bool kernel_step_recents(struct kernel *kernel, size_t most)
{
	return recents_step(&kernel->recents, most);
}

int kernel_drain(struct kernel *kernel, uint32_t drain, struct error *error)
{
	struct map_control control = kernel->control;

	control.drain = drain;
	if (set_control(kernel, control))
		return error_set(error, "the kernel's maps cannot be written: %s", strerror(errno));
	wait_for_packets();
	return 0;
}

void kernel_begin_drain(struct kernel *kernel, uint32_t drain)
{
	kernel->control.drain = drain;
}

int kernel_pin(const struct kernel *kernel, enum pin pin)
{
	return kernel->fd[pin];
}

uint32_t kernel_generation(const struct kernel *kernel)
{
	return kernel->current.generation;
}

void kernel_trace_until(struct kernel *kernel, uint64_t until)
{
	struct map_control control = kernel->control;

	control.trace_until = until;
	if (set_control(kernel, control)) /* then the trace shows nothing */
		return;
}

void kernel_renew_lease(struct kernel *kernel, struct candidate gate)
{
	renew_lease(&kernel->watch[kernel->slot], kernel->current.generation, gate);
}

/*
 * Return the URL's hash and store its text, zero-padded, in `text`, which has PREFIX_WORDS + 1
 * words.
 */
static uint64_t url_hash(const struct map_chain *chain, const char *url, size_t length,
			 const struct in6_addr *source, __u64 *text)
{
	__u64 asked_by[2];

	memset(text, 0, (PREFIX_WORDS + 1) * sizeof(*text));
	memcpy(text, url, length);
	memcpy(asked_by, source, sizeof(asked_by));
	return verdict_hash(chain, (const text_word *)text, length, asked_by);
}

void kernel_remember(struct kernel *kernel, const char *url, size_t length,
		     const struct in6_addr *source, struct candidate decided, uint64_t expires)
{
	struct verdict_entry entry = {
		.generation = kernel->current.generation,
		.rank = decided.rank,
		.verdict = decided.verdict.opcode,
		.cost = decided.verdict.cost,
		.expires = expires,
		.length = length,
	};
	struct verdict_key key;
	__u64 text[PREFIX_WORDS + 1];

	if (length > PREFIX_URL_MAX || kernel->current.memory == MEMORY_NONE)
		return;
	key.hash = url_hash(&kernel->current, url, length, source, text);
	entry.seal = verdict_seal(key.hash, entry.generation, entry.rank, entry.verdict, entry.cost,
				  entry.expires);
	memcpy(entry.text, text, sizeof(entry.text));
	if (kernel->current.memory == MEMORY_URL_SOURCE)
		memcpy(entry.source, source, sizeof(entry.source));
	bpf_map_update_elem(kernel->fd[PIN_VERDICTS], &key, &entry, BPF_ANY);
}

int kernel_disable_chain(struct kernel *kernel, struct error *error)
{
	struct map_chain old = { 0 }, chain;
	int active = active_chain(kernel, &old);

	if (active < 0)
		return error_set(error, "the kernel's maps cannot be read: %s", strerror(-active));
	chain = (struct map_chain){
		.generation = next_generation(kernel, &old),
		.first_gate = RANK_NONE,
	};
	if (switch_chain(kernel, chain, !active, NULL, error))
		return -1;
	remove_old_sources(kernel, chain.generation); /* or the next chain does */
	return 0;
}
