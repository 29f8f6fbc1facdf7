//! Real programs in an environment: they run as without it, those included that no auditor's process had room for.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use process_control::{ChildExt, Control};
use suite::bed::Bed;
use suite::instructions::IDLE;
use suite::manifest::View;
use suite::process;

use super::Case;
use super::wrapper::generate;

/// Longer than a server takes to start or to stop on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// signal(7).
const SIGSEGV: u32 = 11;
/// From this version on libc.so.6 is initialised before another library's malloc can be called.
const JEMALLOC: (u32, u32) = (2, 32);

pub fn cases() -> Vec<Case> {
    vec![
        as_without("redis", "redis-server", &["--version"]).since(JEMALLOC),
        as_without("redis", "redis-cli", &["--version"]).since(JEMALLOC),
        as_without("dnsutils", "dig", &["-v"]),
        as_without("openssl", "openssl", &["version"]),
        as_without("openssl", "openssl", &["dgst", "-sha256", "file"]),
        as_without("curl", "curl", &["--version"]),
        Case::new("programs/redis", redis).since(JEMALLOC),
        Case::new("programs/dig", dig),
        Case::new("programs/jemalloc-on-old-glibc", jemalloc).before(JEMALLOC).views(&[View::Distribution]),
    ]
}

/// The path of a program of the channel.
fn program(bed: &Bed, package: &str, program: &str) -> Result<PathBuf> {
    let output = bed.channel.programs.get(package).with_context(|| format!("the channel has no {package}"))?;
    Ok(output.join("bin").join(program))
}

/// With an auditor alone a program that brings jemalloc does not start, others do. In an environment that declares it,
/// and in one that declares nothing, each does what it does without.
fn as_without(package: &'static str, name: &'static str, arguments: &'static [&'static str]) -> Case {
    let check = move |bed: &Bed| -> Result<()> {
        bed.file("file", "content\n")?;
        let path = program(bed, package, name)?;
        let run = bed.run(&path).args(arguments);
        let plain = run.plain()?;
        plain.succeeds()?;
        // jemalloc has 2632 bytes of static TLS, or 6216.
        let libraries = bed.run(&path).env("LD_TRACE_LOADED_OBJECTS", "1").plain()?;
        if libraries.stdout.contains("libjemalloc.so.2") {
            run.audited()?.fails_with("libjemalloc.so.2: cannot allocate memory in static TLS block")?;
        } else {
            run.audited()?.equals(&plain)?;
        }
        let nothing = generate(bed, "nothing", &[])?;
        bed.run(nothing).arg(&path).args(arguments).plain()?.equals(&plain)?;
        let output = bed.channel.programs[package].as_os_str();
        let declared = generate(bed, "declared", &[("--bin-of", output), ("--lib-of", output)])?;
        bed.run(declared).arg(&path).args(arguments).plain()?.equals(&plain)?;
        Ok(())
    };
    Case::new(format!("programs/{name}-{}", arguments[0].trim_start_matches('-')), check)
}

/// A server starts, answers, and stops.
fn redis(bed: &Bed) -> Result<()> {
    let replit_env = generate(bed, "env", &[("--bin-of", bed.channel.programs["redis"].as_os_str())])?;
    let socket = bed.path("socket");
    let server = bed.run(&replit_env).args(["redis-server", "--port", "0", "--save", "", "--unixsocket"]).arg(&socket);
    let log = bed.path("log");
    let mut command = server.command()?;
    command.stdin(Stdio::null()).stdout(fs::File::create(&log)?).stderr(Stdio::null());
    let mut server = Running(process::start(&mut command)?);
    let started = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        let ended = server.0.try_wait()?.is_some();
        if ended || started.elapsed() > TIME_LIMIT {
            bail!("the server does not answer:\n{}", fs::read_to_string(&log)?);
        }
        thread::sleep(Duration::from_millis(20));
    }
    let client = || bed.run(&replit_env).args(["redis-cli", "-s"]).arg(&socket);
    let said = || -> Result<()> {
        client().arg("ping").plain()?.prints(["PONG"])?;
        client().args(["set", "key", "a value"]).plain()?.prints(["OK"])?;
        client().args(["get", "key"]).plain()?.prints(["a value"])?;
        Ok(())
    };
    let said = said();
    client().args(["shutdown", "nosave"]).plain()?;
    let end =
        server.0.controlled().time_limit(TIME_LIMIT).terminate_for_timeout().wait()?.context("it does not stop")?;
    ensure!(end.success(), "{end}\n{}", fs::read_to_string(&log)?);
    said
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended has nothing to be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A question over the network, which dig asks from a thread of its own, is answered.
fn dig(bed: &Bed) -> Result<()> {
    let path = program(bed, "dnsutils", "dig")?;
    let replit_env = generate(bed, "env", &[("--bin-of", bed.channel.programs["dnsutils"].as_os_str())])?;
    for run in [bed.run(path), bed.run(replit_env).arg("dig")] {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(TIME_LIMIT))?;
        let port = socket.local_addr()?.port().to_string();
        let server = thread::spawn(move || -> Result<()> {
            let mut message = [0; 512];
            let (len, client) = socket.recv_from(&mut message)?;
            // The question itself, as an answer that there is no such name.
            message[2..4].copy_from_slice(&[0x81, 0x83]);
            socket.send_to(&message[..len], client)?;
            Ok(())
        });
        let options = ["+noedns", "+tries=1", "+time=10"];
        let outcome = run.args(["-r", "@127.0.0.1", "-p", &port, "no.such.name"]).args(options).plain()?;
        server.join().expect("the server does not panic")?;
        ensure!(outcome.runs()?.stdout.contains("status: NXDOMAIN"), "{outcome}");
    }
    Ok(())
}

/// Before, ld.so calls jemalloc's malloc while libc.so.6 is not initialised, under any auditor: where /sys says how
/// many processors there are, libc reads that and crashes. With room for jemalloc or without, such programs do not run.
fn jemalloc(bed: &Bed) -> Result<()> {
    let run = bed.run(program(bed, "redis", "redis-cli")?).arg("--version");
    run.plain()?.runs()?;
    let idle = bed.library("libidle.so").source(IDLE).build()?;
    let idle = run.env("LD_AUDIT", idle);
    idle.plain()?.fails_with("libjemalloc.so.2: cannot allocate memory in static TLS block")?;
    let outcome = idle.env("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=20000").plain()?;
    ensure!(outcome.killed_by() == Some(SIGSEGV), "{outcome}");
    Ok(())
}
