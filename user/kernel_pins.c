// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "kernel_pins.h"
#include "log.h"

const char *const pin_names[PIN_MAX] = {
	"abi",	 "rules",   "interfaces", "destinations", "control", "chain",	 "prefixes",
	"texts", "answers", "sources",	  "verdicts",	  "watch",   "counters", "trace",
};

#define LIBXDP_DIRECTORY "/sys/fs/bpf/xdp" /* that libxdp makes for its dispatchers */

char kernel_cause[256];

void pin_path(char path[PATH_MAX], const char *pin_dir, enum pin pin)
{
	snprintf(path, PATH_MAX, "%s/%s", pin_dir, pin_names[pin]);
}

int pin_open(const char *pin_dir, enum pin pin)
{
	char path[PATH_MAX];

	pin_path(path, pin_dir, pin);
	return bpf_obj_get(path);
}

int pin_open_told(const char *pin_dir, enum pin pin, struct error *error)
{
	int fd = pin_open(pin_dir, pin);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return error_set(error, "%s: nothing is loaded there; `xdp-icp-load INTERFACE`",
				 pin_dir);
	return error_set(error,
			 "%s/%s: %s; the pins belong to root and to the `user` of the "
			 "configuration that they were loaded with",
			 pin_dir, pin_names[pin], strerror(errno));
}

int pin_check_abi(const char *pin_dir, struct error *error)
{
	struct map_abi version = { 0 };
	uint32_t key = 0;
	int fd = pin_open_told(pin_dir, PIN_ABI, error);
	int err;

	if (fd < 0)
		return -1;
	err = bpf_map_lookup_elem(fd, &key, &version);
	close(fd);
	if (err)
		return error_set(error, "%s/abi: %s; reading maps without rights needs kernel 5.19",
				 pin_dir, strerror(errno));
	if (version.version != ICP_MAP_ABI)
		return error_set(error,
				 "%s: the loaded program speaks ABI version %u, this one %u; "
				 "load it anew with `xdp-icp-load INTERFACE`",
				 pin_dir, version.version, ICP_MAP_ABI);
	return 0;
}

void pins_remove(const char *pin_dir)
{
	char path[PATH_MAX];

	for (int pin = 0; pin < PIN_MAX; pin++) {
		pin_path(path, pin_dir, pin);
		unlink(path);
	}
	rmdir(pin_dir);
	rmdir(LIBXDP_DIRECTORY); /* stays where other programs are pinned in it */
}

void pins_move(const char *from, const char *to)
{
	char source[PATH_MAX], target[PATH_MAX];

	for (int pin = 0; pin < PIN_MAX; pin++) {
		pin_path(source, from, pin);
		pin_path(target, to, pin);
		if (rename(source, target))
			log_write(LOG_ERR, "%s: cannot be moved to %s: %s", source, target,
				  strerror(errno));
	}
	rmdir(from);
}

uint32_t map_entries(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.max_entries;
}

bool pins_are_locked(const char *pin_dir)
{
	int fd = open(pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	return locked;
}

uint32_t map_id(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

static uint32_t pin_entries(const char *pin_dir, enum pin pin)
{
	int fd = pin_open(pin_dir, pin);
	uint32_t entries = fd < 0 ? 0 : map_entries(fd);

	if (fd >= 0)
		close(fd);
	return entries;
}

struct kernel_sizes pin_sizes(const char *pin_dir)
{
	return (struct kernel_sizes){
		.rules = pin_entries(pin_dir, PIN_RULES),
		.prefixes = pin_entries(pin_dir, PIN_TEXTS) / 2, /* there are two chains */
		.sources = pin_entries(pin_dir, PIN_SOURCES) / 2,
		.verdicts = pin_entries(pin_dir, PIN_VERDICTS),
	};
}

uint32_t attached_id(unsigned int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (bpf_xdp_query(ifindex, 0, &query))
		return 0;
	return query.prog_id	   ? query.prog_id
	       : query.drv_prog_id ? query.drv_prog_id
				   : query.skb_prog_id;
}

/* What the verifier gives as its reason stands in front of its figures, on the last lines. */
static void note_refusal(char *log)
{
	static const char *const figures[] = { "processed ", "verification time", "stack depth",
					       "-- END" };
	char *rest = NULL;

	for (char *line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
			if (strncmp(line, figures[i], strlen(figures[i])) == 0)
				return;
		snprintf(kernel_cause, sizeof(kernel_cause), "%s", line);
	}
}

__attribute__((format(printf, 2, 0))) static void library_print(bool warning, const char *format,
								va_list args)
{
	static const char mark[] = "Kernel error message: ";
	static const char verifier[] = "-- BEGIN PROG LOAD LOG --\n";
	char *text, *cause;

	if (vasprintf(&text, format, args) < 0)
		return;
	cause = strstr(text, mark);
	if (cause) {
		cause += sizeof(mark) - 1;
		snprintf(kernel_cause, sizeof(kernel_cause), "%.*s", (int)strcspn(cause, "\n"),
			 cause);
	}
	cause = strstr(text, verifier);
	if (cause) {
		note_refusal(cause + sizeof(verifier) - 1);
		log_write(LOG_INFO, "the verifier says: %s", kernel_cause);
	} else {
		/* Most warnings are of things tried in vain, what matters is in the error. */
		log_write(warning ? LOG_INFO : LOG_DEBUG, "%s", text);
	}
	free(text);
}

__attribute__((format(printf, 2, 0))) static int libbpf_sink(enum libbpf_print_level level,
							     const char *format, va_list args)
{
	library_print(level == LIBBPF_WARN, format, args);
	return 0;
}

__attribute__((format(printf, 2, 0))) static int libxdp_sink(enum libxdp_print_level level,
							     const char *format, va_list args)
{
	library_print(level == LIBXDP_WARN, format, args);
	return 0;
}

void libraries_open(void)
{
	libbpf_set_print(libbpf_sink);
	libxdp_set_print(libxdp_sink);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	kernel_cause[0] = '\0';
}
