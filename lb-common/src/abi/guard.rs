//! The maps of `guard`: what it refuses to others, and what it refused.

use bytemuck::{Pod, Zeroable};

/// Pinned maps that can be guarded, the guard's own among them. A daemon that has more guards the
/// first ones.
pub const GUARDED_OBJECTS: u32 = 256;
/// Directories of pins that can be guarded.
pub const GUARDED_DIRECTORIES: u32 = 64;
/// Bytes of the ring of refusals: some hundreds. One that finds no room is counted all the same.
pub const REFUSAL_RING_BYTES: u32 = 64 << 10;

/// Where the running kernel has what the guard reads, in bytes from the start of each struct: the
/// loader found it in the kernel's BTF. And whom it guards for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GuardSetting {
    /// The daemon says it once, and is known from then on: see `guard.rs` of lb-ebpf.
    pub password: u64,
    /// `inode.i_sb.s_dev` of the pins' file system, as the kernel writes it.
    pub device: u32,
    /// `task_struct.files`
    pub task_files: u32,
    /// `files_struct.fdt`
    pub files_fdt: u32,
    /// `fdtable.max_fds`
    pub fdt_max: u32,
    /// `fdtable.fd`
    pub fdt_files: u32,
    /// `file.f_path`
    pub file_path: u32,
    /// `path.mnt`
    pub path_mount: u32,
    /// `path.dentry`
    pub path_dentry: u32,
    /// `file.private_data`
    pub file_private: u32,
    /// `bpf_map.id`
    pub map_id: u32,
    /// `bpf_link.id`
    pub link_id: u32,
    /// `inode.i_sb`
    pub inode_sb: u32,
    /// `inode.i_ino`
    pub inode_number: u32,
    /// `super_block.s_dev`
    pub sb_device: u32,
    /// `dentry.d_inode`
    pub dentry_inode: u32,
    /// `vfsmount.mnt_sb`
    pub vfsmount_sb: u32,
    /// `mount.mnt`, a `vfsmount`: what the kernel hands around is a pointer to it.
    pub mount_mnt: u32,
    /// `mount.mnt_parent`
    pub mount_parent: u32,
    /// `mount.mnt_mountpoint`
    pub mount_point: u32,
    /// `mount.mnt_group_id`
    pub mount_group: u32,
    /// `mount.mnt_master`
    pub mount_master: u32,
    /// Zero: the struct is as long as its alignment wants it.
    pub unused: u32,
}

/// Groups of mounts that one is in or gets its changes from, at most. A service of its own has
/// two; each container around it is one more.
pub const GUARDED_GROUPS: usize = 4;

/// Where the file system of the pins is mounted: the only entry of MOUNTED.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GuardedMount {
    /// `struct mount *` of the mount by which the daemon reaches its pins.
    pub mount: u64,
    /// `struct dentry *` that it covers. The copies of a mount in other mount namespaces
    /// cover the same.
    pub point: u64,
    /// `mnt_group_id` of its parent, of the parent's master, of that one's master. Zero: none.
    /// What is unmounted from one of them is unmounted from the parent (Documentation/
    /// filesystems/sharedsubtree.rst).
    pub groups: [i32; GUARDED_GROUPS],
}

/// A key of GUARDED: a map or a link, by the kernel's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
#[repr(C)]
pub struct Guarded {
    /// [`Guarded::MAP`] or [`Guarded::LINK`].
    pub kind: u32,
    pub id: u32,
}

impl Guarded {
    pub const MAP: u32 = 1;
    pub const LINK: u32 = 2;
}

/// A value of DIRECTORIES, whose key is the number of the inode.
pub mod directory {
    /// Nothing is taken out of it, and it stays where it is.
    pub const OURS: u32 = 1;
    /// It leads to ours, and stays where it is; what else is in it is not ours.
    pub const ABOVE: u32 = 2;
}

/// What somebody else wanted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Deed {
    /// Write an entry of a map, or many.
    MapUpdate,
    /// Delete an entry of a map, or many.
    MapDelete,
    /// Freeze a map: then the daemon could not write it either.
    MapFreeze,
    /// Map a map's memory for writing.
    MapMemory,
    LinkDetach,
    /// Put another program on a link.
    LinkUpdate,
    /// Remove a pin.
    Unlink,
    /// Move or replace a pin or a directory of pins.
    Rename,
    /// Remove a directory of pins.
    Rmdir,
    /// Unmount the file system of the pins.
    Unmount,
    /// Mount something over pins, move the mount of their file system, or mount it anew
    /// with other options.
    Mount,
}

impl Deed {
    pub const ALL: [Self; 11] = [
        Self::MapUpdate,
        Self::MapDelete,
        Self::MapFreeze,
        Self::MapMemory,
        Self::LinkDetach,
        Self::LinkUpdate,
        Self::Unlink,
        Self::Rename,
        Self::Rmdir,
        Self::Unmount,
        Self::Mount,
    ];

    /// Of a link, not of a map or a pin.
    #[must_use]
    pub const fn is_of_a_link(self) -> bool {
        matches!(self, Self::LinkDetach | Self::LinkUpdate)
    }

    /// As metrics and events name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MapUpdate => "mapUpdate",
            Self::MapDelete => "mapDelete",
            Self::MapFreeze => "mapFreeze",
            Self::MapMemory => "mapMemory",
            Self::LinkDetach => "linkDetach",
            Self::LinkUpdate => "linkUpdate",
            Self::Unlink => "unlink",
            Self::Rename => "rename",
            Self::Rmdir => "rmdir",
            Self::Unmount => "unmount",
            Self::Mount => "mount",
        }
    }
}

/// One entry of the ring of refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Refusal {
    /// [`Deed`]
    pub deed: u32,
    /// Of the process, as the first namespace numbers it.
    pub pid: u32,
    pub uid: u32,
    /// Id of the map or link; 0: a pin.
    pub object: u32,
    /// Of the thread, ended by a zero if it is shorter.
    pub command: [u8; 16],
}

const _: () = assert!(size_of::<GuardSetting>() == 96);
const _: () = assert!(size_of::<GuardedMount>() == 32);
const _: () = assert!(size_of::<Guarded>() == 8);
const _: () = assert!(size_of::<Refusal>() == 32);
