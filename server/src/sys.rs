//! With its parts the one place of this crate with `unsafe`: what the safe interfaces of libraries can't express.

#![expect(
    unsafe_code,
    reason = "Lua's and the allocator's C interfaces, the time stamp counter, fork, signals of crashes, the memory behind the process's title"
)]

pub mod lua;
mod lua_stack;
pub mod script;

use std::ffi::{CStr, CString, c_int, c_void};
use std::io;
use std::ptr::null_mut;
use std::sync::OnceLock;
use store::Mover;

/// The processor's time stamp counter; `None` where there is none that a program may read.
#[inline(always)]
pub fn ticks() -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has the instruction; callers first ask whether the kernel counts with it,
        // in which case programs may, too.
        Some(unsafe { std::arch::x86_64::_rdtsc() })
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// What the allocator says of the slab that an allocation lies in: equal allocations side by side in some pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlabUse {
    /// Places that are free in it, of how many.
    pub free: usize,
    /// See `free`.
    pub regions: usize,
    /// The same for all slabs of that size together.
    pub bin_free: usize,
    /// See `bin_free`.
    pub bin_regions: usize,
    /// The next allocation of that size will come from it.
    pub is_current: bool,
}

/// The allocator's `experimental.utilization.query`, looked up once.
#[derive(Clone, Copy, Debug)]
pub struct SlabQuery([usize; 3]);

impl SlabQuery {
    /// `None` where the allocator does not know the question.
    pub fn new() -> Option<Self> {
        let (mut mib, mut len) = ([0usize; 3], 3usize);
        let name = c"experimental.utilization.query";
        // SAFETY: the name is a C string; three words take the three parts of the name, as told.
        let failed =
            unsafe { tikv_jemalloc_sys::mallctlnametomib(name.as_ptr(), mib.as_mut_ptr(), &raw mut len) };
        (failed == 0 && len == 3).then_some(Self(mib))
    }

    /// Lends out a mover that moves what lies in slabs of which `is_worth_it` says so; large allocations stay.
    pub fn moving<R>(&self, is_worth_it: fn(SlabUse) -> bool, work: impl FnOnce(&mut Mover<'_>) -> R) -> R {
        let mut judge = |address| {
            // SAFETY: a mover asks about live allocations only, all of which are this allocator's.
            unsafe { self.slab_of(address) }.is_some_and(is_worth_it)
        };
        work(&mut Mover::new(&mut judge))
    }

    /// The slab at an address; `None` for a large allocation.
    ///
    /// # Safety
    /// The address lies in a live allocation: the allocator doesn't check that it knows it.
    unsafe fn slab_of(&self, address: *const u8) -> Option<SlabUse> {
        /// As jemalloc's `inspect_extent_util_stats_verbose_t`.
        #[repr(C)]
        struct Answer {
            current: *const u8,
            free: usize,
            regions: usize,
            size: usize,
            bin_free: usize,
            bin_regions: usize,
        }
        let mut answer =
            Answer { current: null_mut(), free: 0, regions: 0, size: 0, bin_free: 0, bin_regions: 0 };
        let (mut len, mut asked) = (size_of::<Answer>(), address);
        // SAFETY: the control reads one pointer, that of a live allocation, and writes one answer, whose size is told; both
        // live here.
        let failed = unsafe {
            tikv_jemalloc_sys::mallctlbymib(
                self.0.as_ptr(),
                3,
                (&raw mut answer).cast(),
                &raw mut len,
                (&raw mut asked).cast(),
                size_of::<*const u8>(),
            )
        };
        if failed != 0 || answer.bin_regions == 0 {
            return None;
        }
        let offset = address.addr().wrapping_sub(answer.current.addr());
        Some(SlabUse {
            free: answer.free,
            regions: answer.regions,
            bin_free: answer.bin_free,
            bin_regions: answer.bin_regions,
            is_current: !answer.current.is_null() && offset < answer.size,
        })
    }
}

/// The number that an allocator's control says, of whatever width it is.
///
/// # Errors
/// As the allocator's: no such control, or one that is no number or can't be read.
pub fn allocator_number(name: &CStr) -> io::Result<i64> {
    for width in [8usize, 4, 2, 1] {
        let (mut number, mut len) = (0i64, width);
        // SAFETY: the name is a C string; a control whose value has another width than told writes nothing.
        let failed = unsafe {
            tikv_jemalloc_sys::mallctl(name.as_ptr(), (&raw mut number).cast(), &raw mut len, null_mut(), 0)
        };
        match failed {
            0 => return Ok(number),
            EINVAL => {} // another width
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
    Err(io::Error::from_raw_os_error(EINVAL))
}

/// Makes the allocator do something that takes and gives no value.
///
/// # Errors
/// As the allocator's. Not permitted is what could free memory that is in use.
pub fn allocator_action(name: &CStr) -> io::Result<()> {
    let text = name.to_bytes();
    let is_harmless = matches!(text, b"thread.tcache.flush" | b"thread.idle")
        || text.starts_with(b"arena.") && (text.ends_with(b".purge") || text.ends_with(b".decay"));
    if !is_harmless {
        return Err(io::Error::from_raw_os_error(EPERM));
    }
    // SAFETY: the name is a C string; no value is read or written; these controls free nothing but unused memory.
    let failed = unsafe { tikv_jemalloc_sys::mallctl(name.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed)) }
}

const EPERM: c_int = 1;
const EINVAL: c_int = 22;

/// Has this thread's allocations come from its cache, or from the allocator's slabs directly. Off empties the cache.
pub fn set_thread_cache(on: bool) {
    let mut on = on;
    // SAFETY: the name is a C string; the control reads one `bool`, whose size is told.
    unsafe {
        tikv_jemalloc_sys::mallctl(
            c"thread.tcache.enabled".as_ptr(),
            null_mut(),
            null_mut(),
            (&raw mut on).cast(),
            size_of::<bool>(),
        );
    }
}

/// Processor time used by this process, or by this thread alone: user and system, seconds. To the microsecond, which the
/// files of `/proc` are not.
pub fn cpu_seconds(thread: bool) -> (f64, f64) {
    let who = if thread { libc::RUSAGE_THREAD } else { libc::RUSAGE_SELF };
    // SAFETY: all zeroes is a valid answer.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for the answer; a failure leaves the zeroes.
    unsafe { libc::getrusage(who, &raw mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(usage.ru_utime), seconds(usage.ru_stime))
}

/// Ignores what a terminal sends that goes away: a server started from one stays.
pub fn ignore_hangups() {
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
}

/// Makes a second process; true in the first.
///
/// # Errors
/// When there is none to be had, or when other threads run, which the second process would not have.
pub fn fork() -> io::Result<bool> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(io::Error::other("other threads run already"));
    }
    // SAFETY: this is the only thread, so no lock is held that nobody in the new process could release.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(false),
        _ => Ok(true),
    }
}

/// The memory that the kernel shows as the command line: where it starts, and its length.
static TITLE: OnceLock<(usize, usize)> = OnceLock::new();

/// Finds the memory that holds the arguments and, right behind, the environment, and moves the environment elsewhere.
/// Must be called while there is one thread. Does nothing where the kernel lays these out in another way.
pub fn reserve_title() {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 48 to 51, counted behind the program's name, which may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<usize>().ok());
    let (Some(arg_start), Some(arg_end), Some(env_start), Some(env_end)) =
        (field(48), field(49), field(50), field(51))
    else {
        return;
    };
    if arg_start == 0 || arg_end <= arg_start || env_start != arg_end || env_end <= env_start {
        return;
    }
    for (name, value) in std::env::vars_os() {
        // SAFETY: there is one thread. C's library copies name and value to memory of their own.
        unsafe { std::env::set_var(name, value) };
    }
    let _ = TITLE.set((arg_start, env_end - arg_start));
}

/// Shows `title` in the process list, as far as there is room.
pub fn set_title(title: &[u8]) {
    let Some((start, len)) = TITLE.get().copied() else { return };
    let at = std::ptr::with_exposed_provenance_mut::<u8>(start);
    // The last byte stays zero, as the kernel reads on from there otherwise.
    let shown = title.len().min(len - 1);
    // SAFETY: the kernel made `len` writable bytes there for arguments and environment. The standard library copied the
    // arguments before `main`'s first use of them, and `reserve_title` had the environment moved; nobody else looks.
    unsafe { std::ptr::write_bytes(at, 0, len) };
    // SAFETY: as above; `shown` is less than `len`, and a title of ours can't overlap that memory.
    unsafe { std::ptr::copy_nonoverlapping(title.as_ptr(), at, shown) };
}

/// What a signal handler is told.
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    /// Its number.
    pub number: c_int,
    /// Why it was sent, as the kernel codes it.
    pub code: c_int,
    /// The address that could not be used, for those about memory.
    pub address: usize,
    /// Who sent it: process and user, if someone did.
    pub sender: (i32, u32),
}

/// Called for each signal of [`watch_signals`]. It must not allocate, lock or unwind.
static HANDLER: OnceLock<fn(Signal)> = OnceLock::new();

/// Bytes of the stack that handlers of crashes run on: the usual one may be what has overflowed.
const SIGNAL_STACK: usize = 256 << 10;

/// Has `handler` called for the signals of a crash, whose default effect follows, and for SIGALRM.
///
/// `handler` may interrupt anything, so it must do only what is safe then.
pub fn watch_signals(handler: fn(Signal), crashes: bool) {
    let _ = HANDLER.set(handler);
    let stack = Box::leak(vec![0_u8; SIGNAL_STACK].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: SIGNAL_STACK };
    // SAFETY: the memory is never freed.
    unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
    // The first call of glibc's `backtrace` loads a library, which no handler should.
    let mut frames = [std::ptr::null_mut(); 1];
    // SAFETY: there is room for one frame.
    unsafe { libc::backtrace(frames.as_mut_ptr(), 1) };
    let mut numbers = vec![(libc::SIGALRM, libc::SA_RESTART)];
    if crashes {
        let fatal = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];
        numbers.extend(fatal.map(|number| (number, libc::SA_RESETHAND | libc::SA_NODEFER)));
    }
    for (number, flags) in numbers {
        // SAFETY: all zeroes is a valid action.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_flags = flags | libc::SA_SIGINFO | libc::SA_ONSTACK;
        action.sa_sigaction = on_signal as *const () as usize;
        // SAFETY: the action is whole, and `on_signal` has the signature that SA_SIGINFO asks for.
        unsafe { libc::sigaction(number, &raw const action, std::ptr::null_mut()) };
    }
}

/// Has the handler of [`watch_signals`] called for SIGINT, in place of what was done before, or that done again.
pub fn watch_interrupts(on: bool) {
    static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();
    // SAFETY: all zeroes is a valid action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    if on {
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        action.sa_sigaction = on_signal as *const () as usize;
    } else if let Some(before) = BEFORE.get() {
        action = *before;
    }
    // SAFETY: all zeroes is a valid action.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: both actions are whole, and ours has the signature that SA_SIGINFO asks for.
    unsafe { libc::sigaction(libc::SIGINT, &raw const action, &raw mut before) };
    if on {
        let _ = BEFORE.set(before);
    }
}

/// Removes a file. Safe in signal handlers.
pub fn remove_file(path: &CStr) {
    // SAFETY: the path ends with a zero byte.
    unsafe { libc::unlink(path.as_ptr()) };
}

/// Ends the process without tidying up. Safe in signal handlers.
pub fn exit_now(code: c_int) -> ! {
    // SAFETY: it touches no memory of ours.
    unsafe { libc::_exit(code) }
}

extern "C" fn on_signal(number: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel hands a valid description to a handler with SA_SIGINFO.
    let info = unsafe { &*info };
    // SAFETY: every description has room for an address; it is shown as a number only.
    let address = unsafe { info.si_addr() }.addr();
    // SAFETY: likewise for the sender's process.
    let pid = unsafe { info.si_pid() };
    // SAFETY: likewise for its user.
    let uid = unsafe { info.si_uid() };
    if let Some(handler) = HANDLER.get() {
        handler(Signal { number, code: info.si_code, address, sender: (pid, uid) });
    }
    if number != libc::SIGALRM {
        // The action is the default one again, so that this ends the process.
        raise_signal(number);
    }
}

/// Sends a signal to the calling thread.
pub fn raise_signal(number: c_int) {
    // SAFETY: sending a signal touches no memory of ours.
    unsafe { libc::raise(number) };
}

/// The number that a bad access to memory raises.
pub const SIGSEGV: c_int = libc::SIGSEGV;

/// The number of an interrupt from the keyboard.
pub const SIGINT: c_int = libc::SIGINT;

/// The number that [`ring_in`] raises.
pub const SIGALRM: c_int = libc::SIGALRM;

/// Raises SIGALRM once, after so many milliseconds; 0 takes an earlier wish back.
pub fn ring_in(milliseconds: u32) {
    let after = libc::timeval {
        tv_sec: i64::from(milliseconds / 1000),
        tv_usec: i64::from(milliseconds % 1000 * 1000),
    };
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timer = libc::itimerval { it_interval: never, it_value: after };
    // SAFETY: the timer is whole.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

/// Frames that a stack trace shows at most.
const FRAMES_MAX: usize = 100;

/// Writes the calling thread's stack to a file, each frame as `program(+offset)[address]`. Safe in signal handlers.
pub fn write_stack(fd: c_int) {
    let mut frames = [std::ptr::null_mut(); FRAMES_MAX];
    // SAFETY: there is room for that many frames.
    let count = unsafe { libc::backtrace(frames.as_mut_ptr(), FRAMES_MAX as c_int) };
    // SAFETY: `count` frames are there; the function writes to the file and allocates nothing.
    unsafe { libc::backtrace_symbols_fd(frames.as_ptr(), count, fd) };
}

/// Opens a file to append to; negative on failure. Safe in signal handlers.
pub fn open_append(path: &CStr) -> c_int {
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: the path ends with a zero byte.
    unsafe { libc::open(path.as_ptr(), flags, 0o644 as libc::c_uint) }
}

/// Writes bytes; what can't be written is lost. Safe in signal handlers.
pub fn write_bytes(fd: c_int, bytes: &[u8]) {
    // SAFETY: the pointer and the length are those of a slice.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
}

/// Seconds since 1970. Safe in signal handlers.
pub fn unix_time() -> i64 {
    // SAFETY: a null pointer asks for the result only.
    unsafe { libc::time(std::ptr::null_mut()) }
}

/// The number of the group with this name; `None` when there is none.
pub fn group_id(name: &[u8]) -> Option<u32> {
    let name = CString::new(name).ok()?;
    let mut buffer = vec![0; 16 << 10];
    // SAFETY: all zeroes is a valid, empty entry.
    let mut entry: libc::group = unsafe { std::mem::zeroed() };
    let mut found = null_mut();
    // SAFETY: the name ends with a zero byte, the buffer has the length that is told, and both outlive the entry's use.
    unsafe {
        libc::getgrnam_r(name.as_ptr(), &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found);
    }
    (!found.is_null()).then_some(entry.gr_gid)
}

/// `MALLCTL_ARENAS_ALL`
const ALL_ARENAS: usize = 4096;

/// Makes the allocator give the pages back that it keeps without need; false when it will not.
pub fn purge_memory() -> bool {
    let name = CString::new(format!("arena.{ALL_ARENAS}.purge")).expect("it holds no zero byte");
    // SAFETY: the name is a C string that outlives the call; this control reads and writes nothing, so all else is null.
    let failed = unsafe { tikv_jemalloc_sys::mallctl(name.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
    failed == 0
}

/// Bytes that threads keep to allocate them anew, as of the allocator's last epoch.
pub fn thread_cache_bytes() -> u64 {
    static NAME: OnceLock<CString> = OnceLock::new();
    let name = NAME.get_or_init(|| {
        CString::new(format!("stats.arenas.{ALL_ARENAS}.tcache_bytes")).expect("it holds no zero byte")
    });
    let (mut bytes, mut len) = (0usize, size_of::<usize>());
    // SAFETY: the name is a C string that outlives the call; this control writes one `size_t` to where the old value goes,
    // whose size is told, and reads nothing.
    let failed = unsafe {
        tikv_jemalloc_sys::mallctl(name.as_ptr(), (&raw mut bytes).cast(), &raw mut len, null_mut(), 0)
    };
    if failed == 0 { bytes as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_tells_how_full_a_slab_is() {
        let query = SlabQuery::new().expect("jemalloc");
        let (small, large) = (vec![7u8; 1], vec![1u8; 1 << 20]);
        // SAFETY: it is alive.
        let found = unsafe { query.slab_of(small.as_ptr()) };
        // SAFETY: likewise.
        let none = unsafe { query.slab_of(large.as_ptr()) };
        let found = found.expect("a small allocation lies in a slab");
        assert!(found.regions > 1 && found.free < found.regions && found.bin_free <= found.bin_regions);
        assert_eq!(none, None);
    }

    #[test]
    fn controls_are_read_at_their_own_width() {
        assert_eq!(allocator_number(c"arenas.page").expect("a size"), 4096);
        assert!(allocator_number(c"arenas.narenas").expect("four bytes") > 0);
        assert!((0..=1).contains(&allocator_number(c"opt.background_thread").expect("one byte")));
        assert_eq!(allocator_number(c"no.such").expect_err("unknown").raw_os_error(), Some(2));
        allocator_action(c"thread.tcache.flush").expect("harmless");
        assert_eq!(allocator_action(c"arena.0.reset").expect_err("refused").raw_os_error(), Some(EPERM));
    }
}
