// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hash table with chaining, whose entries are also in a list for each second in which they expire: a
 * ring of as many lists as the window has seconds, and some more for those whose removal is due. Thus
 * keys may come in any order, as they do when several logs are read.
 *
 * A lookup holds the lock of its bucket, one of a few, for the length of a comparison. The writer holds
 * it while it changes what such a lookup sees; the lists of seconds are its own.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "prefix.h"
#include "recent/store.h"
#include "lib/thread.h"

#define NONE 0xffffffffu
#define LOCKS 64u
#define LATE 3600 /* seconds by which the removal of expired keys may be late */
#define SECOND 1000000000ull
#define MANY 10000  /* keys: fewer are freed at once */
#define DUE_A_PUT 2 /* expired keys that each put removes, so that they cannot accumulate */

struct entry {
	uint64_t hash;
	uint64_t expires;
	char *key;
	uint32_t length;
	uint32_t next;	       /* in the bucket, or of the free ones */
	uint32_t older, newer; /* in the list of the second; NONE at its ends */
};

struct second {
	uint32_t oldest, newest;
};

struct recent_store {
	atomic_uint references;
	unsigned int window; /* seconds */
	uint32_t id;
	const struct prefix_keys *keys;
	const struct recent_mirror *mirror; /* NULL: none */
	uint32_t mirrored;		    /* entries before this index are in it */
	uint32_t entries_max, count;
	uint32_t used;	 /* entries from this index on have never been used */
	uint32_t unused; /* the first of those that are free again */
	size_t bytes, bytes_max;
	uint64_t evicted;
	struct entry *entries;
	uint32_t *buckets;
	uint32_t mask; /* of a hash, for its bucket */
	struct second *seconds;
	uint32_t ring;	 /* number of lists */
	uint64_t oldest; /* no entry expires in a second before */
	pthread_mutex_t locks[LOCKS];
};

/* --- creation */

static struct prefix_keys hash_keys;
static bool hash_keys_made;
static uint32_t first_id; /* at random: a mirror may have entries of former processes */

static void make_hash_keys(void)
{
	hash_keys_made = getrandom(&hash_keys, sizeof(hash_keys), 0) == sizeof(hash_keys) &&
			 getrandom(&first_id, sizeof(first_id), 0) == sizeof(first_id);
}

const struct prefix_keys *recent_hash_keys(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_hash_keys);
	return &hash_keys;
}

static uint32_t next_id(void)
{
	static atomic_uint made;
	uint32_t id;

	do
		id = first_id + made++;
	while (id == 0);
	return id;
}

static bool allocate(struct recent_store *store)
{
	uint32_t buckets = 16;

	while (buckets < store->entries_max)
		buckets *= 2;
	store->mask = buckets - 1;
	store->ring = store->window + LATE + 2;
	/* Pages that are not used yet take no memory. */
	store->entries = calloc(store->entries_max, sizeof(*store->entries));
	store->buckets = malloc(buckets * sizeof(*store->buckets));
	store->seconds = malloc(store->ring * sizeof(*store->seconds));
	if (!store->entries || !store->buckets || !store->seconds)
		return false;
	memset(store->buckets, 0xff, buckets * sizeof(*store->buckets));
	memset(store->seconds, 0xff, store->ring * sizeof(*store->seconds));
	return true;
}

struct recent_store *recent_store_new(unsigned int window, size_t entries_max)
{
	struct recent_store *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->references = 1;
	store->window = window;
	store->entries_max = entries_max;
	store->bytes_max = RECENT_BYTES_LEAST + entries_max * RECENT_BYTES_A_KEY;
	store->unused = NONE;
	for (unsigned int i = 0; i < LOCKS; i++)
		pthread_mutex_init(&store->locks[i], NULL);
	store->keys = recent_hash_keys();
	store->id = next_id();
	if (hash_keys_made && allocate(store))
		return store;
	recent_store_unref(store);
	return NULL;
}

struct recent_store *recent_store_ref(struct recent_store *store)
{
	store->references++;
	return store;
}

static void *destroy(void *context)
{
	struct recent_store *store = context;

	for (uint32_t i = 0; i < store->used; i++)
		free(store->entries[i].key);
	for (unsigned int i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&store->locks[i]);
	free(store->entries);
	free(store->buckets);
	free(store->seconds);
	free(store);
	return NULL;
}

/* A million keys take too long for a thread that has queries to reply to. */
static bool destroy_aside(struct recent_store *store)
{
	pthread_attr_t detached;
	pthread_t thread;
	bool made;

	if (pthread_attr_init(&detached))
		return false;
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	made = thread_start(&thread, &detached, destroy, store) == 0;
	pthread_attr_destroy(&detached);
	return made;
}

void recent_store_unref(struct recent_store *store)
{
	if (!store || --store->references)
		return;
	if (store->count < MANY || !destroy_aside(store))
		destroy(store);
}

/* --- lookups */

/* Blocks of PREFIX_MAX bytes, the second and all others with the result for those before. */
static uint64_t hash_key(const struct recent_store *store, struct recent_key key)
{
	uint64_t hash = 0;
	size_t done = 0;

	for (;;) {
		const text_word *words = key.words + done / ICP_WORD;
		size_t length = key.length - done < PREFIX_MAX ? key.length - done : PREFIX_MAX;

		hash = (done ? prefix_mix(hash) : 0) ^ prefix_hash(store->keys, words, length);
		done += length;
		if (done == key.length)
			return hash;
	}
}

static pthread_mutex_t *lock_of(struct recent_store *store, uint64_t hash)
{
	return &store->locks[(hash & store->mask) % LOCKS];
}

static uint32_t find(const struct recent_store *store, struct recent_key key, uint64_t hash)
{
	uint32_t i = store->buckets[hash & store->mask];

	while (i != NONE) {
		const struct entry *entry = &store->entries[i];

		if (entry->hash == hash && entry->length == key.length &&
		    memcmp(entry->key, key.words, key.length) == 0)
			break;
		i = entry->next;
	}
	return i;
}

bool recent_store_has(struct recent_store *store, struct recent_key key, uint64_t now)
{
	uint64_t hash = hash_key(store, key);
	bool valid;
	uint32_t i;

	pthread_mutex_lock(lock_of(store, hash));
	i = find(store, key, hash);
	valid = i != NONE && now < store->entries[i].expires;
	pthread_mutex_unlock(lock_of(store, hash));
	return valid;
}

/* --- the lists of seconds */

static struct second *second_of(const struct recent_store *store, uint64_t second)
{
	return &store->seconds[second % store->ring];
}

/* Put an entry into the list of its second, where the newest is the last to come. */
static void list_add(struct recent_store *store, uint32_t i)
{
	struct entry *entry = &store->entries[i];
	struct second *second = second_of(store, entry->expires / SECOND);

	entry->older = second->newest;
	entry->newer = NONE;
	if (second->newest != NONE)
		store->entries[second->newest].newer = i;
	else
		second->oldest = i;
	second->newest = i;
	if (store->count == 0 || entry->expires / SECOND < store->oldest)
		store->oldest = entry->expires / SECOND;
}

static void list_remove(struct recent_store *store, uint32_t i)
{
	const struct entry *entry = &store->entries[i];
	struct second *second = second_of(store, entry->expires / SECOND);

	if (entry->older != NONE)
		store->entries[entry->older].newer = entry->newer;
	else
		second->oldest = entry->newer;
	if (entry->newer != NONE)
		store->entries[entry->newer].older = entry->older;
	else
		second->newest = entry->older;
}

/* The entry that expires first; there is one. */
static uint32_t first(struct recent_store *store)
{
	while (second_of(store, store->oldest)->oldest == NONE)
		store->oldest++;
	return second_of(store, store->oldest)->oldest;
}

/* --- the mirror */

static struct recent_copy copy_of(const struct recent_store *store, uint32_t i)
{
	const struct entry *entry = &store->entries[i];

	return (struct recent_copy){
		.store = store->id,
		.hash = entry->hash,
		.key = entry->key,
		.length = entry->length,
		.expires = entry->expires,
	};
}

static bool copy(struct recent_store *store, uint32_t i)
{
	struct recent_copy what = copy_of(store, i);

	if (store->mirror->put(store->mirror->context, &what))
		return true;
	store->mirrored = 0;
	store->mirror->incomplete(store->mirror->context);
	return false;
}

/* An entry has changed. Those that have not been copied yet will be. */
static void copy_change(struct recent_store *store, uint32_t i)
{
	if (!store->mirror || i > store->mirrored)
		return;
	if (copy(store, i) && i == store->mirrored)
		store->mirrored++;
}

uint32_t recent_store_id(const struct recent_store *store)
{
	return store->id;
}

void recent_store_set_mirror(struct recent_store *store, const struct recent_mirror *mirror)
{
	if (mirror != store->mirror)
		store->mirrored = 0;
	store->mirror = mirror;
}

bool recent_store_fill(struct recent_store *store, size_t most)
{
	for (; store->mirrored < store->used && most; most--) {
		if (store->entries[store->mirrored].key && !copy(store, store->mirrored))
			return false;
		store->mirrored++;
	}
	return store->mirrored == store->used;
}

uint32_t recent_store_mirrored(const struct recent_store *store)
{
	return store->mirror && store->mirrored == store->used ? store->id : 0;
}

/* --- changes */

static void drop(struct recent_store *store, uint32_t i)
{
	struct entry *entry = &store->entries[i];
	uint32_t *link = &store->buckets[entry->hash & store->mask];
	struct recent_copy what = copy_of(store, i);

	/* Also what may not have been copied: an incomplete mirror may have it from before. */
	if (store->mirror)
		store->mirror->remove(store->mirror->context, &what);
	list_remove(store, i);
	pthread_mutex_lock(lock_of(store, entry->hash));
	while (*link != i)
		link = &store->entries[*link].next;
	*link = entry->next;
	pthread_mutex_unlock(lock_of(store, entry->hash));
	store->count--;
	store->bytes -= entry->length;
	free(entry->key);
	entry->key = NULL;
	entry->next = store->unused;
	store->unused = i;
}

size_t recent_store_expire(struct recent_store *store, uint64_t now, size_t most)
{
	size_t done = 0;

	while (done < most && store->count) {
		uint32_t i = first(store);

		if (now < store->entries[i].expires)
			break;
		drop(store, i);
		done++;
	}
	return done;
}

/* Remove what is due, in the end all that would share a list with a later second. */
static void make_way(struct recent_store *store, uint64_t now)
{
	recent_store_expire(store, now, DUE_A_PUT);
	while (store->count) {
		uint32_t i = first(store);

		if (store->oldest + LATE > now / SECOND)
			break;
		drop(store, i);
	}
}

static void prolong(struct recent_store *store, uint32_t i, uint64_t expires)
{
	struct entry *entry = &store->entries[i];

	if (expires < entry->expires)
		return;
	list_remove(store, i);
	pthread_mutex_lock(lock_of(store, entry->hash));
	entry->expires = expires;
	pthread_mutex_unlock(lock_of(store, entry->hash));
	list_add(store, i);
	copy_change(store, i);
}

static bool insert(struct recent_store *store, struct recent_key key, uint64_t hash,
		   uint64_t expires)
{
	char *copy = malloc(key.length + 1);
	uint32_t *bucket = &store->buckets[hash & store->mask], i;

	if (!copy)
		return false;
	memcpy(copy, key.words, key.length);
	while (store->count == store->entries_max || store->bytes + key.length > store->bytes_max) {
		drop(store, first(store));
		store->evicted++;
	}
	i = store->unused;
	if (i != NONE)
		store->unused = store->entries[i].next;
	else
		i = store->used++;
	store->entries[i] = (struct entry){
		.hash = hash,
		.expires = expires,
		.key = copy,
		.length = key.length,
		.next = *bucket,
	};
	list_add(store, i);
	pthread_mutex_lock(lock_of(store, hash));
	*bucket = i;
	pthread_mutex_unlock(lock_of(store, hash));
	store->count++;
	store->bytes += key.length;
	copy_change(store, i);
	return true;
}

bool recent_store_put(struct recent_store *store, struct recent_key key, uint64_t expires,
		      uint64_t now)
{
	uint64_t hash = hash_key(store, key);
	uint32_t i;

	make_way(store, now);
	i = find(store, key, hash);
	if (i == NONE)
		return insert(store, key, hash, expires);
	prolong(store, i, expires);
	return true;
}

bool recent_store_remove(struct recent_store *store, struct recent_key key, uint64_t now)
{
	uint32_t i = find(store, key, hash_key(store, key));
	bool valid = i != NONE && now < store->entries[i].expires;

	if (i != NONE)
		drop(store, i);
	return valid;
}

/* --- for operators */

struct recent_usage recent_store_usage(const struct recent_store *store)
{
	return (struct recent_usage){
		.entries = store->count,
		.entries_max = store->entries_max,
		.bytes = store->bytes,
		.bytes_max = store->bytes_max,
		.evicted = store->evicted,
	};
}

void recent_store_list(const struct recent_store *store, uint64_t now, recent_tell tell,
		       void *context)
{
	/* What expires in a second before this one has expired. */
	for (unsigned int ahead = store->window + 2; ahead-- > 0;) {
		uint32_t i = second_of(store, now / SECOND + ahead)->newest;

		for (; i != NONE; i = store->entries[i].older) {
			const struct entry *entry = &store->entries[i];

			if (now < entry->expires &&
			    !tell(context, entry->key, entry->length, entry->expires))
				return;
		}
	}
}
