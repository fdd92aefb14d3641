/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys that were seen within a window of time, with the time at which each expires. One thread, the writer,
 * changes the store; any may look keys up meanwhile.
 *
 * What feeds a store is beyond the operator's control, so its memory is bounded: by the number of keys,
 * and by their bytes. The keys that expire first make room. Expired keys are not found, and are
 * removed gradually, so that a million that expire at once delay nothing.
 */
#ifndef XDP_ICP_RECENT_STORE_H
#define XDP_ICP_RECENT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base.h"

#define RECENT_WINDOW_MAX 86400		 /* seconds */
#define RECENT_ENTRIES_MAX 16777216	 /* keys */
#define RECENT_BYTES_A_KEY ((size_t)256) /* of all keys, on the average at most, and besides */
#define RECENT_BYTES_LEAST 65536	 /* so that any key has room */

struct recent_store;

/*
 * A key: `length` bytes, zero-padded to the word, behind which another word can be read. Times are in
 * nanoseconds of clock_kernel_ns().
 */
struct recent_key {
	const text_word *words;
	size_t length;
};

/*
 * Create an empty store with one reference. `window` is in seconds, 1 to RECENT_WINDOW_MAX;
 * `entries_max` is 1 to RECENT_ENTRIES_MAX. NULL: out of memory.
 */
struct recent_store *recent_store_new(unsigned int window, size_t entries_max);

/* References, for any thread. The last one frees the store; NULL is ignored. */
struct recent_store *recent_store_ref(struct recent_store *store);
void recent_store_unref(struct recent_store *store);

/* Is the key there, and does it expire after `now`? For any thread. */
bool recent_store_has(struct recent_store *store, struct recent_key key, uint64_t now);

/* The keys of the hash by which all stores of this process find a text (prefix.h). */
const struct prefix_keys *recent_hash_keys(void);

/* --- for the writer */

/*
 * Insert a key that expires after `now`, at most a window later. One that expires later already stays as
 * it is. Returns false if there is no memory.
 */
bool recent_store_put(struct recent_store *store, struct recent_key key, uint64_t expires,
		      uint64_t now);

/* Remove a key. Returns whether it was there, and not expired. */
bool recent_store_remove(struct recent_store *store, struct recent_key key, uint64_t now);

/* Remove at most `most` keys that have expired. Returns how many. */
size_t recent_store_expire(struct recent_store *store, uint64_t now, size_t most);

/* A key as it is copied elsewhere. */
struct recent_copy {
	uint32_t store; /* the store's number, never 0 */
	uint64_t hash;	/* of keys of up to PREFIX_MAX bytes: prefix_hash() by recent_hash_keys() */
	const char *key;
	size_t length;	  /* bytes */
	uint64_t expires; /* not set if it is removed */
};

/* A copy of stores, such as the kernel's. */
struct recent_mirror {
	bool (*put)(void *context, const struct recent_copy *copy); /* false: it could not be */
	void (*remove)(void *context, const struct recent_copy *copy);
	void (*incomplete)(void *context); /* put() has returned false */
	void *context;
};

/* The number of a store, which no other in the same process has had. */
uint32_t recent_store_id(const struct recent_store *store);

/*
 * Copy changes of the store to a mirror from now on. A new mirror is complete once
 * recent_store_fill() has copied the rest. NULL: stop copying.
 */
void recent_store_set_mirror(struct recent_store *store, const struct recent_mirror *mirror);

/* Copy at most `most` more keys. Returns whether the copy is complete. */
bool recent_store_fill(struct recent_store *store, size_t most);

/* The number of a store whose copy is complete, else 0. */
uint32_t recent_store_mirrored(const struct recent_store *store);

/* What a store holds, expired keys that are not removed yet included. */
struct recent_usage {
	size_t entries, entries_max;
	size_t bytes, bytes_max; /* of the keys */
	uint64_t evicted;	 /* keys that made room for others */
};
struct recent_usage recent_store_usage(const struct recent_store *store);

/* A callback for a key, which is valid during the call, and its expiry. Returns false to stop. */
typedef bool (*recent_tell)(void *context, const char *key, size_t length, uint64_t expires);

/* Call `tell` for each key that has not expired, those that expire last first. */
void recent_store_list(const struct recent_store *store, uint64_t now, recent_tell tell,
		       void *context);

#endif
