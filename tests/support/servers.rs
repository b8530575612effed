//! Servers that others wrote, made and started by the tests on a fresh machine: moto (AWS) and a control plane of Kubernetes.
//!
//! They listen on 127.0.0.1, on ports that were free, end by themselves after a while, and are ended when dropped.

use super::{bounded, ended, until};
use serde_json::Value;
use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tempfile::TempDir;

/// How long a server may live.
const LIFETIME_S: u64 = 900;
/// How long the packages, and the compilation of the control plane from nothing, may take.
const MAKING: Duration = Duration::from_mins(30);
/// Two tests of one process never make the same thing at once.
static MAKES: Mutex<()> = Mutex::new(());

/// The folder of what belongs to these tests in the repository.
pub fn ours(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(name)
}

/// Where what was made is kept for the next time: below Cargo's target folder.
fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("independent");
    std::fs::create_dir_all(&folder).expect("a folder below Cargo's target folder");
    folder.join(name)
}

/// Runs `command`, which must succeed: what is missing otherwise is in `needs`.
fn make(command: Command, needs: &str) {
    let shown = format!("{command:?}");
    assert!(
        Path::new(command.get_program()).is_absolute() || on_path(command.get_program()),
        "{shown}\ninstall {needs}"
    );
    let made = ended(bounded(command, MAKING));
    assert_eq!(made.code, 0, "{shown}\n{}{}\nthis needs {needs}", made.stdout, made.stderr);
}

fn on_path(program: &std::ffi::OsStr) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(program).is_file())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

/// A process that is ended, first gently, when this is dropped.
struct Process(u32);

impl Drop for Process {
    fn drop(&mut self) {
        let pid = self.0.to_string();
        let signal = |name: &str| Command::new("kill").args([name, &pid]).stderr(Stdio::null()).status();
        let _ = signal("-TERM");
        let gone = || !Path::new("/proc").join(&pid).exists() || is_zombie(&pid);
        for _ in 0..400 {
            if gone() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = signal("-KILL");
    }
}

fn is_zombie(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

/// moto: a simulated AWS that we did not write. Empty at first, but for what every account has.
pub struct Moto {
    /// Its address.
    pub url: String,
    _process: Process,
    _folder: TempDir,
}

impl Moto {
    /// Starts it; it is installed first where it is not.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let log = File::create(folder.path().join("moto.log")).expect("a log file");
        let mut command = Command::new("timeout");
        command.args(["--foreground", "-k", "5", &LIFETIME_S.to_string()]).arg(python().with_file_name("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log file again")).stderr(log);
        let process = Process(command.spawn().expect("timeout(1) is there").id());
        until("moto answers", Duration::from_mins(1), || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { url: format!("http://127.0.0.1:{port}"), _process: process, _folder: folder }
    }

    /// What `cloud.py` prints.
    pub fn ask(&self, verb: &str, name: &str) -> Value {
        let mut command = Command::new(python());
        command.arg(ours("independent/cloud.py")).args([&self.url, verb, name]);
        let told = ended(bounded(command, Duration::from_mins(1)));
        assert_eq!(told.code, 0, "{verb} {name}: {}", told.stderr);
        serde_json::from_str(&told.stdout).expect("JSON")
    }
}

/// Python with moto, in an environment of its own.
fn python() -> PathBuf {
    let _one = MAKES.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = ours("independent/requirements.txt");
    let text = std::fs::read_to_string(&wanted).expect("the list of packages");
    let (place, done) = (kept("venv"), kept("venv/installed.txt"));
    let python = place.join("bin/python");
    if std::fs::read_to_string(&done).ok().as_deref() != Some(&text) {
        let needs = "Python 3.11 with venv (`apt-get install python3-venv`) and a way to its packages";
        let mut command = Command::new("python3");
        command.args(["-m", "venv"]).arg(&place);
        make(command, needs);
        let mut command = Command::new(&python);
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&wanted);
        make(command, needs);
        std::fs::write(&done, text).expect("a note of what is installed");
    }
    python
}

/// A real control plane of Kubernetes; its nodes only pretend to run containers.
pub struct Kubelab {
    binary: PathBuf,
    folder: TempDir,
    _processes: Vec<Process>,
}

impl Kubelab {
    /// Starts it; it is compiled first where it is not.
    pub fn start() -> Self {
        let binary = kubelab();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("bash");
        command.arg(ours("kubelab/start.sh")).arg(&binary).arg(folder.path()).env("LIMIT_S", LIFETIME_S.to_string());
        for name in ["API_PORT", "ETCD_PORT", "PEER_PORT", "KWOK_PORT"] {
            command.env(name, free_port().to_string());
        }
        let started = ended(bounded(command, Duration::from_mins(2)));
        let processes = processes(folder.path());
        assert_eq!(started.code, 0, "{}{}\nthis needs openssl and curl", started.stdout, started.stderr);
        let lab = Self { binary, folder, _processes: processes };
        until("namespaces are there", Duration::from_mins(1), || lab.try_ask(&["get", "sa", "default"]).is_some());
        lab
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("admin.kubeconfig")
    }

    /// A file of its keys and certificates.
    pub fn pki(&self, name: &str) -> PathBuf {
        self.folder.path().join("pki").join(name)
    }

    /// `kubectl`, ready to be run.
    pub fn kubectl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("kubectl").arg("--kubeconfig").arg(self.kubeconfig()).args(args).stdin(Stdio::null());
        command
    }

    /// What `kubectl` prints; nothing when it fails.
    pub fn try_ask(&self, args: &[&str]) -> Option<String> {
        let told = ended(bounded(self.kubectl(args), Duration::from_mins(1)));
        (told.code == 0).then_some(told.stdout)
    }

    /// What `kubectl` prints.
    pub fn ask(&self, args: &[&str]) -> String {
        let told = ended(bounded(self.kubectl(args), Duration::from_mins(1)));
        assert_eq!(told.code, 0, "kubectl {}: {}", args.join(" "), told.stderr);
        told.stdout
    }
}

fn processes(folder: &Path) -> Vec<Process> {
    // What depends on others ends before them.
    let names = ["kwok", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"];
    let pid = |name: &str| std::fs::read_to_string(folder.join(format!("{name}.pid"))).ok()?.trim().parse().ok();
    names.iter().filter_map(|name| pid(name)).map(Process).collect()
}

/// The control plane's program.
fn kubelab() -> PathBuf {
    let _one = MAKES.lock().unwrap_or_else(PoisonError::into_inner);
    let binary = kept("kubelab").join("kubelab");
    let sources = ["go.mod", "cmd/kubelab/main.go", "build.sh"].map(|name| ours("kubelab").join(name));
    let wanted: String = sources.iter().map(|file| std::fs::read_to_string(file).expect("a source")).collect();
    let done = kept("kubelab/built-from.txt");
    if std::fs::read_to_string(&done).ok().as_deref() != Some(&wanted) {
        let needs = "Go 1.26 (https://go.dev/dl) and a way to its modules";
        assert!(on_path("go".as_ref()), "install {needs}");
        let mut command = Command::new("bash");
        command.arg(ours("kubelab/build.sh")).arg(kept("kubelab")).env("ONLY", "kubelab");
        make(command, needs);
        std::fs::write(&done, wanted).expect("a note of what was built");
    }
    binary
}

/// Serves the files of a folder over HTTP, as long as the test lives.
pub struct Files {
    /// Its address.
    pub url: String,
}

impl Files {
    /// Serves `folder`.
    pub fn serve(folder: PathBuf) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        std::thread::spawn(move || socket.incoming().flatten().for_each(|stream| answer(stream, &folder)));
        Self { url }
    }
}

fn answer(mut stream: TcpStream, folder: &Path) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(read) if read > 0 && request.len() < 1 << 16 => request.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request);
    let name = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let file = std::fs::read(folder.join(&name)).ok().filter(|_| !name.contains('/'));
    let (status, body) = file.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}
