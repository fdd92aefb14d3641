// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "chain/image.h"
#include "xdp/pins.h"
#include "lib/log.h"
#include "lib/path_safety.h"

const char *const pin_names[PIN_MAX] = {
	"abi",	    "rules",	"interfaces", "destinations", "control",    "chain",
	"prefixes", "texts",	"answers",    "automata",     "partitions", "recent",
	"sources",  "verdicts", "watch",      "counters",     "decided",    "trace",
};

/*
 * Sizes of keys and values. A lookup in a map with larger values, which the user can pin here,
 * would overrun the buffer.
 */
static const struct {
	uint32_t key, value;
} pin_forms[PIN_MAX] = {
	[PIN_ABI] = { sizeof(uint32_t), sizeof(struct map_abi) },
	[PIN_RULES] = { sizeof(struct rule_key), sizeof(struct rule) },
	[PIN_INTERFACES] = { sizeof(uint32_t), sizeof(struct attachment) },
	[PIN_DESTINATIONS] = { sizeof(struct destination_key), sizeof(struct destination) },
	[PIN_CONTROL] = { sizeof(uint32_t), sizeof(struct map_control) },
	[PIN_CHAIN] = { sizeof(uint32_t), sizeof(struct map_chain) },
	[PIN_PREFIXES] = { sizeof(uint32_t), sizeof(struct prefix_bucket) },
	[PIN_TEXTS] = { sizeof(uint32_t), sizeof(struct prefix_line) },
	[PIN_ANSWERS] = { sizeof(uint32_t), sizeof(struct prefix_answer) },
	[PIN_AUTOMATA] = { sizeof(uint32_t), sizeof(struct automaton_group) },
	[PIN_PARTITIONS] = { sizeof(uint32_t), sizeof(struct partition_line) },
	[PIN_RECENT] = { sizeof(uint32_t), sizeof(struct recent_slot) },
	[PIN_SOURCES] = { sizeof(struct source_key), sizeof(struct source_entry) },
	[PIN_VERDICTS] = { sizeof(struct verdict_key), sizeof(struct verdict_entry) },
	[PIN_WATCH] = { sizeof(uint32_t), sizeof(struct map_watch) },
	[PIN_COUNTERS] = { sizeof(uint32_t), sizeof(uint64_t) },
	[PIN_DECIDED] = { sizeof(uint32_t), sizeof(struct decided) },
	[PIN_TRACE] = { 0, 0 },
};

#define LIBXDP_DIRECTORY "/sys/fs/bpf/xdp" /* created by libxdp for its dispatchers */

#define PROC_PATH_SIZE 64

/* A path to an open descriptor or to a name below it, for calls that take only paths. */
static const char *proc_path(char path[PROC_PATH_SIZE], int fd, const char *name)
{
	snprintf(path, PROC_PATH_SIZE, "/proc/self/fd/%d%s%s", fd, name ? "/" : "",
		 name ? name : "");
	return path;
}

static bool is_bpffs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

/* --- the directory */

static int no_access(const struct pin_dir *dir, struct error *error)
{
	return error_set(error,
			 "%s: %s; the pins belong to root and to the `user` of the configuration "
			 "that they were loaded with",
			 dir->path, strerror(errno));
}

static int no_bpffs(const struct pin_dir *dir, struct error *error)
{
	errno = ENOENT;
	return error_set(error,
			 "%s: no BPF file system there; `mount -t bpf bpf /sys/fs/bpf`, or set "
			 "pin_dir",
			 dir->path);
}

/* Fills `path`, `name` and `parent`. Returns 0, or -1 and `error`. */
static int open_parent(struct pin_dir *dir, const char *path, struct error *error)
{
	char above[PATH_MAX], real[PATH_MAX];
	char *slash;

	snprintf(above, sizeof(above), "%s", path);
	for (size_t end = strlen(above); end > 1 && above[end - 1] == '/'; end--)
		above[end - 1] = '\0';
	dir->path = strdup(above);
	slash = strrchr(above, '/');
	if (!slash || strcmp(slash, "/") == 0 || strcmp(slash, "/.") == 0 ||
	    strcmp(slash, "/..") == 0)
		return error_set(error,
				 "pin_dir '%s': name a directory of its own in a bpffs, such as "
				 "/sys/fs/bpf/xdp-icp",
				 path);
	dir->name = strdup(slash + 1);
	if (!dir->path || !dir->name)
		return error_set(error, "out of memory");
	slash[slash == above] = '\0';
	/* As root, no directory above may be one that others can replace. */
	if (geteuid() == 0) {
		if (path_resolve_safe(above, real, error) == 0)
			dir->parent = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
		else if (errno == EPERM)
			return error_prefix(error, "pin_dir %s is not safe: ", path);
	} else {
		dir->parent = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (dir->parent >= 0)
		return 0;
	if (errno != ENOENT && errno != ENOTDIR)
		return no_access(dir, error);
	return no_bpffs(dir, error);
}

/* Check that the directory belongs to root or to `user`. */
static int check_directory(struct pin_dir *dir, uid_t user, struct error *error)
{
	struct stat status;

	if (fstat(dir->fd, &status))
		return error_set(error, "%s: %s", dir->path, strerror(errno));
	dir->user = user == PIN_DIR_ANY_USER ? status.st_uid : user;
	if (!is_bpffs(dir->fd))
		return no_bpffs(dir, error);
	if (user == PIN_DIR_ANY_USER)
		return 0;
	errno = EPERM;
	if (status.st_uid != 0 && status.st_uid != user)
		return error_set(
			error,
			"%s belongs to uid %u, who is neither root nor the `user` of the "
			"configuration (uid %u) and could reply in its place; remove it by "
			"`xdp-icp-load --unload --all`, which also detaches the program, or "
			"set pin_dir or `user`",
			dir->path, status.st_uid, user);
	/* A user who can open it can lock it, and keep daemons from starting. */
	if (geteuid() == 0 && status.st_mode & 077 && fchmod(dir->fd, 0700))
		return error_set(error, "%s: cannot set its mode: %s", dir->path, strerror(errno));
	return 0;
}

static int open_directory(struct pin_dir *dir, uid_t user, struct error *error)
{
	dir->fd = openat(dir->parent, dir->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir->fd >= 0)
		return check_directory(dir, user, error);
	/* A mounted `pin_dir` may have something else above: a service has no view of the rest. */
	if (errno == ENOENT && !is_bpffs(dir->parent))
		return no_bpffs(dir, error);
	if (errno == ENOENT)
		return error_set(error, "%s: nothing is loaded there; `xdp-icp-load INTERFACE`",
				 dir->path);
	if (errno == ENOTDIR || errno == ELOOP)
		return error_set(error,
				 "%s: is not a directory, or is a link to one; remove it, or set "
				 "pin_dir",
				 dir->path);
	return no_access(dir, error);
}

static struct pin_dir *pin_dir_new(struct error *error)
{
	struct pin_dir *dir = calloc(1, sizeof(*dir));

	if (!dir) {
		error_set(error, "out of memory");
		return NULL;
	}
	dir->fd = -1;
	dir->parent = -1;
	dir->turn = -1;
	return dir;
}

struct pin_dir *pin_dir_open(const char *path, uid_t user, struct error *error)
{
	struct pin_dir *dir = pin_dir_new(error);
	int err;

	if (!dir)
		return NULL;
	if (open_parent(dir, path, error) == 0 && open_directory(dir, user, error) == 0)
		return dir;
	err = errno;
	pin_dir_close(dir);
	errno = err;
	return NULL;
}

static int make_directory(const struct pin_dir *dir, struct error *error)
{
	if (!is_bpffs(dir->parent))
		return no_bpffs(dir, error);
	if (mkdirat(dir->parent, dir->name, 0700) == 0 || errno == EEXIST)
		return 0;
	return error_set(error, "%s: cannot be created: %s%s", dir->path, strerror(errno),
			 strchr(dir->name, '.') ? "; a bpffs allows no dots in names" : "");
}

/* Has the directory been removed since it was opened? */
static bool is_removed(const struct pin_dir *dir)
{
	struct stat status;

	return fstat(dir->fd, &status) == 0 && status.st_nlink == 0;
}

#define TURN_TIME 10000 /* milliseconds to wait for the turn */
#define TURN_STEP 10

/* Does the directory lie in that of libxdp? */
static bool is_below_libxdp(const struct pin_dir *dir)
{
	static const char xdp[] = "/xdp/";
	const char *name = strrchr(dir->path, '/');

	return name && name - dir->path >= (ptrdiff_t)sizeof(xdp) - 2 &&
	       strncmp(name - (sizeof(xdp) - 2), xdp, sizeof(xdp) - 1) == 0;
}

void pin_dir_take_turn(struct pin_dir *dir)
{
	int fd, waited = 0, refused;

	/* libxdp locks its own directory, also for this process, and waits. */
	if (dir->turn >= 0 || is_below_libxdp(dir))
		return;
	fd = openat(dir->parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	while ((refused = flock(fd, LOCK_EX | LOCK_NB)) && errno == EWOULDBLOCK && !dir->gave_up) {
		usleep(TURN_STEP * 1000);
		waited += TURN_STEP;
		dir->gave_up = waited >= TURN_TIME;
	}
	if (!refused) {
		dir->turn = fd;
		return;
	}
	close(fd);
	log_write(LOG_WARNING,
		  "%s: another process keeps the directory above locked (/proc/locks); continuing "
		  "without waiting for it",
		  dir->path);
}

void pin_dir_end_turn(struct pin_dir *dir)
{
	if (dir->turn >= 0)
		close(dir->turn);
	dir->turn = -1;
}

/* Create the directory unless there is one, open it, and lock it if nobody else has. */
static int open_or_create(struct pin_dir *dir, uid_t user, struct error *error)
{
	struct error ignored;

	/* A daemon or loader that ends may remove it before it is locked. */
	for (int attempt = 0; attempt < 8; attempt++) {
		if (make_directory(dir, error) || open_directory(dir, user, error))
			return -1;
		pin_dir_lock(dir, &ignored);
		if (!is_removed(dir))
			return 0;
		close(dir->fd);
		dir->fd = -1;
		dir->locked = false;
	}
	return error_set(error, "%s: another process keeps removing it; set pin_dir", dir->path);
}

int pin_dir_renew(struct pin_dir *dir, uid_t user, struct error *error)
{
	if (!is_removed(dir))
		return 0;
	close(dir->fd);
	dir->fd = -1;
	dir->locked = false;
	return open_or_create(dir, user, error);
}

struct pin_dir *pin_dir_create(const char *path, uid_t user, struct error *error)
{
	struct pin_dir *dir = pin_dir_new(error);

	if (!dir)
		return NULL;
	if (open_parent(dir, path, error) == 0) {
		pin_dir_take_turn(dir);
		if (open_or_create(dir, user, error) == 0)
			return dir;
	}
	pin_dir_close(dir);
	return NULL;
}

struct pin_dir *pin_dir_sibling(const struct pin_dir *beside, bool create, struct error *error)
{
	struct pin_dir *dir = pin_dir_new(error);

	if (!dir)
		return NULL;
	dir->parent = fcntl(beside->parent, F_DUPFD_CLOEXEC, 0);
	if (asprintf(&dir->path, "%s-new", beside->path) < 0)
		dir->path = NULL;
	if (asprintf(&dir->name, "%s-new", beside->name) < 0)
		dir->name = NULL;
	if (dir->parent < 0 || !dir->path || !dir->name)
		error_set(error, "out of memory");
	else if ((!create || make_directory(dir, error) == 0) &&
		 open_directory(dir, 0, error) == 0) {
		dir->user = beside->user;
		return dir;
	}
	pin_dir_close(dir);
	return NULL;
}

int pin_dir_lock(struct pin_dir *dir, struct error *error)
{
	if (!dir->locked && flock(dir->fd, LOCK_EX | LOCK_NB))
		return error_set(error,
				 "%s: another daemon is using these maps; stop it, or give this "
				 "one a pin_dir of its own",
				 dir->path);
	dir->locked = true;
	return 0;
}

void pin_dir_close(struct pin_dir *dir)
{
	if (!dir)
		return;
	if (dir->fd >= 0)
		close(dir->fd);
	if (dir->parent >= 0)
		close(dir->parent);
	pin_dir_end_turn(dir);
	free(dir->path);
	free(dir->name);
	free(dir);
}

void pin_dir_remove(const struct pin_dir *dir)
{
	unlinkat(dir->parent, dir->name, AT_REMOVEDIR);
	rmdir(LIBXDP_DIRECTORY); /* fails while other programs are pinned in it */
}

bool pin_dir_is_empty(const struct pin_dir *dir)
{
	/* A load that failed has removed the directory, and left it root's: a lookup may be refused. */
	if (is_removed(dir))
		return true;
	for (int pin = 0; pin < PIN_MAX; pin++)
		if (faccessat(dir->fd, pin_names[pin], F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
		    errno != ENOENT)
			return false;
	return true;
}

void pin_dir_hand_over(const struct pin_dir *dir, uid_t uid, gid_t gid)
{
	if (dir->locked)
		pin_dir_remove(dir);
	if (!is_removed(dir) && fchown(dir->fd, uid, gid))
		log_write(LOG_WARNING, "%s: cannot hand over to uid %u: %s", dir->path, uid,
			  strerror(errno));
}

void pins_remove(const struct pin_dir *dir)
{
	for (int pin = 0; pin < PIN_MAX; pin++)
		unlinkat(dir->fd, pin_names[pin], 0);
}

int pins_move(const struct pin_dir *from, const struct pin_dir *to, struct error *error)
{
	int result;

	/* Whoever finds the pins without `abi` knows that they do not belong together. */
	result = unlinkat(to->fd, pin_names[PIN_ABI], 0) && errno != ENOENT;
	for (int pin = PIN_MAX - 1; pin >= 0 && !result; pin--)
		result = renameat(from->fd, pin_names[pin], to->fd, pin_names[pin]);
	if (result)
		return error_set(error, "%s: the new maps cannot be moved there from %s: %s",
				 to->path, from->path, strerror(errno));
	pin_dir_remove(from);
	return 0;
}

/* --- one pin */

/*
 * Open the pin itself with O_PATH. Return -1 and errno, ELOOP if it is not a pin of root or the
 * owner.
 */
static int open_place(const struct pin_dir *dir, enum pin pin)
{
	int place = openat(dir->fd, pin_names[pin], O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;

	if (place < 0)
		return -1;
	/* A second link: another user may have linked a file here. */
	if (fstat(place, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1 &&
	    (status.st_uid == 0 || status.st_uid == dir->user) && is_bpffs(place))
		return place;
	close(place);
	errno = ELOOP;
	return -1;
}

/* Open the map behind a descriptor of open_place(). */
static int open_map(int place)
{
	char path[PROC_PATH_SIZE];

	return bpf_obj_get(proc_path(path, place, NULL));
}

int pin_open_any(const struct pin_dir *dir, enum pin pin)
{
	int place = open_place(dir, pin);
	int fd = place < 0 ? -1 : open_map(place);
	int err = errno;

	if (place >= 0)
		close(place);
	errno = err;
	return fd;
}

int pin_open(const struct pin_dir *dir, enum pin pin)
{
	int fd = pin_open_any(dir, pin);
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	if (fd < 0)
		return -1;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.key_size == pin_forms[pin].key &&
	    info.value_size == pin_forms[pin].value)
		return fd;
	close(fd);
	errno = EPROTO;
	return -1;
}

int pin_open_report(const struct pin_dir *dir, enum pin pin, struct error *error)
{
	int fd = pin_open(dir, pin);

	return fd >= 0 ? fd : pin_report(dir, pin, error);
}

int pin_report(const struct pin_dir *dir, enum pin pin, struct error *error)
{
	if (errno == ENOENT)
		return error_set(error, "%s: nothing is loaded there; `xdp-icp-load INTERFACE`",
				 dir->path);
	if (errno == ELOOP)
		return error_set(error,
				 "%s/%s is a link, or belongs to another user: the loader did not "
				 "create it; remove it, and load again",
				 dir->path, pin_names[pin]);
	if (errno == EPROTO)
		return error_set(
			error,
			"%s/%s: has keys or values of another size; load again with `xdp-icp-load "
			"INTERFACE`",
			dir->path, pin_names[pin]);
	return error_set(error,
			 "%s/%s: %s; the pins belong to root and to the `user` of the "
			 "configuration that they were loaded with",
			 dir->path, pin_names[pin], strerror(errno));
}

int pin_check_abi(const struct pin_dir *dir, struct error *error)
{
	struct map_abi version = { 0 };
	uint32_t key = 0;
	int fd = pin_open_report(dir, PIN_ABI, error);
	int err;

	if (fd < 0)
		return -1;
	err = bpf_map_lookup_elem(fd, &key, &version);
	close(fd);
	if (err)
		return error_set(error,
				 "%s/abi: %s; reading maps without privileges needs kernel 5.19",
				 dir->path, strerror(errno));
	if (version.version != ICP_MAP_ABI)
		return error_set(error,
				 "%s: the loaded program has ABI version %u, this one %u; "
				 "load it again with `xdp-icp-load INTERFACE`",
				 dir->path, version.version, ICP_MAP_ABI);
	return 0;
}

int pin_create(const struct pin_dir *dir, enum pin pin, int map)
{
	char path[PROC_PATH_SIZE];

	/* Does not follow a link. */
	if (bpf_obj_pin(map, proc_path(path, dir->fd, pin_names[pin])) == 0 || errno == EEXIST)
		return 0;
	return -errno;
}

int pin_chown(const struct pin_dir *dir, enum pin pin, int map, uid_t uid, gid_t gid)
{
	int place = open_place(dir, pin);
	int fd = place < 0 ? -1 : open_map(place);
	char path[PROC_PATH_SIZE];
	int err = 0;

	if (fd < 0)
		err = -errno;
	else if (map_id(fd) != map_id(map))
		err = -ELOOP;
	else if (fchownat(place, "", uid, gid, AT_EMPTY_PATH) ||
		 chmod(proc_path(path, place, NULL), 0600))
		err = -errno;
	if (fd >= 0)
		close(fd);
	if (place >= 0)
		close(place);
	return err;
}

/* --- maps */

uint32_t map_entries(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.max_entries;
}

uint32_t map_id(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

static uint32_t pin_entries(const struct pin_dir *dir, enum pin pin)
{
	int fd = pin_open(dir, pin);
	uint32_t entries = fd < 0 ? 0 : map_entries(fd);

	if (fd >= 0)
		close(fd);
	return entries;
}

struct kernel_sizes pin_sizes(const struct pin_dir *dir)
{
	uint32_t prefixes = pin_entries(dir, PIN_TEXTS) / 2; /* two chains */

	/* A load that was interrupted may leave maps that do not fit together. */
	if (pin_entries(dir, PIN_PREFIXES) < 2 * chain_image_buckets(prefixes))
		prefixes = 0;
	return (struct kernel_sizes){
		.rules = pin_entries(dir, PIN_RULES),
		.prefixes = prefixes,
		.recents = RECENT_KEYS(pin_entries(dir, PIN_RECENT)),
		.sources = pin_entries(dir, PIN_SOURCES) / 2,
		.verdicts = pin_entries(dir, PIN_VERDICTS),
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
