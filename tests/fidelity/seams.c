// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "helper/child.h"
#include "helper/pool.h"
#include "seams.h"
#include "xdp_icp_plugin.h"

#define BEGINNING 1000000000000ull /* nanoseconds of the monotonic clock when a run begins */
#define MONDAY 345600		   /* seconds of the Epoch: 1970-01-05 00:00 UTC */

static struct {
	const char *directory;
	uint64_t *kernel_now;
	uint64_t now; /* the same for the daemon; nanoseconds */
	time_t wall;
	uint64_t hash_seed;
	uint64_t hash_calls;	   /* for keys of the current chain */
	const struct setup *setup; /* of the chain that is made */
} seams;

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", seams.directory, name);
	return path;
}

/* --- clocks */

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
	if (!seams.directory)
		return __real_clock_gettime(clock, time);
	if (clock == CLOCK_REALTIME)
		*time = (struct timespec){ .tv_sec = seams.wall };
	else
		*time = (struct timespec){ seams.now / 1000000000, seams.now % 1000000000 };
	return 0;
}

void seams_time(const struct setup *setup)
{
	seams.now = *seams.kernel_now = BEGINNING + setup->now * 1000000;
	seams.wall = MONDAY + 60 * (time_t)minute_of_week(setup->clock);
}

time_t seams_wall(void)
{
	return seams.wall;
}

/* --- the system */

/*
 * The hash seeds of a run repeat with it, and stay from one chain to the next: what was remembered
 * of a former chain is found again, and nothing but its generation tells it from what counts.
 */
ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned int flags);
ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned int flags)
{
	uint64_t state = seams.hash_seed + seams.hash_calls++; /* a second try needs others */

	for (size_t i = 0; i < size; i++) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		((uint8_t *)buffer)[i] = state >> 56;
	}
	return size;
}

void seams_seed(uint64_t seed)
{
	seams.hash_seed = seed;
}

void seams_begin_chain(void)
{
	seams.hash_calls = 0;
}

/* No packets are on their way while the maps change: nothing need be waited for. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long with[6];
	va_list list;

	if (number == __NR_membarrier)
		return 0;
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		with[i] = va_arg(list, long);
	va_end(list);
	return __real_syscall(number, with[0], with[1], with[2], with[3], with[4], with[5]);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list list;

	va_start(list, flags);
	if (flags & O_CREAT)
		mode = va_arg(list, mode_t);
	va_end(list);
	if (strcmp(path, "/proc/loadavg") == 0)
		path = path_of("proc-load");
	else if (strncmp(path, "/proc/pressure/", 15) == 0) {
		char name[32];

		snprintf(name, sizeof(name), "proc-%s", path + 15);
		path = path_of(name);
	}
	return __real_open(path, flags, mode);
}

void seams_load(const char *name, int value)
{
	char text[64];
	int fd;

	snprintf(text, sizeof(text), "proc-%s", name);
	fd = __real_open(path_of(text), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	if (strcmp(name, load_names[LOAD_AVERAGE]) == 0)
		snprintf(text, sizeof(text), "%d.00 1.00 1.00 1/100 4711\n", value);
	else
		snprintf(text, sizeof(text), "some avg10=%d.00 avg60=1.00 avg300=1.00 total=1\n",
			 value);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		abort();
	close(fd);
}

/* --- what replies */

/* A helper or plugin as it was when its chain was made, and as long as that is the last. */
struct voice {
	LIST_ENTRY(voice) link;
	unsigned int epoch; /* of the chain */
	struct policy_setup policy;
};

static LIST_HEAD(, voice) voices = LIST_HEAD_INITIALIZER(voices);

static struct voice *voice_new(const char *name)
{
	struct voice *voice = must(calloc(1, sizeof(*voice)));

	for (size_t i = 0; i < seams.setup->policy_count; i++)
		if (strcmp(seams.setup->policies[i].name.at, name) == 0)
			voice->policy = policy_copy(&seams.setup->policies[i]);
	voice->epoch = seams.setup->epoch;
	LIST_INSERT_HEAD(&voices, voice, link);
	return voice;
}

static void voice_free(struct voice *voice)
{
	LIST_REMOVE(voice, link);
	policy_end(&voice->policy);
	free(voice);
}

static uint8_t voice_reply(const struct voice *voice, const char *url, size_t length,
			   const uint8_t address[16])
{
	return policy_reply(&voice->policy, (struct text){ url, length }, address, UINT_MAX - 1);
}

void seams_chain(const struct setup *setup)
{
	seams.setup = setup;
}

void seams_say(const struct step *says)
{
	struct voice *voice;

	LIST_FOREACH (voice, &voices, link)
		if (voice->epoch == seams.setup->epoch && voice->policy.kind != KIND_LUA &&
		    text_equal(voice->policy.name, says->name))
			policy_says(&voice->policy, says, 0);
}

/* --- helpers */

struct open_question {
	TAILQ_ENTRY(open_question) link;
	struct helper_pool *pool;
	void *question;
	uint8_t verdict;
};

struct helper_pool {
	helper_reply reply;
	void *context;
	struct voice *voice;
};

static TAILQ_HEAD(questions, open_question) questions = TAILQ_HEAD_INITIALIZER(questions);

struct helper_pool *__wrap_helper_pool_new(struct event_base *base,
					   const struct helper_settings *settings,
					   helper_reply reply, void *context, struct error *error);
struct helper_pool *__wrap_helper_pool_new(struct event_base *base,
					   const struct helper_settings *settings,
					   helper_reply reply, void *context, struct error *error)
{
	struct helper_pool *pool = must(calloc(1, sizeof(*pool)));

	*pool = (struct helper_pool){ reply, context, voice_new(settings->name) };
	return pool;
}

/* The line of a question: URL SOURCE. */
bool __wrap_helper_pool_ask(struct helper_pool *pool, const char *line, size_t length,
			    void *question);
bool __wrap_helper_pool_ask(struct helper_pool *pool, const char *line, size_t length,
			    void *question)
{
	struct open_question *open = must(calloc(1, sizeof(*open)));
	char *copy = must(strndup(line, length - 1)), *source = strchr(copy, ' ');
	uint8_t address[16] = { [10] = 0xff, [11] = 0xff };

	if (!source || line[length - 1] != '\n')
		abort();
	*source++ = '\0';
	if (inet_pton(AF_INET, source, address + 12) != 1 &&
	    inet_pton(AF_INET6, source, address) != 1)
		abort();
	*open = (struct open_question){
		.pool = pool,
		.question = question,
		.verdict = voice_reply(pool->voice, copy, strlen(copy), address),
	};
	free(copy);
	TAILQ_INSERT_TAIL(&questions, open, link);
	return true;
}

struct open_question *seams_last_question(void)
{
	return TAILQ_LAST(&questions, questions);
}

void seams_reply(struct open_question *open, bool lost)
{
	const char *line = open->verdict ? verdict_name(open->verdict) : "-";
	struct helper_pool *pool = open->pool;
	void *question = open->question;

	TAILQ_REMOVE(&questions, open, link);
	free(open);
	pool->reply(pool->context, question, lost ? NULL : line, lost ? 0 : strlen(line));
}

/* Lua: the script is right. */
int __wrap_helper_run(const struct helper_run *run, char *output, size_t size, struct error *error);
int __wrap_helper_run(const struct helper_run *run, char *output, size_t size, struct error *error)
{
	snprintf(output, size, "-\n");
	return 0;
}

void __wrap_helper_pool_free(struct helper_pool *pool);
void __wrap_helper_pool_free(struct helper_pool *pool)
{
	struct open_question *open, *next;

	if (!pool)
		return;
	for (open = TAILQ_FIRST(&questions); open; open = next) {
		next = TAILQ_NEXT(open, link);
		if (open->pool == pool)
			seams_reply(open, true);
	}
	voice_free(pool->voice);
	free(pool);
}

/* --- plugins: the file's name says what the object declares */

static int plugin_open(size_t count, const char *const *arguments, void **state, char *error,
		       size_t error_size)
{
	*state = count ? voice_new(arguments[0]) : NULL;
	return count != 1;
}

static enum xdp_icp_plugin_verdict plugin_check(void *state,
						const struct xdp_icp_plugin_query *query)
{
	return (enum xdp_icp_plugin_verdict)voice_reply(state, query->url, query->length,
							query->address);
}

static void plugin_close(void *state)
{
	voice_free(state);
}

const char *plugin_path(enum sight sees, int ttl)
{
	static char path[PATH_MAX];
	char name[64];

	snprintf(name, sizeof(name), "plugin-%d-%d", sees, ttl);
	strcpy(path, path_of(name));
	close(__real_open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	return path;
}

void *__real_dlopen(const char *path, int flags);
void *__wrap_dlopen(const char *path, int flags);
void *__wrap_dlopen(const char *path, int flags)
{
	const char *name = path ? strrchr(path, '/') : NULL;
	struct xdp_icp_plugin *plugin;
	unsigned int sees, ttl;

	if (!name || sscanf(name, "/plugin-%u-%u", &sees, &ttl) != 2)
		return __real_dlopen(path, flags);
	plugin = must(calloc(1, sizeof(*plugin)));
	*plugin = (struct xdp_icp_plugin){
		.abi = XDP_ICP_PLUGIN_ABI,
		.basis = XDP_ICP_PLUGIN_URL + sees,
		.ttl = ttl,
		.open = plugin_open,
		.check = plugin_check,
		.close = plugin_close,
	};
	return plugin;
}

void *__wrap_dlsym(void *object, const char *symbol);
void *__wrap_dlsym(void *object, const char *symbol)
{
	return strcmp(symbol, "xdp_icp_plugin") == 0 ? object : NULL;
}

int __wrap_dlclose(void *object);
int __wrap_dlclose(void *object)
{
	free(object);
	return 0;
}

/* --- a run */

void seams_open(const char *directory, uint64_t *kernel_now)
{
	setenv("TZ", "UTC0", 1);
	seams.directory = directory;
	seams.kernel_now = kernel_now;
}

void seams_begin(void)
{
	static const struct setup beginning;

	seams.hash_seed = 1;
	seams_time(&beginning);
	for (int i = 0; i < LOAD_MAX; i++)
		seams_load(load_names[i], 0);
}

void seams_close(void)
{
	seams.directory = NULL;
}
