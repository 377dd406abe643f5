//! The calls of bpf(2) that aya does not have: plain chunks, freeze, batched
//! updates of CHUNKS, and facts about links. Mappings are in `mapped`.
#![expect(unsafe_code, reason = "bpf(2) is a raw call; every block says why it is sound")]

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
    ptr,
    time::Duration,
};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info, bpf_map_info, bpf_map_type, bpf_prog_info};
use lb_common::abi::{
    chunk::{ChunkId, LINE_BYTES, LINES},
    counters::Counter,
};

pub use super::mapped::{ActiveCell, FlowCells, chunk_holds, fill_chunk, read_chunk};

/// `BPF_F_MMAPABLE` of the kernel's `include/uapi/linux/bpf.h`.
const MMAPABLE: u32 = 1 << 10;

/// One bpf(2) call. Values above zero are descriptors or counts.
fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i64> {
    // SAFETY: the attribute is a whole, zero-filled `bpf_attr` in which the
    // caller set the fields of this command; pointers in it outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attr), size_of::<bpf_attr>()) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

const fn zeroed_attr() -> bpf_attr {
    // SAFETY: a union of plain integers, for which all-zero is a value.
    unsafe { std::mem::zeroed() }
}

fn owned(descriptor: i64) -> OwnedFd {
    // SAFETY: the kernel has just given us this descriptor; nobody else has it.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(descriptor).expect("descriptors are ints")) }
}

fn fd_of(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// A new chunk: the one shape CHUNKS takes.
pub fn create_chunk() -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    // SAFETY: writing plain integers of the command's own part of the union.
    let create = unsafe { &mut attr.__bindgen_anon_1 };
    create.map_type = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
    create.key_size = 4;
    create.value_size = LINE_BYTES as u32;
    create.max_entries = LINES;
    create.map_flags = MMAPABLE;
    for (to, from) in create.map_name.iter_mut().zip(b"holdfast_chunk") {
        *to = from.cast_signed();
    }
    bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr).map(owned)
}

/// A map that nobody reads, to wait with: whatever is written into a slot of an
/// array of maps, the kernel waits until no program is under way that may hold
/// what was there before (`maybe_wait_bpf_programs`).
pub fn create_waiting(inner: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    // SAFETY: writing plain integers of the command's own part of the union.
    let create = unsafe { &mut attr.__bindgen_anon_1 };
    create.map_type = bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS as u32;
    create.key_size = 4;
    create.value_size = 4;
    create.max_entries = 1;
    create.inner_map_fd = fd_of(inner);
    bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr).map(owned)
}

/// An array of `entries` values of `value_bytes` each, all zero.
pub fn create_array(name: &[u8], value_bytes: u32, entries: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    // SAFETY: writing plain integers of the command's own part of the union.
    let create = unsafe { &mut attr.__bindgen_anon_1 };
    create.map_type = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
    create.key_size = 4;
    create.value_size = value_bytes;
    create.max_entries = entries;
    for (to, from) in create.map_name.iter_mut().zip(name) {
        *to = from.cast_signed();
    }
    bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr).map(owned)
}

/// From now on only programs may write the map, and ours do not write chunks
/// (kernel commit 87df15de441b). EBUSY while it is mapped writable.
pub fn freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = fd_of(map);
    bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr).map(drop)
}

/// Writes `maps` into slots of an array of maps: one call, one grace period
/// (the kernel waits in `maybe_wait_bpf_programs` after the whole batch).
pub fn update_slots(outer: BorrowedFd<'_>, maps: &[(ChunkId, BorrowedFd<'_>)]) -> io::Result<()> {
    let keys: Vec<u32> = maps.iter().map(|(slot, _)| u32::from(*slot)).collect();
    let values: Vec<u32> = maps.iter().map(|(_, map)| fd_of(*map)).collect();
    // SAFETY: a descriptor for each key is what this map takes.
    unsafe { update_batch(outer, &keys, values.as_ptr() as u64) }
}

/// Sets entries of a per-CPU array to zero. `value_bytes` is what one entry
/// takes on all CPUs.
pub fn zero_entries(map: BorrowedFd<'_>, keys: &[u32], value_bytes: usize) -> io::Result<()> {
    for keys in keys.chunks(BATCH) {
        let zeros = vec![0_u64; (keys.len() * value_bytes).div_ceil(size_of::<u64>())];
        // SAFETY: the zeros are as long as the values of all keys.
        unsafe { update_batch(map, keys, zeros.as_ptr() as u64)? };
    }
    Ok(())
}

/// Writes entries of an array of counters.
pub fn write_entries(map: BorrowedFd<'_>, keys: &[u32], values: &[Counter]) -> io::Result<()> {
    for (keys, values) in keys.chunks(BATCH).zip(values.chunks(BATCH)) {
        // SAFETY: there is a value for each of the keys.
        unsafe { update_batch(map, keys, values.as_ptr() as u64)? };
    }
    Ok(())
}

/// Reads the entries before `end` of a per-CPU array, in order. Each is given
/// as it is on all CPUs, `value_bytes` in all (kernel commit f008d732ab18).
pub fn read_entries(map: BorrowedFd<'_>, end: u32, value_bytes: usize, mut entry: impl FnMut(&[u8])) -> io::Result<()> {
    let mut keys = [0_u32; BATCH];
    // Eight bytes aligned, as the values are.
    let mut values = vec![0_u64; (BATCH * value_bytes).div_ceil(size_of::<u64>())];
    let mut last = 0_u32;
    let mut done = 0;
    while done < end {
        let mut attr = zeroed_attr();
        attr.batch.map_fd = fd_of(map);
        attr.batch.in_batch = if done == 0 { 0 } else { ptr::from_ref(&last) as u64 };
        let mut next = 0_u32;
        attr.batch.out_batch = ptr::from_mut(&mut next) as u64;
        attr.batch.keys = keys.as_mut_ptr() as u64;
        attr.batch.values = values.as_mut_ptr() as u64;
        attr.batch.count = (end - done).min(BATCH as u32);
        match bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) {
            Ok(_) => {}
            // The end of the map, with the entries before it.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
        // SAFETY: the kernel wrote the number of entries it gave.
        let given = unsafe { attr.batch.count };
        if given == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes: &[u8] = bytemuck::cast_slice(&values);
        bytes.chunks(value_bytes).take(given as usize).for_each(&mut entry);
        done += given;
        last = next;
    }
    Ok(())
}

/// Entries of a per-CPU array that are read or written with one call.
const BATCH: usize = 1_024;

/// Empties slots one by one: an array of maps has no batched delete. Each
/// waits for a grace period.
pub fn delete_slot(outer: BorrowedFd<'_>, slot: ChunkId) -> io::Result<()> {
    let key = u32::from(slot);
    let mut attr = zeroed_attr();
    // SAFETY: writing plain integers of the command's own part of the union.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = fd_of(outer);
    element.key = ptr::from_ref(&key) as u64;
    match bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Deletes an entry, as somebody who is not the daemon does.
pub fn delete_entry(map: BorrowedFd<'_>, key: u32) -> io::Result<()> {
    let mut attr = zeroed_attr();
    // SAFETY: writing plain integers of the command's own part of the union.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = fd_of(map);
    element.key = ptr::from_ref(&key) as u64;
    bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr).map(drop)
}

/// Writes an entry of a map that is not per CPU.
pub fn write_value(map: BorrowedFd<'_>, key: u32, value: &[u8]) -> io::Result<()> {
    if map_shape(map)?.value_bytes as usize != value.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut attr = zeroed_attr();
    // SAFETY: writing plain integers of the command's own part of the union.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = fd_of(map);
    element.key = ptr::from_ref(&key) as u64;
    element.__bindgen_anon_1.value = value.as_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// Reads an entry of a map that is not per CPU.
pub fn read_value(map: BorrowedFd<'_>, key: u32) -> io::Result<Vec<u8>> {
    let mut value = vec![0_u8; map_shape(map)?.value_bytes as usize];
    let mut attr = zeroed_attr();
    // SAFETY: writing plain integers of the command's own part of the union.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = fd_of(map);
    element.key = ptr::from_ref(&key) as u64;
    element.__bindgen_anon_1.value = value.as_mut_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr)?;
    Ok(value)
}

/// Writes many entries with one call.
///
/// # Safety
/// `values` points to a value of this map for each of the keys.
unsafe fn update_batch(map: BorrowedFd<'_>, keys: &[u32], values: u64) -> io::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut attr = zeroed_attr();
    attr.batch.map_fd = fd_of(map);
    attr.batch.keys = keys.as_ptr() as u64;
    attr.batch.values = values;
    attr.batch.count = u32::try_from(keys.len()).expect("a batch is smaller than a map");
    bpf(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attr)?;
    // SAFETY: the kernel wrote the number of entries it took.
    let done = unsafe { attr.batch.count } as usize;
    if done == keys.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// The id of the map in a slot; `None`: it is empty.
pub fn map_id_in_slot(outer: BorrowedFd<'_>, slot: ChunkId) -> io::Result<Option<u32>> {
    let key = u32::from(slot);
    let mut id = 0_u32;
    let mut attr = zeroed_attr();
    // SAFETY: writing plain integers of the command's own part of the union.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = fd_of(outer);
    element.key = ptr::from_ref(&key) as u64;
    element.__bindgen_anon_1.value = ptr::from_mut(&mut id) as u64;
    match bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) {
        Ok(_) => Ok(Some(id)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The slots that are not empty, with the ids of their maps, a thousand at a time; an
/// error on older kernels, which give up at an empty slot.
pub fn map_ids_in_slots(outer: BorrowedFd<'_>) -> io::Result<Vec<(ChunkId, u32)>> {
    let (mut slots, mut ids) = ([0_u32; BATCH], [0_u32; BATCH]);
    let mut found = Vec::new();
    let mut last: Option<u32> = None;
    loop {
        let mut next = 0_u32;
        let mut attr = zeroed_attr();
        attr.batch.map_fd = fd_of(outer);
        attr.batch.in_batch = last.as_ref().map_or(0, |last| ptr::from_ref(last) as u64);
        attr.batch.out_batch = ptr::from_mut(&mut next) as u64;
        attr.batch.keys = slots.as_mut_ptr() as u64;
        attr.batch.values = ids.as_mut_ptr() as u64;
        attr.batch.count = BATCH as u32;
        let end = match bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) {
            Ok(_) => false,
            // The end of the map, with the entries before it.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        // SAFETY: the kernel wrote the number of entries it gave.
        let given = unsafe { attr.batch.count } as usize;
        found.extend(slots.into_iter().map(|slot| slot as ChunkId).zip(ids).take(given));
        if end {
            return Ok(found);
        }
        last = Some(next);
    }
}

/// A descriptor of the map with this id (wants CAP_SYS_ADMIN).
pub fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_6.__bindgen_anon_1.map_id = id;
    bpf(bpf_cmd::BPF_MAP_GET_FD_BY_ID, &mut attr).map(owned)
}

/// Asks for an entry of a directory as if it were a map: the guard hears the key and looks at the
/// directory, and the kernel answers EBADF or EINVAL.
pub fn say_password(password: u64, directory: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed_attr();
    // SAFETY: writing plain integers of the command's own part of the union.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = fd_of(directory);
    element.key = password;
    match bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) {
        Err(error) if ![Some(libc::EBADF), Some(libc::EINVAL)].contains(&error.raw_os_error()) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Opens what is pinned at `path`.
pub fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    bpf(bpf_cmd::BPF_OBJ_GET, &mut attr).map(owned)
}

/// Pins an object at `path`.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = fd_of(object);
    bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(drop)
}

/// Puts another program on a link, without a packet in between missing one.
pub fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.link_update.link_fd = fd_of(link);
    attr.link_update.__bindgen_anon_1.new_prog_fd = fd_of(program);
    bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr).map(drop)
}

/// Takes the program off the interface, whoever else holds the link.
pub fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.link_detach.link_fd = fd_of(link);
    bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr).map(drop)
}

/// A link's program and interface; interface 0: it is attached to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    pub id: u32,
    pub program_id: u32,
    pub ifindex: u32,
}

pub fn link_facts(link: BorrowedFd<'_>) -> io::Result<LinkFacts> {
    // SAFETY: plain integers, for which all-zero is a value.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    object_info(link, ptr::from_mut(&mut info).cast(), size_of::<bpf_link_info>())?;
    Ok(LinkFacts {
        id: info.id,
        program_id: info.prog_id,
        // SAFETY: the link is one of XDP, whose part of the union this is.
        ifindex: unsafe { info.__bindgen_anon_1.xdp.ifindex },
    })
}

/// Whether somebody (NTP, PTP) keeps the clock right (adjtimex(2)).
pub fn clock_is_synchronised() -> io::Result<bool> {
    // SAFETY: plain integers, for which all-zero is a value: nothing is set.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: a whole `timex` that outlives the call.
    if unsafe { libc::adjtimex(&raw mut clock) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(clock.status & libc::STA_UNSYNC == 0)
}

/// The id of a map.
pub fn map_id(map: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: plain integers, for which all-zero is a value.
    let mut info: bpf_map_info = unsafe { std::mem::zeroed() };
    object_info(map, ptr::from_mut(&mut info).cast(), size_of::<bpf_map_info>())?;
    Ok(info.id)
}

/// How long a program ran, and how often, while statistics were on.
pub fn program_run(program: BorrowedFd<'_>) -> io::Result<(Duration, u64)> {
    // SAFETY: plain integers, for which all-zero is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    object_info(program, ptr::from_mut(&mut info).cast(), size_of::<bpf_prog_info>())?;
    Ok((Duration::from_nanos(info.run_time_ns), info.run_cnt))
}

/// Ids of the maps that a program has. By its descriptor: by its id, as aya asks, it is only
/// for CAP_SYS_ADMIN.
pub fn program_maps(program: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    // SAFETY: plain integers, for which all-zero is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    // `MAX_USED_MAPS` of the kernel's include/linux/bpf.h.
    let mut ids = vec![0_u32; 64];
    info.nr_map_ids = ids.len() as u32;
    info.map_ids = ids.as_mut_ptr() as u64;
    object_info(program, ptr::from_mut(&mut info).cast(), size_of::<bpf_prog_info>())?;
    ids.truncate(info.nr_map_ids as usize);
    Ok(ids)
}

/// What a map is, for telling whether another build's fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// `BPF_MAP_TYPE_*`.
    pub kind: u32,
    pub key_bytes: u32,
    pub value_bytes: u32,
    pub entries: u32,
}

impl std::fmt::Display for MapShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            kind,
            key_bytes,
            value_bytes,
            entries,
        } = self;
        write!(
            f,
            "{entries} entries of {key_bytes}+{value_bytes} bytes (map type {kind})"
        )
    }
}

pub fn map_shape(map: BorrowedFd<'_>) -> io::Result<MapShape> {
    // SAFETY: plain integers, for which all-zero is a value.
    let mut info: bpf_map_info = unsafe { std::mem::zeroed() };
    object_info(map, ptr::from_mut(&mut info).cast(), size_of::<bpf_map_info>())?;
    Ok(MapShape {
        kind: info.type_,
        key_bytes: info.key_size,
        value_bytes: info.value_size,
        entries: info.max_entries,
    })
}

fn object_info(object: BorrowedFd<'_>, info: *mut libc::c_void, len: usize) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.info.bpf_fd = fd_of(object);
    attr.info.info = info as u64;
    attr.info.info_len = u32::try_from(len).expect("the structs are small");
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(drop)
}

/// Whether writing to a map by system call is refused, without writing: an
/// empty batch would succeed, so entry `LINES` is asked for, which is out of
/// range; the kernel looks at the freeze first.
pub fn is_frozen(chunk: BorrowedFd<'_>) -> io::Result<bool> {
    let key = LINES;
    let value = [0_u8; LINE_BYTES];
    let mut attr = zeroed_attr();
    // SAFETY: writing plain integers of the command's own part of the union.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = fd_of(chunk);
    element.key = ptr::from_ref(&key) as u64;
    element.__bindgen_anon_1.value = value.as_ptr() as u64;
    match bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::E2BIG) => Ok(false),
        Err(error) => Err(error),
        Ok(_) => Ok(false),
    }
}

/// Supplementary groups of whoever connected a unix socket, as of then
/// (`SO_PEERGROUPS`, kernel commit 28b5ba2aa0f5, 4.13).
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    // As many as a process can have (NGROUPS_MAX).
    let mut groups = vec![0_u32; 65_536];
    let mut length = size_of_val(groups.as_slice()) as libc::socklen_t;
    // SAFETY: the buffer has `length` bytes and outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(length as usize / size_of::<u32>());
    Ok(groups)
}
