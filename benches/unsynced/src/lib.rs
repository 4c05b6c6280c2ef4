//! A file layer for crash tests, put under a process with `LD_PRELOAD`: what is written to a database file stays in the
//! memory of the process until it is synced, so `kill -9` loses it, as a power cut would. Linux on x86_64 and aarch64.
//!
//! Files whose name ends in `.db` or `.db-wal` are layered; the shared-memory index (`-shm`) is not, because SQLite makes
//! it anew from the log. Reads see unsynced writes; `fsync` and `fdatasync` bring them to the file.

// The C library's functions are taken over one by one, so every function here is foreign.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use libc::{
    SYS_close, SYS_fstat, SYS_fsync, SYS_ftruncate, SYS_lseek, SYS_openat, SYS_pread64, SYS_pwrite64, c_char, c_int,
    c_void, off_t, size_t, ssize_t, stat as Stat,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

const BLOCK: u64 = 4096;

/// A file's unsynced part.
#[derive(Default)]
struct Layer {
    /// Whole blocks by number, as they will be.
    blocks: BTreeMap<u64, Box<[u8; BLOCK as usize]>>,
    /// The size as it will be; `None`: as it is.
    size: Option<u64>,
}

#[derive(Default)]
struct Files {
    /// Layered descriptors and the file that each is open on (device and inode), with its position.
    open: HashMap<c_int, ((u64, u64), u64)>,
    layers: HashMap<(u64, u64), Layer>,
}

static FILES: LazyLock<Mutex<Files>> = LazyLock::new(Mutex::default);

fn files() -> MutexGuard<'static, Files> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn real_stat(fd: c_int) -> Option<Stat> {
    let mut stat = std::mem::MaybeUninit::<Stat>::zeroed();
    // SAFETY: fstat fills the struct that it is given; it is read only when the call succeeded.
    unsafe { (libc::syscall(SYS_fstat, fd, stat.as_mut_ptr()) == 0).then(|| stat.assume_init()) }
}

fn real_size(fd: c_int) -> u64 {
    real_stat(fd).map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0))
}

fn real_pread(fd: c_int, buffer: &mut [u8], at: u64) -> isize {
    // SAFETY: the buffer is valid for its length.
    unsafe { libc::syscall(SYS_pread64, fd, buffer.as_mut_ptr(), buffer.len(), at) as isize }
}

impl Layer {
    fn size(&self, fd: c_int) -> u64 {
        self.size.unwrap_or_else(|| real_size(fd))
    }

    fn block(&mut self, fd: c_int, number: u64) -> &mut [u8; BLOCK as usize] {
        let limit = self.size(fd);
        self.blocks.entry(number).or_insert_with(|| {
            let mut block = Box::new([0u8; BLOCK as usize]);
            let start = number * BLOCK;
            let most = usize::try_from(limit.saturating_sub(start).min(BLOCK)).unwrap_or(0);
            let _ = real_pread(fd, &mut block[..most], start);
            block
        })
    }

    fn write(&mut self, fd: c_int, bytes: &[u8], at: u64) {
        let before = self.size(fd);
        let mut done = 0usize;
        while done < bytes.len() {
            let place = at + done as u64;
            let within = usize::try_from(place % BLOCK).unwrap_or(0);
            let count = (bytes.len() - done).min(BLOCK as usize - within);
            self.block(fd, place / BLOCK)[within..within + count].copy_from_slice(&bytes[done..done + count]);
            done += count;
        }
        self.size = Some(before.max(at + bytes.len() as u64));
    }

    fn read(&self, fd: c_int, buffer: &mut [u8], at: u64) -> usize {
        let size = self.size(fd);
        let length = usize::try_from(size.saturating_sub(at).min(buffer.len() as u64)).unwrap_or(0);
        let buffer = &mut buffer[..length];
        buffer.fill(0);
        let _ = real_pread(fd, buffer, at);
        let mut done = 0usize;
        while done < length {
            let place = at + done as u64;
            let within = usize::try_from(place % BLOCK).unwrap_or(0);
            let count = (length - done).min(BLOCK as usize - within);
            if let Some(block) = self.blocks.get(&(place / BLOCK)) {
                buffer[done..done + count].copy_from_slice(&block[within..within + count]);
            }
            done += count;
        }
        length
    }

    fn truncate(&mut self, fd: c_int, size: u64) {
        let edge = size / BLOCK;
        if !size.is_multiple_of(BLOCK) {
            let within = usize::try_from(size % BLOCK).unwrap_or(0);
            self.block(fd, edge)[within..].fill(0);
        }
        self.blocks.retain(|number, _| number * BLOCK < size);
        // What the file itself holds beyond the new end must not show again when it grows.
        let real = real_size(fd);
        let mut number = size.div_ceil(BLOCK);
        while number * BLOCK < real {
            self.blocks.insert(number, Box::new([0u8; BLOCK as usize]));
            number += 1;
        }
        self.size = Some(size);
    }

    fn sync(&mut self, fd: c_int) -> c_int {
        let Some(size) = self.size.take() else { return 0 };
        for (number, block) in std::mem::take(&mut self.blocks) {
            let start = number * BLOCK;
            let count = usize::try_from(size.saturating_sub(start).min(BLOCK)).unwrap_or(0);
            // SAFETY: the block is valid for `count` bytes.
            if count > 0 && unsafe { libc::syscall(SYS_pwrite64, fd, block.as_ptr(), count, start) } != count as i64 {
                return -1;
            }
        }
        // SAFETY: plain system call on a descriptor of the caller.
        unsafe { libc::syscall(SYS_ftruncate, fd, size) as c_int }
    }
}

/// Runs `act` on the layer of a layered descriptor.
fn layered<T>(fd: c_int, act: impl FnOnce(&mut Layer, &mut u64) -> T) -> Option<T> {
    let mut files = files();
    let files = &mut *files;
    let (key, position) = files.open.get_mut(&fd)?;
    Some(act(files.layers.entry(*key).or_default(), position))
}

fn opened(fd: c_int, path: *const c_char) -> c_int {
    if fd >= 0 && !path.is_null() {
        // SAFETY: the caller gave a C string to open().
        let name = unsafe { std::ffi::CStr::from_ptr(path) }.to_bytes();
        if (name.ends_with(b".db") || name.ends_with(b".db-wal"))
            && let Some(stat) = real_stat(fd)
        {
            files().open.insert(fd, ((stat.st_dev, stat.st_ino), 0));
        }
    }
    fd
}

/// open(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    // SAFETY: handed through as it came.
    opened(unsafe { libc::syscall(SYS_openat, libc::AT_FDCWD, path, flags, mode) as c_int }, path)
}

/// open64(3)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    // SAFETY: as `open`.
    unsafe { open(path, flags, mode) }
}

/// close(2). What was not synced stays with the file's layer, as it would in the page cache.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(fd: c_int) -> c_int {
    files().open.remove(&fd);
    // SAFETY: handed through as it came.
    unsafe { libc::syscall(SYS_close, fd) as c_int }
}

/// pwrite(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(fd: c_int, buffer: *const c_void, count: size_t, at: off_t) -> ssize_t {
    // SAFETY: the caller's buffer is valid for `count` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), count) };
    match layered(fd, |layer, _| layer.write(fd, bytes, at as u64)) {
        Some(()) => count as ssize_t,
        // SAFETY: handed through as it came.
        None => unsafe { libc::syscall(SYS_pwrite64, fd, buffer, count, at) as ssize_t },
    }
}

/// pwrite(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(fd: c_int, buffer: *const c_void, count: size_t, at: off_t) -> ssize_t {
    // SAFETY: as `pwrite64`.
    unsafe { pwrite64(fd, buffer, count, at) }
}

/// write(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, buffer: *const c_void, count: size_t) -> ssize_t {
    // SAFETY: the caller's buffer is valid for `count` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), count) };
    let done = layered(fd, |layer, position| {
        layer.write(fd, bytes, *position);
        *position += count as u64;
    });
    match done {
        Some(()) => count as ssize_t,
        // SAFETY: handed through as it came.
        None => unsafe { libc::syscall(libc::SYS_write, fd, buffer, count) as ssize_t },
    }
}

/// pread(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pread64(fd: c_int, buffer: *mut c_void, count: size_t, at: off_t) -> ssize_t {
    // SAFETY: the caller's buffer is valid for `count` bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), count) };
    match layered(fd, |layer, _| layer.read(fd, bytes, at as u64)) {
        Some(read) => read as ssize_t,
        // SAFETY: handed through as it came.
        None => unsafe { libc::syscall(SYS_pread64, fd, buffer, count, at) as ssize_t },
    }
}

/// pread(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pread(fd: c_int, buffer: *mut c_void, count: size_t, at: off_t) -> ssize_t {
    // SAFETY: as `pread64`.
    unsafe { pread64(fd, buffer, count, at) }
}

/// read(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, count: size_t) -> ssize_t {
    // SAFETY: the caller's buffer is valid for `count` bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), count) };
    let done = layered(fd, |layer, position| {
        let read = layer.read(fd, bytes, *position);
        *position += read as u64;
        read
    });
    match done {
        Some(read) => read as ssize_t,
        // SAFETY: handed through as it came.
        None => unsafe { libc::syscall(libc::SYS_read, fd, buffer, count) as ssize_t },
    }
}

/// lseek(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lseek64(fd: c_int, offset: off_t, whence: c_int) -> off_t {
    let moved = layered(fd, |layer, position| {
        let base = match whence {
            libc::SEEK_SET => 0,
            libc::SEEK_CUR => *position,
            _ => layer.size(fd),
        };
        *position = base.saturating_add_signed(offset);
        *position as off_t
    });
    // SAFETY: handed through as it came.
    moved.unwrap_or_else(|| unsafe { libc::syscall(SYS_lseek, fd, offset, whence) })
}

/// lseek(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lseek(fd: c_int, offset: off_t, whence: c_int) -> off_t {
    // SAFETY: as `lseek64`.
    unsafe { lseek64(fd, offset, whence) }
}

/// ftruncate(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(fd: c_int, size: off_t) -> c_int {
    match layered(fd, |layer, _| layer.truncate(fd, size as u64)) {
        Some(()) => 0,
        // SAFETY: handed through as it came.
        None => unsafe { libc::syscall(SYS_ftruncate, fd, size) as c_int },
    }
}

/// ftruncate(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate(fd: c_int, size: off_t) -> c_int {
    // SAFETY: as `ftruncate64`.
    unsafe { ftruncate64(fd, size) }
}

/// fsync(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    if layered(fd, |layer, _| layer.sync(fd)).is_some_and(|result| result != 0) {
        return -1;
    }
    // SAFETY: handed through as it came.
    unsafe { libc::syscall(SYS_fsync, fd) as c_int }
}

/// fdatasync(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: as `fsync`.
    unsafe { fsync(fd) }
}

/// fstat(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstat64(fd: c_int, into: *mut Stat) -> c_int {
    // SAFETY: handed through as it came; the struct is filled when the call succeeded.
    unsafe {
        let result = libc::syscall(SYS_fstat, fd, into) as c_int;
        if result == 0
            && let Some(size) = layered(fd, |layer, _| layer.size(fd))
        {
            (*into).st_size = size as off_t;
        }
        result
    }
}

/// fstat(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstat(fd: c_int, into: *mut Stat) -> c_int {
    // SAFETY: as `fstat64`.
    unsafe { fstat64(fd, into) }
}

/// stat(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stat64(path: *const c_char, into: *mut Stat) -> c_int {
    // SAFETY: handed through as it came; the struct is filled when the call succeeded.
    unsafe {
        let result = libc::syscall(libc::SYS_newfstatat, libc::AT_FDCWD, path, into, 0) as c_int;
        if result == 0
            && let Some(Layer { size: Some(size), .. }) = files().layers.get(&((*into).st_dev, (*into).st_ino))
        {
            (*into).st_size = *size as off_t;
        }
        result
    }
}

/// stat(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stat(path: *const c_char, into: *mut Stat) -> c_int {
    // SAFETY: as `stat64`.
    unsafe { stat64(path, into) }
}
