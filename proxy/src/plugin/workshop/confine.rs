//! What a process of the workshop takes from itself before it looks at anything strange.
//!
//! Memory, processor time and output are bounded, and the system is asked for little more than memory and threads:
//! no file is opened, no connection made, no program started. The plugin that is compiled has no way to any of that; this
//! is for the day on which the compiler has a fault.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Descriptors: wasmtime takes one for each memory that is not empty at first.
const DESCRIPTORS: u64 = 512;

/// How much the process stands back behind those that serve clients.
const NICENESS: i32 = 5;

/// The bounds of a process of the workshop.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Confinement {
    /// Octets of memory.
    #[arg(long)]
    pub memory: u64,
    /// Seconds of processor time.
    #[arg(long)]
    pub seconds: u64,
    /// Octets of output.
    #[arg(long)]
    pub output: u64,
}

impl Confinement {
    /// Sets the limits, and closes what was inherited. For a process with a single thread.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn limit(self) -> io::Result<()> {
        close_inherited();
        for (resource, limit) in [
            (Resource::RLIMIT_CORE, 0),
            // Address space is no measure: it is reserved by the terabyte. This counts what can be written to.
            (Resource::RLIMIT_DATA, self.memory),
            (Resource::RLIMIT_FSIZE, self.output),
            (Resource::RLIMIT_NOFILE, DESCRIPTORS),
        ] {
            lower(resource, limit, limit)?;
        }
        // At the first limit comes a signal that tells the reason, at the second the end.
        lower(Resource::RLIMIT_CPU, self.seconds, self.seconds.saturating_add(1))?;
        prctl::set_no_new_privs()?;
        become_nobody();
        // Nobody waits for the work any more when the parent is gone.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The rest does not hang on that.
        let _ = rustix::process::nice(NICENESS);
        Ok(())
    }
}

/// Who the superuser becomes: the last one, as on all systems.
const NOBODY: u32 = 65_534;

/// Lays the superuser's rights down. Where a container knows nobody but him, the other walls have to do.
fn become_nobody() {
    if geteuid().is_root() {
        let nobody = setgroups(&[]).and_then(|()| setgid(Gid::from_raw(NOBODY)));
        let _ = nobody.and_then(|()| setuid(Uid::from_raw(NOBODY)));
    }
}

/// Sets a limit and its bound, unless they are lower already.
fn lower(resource: Resource, limit: u64, most: u64) -> io::Result<()> {
    let (_, present) = getrlimit(resource)?;
    Ok(setrlimit(resource, limit.min(present), most.min(present))?)
}

/// Closes all descriptors but the three that the process was given.
fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|fd| *fd > 2).collect();
    for number in numbers {
        // The folder itself is closed by now, and was among them.
        let _ = nix::unistd::close(number);
    }
}

/// From here on, for all threads: no file by name, no connection, no program, no other process.
///
/// Where the system or the processor has no such filter, the limits have to do.
pub(super) fn close_doors() {
    let _ = filter().map(|program| seccompiler::apply_filter_all_threads(&program));
}

fn filter() -> Option<BpfProgram> {
    let architecture = std::env::consts::ARCH.try_into().ok()?;
    let rules: BTreeMap<i64, _> = DENIED.iter().map(|&call| (call, Vec::new())).collect();
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture).ok()?.try_into().ok()
}

/// Calls of the system that are refused. Making a socket is not among them, so that a guest that means to connect gets as far as
/// the question whether it may.
const DENIED: &[libc::c_long] = &[
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_bpf,
    libc::SYS_connect,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_kill,
    libc::SYS_linkat,
    libc::SYS_listen,
    libc::SYS_mkdirat,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_perf_event_open,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_renameat2,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setns,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_creat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_behind_closed_doors_opens_nothing() {
        // One thread of this process only: the others are tests that need files.
        let refused = std::thread::spawn(|| {
            let Some(program) = filter() else { return true };
            seccompiler::apply_filter(&program).unwrap();
            let denied = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
            std::fs::File::open("/proc/self/status").is_err_and(denied)
                && std::net::TcpStream::connect("127.0.0.1:9").is_err_and(denied)
                && std::thread::spawn(move || std::fs::read("/etc/hostname").is_err_and(denied)).join().unwrap()
        });
        assert!(refused.join().unwrap());
    }
}
