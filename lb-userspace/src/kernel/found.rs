//! What serves, as every version can read it, and as much more as its formats are
//! ours.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use lb_common::abi::{
    active::Active,
    chunk::{CHUNK_BYTES, ChunkId},
    root::{MAGIC, RootHeader},
};

use super::{
    ChunkImage, beside, chunks,
    pins::{map_path, open_pin},
    sys,
};

/// The root of what serves, of any layout.
#[derive(Debug)]
pub struct FoundRoot {
    pub image: ChunkImage,
    directory: PathBuf,
    chunks: OwnedFd,
}

impl FoundRoot {
    /// `None`: nothing is published below `directory`, or it cannot be read.
    #[must_use]
    pub fn read(directory: &Path) -> Option<Self> {
        let open = |name| open_pin(&map_path(directory, name)).ok();
        let active = Active(sys::ActiveCell::map(open("ACTIVE")?).ok()?.load());
        let mut found = Self {
            image: ChunkImage::zeroed(),
            directory: directory.to_owned(),
            chunks: open("CHUNKS")?,
        };
        found.image = found.chunk(active.root())?;
        (found.header().magic == MAGIC).then_some(found)
    }

    /// As far as `lb_common::abi::root` says, it means the same in every version.
    #[must_use]
    pub fn header(&self) -> &RootHeader {
        self.image.line(0)
    }

    /// The content of a slot; `None`: it is empty, or no chunk as we know them.
    #[must_use]
    pub fn chunk(&self, slot: ChunkId) -> Option<ChunkImage> {
        let id = sys::map_id_in_slot(self.chunks.as_fd(), slot).ok()??;
        // Where maps have changed places and chunks have not yet.
        let places = [self.directory.clone(), beside::set(&self.directory)];
        let chunk = places.iter().find_map(|place| chunks::open(place, id).ok())?;
        let mut bytes = vec![0; CHUNK_BYTES];
        sys::read_chunk(chunk.as_fd(), &mut bytes).ok()?;
        Some(ChunkImage::from_bytes(&bytes))
    }

    /// Id of the root's map.
    pub(super) fn root_id(directory: &Path) -> Option<u32> {
        let open = |name| open_pin(&map_path(directory, name)).ok();
        let active = Active(sys::ActiveCell::map(open("ACTIVE")?).ok()?.load());
        sys::map_id_in_slot(open("CHUNKS")?.as_fd(), active.root()).ok()?
    }
}
