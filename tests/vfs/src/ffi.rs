//! The C side: SQLite calls these functions, they call [`Disk`].

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::Arc;

use libsqlite3_sys as sys;

use crate::disk::{Disk, Inode};
use crate::shm::{Held, Shm};

/// What SQLite allocates for an open file: its own header, then our pointer.
#[repr(C)]
struct OpenFile {
    base: sys::sqlite3_file,
    handle: *mut Handle,
}

/// One connection to one file.
struct Handle {
    disk: Arc<Disk>,
    inode: Inode,
    /// Who it is among the holders of locks.
    id: u64,
    delete_on_close: bool,
    shm: Option<Arc<Shm>>,
    held: Held,
}

/// Registers a file system that lives until the process ends.
#[expect(clippy::panic, reason = "a test cannot go on without it")]
pub(crate) fn register(name: &str, disk: Arc<Disk>) {
    let Ok(name) = CString::new(name) else { panic!("a zero byte in the name") };
    // SAFETY: all zero is a valid `sqlite3_vfs`: null pointers and absent functions.
    let mut vfs: sys::sqlite3_vfs = unsafe { std::mem::zeroed() };
    vfs.iVersion = 1;
    vfs.szOsFile = c_int::try_from(size_of::<OpenFile>()).unwrap_or(c_int::MAX);
    vfs.mxPathname = 1024;
    vfs.zName = name.into_raw();
    vfs.pAppData = Arc::into_raw(disk).cast_mut().cast();
    vfs.xOpen = Some(open);
    vfs.xDelete = Some(delete);
    vfs.xAccess = Some(access);
    vfs.xFullPathname = Some(full_path_name);
    vfs.xGetLastError = Some(last_error);
    // SAFETY: initialises SQLite and gives its default file system, which lives as long as it does.
    let default = unsafe {
        sys::sqlite3_initialize();
        sys::sqlite3_vfs_find(std::ptr::null()).as_ref()
    };
    let Some(default) = default else { panic!("SQLite has no file system") };
    // Time and randomness do not look at the file system they are called with.
    vfs.xRandomness = default.xRandomness;
    vfs.xSleep = default.xSleep;
    vfs.xCurrentTime = default.xCurrentTime;
    // SAFETY: the structure is leaked, so SQLite may keep it.
    let result = unsafe { sys::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0) };
    assert_eq!(result, sys::SQLITE_OK, "SQLite refused the file system");
}

static METHODS: sys::sqlite3_io_methods = sys::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// SAFETY: `vfs` must be one of ours.
unsafe fn disk_of(vfs: *mut sys::sqlite3_vfs) -> Arc<Disk> {
    // SAFETY: `pAppData` came from `Arc::into_raw` and is never given back, so counting up is sound.
    unsafe {
        let disk: *const Disk = (*vfs).pAppData.cast_const().cast();
        Arc::increment_strong_count(disk);
        Arc::from_raw(disk)
    }
}

/// SAFETY: `file` must be open and ours; SQLite uses one connection from one thread at a time.
unsafe fn handle_of<'a>(file: *mut sys::sqlite3_file) -> &'a mut Handle {
    // SAFETY: as above; `open` put the handle there and `close` takes it.
    unsafe { &mut *(*file.cast::<OpenFile>()).handle }
}

/// SAFETY: `name` must be null or end with a zero byte.
unsafe fn text_of(name: *const c_char) -> Option<String> {
    // SAFETY: as above.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}

fn size(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

unsafe extern "C" fn open(
    vfs: *mut sys::sqlite3_vfs,
    name: *const c_char,
    file: *mut sys::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes the file system it was given, its own name and room for an `OpenFile`.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let (disk, name) = (disk_of(vfs), text_of(name));
        let mut state = disk.state();
        let found = name.as_deref().and_then(|name| state.find(name));
        let inode = match found {
            Some(inode) => inode,
            None if name.is_some() && flags & sys::SQLITE_OPEN_CREATE == 0 => {
                return sys::SQLITE_CANTOPEN;
            }
            None => state.create(name.as_deref()),
        };
        let id = state.number();
        drop(state);
        let delete_on_close = name.is_none();
        let handle = Handle { disk, inode, id, delete_on_close, shm: None, held: Held::default() };
        (*file.cast::<OpenFile>()).handle = Box::into_raw(Box::new(handle));
        (*file).pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
        sys::SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut sys::sqlite3_vfs, name: *const c_char, _: c_int) -> c_int {
    // SAFETY: SQLite passes the file system it was given and a name.
    let (disk, name) = unsafe { (disk_of(vfs), text_of(name)) };
    match disk.state().delete(&name.unwrap_or_default()) {
        true => sys::SQLITE_OK,
        false => sys::SQLITE_IOERR_DELETE_NOENT,
    }
}

unsafe extern "C" fn access(
    vfs: *mut sys::sqlite3_vfs,
    name: *const c_char,
    _: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes the file system it was given, a name and a place for the answer.
    unsafe {
        let name = text_of(name).unwrap_or_default();
        *out = c_int::from(disk_of(vfs).state().find(&name).is_some());
    }
    sys::SQLITE_OK
}

unsafe extern "C" fn full_path_name(
    _: *mut sys::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes a name and `room` bytes for the answer.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes_with_nul();
        if name.len() > size(room.into()) {
            return sys::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(name.as_ptr(), out.cast(), name.len());
    }
    sys::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut sys::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

unsafe extern "C" fn close(file: *mut sys::sqlite3_file) -> c_int {
    // SAFETY: the handle was leaked by `open`; SQLite closes a file once.
    let mut handle = unsafe { Box::from_raw((*file.cast::<OpenFile>()).handle) };
    if let Some(shm) = handle.shm.take() {
        shm.release(&mut handle.held);
    }
    let mut state = handle.disk.state();
    if let Some(file) = state.file(handle.inode) {
        file.locks.unlock(handle.id, sys::SQLITE_LOCK_NONE);
    }
    if handle.delete_on_close {
        state.forget(handle.inode);
    }
    sys::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut sys::sqlite3_file,
    into: *mut c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: an open file of ours and a buffer of `count` bytes.
    let (handle, into) = unsafe {
        (handle_of(file), std::slice::from_raw_parts_mut(into.cast::<u8>(), size(count.into())))
    };
    match handle.disk.state().file(handle.inode) {
        Some(file) if file.read(size(offset), into) => sys::SQLITE_OK,
        Some(_) => sys::SQLITE_IOERR_SHORT_READ,
        None => sys::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(
    file: *mut sys::sqlite3_file,
    from: *const c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: an open file of ours and a buffer of `count` bytes.
    let (handle, from) = unsafe {
        (handle_of(file), std::slice::from_raw_parts(from.cast::<u8>(), size(count.into())))
    };
    handle.disk.state().write(handle.inode, size(offset), from)
}

unsafe extern "C" fn truncate(file: *mut sys::sqlite3_file, length: i64) -> c_int {
    // SAFETY: an open file of ours.
    let handle = unsafe { handle_of(file) };
    handle.disk.state().truncate(handle.inode, size(length))
}

unsafe extern "C" fn sync(file: *mut sys::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file of ours.
    let handle = unsafe { handle_of(file) };
    let delay = handle.disk.state().sync_delay;
    if !delay.is_zero() {
        std::thread::sleep(delay);
    }
    handle.disk.state().sync(handle.inode)
}

unsafe extern "C" fn file_size(file: *mut sys::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: an open file of ours and a place for the answer.
    let handle = unsafe { handle_of(file) };
    match handle.disk.state().file(handle.inode) {
        Some(file) => {
            // SAFETY: as above.
            unsafe { *out = i64::try_from(file.length()).unwrap_or(i64::MAX) };
            sys::SQLITE_OK
        }
        None => sys::SQLITE_IOERR_FSTAT,
    }
}

unsafe extern "C" fn lock(file: *mut sys::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file of ours.
    let handle = unsafe { handle_of(file) };
    let taken =
        handle.disk.state().file(handle.inode).map(|file| file.locks.lock(handle.id, level));
    match taken {
        Some(true) => sys::SQLITE_OK,
        Some(false) => sys::SQLITE_BUSY,
        None => sys::SQLITE_IOERR_LOCK,
    }
}

unsafe extern "C" fn unlock(file: *mut sys::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file of ours.
    let handle = unsafe { handle_of(file) };
    if let Some(file) = handle.disk.state().file(handle.inode) {
        file.locks.unlock(handle.id, level);
    }
    sys::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut sys::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: an open file of ours and a place for the answer.
    let handle = unsafe { handle_of(file) };
    let reserved = handle.disk.state().file(handle.inode).is_some_and(|f| f.locks.reserved());
    // SAFETY: as above.
    unsafe { *out = c_int::from(reserved) };
    sys::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut sys::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    sys::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut sys::sqlite3_file) -> c_int {
    4096
}

unsafe extern "C" fn device_characteristics(_: *mut sys::sqlite3_file) -> c_int {
    // As the platform's own: a torn write does not touch its neighbours.
    sys::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut sys::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file of ours.
    let handle = unsafe { handle_of(file) };
    if handle.shm.is_none() {
        handle.shm = handle.disk.state().file(handle.inode).map(|file| file.shm());
    }
    let Some(shm) = &handle.shm else { return sys::SQLITE_IOERR_SHMMAP };
    let address = shm.map(size(region.into()), size(bytes.into()), extend != 0);
    // SAFETY: a place for the answer.
    unsafe { *out = address.cast() };
    sys::SQLITE_OK
}

unsafe extern "C" fn shm_lock(
    file: *mut sys::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: an open file of ours.
    let handle = unsafe { handle_of(file) };
    let Some(shm) = &handle.shm else { return sys::SQLITE_IOERR_SHMLOCK };
    let (first, count) = (size(first.into()), size(count.into()));
    match shm.lock(&mut handle.held, first, count, flags) {
        true => sys::SQLITE_OK,
        false => sys::SQLITE_BUSY,
    }
}

unsafe extern "C" fn shm_barrier(_: *mut sys::sqlite3_file) {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut sys::sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: an open file of ours; SQLite does not use the regions after this.
    let handle = unsafe { handle_of(file) };
    if let Some(shm) = handle.shm.take() {
        shm.release(&mut handle.held);
    }
    sys::SQLITE_OK
}
