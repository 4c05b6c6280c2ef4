//! The hub as a process of its own: started, measured from outside, stopped by its own process id.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The key that benches use.
pub(crate) const ADMIN_KEY: &str = "bench-admin-key-0123456789";

/// How to start a hub.
#[derive(Default)]
pub(crate) struct StartOptions {
    /// 0: a free one.
    pub(crate) port: u16,
    /// A library to put under it.
    pub(crate) preload: Option<PathBuf>,
    /// Settings besides.
    pub(crate) settings: Vec<(String, String)>,
}

/// A running `paidup serve`.
pub(crate) struct HubProcess {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first line.
    pub(crate) started_in: Duration,
}

/// Where the release build of the program is.
pub(crate) fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.parent().context("no folder")?.join("paidup");
    if !path.exists() {
        bail!("build the program first: cargo build --release -p paidup");
    }
    Ok(path)
}

impl HubProcess {
    /// Starts it on a database in `folder`, on a free port.
    pub(crate) fn start(folder: &Path) -> Result<HubProcess> {
        HubProcess::start_with(folder, &StartOptions::default())
    }

    /// Starts it on a database in `folder`.
    pub(crate) fn start_with(folder: &Path, options: &StartOptions) -> Result<HubProcess> {
        let begin = Instant::now();
        let mut command = Command::new(binary()?);
        // Nothing of ours may leak in: an unknown PAIDUP_ variable is an error.
        command.env_clear();
        if let Some(library) = &options.preload {
            command.env("LD_PRELOAD", library);
        }
        let mut child = command
            .arg("serve")
            .current_dir(folder)
            .env("PAIDUP_LISTEN", format!("127.0.0.1:{}", options.port))
            .env("PAIDUP_DATABASE_URL", format!("sqlite:{}", folder.join("paidup.db").display()))
            .env("PAIDUP_ADMIN_KEY", ADMIN_KEY)
            .env("PAIDUP_ALLOW_PRIVATE_TARGETS", "127.0.0.0/8")
            .envs(options.settings.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(std::fs::OpenOptions::new().create(true).append(true).open(folder.join("hub.log"))?)
            .spawn()
            .context("start the hub")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        loop {
            let Some(line) = lines.next() else { bail!("the hub ended before it listened; see hub.log") };
            let line = line?;
            if let Some((_, address)) = line.split_once("listening on http://") {
                let address = address.split_whitespace().next().unwrap_or(address).parse()?;
                let started_in = begin.elapsed();
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(HubProcess { child, address, started_in });
            }
        }
    }

    /// CPU time used so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after = stat.rsplit_once(") ").context("stat")?.1;
        let fields: Vec<&str> = after.split(' ').collect();
        let ticks: u64 =
            fields.get(11).context("utime")?.parse::<u64>()? + fields.get(12).context("stime")?.parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory in MB, now.
    pub(crate) fn memory_mb(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
        let kb: f64 = line.split_whitespace().nth(1).context("VmRSS")?.parse()?;
        Ok(kb / 1024.0)
    }

    /// SIGTERM, and waits for the drain.
    pub(crate) fn stop(mut self) -> Result<()> {
        Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(40) {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.kill()?;
        bail!("the hub did not stop within 40 s");
    }

    /// SIGKILL, as a crash.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of this process so far: the generator's own.
pub(crate) fn own_cpu() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the whole struct that it is given, and cannot fail for RUSAGE_SELF.
    #[allow(unsafe_code)]
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let of = |time: libc::timeval| Duration::new(time.tv_sec as u64, (time.tv_usec * 1000) as u32);
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// CPU time of this thread so far.
pub(crate) fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime fills the struct that it is given, and cannot fail for the own thread's clock.
    #[allow(unsafe_code)]
    unsafe {
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
    }
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
