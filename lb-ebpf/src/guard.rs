//! `guard`: LSM programs that refuse to others what the daemon alone does with its maps, links
//! and pins. They are attached by descriptors that the daemon holds, and by nothing else: when it
//! ends, however it ends, they are gone.
//!
//! Only what is written is refused. Whoever may open a map or link reads it as before.
//!
//! Structs of the kernel are read at the places that the loader found in its BTF
//! (`GuardSetting`): there are no CO-RE relocations for what Rust defines.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod license;

#[cfg(not(target_arch = "bpf"))]
fn main() -> std::process::ExitCode {
    eprintln!("guard is a BPF program, and this is a stub of it: cargo xtask build");
    std::process::ExitCode::FAILURE
}

#[cfg(target_arch = "bpf")]
mod program {
    use core::{arch::asm, ptr};

    use aya_ebpf::{
        EbpfContext as _,
        bindings::bpf_cmd,
        btf_maps::{Array, HashMap, RingBuf},
        helpers::{bpf_get_current_task, bpf_probe_read_kernel, generated::bpf_get_current_comm},
        macros::{btf_map, lsm},
        programs::LsmContext,
    };
    use lb_common::abi::guard::{
        Deed, GUARDED_DIRECTORIES, GUARDED_GROUPS, GUARDED_OBJECTS, GuardSetting, Guarded, GuardedMount,
        REFUSAL_RING_BYTES, Refusal, directory,
    };

    const REFUSED: i32 = -1;
    const ALLOWED: i32 = 0;

    /// `PROT_WRITE` of asm-generic/mman-common.h.
    const WRITABLE: u64 = 2;

    /// Flags of mount(2) that say what else is mounted there, or how: `MS_REMOUNT` and `MS_BIND`
    /// of linux/mount.h, and those of how mounts are shared, `MS_UNBINDABLE`, `MS_PRIVATE`,
    /// `MS_SLAVE` and `MS_SHARED`, which change nothing that is to be seen there.
    const PLACING: u64 = 32 | 4096;
    const SHARING: u64 = 1 << 17 | 1 << 18 | 1 << 19 | 1 << 20;

    /// Of `union bpf_attr`: the descriptor that commands on an element, a link or a map have
    /// first, the key of an element, and the descriptor of a batch.
    const ATTR_FD: u64 = 0;
    const ATTR_KEY: u64 = 8;
    const ATTR_BATCH_FD: u64 = 36;

    /// Written by the loader; the verifier takes its fields for constants.
    #[unsafe(no_mangle)]
    static SETTING: GuardSetting = GuardSetting {
        password: 0,
        device: 0,
        task_files: 0,
        files_fdt: 0,
        fdt_max: 0,
        fdt_files: 0,
        file_path: 0,
        path_mount: 0,
        path_dentry: 0,
        file_private: 0,
        map_id: 0,
        link_id: 0,
        inode_sb: 0,
        inode_number: 0,
        sb_device: 0,
        dentry_inode: 0,
        vfsmount_sb: 0,
        mount_mnt: 0,
        mount_parent: 0,
        mount_point: 0,
        mount_group: 0,
        mount_master: 0,
        unused: 0,
    };

    /// Process id of the daemon; 0: it has not said who it is, and nothing is refused yet. Its
    /// own id may be another, in the namespace it sees.
    #[btf_map]
    static OWNER: Array<u64, 1> = Array::new();

    /// Written with OWNER.
    #[btf_map]
    static MOUNTED: Array<GuardedMount, 1> = Array::new();

    #[btf_map]
    static GUARDED: HashMap<Guarded, u32, { GUARDED_OBJECTS as usize }> = HashMap::new();

    /// Where guarded maps are, with their ids. Any file can be mapped, and only the place says
    /// that what it has is a map.
    #[btf_map]
    static PLACES: HashMap<u64, u32, { GUARDED_OBJECTS as usize }> = HashMap::new();

    #[btf_map]
    static DIRECTORIES: HashMap<u64, u32, { GUARDED_DIRECTORIES as usize }> = HashMap::new();

    /// By [`Deed`].
    #[btf_map]
    static REFUSALS: Array<u64, { Deed::ALL.len() }> = Array::new();

    #[btf_map]
    static TOLD: RingBuf<Refusal, { REFUSAL_RING_BYTES as usize }> = RingBuf::new();

    #[inline(always)]
    fn setting() -> GuardSetting {
        // SAFETY: reads a static; volatile, so that what the loader wrote is read.
        unsafe { ptr::read_volatile(&raw const SETTING) }
    }

    /// An argument of the hook, as a number. The verifier gives what is read from the context
    /// itself the type of a pointer, and then allows no sums but with constants.
    #[inline(always)]
    fn argument(context: &LsmContext, nth: u32) -> u64 {
        read(context.as_ptr() as u64, nth * 8)
    }

    /// What the kernel has at an address; zero where there is nothing.
    #[inline(always)]
    fn read<T: bytemuck::Zeroable>(address: u64, offset: u32) -> T {
        // SAFETY: the helper fails where nothing is mapped, and every value read is a plain
        // integer.
        unsafe { bpf_probe_read_kernel((address + u64::from(offset)) as *const T) }.unwrap_or_else(|_| T::zeroed())
    }

    #[inline(always)]
    fn owner() -> u64 {
        // SAFETY: eight bytes that are written once, by `claim`.
        OWNER.get(0).map_or(0, |owner| unsafe { ptr::read_volatile(owner) })
    }

    /// Whoever this is for may do all of it: the daemon, and everybody until it is known.
    #[inline(always)]
    fn is_allowed(context: &LsmContext) -> bool {
        let owner = owner();
        owner == 0 || owner == u64::from(context.tgid())
    }

    #[inline(always)]
    fn refuse(context: &LsmContext, deed: Deed, object: u32) -> i32 {
        if let Some(count) = REFUSALS.get_ptr_mut(deed as u32) {
            // SAFETY: an aligned entry of eight bytes, in which others count at the same time. For
            // this target `core` has no atomic addition.
            unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) count, in(reg) 1_u64) };
        }
        let mut refusal = Refusal {
            deed: deed as u32,
            pid: context.tgid(),
            uid: context.uid(),
            object,
            command: [0; 16],
        };
        // In place: copied out of a result, the name stands at an odd address of the stack, and the
        // verifier says "misaligned stack access".
        let name = (&raw mut refusal.command).cast();
        // SAFETY: there are as many bytes as the helper is told. A failure leaves them zero.
        unsafe { bpf_get_current_comm(name, refusal.command.len() as u32) };
        // A full ring: it is counted.
        let _told = TOLD.output(refusal, 0);
        REFUSED
    }

    /// `struct file *` of a descriptor of this process; 0: no such file.
    #[inline(always)]
    fn file_of(fd: u32) -> u64 {
        let setting = setting();
        // SAFETY: has no conditions; the place of the task that runs.
        let task = unsafe { bpf_get_current_task() };
        let files: u64 = read(task, setting.task_files);
        let table: u64 = read(files, setting.files_fdt);
        if fd >= read::<u32>(table, setting.fdt_max) {
            return 0;
        }
        let open: u64 = read(table, setting.fdt_files);
        read(open + u64::from(fd) * 8, 0)
    }

    /// The map or link that this process has as a descriptor; 0: no such file. What is not of
    /// that kind gives some number, and the kernel refuses it itself.
    #[inline(always)]
    fn id_of(fd: u32, at: u32) -> u32 {
        let object: u64 = read(file_of(fd), setting().file_private);
        read(object, at)
    }

    #[inline(always)]
    fn super_block_is_ours(sb: u64) -> bool {
        let setting = setting();
        read::<u32>(sb, setting.sb_device) == setting.device
    }

    #[inline(always)]
    fn is_guarded(kind: u32, id: u32) -> bool {
        // SAFETY: the value is not looked at.
        id != 0 && unsafe { GUARDED.get(Guarded { kind, id }) }.is_some()
    }

    /// What a `vfsmount` is a part of.
    #[inline(always)]
    fn mount_of(vfsmount: u64) -> u64 {
        vfsmount - u64::from(setting().mount_mnt)
    }

    /// Where a mount is, and from where it is unmounted.
    #[inline(always)]
    fn look_at(mount: u64) -> GuardedMount {
        let setting = setting();
        let mut groups = [0; GUARDED_GROUPS];
        let mut parent: u64 = read(mount, setting.mount_parent);
        for group in &mut groups {
            *group = read(parent, setting.mount_group);
            parent = read(parent, setting.mount_master);
        }
        GuardedMount {
            mount,
            point: read(mount, setting.mount_point),
            groups,
        }
    }

    /// The daemon asks for an entry of its directory of pins, which is no map, under the password,
    /// and gets EBADF.
    #[inline(always)]
    fn claim(context: &LsmContext, attr: u64) {
        if read::<u64>(attr + ATTR_KEY, 0) != setting().password {
            return;
        }
        let file = file_of(read(attr + ATTR_FD, 0));
        let setting = setting();
        let mounted = look_at(mount_of(read(file, setting.file_path + setting.path_mount)));
        if let Some(place) = MOUNTED.get_ptr_mut(0) {
            // SAFETY: an aligned entry; nobody else knows the password.
            unsafe { ptr::write_volatile(place, mounted) };
        }
        if let Some(owner) = OWNER.get_ptr_mut(0) {
            // SAFETY: an aligned entry of eight bytes; nobody else knows the password.
            unsafe { ptr::write_volatile(owner, u64::from(context.tgid())) };
        }
    }

    #[lsm(hook = "bpf")]
    fn guard_bpf(context: LsmContext) -> i32 {
        let command = argument(&context, 0) as u32;
        let attr = argument(&context, 1);
        let (deed, kind, fd_at) = match command {
            bpf_cmd::BPF_MAP_LOOKUP_ELEM if owner() == 0 => {
                claim(&context, attr);
                return ALLOWED;
            }
            bpf_cmd::BPF_MAP_UPDATE_ELEM => (Deed::MapUpdate, Guarded::MAP, ATTR_FD),
            bpf_cmd::BPF_MAP_UPDATE_BATCH => (Deed::MapUpdate, Guarded::MAP, ATTR_BATCH_FD),
            bpf_cmd::BPF_MAP_DELETE_ELEM | bpf_cmd::BPF_MAP_LOOKUP_AND_DELETE_ELEM => {
                (Deed::MapDelete, Guarded::MAP, ATTR_FD)
            }
            bpf_cmd::BPF_MAP_DELETE_BATCH | bpf_cmd::BPF_MAP_LOOKUP_AND_DELETE_BATCH => {
                (Deed::MapDelete, Guarded::MAP, ATTR_BATCH_FD)
            }
            bpf_cmd::BPF_MAP_FREEZE => (Deed::MapFreeze, Guarded::MAP, ATTR_FD),
            bpf_cmd::BPF_LINK_DETACH => (Deed::LinkDetach, Guarded::LINK, ATTR_FD),
            bpf_cmd::BPF_LINK_UPDATE => (Deed::LinkUpdate, Guarded::LINK, ATTR_FD),
            _ => return ALLOWED,
        };
        if is_allowed(&context) {
            return ALLOWED;
        }
        let setting = setting();
        let at = if kind == Guarded::MAP {
            setting.map_id
        } else {
            setting.link_id
        };
        let id = id_of(read(attr + fd_at, 0), at);
        if is_guarded(kind, id) {
            refuse(&context, deed, id)
        } else {
            ALLOWED
        }
    }

    /// A descriptor of a map is made: notes where a guarded one is.
    #[lsm(hook = "bpf_map")]
    fn guard_bpf_map(context: LsmContext) -> i32 {
        let map = argument(&context, 0);
        let id: u32 = read(map, setting().map_id);
        if is_guarded(Guarded::MAP, id) {
            // There is room for each of them.
            let _noted = PLACES.insert(map, id, 0);
        }
        ALLOWED
    }

    /// Memory that is mapped for reading only stays so (`bpf_map_mmap` of the kernel).
    #[lsm(hook = "mmap_file")]
    fn guard_mmap_file(context: LsmContext) -> i32 {
        if argument(&context, 2) & WRITABLE == 0 {
            return ALLOWED;
        }
        let setting = setting();
        let map: u64 = read(argument(&context, 0), setting.file_private);
        // SAFETY: the value is copied; it is written once.
        let Some(id) = unsafe { PLACES.get(map) }.copied() else {
            return ALLOWED;
        };
        // Another map may be in the place of one that is gone.
        if read::<u32>(map, setting.map_id) != id || !is_guarded(Guarded::MAP, id) || is_allowed(&context) {
            return ALLOWED;
        }
        refuse(&context, Deed::MapMemory, id)
    }

    /// What this directory is to us; 0: nothing.
    #[inline(always)]
    fn directory_of(inode: u64) -> u32 {
        let setting = setting();
        if !super_block_is_ours(read(inode, setting.inode_sb)) {
            return 0;
        }
        let number: u64 = read(inode, setting.inode_number);
        // SAFETY: the value is copied; a value is written once.
        unsafe { DIRECTORIES.get(number) }.copied().unwrap_or(0)
    }

    #[inline(always)]
    fn takes_from_ours(directory: u64) -> bool {
        directory_of(directory) == directory::OURS
    }

    /// The entry is a directory that has to stay where it is.
    #[inline(always)]
    fn is_to_stay(entry: u64) -> bool {
        directory_of(read(entry, setting().dentry_inode)) != 0
    }

    #[lsm(hook = "inode_unlink")]
    fn guard_inode_unlink(context: LsmContext) -> i32 {
        if takes_from_ours(argument(&context, 0)) && !is_allowed(&context) {
            refuse(&context, Deed::Unlink, 0)
        } else {
            ALLOWED
        }
    }

    #[lsm(hook = "inode_rmdir")]
    fn guard_inode_rmdir(context: LsmContext) -> i32 {
        let directory = argument(&context, 0);
        let entry = argument(&context, 1);
        if (takes_from_ours(directory) || is_to_stay(entry)) && !is_allowed(&context) {
            refuse(&context, Deed::Rmdir, 0)
        } else {
            ALLOWED
        }
    }

    #[lsm(hook = "inode_rename")]
    fn guard_inode_rename(context: LsmContext) -> i32 {
        let from = argument(&context, 0);
        let to = argument(&context, 2);
        let entry = argument(&context, 1);
        let over = argument(&context, 3);
        let ours = takes_from_ours(from) || takes_from_ours(to) || is_to_stay(entry) || is_to_stay(over);
        if ours && !is_allowed(&context) {
            refuse(&context, Deed::Rename, 0)
        } else {
            ALLOWED
        }
    }

    /// It would be unmounted where the daemon reaches its pins: because it is that mount, or one
    /// whose end the kernel carries there from another mount namespace. Another mount of the same
    /// file system is another matter, in a container or beside.
    #[inline(always)]
    fn ends_ours(mount: u64) -> bool {
        let Some(ours) = MOUNTED.get(0) else {
            return false;
        };
        if mount == ours.mount {
            return true;
        }
        let setting = setting();
        let parent: u64 = read(mount, setting.mount_parent);
        let group: i32 = read(parent, setting.mount_group);
        group != 0 && read::<u64>(mount, setting.mount_point) == ours.point && ours.groups.contains(&group)
    }

    /// A `vfsmount` is the one by which the daemon reaches its pins, or one that it follows.
    #[inline(always)]
    fn leads_to_ours(vfsmount: u64) -> bool {
        // First, because it costs least and nearly always says no.
        super_block_is_ours(read(vfsmount, setting().vfsmount_sb)) && ends_ours(mount_of(vfsmount))
    }

    /// What is mounted at a `struct path` would cover pins, where the daemon looks for them.
    #[inline(always)]
    fn covers_ours(path: u64) -> bool {
        let setting = setting();
        let entry: u64 = read(path, setting.path_dentry);
        is_to_stay(entry) && leads_to_ours(read(path, setting.path_mount))
    }

    #[lsm(hook = "sb_umount")]
    fn guard_sb_umount(context: LsmContext) -> i32 {
        if leads_to_ours(argument(&context, 0)) && !is_allowed(&context) {
            refuse(&context, Deed::Unmount, 0)
        } else {
            ALLOWED
        }
    }

    /// mount(2): something new, a part of another mount, or one that is moved, over ours; ours with
    /// other options. What ours would be moved to is not told.
    #[lsm(hook = "sb_mount")]
    fn guard_sb_mount(context: LsmContext) -> i32 {
        let flags = argument(&context, 3);
        let only_shares = flags & PLACING == 0 && flags & SHARING != 0;
        if !only_shares && covers_ours(argument(&context, 1)) && !is_allowed(&context) {
            refuse(&context, Deed::Mount, 0)
        } else {
            ALLOWED
        }
    }

    /// move_mount(2), which also mounts what fsmount(2) made.
    #[lsm(hook = "move_mount")]
    fn guard_move_mount(context: LsmContext) -> i32 {
        let from: u64 = read(argument(&context, 0), setting().path_mount);
        if (covers_ours(argument(&context, 1)) || leads_to_ours(from)) && !is_allowed(&context) {
            refuse(&context, Deed::Mount, 0)
        } else {
            ALLOWED
        }
    }

    /// The whole file system is made read-only, by whichever mount and call.
    #[lsm(hook = "sb_remount")]
    fn guard_sb_remount(context: LsmContext) -> i32 {
        if super_block_is_ours(argument(&context, 0)) && !is_allowed(&context) {
            refuse(&context, Deed::Mount, 0)
        } else {
            ALLOWED
        }
    }
}
