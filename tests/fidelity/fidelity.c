// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whatever answers, it is what the full chain would answer: random scripts, and in each every answer
 * of the kernel and of the daemon beside what an evaluator says that knows no more than what the
 * policies mean. The first that differs is told, with the shortest script that still shows it, and
 * kept among the cases.
 */
#include <argp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "generator.h"
#include "shrink.h"
#include "subject.h"
#include "wire.h"

#define JOBS_MAX 64
#define SKIPPED 77 /* exit code */

static const struct generator_limits limits = {
	.rounds = 10,
	.asks = 100,
	.large = true,
	.addresses = true,
	.watch = true,
	.lively = true,
	.host = true,
};

struct options {
	uint64_t comparisons, seed;
	long jobs;
	const char *keep;     /* directory for what fails */
	const char *generate; /* the seed of a script to print */
	bool expect;	      /* print what must be answered to the script on standard input */
	char **cases;
	size_t case_count;
};

/* What the jobs tell of themselves, in memory that they share. */
struct shared {
	struct tally tallies[JOBS_MAX];
	volatile int stop;
};

/* --- running a script */

/* The chain is another one, and those in flight go on by the one that they began with. */
static void change_chain(struct subject *subject, struct setup *setup, const struct step *step)
{
	struct setup *before = subject_in_flight(subject, setup) ? setup_copy(setup) : NULL;

	if (setup_take(setup, step) && before)
		subject_leave_behind(subject, setup, before);
	if (before)
		setup_free(before);
}

/* False: a reply is wrong. */
static bool take(struct subject *subject, struct setup *setup, const struct step *step,
		 struct report *report)
{
	if (step_changes_chain(step)) {
		change_chain(subject, setup, step);
		return true;
	}
	if (setup->stale) {
		setup_settle(setup);
		subject_renew(subject, setup);
	}
	switch (step->kind) {
	case STEP_ASK:
	case STEP_BEGIN:
		return subject_ask(subject, setup, step, report);
	case STEP_REPLY:
	case STEP_LOSE:
		return subject_reply(subject, setup, step, report);
	default:
		setup_take(setup, step);
		subject_take(subject, setup, step);
		return true;
	}
}

/* Runs the steps up to the first wrong reply; returns the number of that step, or `count`. */
static size_t run(struct subject *subject, const struct step *steps, size_t count, bool thorough,
		  struct tally *tally, struct report *report)
{
	static struct setup setup;
	size_t i = 0;

	report->fault = FAULT_NONE;
	setup_begin(&setup);
	subject_begin(subject, thorough, tally);
	while (i < count && take(subject, &setup, &steps[i], report))
		i++;
	subject_end(subject);
	setup_end(&setup);
	return i;
}

struct failure {
	struct subject *subject;
	struct report report;
};

static bool fails_alike(void *context, const struct step *steps, size_t count)
{
	struct failure *failure = context;
	struct tally tally = { 0 };
	struct report report;

	if (run(failure->subject, steps, count, true, &tally, &report) != count - 1 ||
	    report.fault != failure->report.fault)
		return false;
	failure->report = report;
	return true;
}

static void write_case(const struct script *script, const struct report *report, uint64_t seed,
		       FILE *out)
{
	fprintf(out, "# %s\n# found with the seed %llu\n", report->text, (unsigned long long)seed);
	for (size_t i = 0; i < script->count; i++)
		step_write(&script->steps[i], out);
}

static void keep_case(const struct script *script, const struct report *report, uint64_t seed,
		      const char *directory)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s-%llx.case", directory, fault_names[report->fault],
		 (unsigned long long)seed);
	file = fopen(path, "w");
	if (!file) {
		perror(path);
		return;
	}
	write_case(script, report, seed, file);
	fclose(file);
	printf("kept as %s\n", path);
}

/* Shrinks what failed at the step `at`, tells of it and keeps it. */
static void tell(struct subject *subject, struct script *script, size_t at,
		 const struct report *report, uint64_t seed, const char *directory)
{
	struct failure failure = { subject, *report };
	struct tally tally = { 0 };
	struct report again;

	printf("seed %llu: %s; shrinking\n", (unsigned long long)seed, report->text);
	fflush(stdout);
	script->count = at + 1;
	at = run(subject, script->steps, script->count, true, &tally, &again);
	if (again.fault) {
		failure.report = again;
		script->count = at + 1;
		shrink(script, fails_alike, &failure);
	}
	write_case(script, &failure.report, seed, stdout);
	if (directory)
		keep_case(script, &failure.report, seed, directory);
}

/* splitmix64's last step: neighbouring numbers make scripts that have nothing in common. */
static uint64_t script_seed(uint64_t seed, uint64_t number)
{
	uint64_t z = seed * 0x9e3779b97f4a7c15ULL + number * 0xd1342543de82ef95ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	return z ^ z >> 27;
}

static bool random_scripts(struct subject *subject, const struct options *options, long job,
			   struct shared *shared)
{
	struct tally *tally = &shared->tallies[job];
	uint64_t share = options->comparisons / options->jobs;

	for (uint64_t number = job; tally_sum(tally) < share && !shared->stop;
	     number += options->jobs) {
		uint64_t seed = script_seed(options->seed, number);
		struct script script = { 0 };
		struct report report;
		size_t at;

		generate(&script, seed, &limits);
		at = run(subject, script.steps, script.count, false, tally, &report);
		if (report.fault) {
			shared->stop = 1;
			tell(subject, &script, at, &report, seed, options->keep);
		}
		script_clear(&script);
		if (report.fault)
			return false;
	}
	return true;
}

/* --- cases */

static bool read_file(const char *path, struct script *script)
{
	FILE *file = fopen(path, "r");
	char wrong[256] = "cannot be read";
	bool good = file && script_read(script, file, wrong);

	if (file)
		fclose(file);
	if (!good)
		printf("%s: %s\n", path, wrong);
	return good;
}

static bool replay(struct subject *subject, const char *path, struct tally *tally)
{
	struct script script = { 0 };
	struct report report = { FAULT_NONE, "" };
	bool good = read_file(path, &script);

	if (good) {
		run(subject, script.steps, script.count, true, tally, &report);
		if (report.fault)
			printf("%s: %s\n", path, report.text);
	}
	script_clear(&script);
	return good && !report.fault;
}

/* --- jobs */

/* One core a job: the program's working memory is each core's own. */
static void settle(long job)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(job % (cpus > 0 ? cpus : 1), &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static int work(const struct options *options, long job, struct shared *shared)
{
	const char *reason;
	struct subject *subject = subject_open(&reason);
	bool good = true;

	if (!subject) {
		if (job == 0)
			printf("%s\n", *reason ? reason : "the kernel refuses the XDP program");
		return *reason ? SKIPPED : 1;
	}
	settle(job);
	for (size_t i = 0; i < options->case_count && job == 0; i++)
		good = replay(subject, options->cases[i], &shared->tallies[job]) && good;
	if (good)
		good = random_scripts(subject, options, job, shared);
	subject_close(subject);
	return good ? 0 : 1;
}

static struct shared *running;

/* Ends a long run early: the jobs finish their scripts, and the totals are printed. */
static void on_signal(int number)
{
	running->stop = 1;
}

static int start_jobs(const struct options *options, struct shared *shared)
{
	int worst = 0, status;

	for (long job = 0; job < options->jobs; job++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("fork");
			shared->stop = 1;
			worst = 1;
			break;
		}
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			signal(SIGINT, SIG_IGN);
			signal(SIGTERM, SIG_IGN);
			exit(work(options, job, shared));
		}
	}
	running = shared;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	while (wait(&status) > 0) {
		int code = WIFEXITED(status) ? WEXITSTATUS(status) : 2;

		if (WIFSIGNALED(status))
			printf("ended by signal %d\n", WTERMSIG(status));
		if (code) {
			shared->stop = 1;
			worst = worst ? worst : code;
		}
	}
	return worst;
}

static int check_all(const struct options *options)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct tally sum = { 0 };
	int result;

	if (shared == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	result = start_jobs(options, shared);
	for (long job = 0; job < options->jobs; job++)
		for (size_t i = 0; i < sizeof(sum) / sizeof(uint64_t); i++)
			((uint64_t *)&sum)[i] += ((uint64_t *)&shared->tallies[job])[i];
	if (result != SKIPPED)
		printf("%llu comparisons with the seed %llu, %s: %llu answers of the kernel, %llu "
		       "from its memory, %llu of the daemon, %llu to queries in flight, %llu "
		       "checks; %llu chains, %llu "
		       "queries passed up, %llu given up\n",
		       (unsigned long long)tally_sum(&sum), (unsigned long long)options->seed,
		       result ? "something is wrong" : "all right", (unsigned long long)sum.kernel,
		       (unsigned long long)sum.warm, (unsigned long long)sum.daemon,
		       (unsigned long long)sum.flights, (unsigned long long)sum.check,
		       (unsigned long long)sum.chains, (unsigned long long)sum.passed,
		       (unsigned long long)sum.gave_up);
	munmap(shared, sizeof(*shared));
	return result;
}

/* --- options */

static const struct argp_option argp_options[] = {
	{ "number", 'n', "N", 0, "compare N answers at least", 0 },
	{ "seed", 's', "SEED", 0, "of the first script", 0 },
	{ "jobs", 'j', "JOBS", 0, "run so many beside each other", 0 },
	{ "keep", 'k', "DIR", 0, "keep what fails there", 0 },
	{ "generate", 'g', "SEED", 0, "print a script for the wire", 0 },
	{ "expect", 'e', NULL, 0, "print what must be answered to a script", 0 },
	{ 0 },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'n':
		options->comparisons = strtoull(argument, NULL, 0);
		return 0;
	case 's':
		options->seed = strtoull(argument, NULL, 0);
		return 0;
	case 'j':
		options->jobs = strtol(argument, NULL, 0);
		if (options->jobs < 1 || options->jobs > JOBS_MAX)
			argp_error(state, "1 to %d jobs", JOBS_MAX);
		return 0;
	case 'k':
		options->keep = argument;
		return 0;
	case 'g':
		options->generate = argument;
		return 0;
	case 'e':
		options->expect = true;
		return 0;
	case ARGP_KEY_ARGS:
		options->cases = state->argv + state->next;
		options->case_count = state->argc - state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse,
		"[CASE...]",  "Replays the cases, then compares the answers to random queries.",
		NULL,	      NULL,
		NULL,
	};
	struct options options = { .seed = 1, .jobs = 1 };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (options.generate)
		return wire_script(strtoull(options.generate, NULL, 0));
	if (options.expect)
		return wire_expectations();
	return check_all(&options);
}
