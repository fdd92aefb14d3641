// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "device.h"
#include "kernel_pins.h"
#include "log.h"
#include "pinned_rules.h"
#include "xdp_icp.skel.h"

#define PROGRAM_NAME "xdp_icp"

/* --- means: rights, file system, version, device */

/* Is the nearest directory that exists at or above `pin_dir` on a bpffs? */
static bool on_bpffs(const char *pin_dir)
{
	char path[PATH_MAX];
	struct statfs fs;

	snprintf(path, sizeof(path), "%s", pin_dir);
	while (statfs(path, &fs)) {
		char *slash = strrchr(path, '/');

		if (errno != ENOENT || !slash || slash == path)
			return false;
		*slash = '\0';
	}
	return fs.f_type == BPF_FS_MAGIC;
}

static enum kernel_result check_means(const char *pin_dir, struct error *error)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	if (sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	    (major < 5 || (major == 5 && minor < 18))) {
		error_set(error,
			  "kernel %s is too old: reading a query in XDP needs 5.18 "
			  "(bpf_xdp_load_bytes)",
			  name.release);
		return KERNEL_NO_MEANS;
	}
	if (geteuid() != 0) {
		error_set(error, "no rights to load a BPF program: run it as root");
		return KERNEL_NO_MEANS;
	}
	if (!on_bpffs(pin_dir)) {
		error_set(error,
			  "%s: no BPF file system there; "
			  "`mount -t bpf bpf /sys/fs/bpf`, or set pin_dir",
			  pin_dir);
		return KERNEL_NO_MEANS;
	}
	return KERNEL_OK;
}

static enum kernel_result check_device(const char *interface, unsigned int *ifindex,
				       struct error *error)
{
	*ifindex = if_nametoindex(interface);
	if (*ifindex == 0) {
		error_set(error, "interface %s: no such device; `ip link` lists what there is",
			  interface);
		return KERNEL_NO_DEVICE;
	}
	if (!device_is_ethernet(interface)) {
		error_set(error,
			  "interface %s: not Ethernet; attach to the device below it, or let the "
			  "daemon answer alone",
			  interface);
		return KERNEL_NO_MODE;
	}
	return KERNEL_OK;
}

/* --- the program as it is attached */

static bool program_uses_map(uint32_t program, uint32_t map)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	uint32_t maps[64];
	bool uses = false;
	int fd = bpf_prog_get_fd_by_id(program);

	if (fd < 0)
		return false;
	info.nr_map_ids = sizeof(maps) / sizeof(maps[0]);
	info.map_ids = (uintptr_t)maps;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
		for (uint32_t i = 0; i < info.nr_map_ids && i < 64; i++)
			uses = uses || maps[i] == map;
	close(fd);
	return uses;
}

static bool same_code(uint32_t program, int fd)
{
	struct bpf_prog_info old = { 0 }, new = { 0 };
	uint32_t old_size = sizeof(old), new_size = sizeof(new);
	int old_fd = bpf_prog_get_fd_by_id(program);
	bool same;

	if (old_fd < 0)
		return false;
	same = bpf_obj_get_info_by_fd(old_fd, &old, &old_size) == 0 &&
	       bpf_obj_get_info_by_fd(fd, &new, &new_size) == 0 &&
	       memcmp(old.tag, new.tag, sizeof(old.tag)) == 0;
	close(old_fd);
	return same;
}

/* What an interface carries. */
struct carried {
	struct xdp_multiprog *all; /* NULL: nothing */
	struct xdp_program *ours;  /* in `all`, NULL if ours is not there */
	bool native;
	bool dispatcher;
};

/* `controls` are the ids of control maps by which a program is known to be ours. */
static void carried_read(struct carried *carried, unsigned int ifindex, const uint32_t *controls,
			 size_t count)
{
	struct xdp_program *program = NULL;

	*carried = (struct carried){ .all = xdp_multiprog__get_from_ifindex(ifindex) };
	if (libxdp_get_error(carried->all)) {
		carried->all = NULL;
		return;
	}
	carried->native = xdp_multiprog__attach_mode(carried->all) == XDP_MODE_NATIVE;
	carried->dispatcher = !xdp_multiprog__is_legacy(carried->all);
	for (;;) {
		program = carried->dispatcher ? xdp_multiprog__next_prog(program, carried->all)
			  : program	      ? NULL
					      : xdp_multiprog__main_prog(carried->all);
		if (!program)
			return;
		for (size_t i = 0; i < count; i++)
			if (controls[i] && program_uses_map(xdp_program__id(program), controls[i]))
				carried->ours = program;
	}
}

static void carried_close(struct carried *carried)
{
	if (carried->all)
		xdp_multiprog__close(carried->all);
}

/* --- loading */

struct kernel_sizes kernel_sizes_for(const struct config *config, const struct compiled *compiled)
{
	struct kernel_sizes sizes = {
		.rules = config->rules_max,
		.prefixes = config->prefixes_max,
		.sources = compiled->source_count < 512 ? 1024 : 2 * compiled->source_count,
		.verdicts = config->verdicts_max,
	};

	if (sizes.prefixes == 0)
		sizes.prefixes =
			compiled->lines < 3277 ? 4096 : compiled->lines + compiled->lines / 4;
	return sizes;
}

static void size_maps(struct xdp_icp *skeleton, const struct kernel_sizes *sizes)
{
	bpf_map__set_max_entries(skeleton->maps.rules, sizes->rules);
	bpf_map__set_max_entries(skeleton->maps.prefixes,
				 2 * prefix_tree_buckets(sizes->prefixes + 1));
	bpf_map__set_max_entries(skeleton->maps.texts, 2 * sizes->prefixes);
	bpf_map__set_max_entries(skeleton->maps.sources, 2 * sizes->sources);
	bpf_map__set_max_entries(skeleton->maps.verdicts, sizes->verdicts);
}

static struct xdp_icp *skeleton_open(const char *pin_dir, const struct kernel_sizes *sizes,
				     struct error *error)
{
	struct xdp_icp *skeleton = xdp_icp__open();

	if (!skeleton) {
		error_set(error, "the XDP program cannot be read: %s", strerror(errno));
		return NULL;
	}
	size_maps(skeleton, sizes);
	for (int pin = 0; pin < PIN_MAX; pin++) {
		char path[PATH_MAX];

		pin_path(path, pin_dir, pin);
		bpf_map__set_pin_path(bpf_object__find_map_by_name(skeleton->obj, pin_names[pin]),
				      path);
	}
	return skeleton;
}

static void own_pins(const struct kernel_load *load)
{
	char path[PATH_MAX];

	if (chown(load->pin_dir, load->owner, load->group) || chmod(load->pin_dir, 0755))
		log_write(LOG_WARNING, "%s: cannot hand over to uid %u: %s", load->pin_dir,
			  load->owner, strerror(errno));
	for (int pin = 0; pin < PIN_MAX; pin++) {
		pin_path(path, load->pin_dir, pin);
		if (chown(path, load->owner, load->group) || chmod(path, 0660))
			log_write(LOG_WARNING, "%s: cannot hand over to uid %u: %s", path,
				  load->owner, strerror(errno));
	}
}

static const char *attach_reason(int err)
{
	static char text[384];
	const char *reason = strerror(-err);

	if (err == -EOPNOTSUPP)
		reason = "the driver has no native XDP";
	else if (err == -ERANGE || strstr(kernel_cause, "MTU"))
		reason = "the MTU is larger than the driver takes with XDP; lower it";
	else if (err == -EBUSY || err == -EEXIST)
		reason = "another XDP program is attached in another mode";
	snprintf(text, sizeof(text), "%s%s%s%s", reason, kernel_cause[0] ? " (" : "", kernel_cause,
		 kernel_cause[0] ? ")" : "");
	return text;
}

static uint32_t mode_flag(bool native)
{
	return native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

/* Attaches a fresh instance by libxdp; returns 0 or -errno. */
static int attach_fresh(const struct kernel_load *load, unsigned int ifindex,
			enum xdp_attach_mode mode, struct error *error)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, options, .prog_name = PROGRAM_NAME);
	struct xdp_icp *skeleton = skeleton_open(load->pin_dir, &load->sizes, error);
	struct xdp_program *program;
	int err;

	if (!skeleton)
		return -ENOMEM;
	kernel_cause[0] = '\0';
	options.obj = skeleton->obj;
	program = xdp_program__create(&options);
	err = libxdp_get_error(program);
	if (!err) {
		/* Before it is loaded libbpf does not say so, and libxdp would take it for no. */
		xdp_program__set_xdp_frags_support(program, true);
		err = xdp_program__attach(program, ifindex, mode, 0);
		xdp_program__close(program);
	}
	xdp_icp__destroy(skeleton);
	return err;
}

/*
 * By libxdp; or alone, where its dispatcher does not take the program and nothing else has the
 * place: kernels that have got "bpf: check changes_pkt_data property for extension programs" refuse
 * to put a program that moves the packet's head behind the dispatcher of a libxdp older than they.
 * `loaded` is the program, ready to be attached. Returns 0 or -errno.
 */
static int attach_by_libxdp_or_alone(const struct kernel_load *load, unsigned int ifindex,
				     int loaded, bool native, struct error *error)
{
	int err = attach_fresh(load, ifindex, native ? XDP_MODE_NATIVE : XDP_MODE_SKB, error);
	char refusal[384];

	if (err != -EINVAL || attached_id(ifindex))
		return err;
	snprintf(refusal, sizeof(refusal), "%s", attach_reason(err));
	kernel_cause[0] = '\0';
	err = bpf_xdp_attach(ifindex, loaded, XDP_FLAGS_UPDATE_IF_NOEXIST | mode_flag(native),
			     NULL);
	if (!err)
		log_write(LOG_INFO,
			  "interface %s: libxdp's dispatcher does not take the program: %s",
			  load->interface, refusal);
	return err;
}

static enum kernel_result attach_in_modes(const struct kernel_load *load, unsigned int ifindex,
					  int loaded, struct error *error)
{
	char native[512] = "";
	int err;

	/* A veth takes a native program gladly, and then drops what it sends. */
	if (load->mode == KERNEL_AUTO && device_is_veth(load->interface) &&
	    !device_veth_transmits(ifindex)) {
		snprintf(native, sizeof(native),
			 "its peer carries no XDP program, so that a veth would drop the answers");
		log_write(LOG_NOTICE, "interface %s: no native mode: %s", load->interface, native);
	} else if (load->mode != KERNEL_GENERIC) {
		err = attach_by_libxdp_or_alone(load, ifindex, loaded, true, error);
		if (!err)
			return KERNEL_OK;
		snprintf(native, sizeof(native), "%s", attach_reason(err));
		if (load->mode == KERNEL_NATIVE) {
			error_set(error, "interface %s: native mode: %s; try mode generic",
				  load->interface, native);
			return err == -EPERM ? KERNEL_NO_MEANS : KERNEL_NO_MODE;
		}
		log_write(LOG_INFO, "interface %s: no native mode: %s", load->interface, native);
	}
	err = attach_by_libxdp_or_alone(load, ifindex, loaded, false, error);
	if (!err)
		return KERNEL_OK;
	error_set(error, "interface %s: %s%s%sgeneric mode: %s", load->interface,
		  native[0] ? "native mode: " : "", native, native[0] ? "; " : "",
		  attach_reason(err));
	return err == -EPERM ? KERNEL_NO_MEANS : KERNEL_NO_MODE;
}

static void warn_of_device(const char *interface, unsigned int ifindex, bool native)
{
	if (native && device_is_veth(interface) && !device_veth_transmits(ifindex))
		log_write(
			LOG_WARNING,
			"interface %s is a veth in native mode whose peer carries no XDP program "
			"(or the kernel does not tell): answers are lost unless the peer gets one "
			"that passes all; else use mode generic",
			interface);
	if (native && device_strips_vlan(interface) && !device_is_veth(interface))
		log_write(LOG_NOTICE,
			  "interface %s takes VLAN tags off before the program sees them; if "
			  "queries come tagged, `ethtool -K %s rxvlan off`",
			  interface, interface);
}

static const char *mode_name(bool native)
{
	return native ? "native" : "generic";
}

static bool mode_fits(enum kernel_mode mode, bool native)
{
	return mode == KERNEL_AUTO || (mode == KERNEL_NATIVE) == native;
}

/* Detaches what gives way: all that an interface carries, or ours from among others. */
static void give_way(const struct carried *carried, unsigned int ifindex)
{
	if (carried->ours && carried->dispatcher)
		xdp_program__detach(carried->ours, ifindex,
				    carried->native ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	else if (carried->all)
		xdp_multiprog__detach(carried->all);
}

/* Puts the program on the interface, or in the place of what is there. `loaded` is its code. */
static enum kernel_result attach(const struct kernel_load *load, unsigned int ifindex, int loaded,
				 const uint32_t controls[2], struct error *error)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, in_place);
	enum kernel_result result = KERNEL_OK;
	struct xdp_program *alone = NULL; /* that shares its place with no other */
	struct carried carried;
	bool gave_way = false;

	carried_read(&carried, ifindex, controls, 2);
	if (carried.all && !carried.dispatcher)
		alone = xdp_multiprog__main_prog(carried.all);
	if (alone && !carried.ours) {
		if (!load->replace) {
			error_set(error,
				  "interface %s: carries the XDP program %s (id %u), which shares "
				  "its place with no other; detach it, or take its place with "
				  "`xdp-icp-load --replace %s`",
				  load->interface, xdp_program__name(alone), xdp_program__id(alone),
				  load->interface);
			result = KERNEL_OCCUPIED;
			goto out;
		}
		log_write(LOG_NOTICE, "interface %s: takes the place of the XDP program %s (id %u)",
			  load->interface, xdp_program__name(alone), xdp_program__id(alone));
		gave_way = true;
	} else if (carried.ours && mode_fits(load->mode, carried.native)) {
		uint32_t id = xdp_program__id(carried.ours);

		if (same_code(id, loaded) && program_uses_map(id, controls[0])) {
			log_write(LOG_INFO, "interface %s: the program is there already (%s)",
				  load->interface, mode_name(carried.native));
			goto out;
		}
		if (alone) {
			in_place.old_prog_fd = xdp_program__fd(alone);
			if (bpf_xdp_attach(ifindex, loaded,
					   XDP_FLAGS_REPLACE | mode_flag(carried.native),
					   &in_place) == 0) {
				log_write(LOG_NOTICE, "interface %s: replaced the former program",
					  load->interface);
				goto out;
			}
		}
		gave_way = true;
	} else {
		gave_way = carried.ours;
	}
	if (gave_way)
		give_way(&carried, ifindex);
	result = attach_in_modes(load, ifindex, loaded, error);
	if (result != KERNEL_OK && gave_way && alone &&
	    bpf_xdp_attach(ifindex, xdp_program__fd(alone), mode_flag(carried.native), NULL))
		log_write(LOG_ERR, "interface %s: the former program is lost", load->interface);
out:
	carried_close(&carried);
	return result;
}

/* Forgets interfaces that are gone. */
static void purge_notes(int interfaces)
{
	char name[IF_NAMESIZE];
	uint32_t key, next;

	for (bool more = bpf_map_get_next_key(interfaces, NULL, &next) == 0; more;) {
		key = next;
		more = bpf_map_get_next_key(interfaces, &key, &next) == 0;
		if (!if_indextoname(key, name))
			bpf_map_delete_elem(interfaces, &key);
	}
}

/* Notes for the daemon where the program is. */
static enum kernel_result note_interface(const char *interface, unsigned int ifindex,
					 int interfaces, const uint32_t controls[2],
					 struct error *error)
{
	struct attachment note = { .attached_id = attached_id(ifindex) };
	enum kernel_result result = KERNEL_FAILED;
	struct carried carried;
	uint32_t key = ifindex;

	purge_notes(interfaces);
	carried_read(&carried, ifindex, controls, 2);
	if (!carried.ours) {
		error_set(error, "interface %s: the program is not there although it was attached",
			  interface);
		goto out;
	}
	note.program_id = xdp_program__id(carried.ours);
	note.native = carried.native;
	note.dispatcher = carried.dispatcher;
	if (bpf_map_update_elem(interfaces, &key, &note, BPF_ANY)) {
		error_set(error,
			  "interface %s: no more than %u interfaces can carry the program: %s",
			  interface, map_entries(interfaces), strerror(errno));
		give_way(&carried, ifindex);
		goto out;
	}
	log_write(LOG_NOTICE, "interface %s: XDP program %u attached, mode %s%s", interface,
		  note.program_id, mode_name(carried.native),
		  carried.dispatcher ? ", beside others"
				     : ", alone (the libxdp dispatcher is not in use)");
	warn_of_device(interface, ifindex, carried.native);
	result = KERNEL_OK;
out:
	carried_close(&carried);
	return result;
}

/* The pins of a former load, if there are any. */
struct former {
	bool exists;
	bool fits;	  /* same ABI, large enough */
	uint32_t abi;	  /* version */
	uint32_t control; /* map id */
	struct kernel_sizes sizes;
	int rules; /* fd, or -1 */
	uint32_t ifindex[256];
	size_t interfaces;
};

static void former_read(struct former *former, const struct kernel_load *load)
{
	struct map_abi version = { 0 };
	uint32_t key = 0;
	int fd = pin_open(load->pin_dir, PIN_ABI);

	*former = (struct former){ .rules = -1 };
	if (fd < 0)
		return;
	former->exists = true;
	bpf_map_lookup_elem(fd, &key, &version);
	close(fd);
	former->abi = version.version;
	fd = pin_open(load->pin_dir, PIN_CONTROL);
	if (fd >= 0) {
		former->control = map_id(fd);
		close(fd);
	}
	fd = pin_open(load->pin_dir, PIN_INTERFACES);
	if (fd >= 0) {
		uint32_t *previous = NULL;

		while (former->interfaces < 256 &&
		       bpf_map_get_next_key(fd, previous, &former->ifindex[former->interfaces]) ==
			       0)
			previous = &former->ifindex[former->interfaces++];
		close(fd);
	}
	former->rules = pin_open(load->pin_dir, PIN_RULES);
	if (former->abi != ICP_MAP_ABI)
		return;
	former->sizes = pin_sizes(load->pin_dir);
	former->fits = former->sizes.rules >= load->sizes.rules &&
		       former->sizes.prefixes >= load->sizes.prefixes &&
		       former->sizes.sources >= load->sizes.sources &&
		       former->sizes.verdicts == load->sizes.verdicts;
}

/* What keeps the former maps from being adopted. */
static void former_tell(const struct former *former, const struct kernel_load *load, char text[192])
{
	if (former->abi != ICP_MAP_ABI)
		snprintf(text, 192, "are of ABI version %u (this is %u)", former->abi, ICP_MAP_ABI);
	else
		snprintf(text, 192,
			 "hold %u rules, %u prefixes, %u sources, %u verdicts (%u, %u, %u, %u are "
			 "asked for)",
			 former->sizes.rules, former->sizes.prefixes, former->sizes.sources,
			 former->sizes.verdicts, load->sizes.rules, load->sizes.prefixes,
			 load->sizes.sources, load->sizes.verdicts);
}

static void copy_rules(struct former *former, const char *pin_dir)
{
	struct pinned_rules *source = pinned_rules_adopt(former->rules);
	struct pinned_rules *target = NULL;
	struct error error;

	error_set(&error, "out of memory");
	if (!source || pinned_rules_open(pin_dir, &target, &error) ||
	    pinned_rules_copy(source, target, &error))
		log_write(LOG_WARNING, "rules are lost: %s", error.text);
	pinned_rules_close(target);
	if (source) {
		pinned_rules_close(source);
		former->rules = -1;
	}
}

static bool is_locked(const char *pin_dir)
{
	int fd = open(pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	return locked;
}

static enum kernel_result load_failed(int err, const struct kernel_load *load, struct error *error)
{
	if (err == -EPERM) {
		error_set(error,
			  "the kernel refuses to load a BPF program (%s%s%s): this needs root "
			  "with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
			  strerror(EPERM), kernel_cause[0] ? ": " : "", kernel_cause);
		return KERNEL_NO_MEANS;
	}
	error_set(error,
		  "the XDP program cannot be loaded with %u rules and %u prefixes: %s%s%s; "
		  "-v shows all that the kernel says",
		  load->sizes.rules, load->sizes.prefixes, strerror(-err),
		  kernel_cause[0] ? ": " : "", kernel_cause);
	return KERNEL_FAILED;
}

/* Makes maps that nobody has filled say so, as a daemon that ends does. */
static void close_chains(int chain)
{
	struct map_chain closed = { .first_gate = RANK_NONE };

	for (uint32_t slot = 0; slot < 2; slot++) {
		struct map_chain known = { 0 };

		if (bpf_map_lookup_elem(chain, &slot, &known) == 0 && known.generation == 0)
			bpf_map_update_elem(chain, &slot, &closed, BPF_ANY);
	}
}

/*
 * Makes the maps, or adopts them, and attaches; `load->pin_dir` is where the maps are pinned for
 * now. `former_control` is the id of the control map of a program that is ours to replace.
 */
static enum kernel_result load_and_attach(const struct kernel_load *load, unsigned int ifindex,
					  struct former *former, bool anew, struct error *error)
{
	uint32_t controls[2] = { 0, former->control };
	struct map_abi version = { ICP_MAP_ABI };
	enum kernel_result result;
	struct xdp_icp *skeleton;
	uint32_t key = 0;
	int err;

	/* First alone, to make the maps and to know the code. */
	skeleton = skeleton_open(load->pin_dir, &load->sizes, error);
	if (!skeleton)
		return KERNEL_FAILED;
	err = xdp_icp__load(skeleton);
	if (err) {
		result = load_failed(err, load, error);
		goto out;
	}
	bpf_map_update_elem(bpf_map__fd(skeleton->maps.abi), &key, &version, BPF_ANY);
	close_chains(bpf_map__fd(skeleton->maps.chain));
	own_pins(load);
	if (anew && former->rules >= 0)
		copy_rules(former, load->pin_dir);
	controls[0] = map_id(bpf_map__fd(skeleton->maps.control));
	result = attach(load, ifindex, bpf_program__fd(skeleton->progs.xdp_icp), controls, error);
	if (result == KERNEL_OK)
		result = note_interface(load->interface, ifindex,
					bpf_map__fd(skeleton->maps.interfaces), controls, error);
out:
	xdp_icp__destroy(skeleton);
	return result;
}

/* Elsewhere the program still reads the maps that have just been replaced. */
static void load_elsewhere(const struct kernel_load *asked, unsigned int done,
			   const struct former *former, struct error *error)
{
	struct kernel_load load = *asked;

	for (size_t i = 0; i < former->interfaces; i++) {
		char name[IF_NAMESIZE];
		struct carried carried;
		bool stale;

		if (former->ifindex[i] == done || !if_indextoname(former->ifindex[i], name))
			continue;
		carried_read(&carried, former->ifindex[i], &former->control, 1);
		stale = carried.ours != NULL;
		load.mode = carried.native ? KERNEL_NATIVE : KERNEL_GENERIC;
		if (stale)
			give_way(&carried, former->ifindex[i]);
		carried_close(&carried);
		load.interface = name;
		if (stale && kernel_load(&load, error) != KERNEL_OK)
			log_write(LOG_ERR, "%s", error->text);
	}
}

enum kernel_result kernel_load(const struct kernel_load *asked, struct error *error)
{
	struct kernel_load load = *asked;
	enum kernel_result result;
	struct former former;
	unsigned int ifindex;
	char aside[PATH_MAX];
	char text[192];
	bool anew;

	libraries_open();
	result = check_means(load.pin_dir, error);
	if (result == KERNEL_OK)
		result = check_device(load.interface, &ifindex, error);
	if (result != KERNEL_OK)
		return result;

	former_read(&former, &load);
	anew = former.exists && !former.fits;
	if (anew) {
		former_tell(&former, &load, text);
		if (is_locked(load.pin_dir)) {
			if (former.rules >= 0)
				close(former.rules);
			error_set(error,
				  "%s: the maps there %s, and a daemon is using them; stop it "
				  "first",
				  load.pin_dir, text);
			return KERNEL_OCCUPIED;
		}
		log_write(LOG_NOTICE, "%s: replaces the maps there, which %s", load.pin_dir, text);
		/* Beside the old ones, which stay until all has gone well. No name has a dot there. */
		snprintf(aside, sizeof(aside), "%s-new", asked->pin_dir);
		pins_remove(aside);
		load.pin_dir = aside;
	} else if (former.exists) {
		load.sizes = former.sizes;
	}

	result = load_and_attach(&load, ifindex, &former, anew, error);
	if (former.rules >= 0)
		close(former.rules);
	if (result != KERNEL_OK) {
		if (anew || !former.exists)
			pins_remove(load.pin_dir);
		return result;
	}
	if (anew) {
		pins_move(aside, asked->pin_dir);
		load_elsewhere(asked, ifindex, &former, error);
	}
	return KERNEL_OK;
}

/* A program of ours whose maps are pinned no more cannot be told from somebody else's. */
static enum kernel_result check_orphan(const char *interface, unsigned int ifindex,
				       struct error *error)
{
	enum kernel_result result = KERNEL_OK;
	struct xdp_program *program;
	struct carried carried;

	carried_read(&carried, ifindex, NULL, 0);
	program = carried.all && !carried.dispatcher ? xdp_multiprog__main_prog(carried.all) : NULL;
	if (program && strcmp(xdp_program__name(program), PROGRAM_NAME) == 0) {
		error_set(error,
			  "interface %s: carries an %s (id %u) whose maps are pinned elsewhere or "
			  "nowhere; `ip link set dev %s xdp off` takes it off",
			  interface, PROGRAM_NAME, xdp_program__id(program), interface);
		result = KERNEL_FAILED;
	}
	carried_close(&carried);
	return result;
}

enum kernel_result kernel_unload(const char *pin_dir, const char *interface, struct error *error)
{
	unsigned int ifindex = if_nametoindex(interface);
	int interfaces, control;
	enum kernel_result result = KERNEL_OK;
	uint32_t key;

	libraries_open();
	interfaces = pin_open(pin_dir, PIN_INTERFACES);
	control = pin_open(pin_dir, PIN_CONTROL);
	if (interfaces < 0 || control < 0) {
		if (errno == EACCES || errno == EPERM) {
			error_set(error, "%s: no rights: run it as root", pin_dir);
			result = KERNEL_NO_MEANS;
		} else if (ifindex == 0) {
			error_set(error, "interface %s: no such device", interface);
			result = KERNEL_NO_DEVICE;
		} else {
			result = check_orphan(interface, ifindex, error);
			pins_remove(pin_dir); /* what a load that was cut short left */
		}
		goto out;
	}
	if (ifindex) {
		uint32_t id = map_id(control);
		struct carried carried;
		int err = 0;

		carried_read(&carried, ifindex, &id, 1);
		if (carried.ours && carried.dispatcher)
			err = xdp_program__detach(carried.ours, ifindex,
						  carried.native ? XDP_MODE_NATIVE : XDP_MODE_SKB,
						  0);
		else if (carried.ours)
			err = xdp_multiprog__detach(carried.all);
		carried_close(&carried);
		if (err) {
			error_set(error, "interface %s: cannot detach: %s", interface,
				  strerror(-err));
			result = err == -EPERM ? KERNEL_NO_MEANS : KERNEL_FAILED;
			goto out;
		}
		key = ifindex;
		bpf_map_delete_elem(interfaces, &key);
	} else {
		error_set(error, "interface %s: no such device", interface);
		result = KERNEL_NO_DEVICE;
	}

	purge_notes(interfaces);
	if (bpf_map_get_next_key(interfaces, NULL, &key) && !is_locked(pin_dir))
		pins_remove(pin_dir);
out:
	if (interfaces >= 0)
		close(interfaces);
	if (control >= 0)
		close(control);
	return result;
}
